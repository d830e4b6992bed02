"""The gateway as an MCP server on stdin and stdout: what desktop clients launch.

One client, one JSON message a line, both eras told apart message by message. Nothing but MCP
goes to stdout; logs go to stderr.
Bounds  MAX_LINE_BYTES per message; MAX_RUNNING requests at once, more are refused.
Source  MCP basic/transports "stdio" of each revision; versioning: the era is per request.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from msgspec import Raw

from only1mcp.observe.tasks import Tasks
from only1mcp.protocol import eras, message
from only1mcp.protocol.errors import InternalError, InvalidRequest, McpError, ParseError
from only1mcp.protocol.message import Message, Params
from only1mcp.relay import local
from only1mcp.relay.snapshot import Snapshot
from only1mcp.server import dispatch, reply
from only1mcp.server.ladder import SelfDescribed
from only1mcp.server.session import (
    CLIENT_CANCELLED,
    Peer,
    Session,
    Told,
    cancelled_id,
    client_capabilities,
)

log = logging.getLogger("only1mcp.stdio")

MAX_LINE_BYTES: Final = 32 * 1024 * 1024
MAX_RUNNING: Final = 1024
LAST_ANSWERS_S: Final = 5.0
"""How long requests may still run once the input has ended: `echo … | only1mcp stdio` works."""
PRINCIPAL: Final = "stdio"


class Lines(Protocol):
    """Where messages come from: `asyncio.StreamReader` will do."""

    async def readuntil(self, separator: bytes) -> bytes:
        """The next line with its end; see asyncio.StreamReader for the errors."""

    async def readexactly(self, n: int) -> bytes:
        """As many bytes, which have been read already."""


class StdioCaller:
    """The client of one request while it runs."""

    __slots__ = ("_peer", "_write", "headers", "principal")

    def __init__(self, write: Callable[[bytes], None], peer: Peer) -> None:
        self._write = write
        self._peer = peer
        self.principal = PRINCIPAL
        self.headers: Mapping[bytes, bytes] | None = None

    def notify(self, method: str, params: Raw) -> None:
        """Send a notification; on stdio every message has the one channel."""
        if self._peer.wants(method, params):
            self._write(message.notification(method, params))

    @property
    def capabilities(self) -> dict[str, Any]:
        """What the client declared."""
        return self._peer.capabilities

    @property
    def log_level(self) -> str | None:
        """The least grave log message the client wants."""
        return self._peer.log_level

    @property
    def session(self) -> str | None:
        """The id of the client's session."""
        return self._peer.id

    async def ask(self, method: str, params: bytes, told: Told | None = None) -> bytes:
        """Put a server's question to the client."""
        return await self._peer.ask(method, params, self._write, told)

    def resumable(self, retry_s: float | None) -> None:
        """Nothing: a pipe has no streams."""

    def label(self, lines: bytes) -> None:
        """Nothing: a line has no headers."""


class StdioEdge:
    """One conversation with one client over a pair of pipes."""

    def __init__(self, snapshot: Callable[[], Snapshot], write: Callable[[bytes], None]) -> None:
        """`write` takes bytes for stdout and must not block."""
        self._snapshot = snapshot
        self._raw_write = write
        self._tasks = Tasks()
        self._running = 0
        self._modern: dict[str | int, asyncio.Task[Any]] = {}
        self.session: Session | None = None

    async def serve(self, lines: Lines) -> None:
        """Answer until the input ends; what still runs LAST_ANSWERS_S later is cancelled."""
        try:
            while line := await self._next(lines):
                if line.strip():
                    self._tasks.start(self._take(line), "stdio request")
            self._snapshot().audience.end_listens()
            await self._tasks.finish(LAST_ANSWERS_S)
        finally:
            await self._tasks.close()

    def write(self, body: bytes) -> None:
        """One message on stdout."""
        self._raw_write(message.one_line(body) + b"\n")

    async def _next(self, lines: Lines) -> bytes:
        """The next line, b"" at the end; one that is too long is refused and skipped whole."""
        skipping = False
        while True:
            try:
                line = await lines.readuntil(b"\n")
            except asyncio.IncompleteReadError as end:
                return b"" if skipping else end.partial
            except asyncio.LimitOverrunError as overrun:
                await lines.readexactly(overrun.consumed)
                if not skipping:
                    error = ParseError(f"a message is longer than {MAX_LINE_BYTES} bytes")
                    self.write(reply.refusal(message.NO_RAW, error))
                skipping = True
                continue
            if not skipping:
                return line
            skipping = False

    async def _take(self, line: bytes) -> None:
        try:
            incoming = message.decode_client(line)
            if isinstance(incoming, Message) and not incoming.is_request:
                self._told(incoming)
                return
            answer = await self._within_bounds(incoming)
        except McpError as error:
            answer = reply.refusal(message.readable_id(line), error)
        except Exception:
            log.exception("a message could not be handled")
            answer = reply.refusal(message.readable_id(line), InternalError("internal error"))
        if answer:
            self.write(answer)

    async def _within_bounds(self, incoming: Message | list[Message]) -> bytes:
        if self._running >= MAX_RUNNING:
            raise InvalidRequest(f"{MAX_RUNNING} requests are running; try again later")
        self._running += 1
        try:
            if isinstance(incoming, Message):
                return await self._answer(incoming)
            return await self._answer_all(incoming)
        finally:
            self._running -= 1

    async def _answer_all(self, items: list[Message]) -> bytes:
        session = self.session
        if session is None:
            raise InvalidRequest("arrays are for 2025-03-26 sessions; initialize first")
        caller = StdioCaller(self.write, session)
        dispatch.check_batch(items, session)
        found = await dispatch.batch(items, session, self._snapshot(), caller)
        answers = [body for body in found if body]
        return b"[" + b",".join(answers) + b"]" if answers else b""

    async def _answer(self, incoming: Message) -> bytes:
        if (meta := dispatch.modern_meta(incoming)) is not None:
            return await self._answer_modern(incoming, meta)
        if incoming.method == "initialize" and self.session is None:
            return self._initialize(incoming)
        session = self.session
        if session is None:
            if incoming.method == "ping":
                return message.result(incoming.id, b"{}")
            raise InvalidRequest(
                f"send initialize first, or {eras.VERSION_KEY} in params._meta of each request"
            )
        caller = StdioCaller(self.write, session)
        body, _ = await dispatch.legacy(incoming, session, self._snapshot(), caller)
        return body

    async def _answer_modern(self, incoming: Message, meta: Params) -> bytes:
        task = asyncio.current_task()
        assert task is not None
        key = message.id_value(incoming.id)
        eras.check_meta(meta)
        revision = dispatch.served(message.text(meta.get(eras.VERSION_KEY)) or "")
        if key in self._modern:
            raise InvalidRequest(f"a request with id {key!r} is still running")
        self._modern[key] = task
        caller = StdioCaller(self.write, SelfDescribed(meta))
        snapshot = self._snapshot()
        view = snapshot.catalog.all
        try:
            body, _ = await dispatch.modern(incoming, revision, view, snapshot, caller)
            return body
        except asyncio.CancelledError as cancel:
            if cancel.args[:1] != (CLIENT_CANCELLED,):
                raise
            return b""  # a cancelled request is never answered (2026-07-28 cancellation)
        finally:
            del self._modern[key]

    def _initialize(self, incoming: Message) -> bytes:
        params = message.members(incoming.params)
        revision = local.negotiate(params)
        self.session = Session("stdio", revision, client_capabilities(params), PRINCIPAL, None)
        self.session.outlet = self.write
        result = local.initialize(self._snapshot().catalog.all, revision)
        return message.result(incoming.id, result)

    def _told(self, incoming: Message) -> None:
        if (id := cancelled_id(incoming)) is not None and (task := self._modern.get(id)):
            task.cancel(CLIENT_CANCELLED)
        elif self.session is not None:
            self.session.told(incoming)
