"""A scripted MCP server that lives in the test: answers the bytes it is told, keeps those it gets.

    mirror = Mirror("echo", modern=True)
    mirror.on("tools/call", handler)             async (Asked) -> the result as JSON text
    async with over_stdio(mirror) as argv: ...   a command that copies its pipes to us and back
    async with over_http(mirror) as url: ...     see fakes/mirror_http.py

Both eras, one at a time: a legacy mirror shakes hands and has sessions, a modern one knows
`server/discover`. Lists are plain attributes; `announce` says that one has changed.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from msgspec import Raw

from only1mcp.observe.tasks import Tasks

LEGACY: Final = "2025-11-25"
MODERN: Final = "2026-07-28"
WAIT_S: Final = 10.0  # bound on every wait for something that should happen soon
FAULT: Final = -32603  # a handler of the test failed
LINE_BYTES: Final = 64 * 1024 * 1024

_COPY: Final = """
import os, socket, sys, threading
wire = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def back():
    try:
        while data := wire.recv(65536):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
    finally:  # closed with our bytes unread, the test's end resets the connection
        os._exit(0)
threading.Thread(target=back, daemon=True).start()
while data := os.read(0, 65536):
    wire.sendall(data)
"""
"""The child: everything it reads goes to the test, everything the test says goes to stdout."""

Tell = Callable[[bytes], Awaitable[None]]
Json = dict[str, Any]


class Envelope(msgspec.Struct):
    """The outside of a message; params as the bytes they came in."""

    method: str = ""
    id: Raw = Raw()
    params: Raw = Raw()


class Refused(Exception):
    """Answer with this error object, as JSON text; over HTTP also without one."""

    def __init__(self, error: bytes, status: int = 200, **headers: str) -> None:
        super().__init__(error)
        self.headers = headers
        self.error = error
        self.status = status


@dataclass
class Asked:
    """One request as it came. `tell` sends a message on the channel of its answer."""

    method: str
    id: bytes
    params: bytes
    headers: Mapping[str, str]
    tell: Tell
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def json(self) -> Any:
        """The params as values."""
        return json.loads(self.params) if self.params else {}

    @property
    def arguments(self) -> Any:
        """What a tool is called with."""
        return self.json.get("arguments", {})

    async def notify(self, method: str, **params: Any) -> None:
        """Send a notification that belongs to this request."""
        await self.tell(notification(method, params))

    async def progress(self, done: float) -> None:
        """Send progress under the token that came with the request."""
        token = self.json["_meta"]["progressToken"]
        await self.notify("notifications/progress", progressToken=token, progress=done)

    async def hang(self) -> None:
        """Wait until the request is cancelled."""
        async with asyncio.timeout(WAIT_S):
            await self.cancelled.wait()


NO_HEADERS: Final[Mapping[str, str]] = {}
Handler = Callable[[Asked], Awaitable[bytes | None]]


def notification(method: str, params: Mapping[str, Any] | None = None) -> bytes:
    """A notification as JSON text."""
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params or {}}).encode()


def tool(name: str, **more: Any) -> Json:
    """A tool entry."""
    return {"name": name, "inputSchema": {"type": "object"}, **more}


class Mirror:
    """What the server knows and has been told. `asked` is every request, `heard` the rest."""

    def __init__(self, name: str = "mirror", *, modern: bool = False, **capabilities: Any) -> None:
        self.name = name
        self.modern = modern
        everything: Json = {"tools": {}, "prompts": {}, "resources": {}, "completions": {}}
        self.capabilities = capabilities or {**everything, "logging": {}}
        self.lists: dict[str, list[Json]] = {
            kind: [] for kind in ("tools", "prompts", "resources", "resourceTemplates")
        }
        self.asked: list[Asked] = []
        self.heard: list[Json] = []
        self.runs = 0
        self.sessions: set[str] = set()
        self.channels: dict[object, Tell] = {}  # that carry messages of no request
        self.closers: set[Callable[[], None]] = set()  # one for each running child
        self.result = self.text("mirrored")
        self._handlers: dict[str, Handler] = {}
        self._running: dict[bytes, Asked] = {}
        self._changed = asyncio.Condition()

    def on(self, method: str, handler: Handler) -> None:
        """Answer `method` with what `handler` returns."""
        self._handlers[method] = handler

    def text(self, value: str) -> bytes:
        """A tool result of one text block."""
        return self._stamped({"content": [{"type": "text", "text": value}]})

    def calls(self, method: str = "tools/call") -> list[Asked]:
        """The requests of one method, in order."""
        return [one for one in self.asked if one.method == method]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is looked at whenever something has come."""
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(condition)

    async def announce(self, method: str, **params: Any) -> None:
        """Send a notification that belongs to no request."""
        for tell in list(self.channels.values()):
            await tell(notification(method, params))

    def hang_up(self) -> None:
        """Every running child exits."""
        for close in list(self.closers):
            close()

    async def changed(self) -> None:
        """Wake whoever waits in `until`."""
        async with self._changed:
            self._changed.notify_all()

    async def take(
        self, body: bytes, headers: Mapping[str, str], tell: Tell, channel: object = None
    ) -> bytes | None:
        """The answer to one message; None if none is due. Errors are raised as Refused."""
        found = msgspec.json.decode(body, type=Envelope)
        if not found.id or not found.method:
            await self._hear(json.loads(body), channel)
            return None
        asked = Asked(found.method, bytes(found.id), bytes(found.params), headers, tell)
        self.asked.append(asked)
        key = b"%d:%b" % (id(channel), asked.id)
        self._running[key] = asked
        await self.changed()
        try:
            return await self._answer(asked)
        finally:
            del self._running[key]

    async def _hear(self, body: Json, channel: object) -> None:
        self.heard.append(body)
        if body.get("method") == "notifications/cancelled":
            wanted = b"%d:%b" % (id(channel), json.dumps(body["params"]["requestId"]).encode())
            if (asked := self._running.get(wanted)) is not None:
                asked.cancelled.set()
        await self.changed()

    async def _answer(self, asked: Asked) -> bytes | None:
        if (handler := self._handlers.get(asked.method)) is not None:
            return await handler(asked)
        match asked.method:
            case "initialize" | "server/discover":
                return self.hello(asked.method)
            case "tools/list" | "prompts/list" | "resources/list" | "resources/templates/list":
                kind = asked.method.removesuffix("/list").replace("resources/t", "resourceT")
                return self._stamped({kind: self.lists[kind]}, cacheable=True)
            case "tools/call" | "prompts/get" | "resources/read" | "completion/complete":
                return self.result
            case "ping" | "logging/setLevel":
                return b"{}"
        raise Refused(b'{"code":-32601,"message":"not here"}')

    def hello(self, method: str) -> bytes:
        """The answer to `initialize` or `server/discover`; refused if it is the other era's."""
        if self.modern is not (method == "server/discover"):
            raise Refused(b'{"code":-32601,"message":"another era"}')
        info = {"name": self.name, "version": "1"}
        about: Json = {"capabilities": self.capabilities}
        if not self.modern:
            return json.dumps({**about, "protocolVersion": LEGACY, "serverInfo": info}).encode()
        meta = {"io.modelcontextprotocol/serverInfo": info}
        return self._stamped({**about, "supportedVersions": [MODERN], "_meta": meta}, True)

    def _stamped(self, result: Json, cacheable: bool = False) -> bytes:
        if self.modern:
            result = {"resultType": "complete", **result}
            if cacheable:
                result |= {"ttlMs": 300_000, "cacheScope": "private"}
        return json.dumps(result).encode()


def answer(id: bytes, result: bytes) -> bytes:
    """A complete answer."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (id, result)


def refusal(id: bytes, error: bytes) -> bytes:
    """A complete error answer."""
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (id, error)


@asynccontextmanager
async def over_stdio(mirror: Mirror) -> AsyncIterator[list[str]]:
    """The command of a stdio server that is `mirror`; each start of it is one of `mirror.runs`."""
    tasks = Tasks()
    writers: set[asyncio.StreamWriter] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mirror.runs += 1
        writers.add(writer)

        async def tell(body: bytes) -> None:
            writer.write(body.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n")

        async def one(line: bytes) -> None:
            if (body := await reply(mirror, line, tell, writer)) is not None:
                await tell(body)

        mirror.channels[writer] = tell
        mirror.closers.add(writer.close)
        try:
            while line := await reader.readline():
                tasks.start(one(line), "mirror answers")
        except (OSError, asyncio.CancelledError):
            pass  # the child was killed, or the test is over
        finally:
            del mirror.channels[writer]
            mirror.closers.discard(writer.close)
            writer.close()

    server = await asyncio.start_server(run, "127.0.0.1", 0, limit=LINE_BYTES)
    port = server.sockets[0].getsockname()[1]
    try:
        yield [sys.executable, "-I", "-S", "-c", _COPY, str(port)]
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await tasks.close()
        await server.wait_closed()


async def reply(
    mirror: Mirror,
    line: bytes,
    tell: Tell,
    channel: object,
    headers: Mapping[str, str] = NO_HEADERS,
) -> bytes | None:
    """The complete answer to one message of a channel that many share; None if none is due."""
    id = bytes(msgspec.json.decode(line, type=Envelope).id)
    try:
        result = await mirror.take(line, headers, tell, channel)
    except Refused as refused:
        return refusal(id, refused.error)
    except Exception as fault:  # whoever asked shall not wait, and the test shall see it
        return refusal(id, json.dumps({"code": FAULT, "message": repr(fault)}).encode())
    return None if result is None else answer(id, result)


def held(name: str, *, modern: bool = False) -> tuple[Mirror, asyncio.Event]:
    """A server whose tool `hold` answers when the event is set."""
    mirror, go = Mirror(name, modern=modern), asyncio.Event()
    mirror.lists["tools"] = [tool("hold")]

    async def hold(asked: Asked) -> bytes:
        await go.wait()
        return mirror.text("done")

    mirror.on("tools/call", hold)
    return mirror, go
