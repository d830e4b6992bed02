"""MCP over HTTP without a library in between: what exactly goes out, what exactly comes back.

async with web(running.mcp) as wire:
    response = await wire.modern("tools/list")
    session = await wire.open("2025-06-18")
    answer = await session.ask("tools/call", {"name": "x"}, id="7")
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2

from only1mcp.protocol.sse import Event, Parser

LEGACY: Final = "2025-11-25"
MODERN: Final = "2026-07-28"
META: Final = "io.modelcontextprotocol/"
WAIT_S: Final = 10.0
MAX_BYTES: Final = 64 * 1024 * 1024
BOTH: Final = "application/json, text/event-stream"
NAMED: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}

Json = dict[str, Any]


def message(method: str, params: Any = None, **more: Any) -> Json:
    """A JSON-RPC message; a request if an `id` is given."""
    found: Json = {"jsonrpc": "2.0", **more, "method": method}
    return found if params is None else {**found, "params": params}


def meta(**more: Any) -> Json:
    """The `_meta` every modern request has; short keys in `more` get the reserved prefix."""
    return {META + "protocolVersion": MODERN, META + "clientCapabilities": {}} | {
        META + key: value for key, value in more.items()
    }


def modern(method: str, params: Json | None = None, *, id: Any = 1, **more: Any) -> Json:
    """A modern request; `more` goes into `_meta`."""
    return message(method, {**(params or {}), "_meta": meta(**more)}, id=id)


def call(name: str, **arguments: Any) -> Json:
    """The params of a tools/call."""
    return {"name": name, "arguments": arguments}


def headers_of(body: Json) -> dict[str, str]:
    """The headers that repeat a modern body."""
    method = body["method"]
    found = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
    if method in NAMED:
        found["Mcp-Name"] = body["params"][NAMED[method]]
    return found


class Web:
    """One client at one endpoint."""

    def __init__(self, http: httpx2.AsyncClient, url: str) -> None:
        self.http = http
        self.url = url

    async def post(self, body: Any, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        """POST a body, bytes as they are; a header given as "" is not sent."""
        return await self.http.post(self.url, content=as_bytes(body), headers=post_headers(headers))

    async def modern(
        self,
        method: str,
        params: Json | None = None,
        *,
        id: Any = 1,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> httpx2.Response:
        """A modern request with the headers that belong to it; `headers` changes them."""
        body = modern(method, params, id=id, **more)
        return await self.post(body, {**headers_of(body), **(headers or {})})

    @asynccontextmanager
    async def listening(
        self, wanted: Json, *, id: Any = 1, **more: Any
    ) -> "AsyncIterator[AsyncIterator[Json]]":
        """A modern client's listen for what is `wanted`: its frames, each wait bounded."""
        body = modern("subscriptions/listen", {"notifications": wanted}, id=id, **more)
        headers = post_headers(headers_of(body))
        async with self.http.stream(
            "POST", self.url, content=as_bytes(body), headers=headers
        ) as response:
            assert response.status_code == 200
            yield events(response)

    async def open(self, revision: str = LEGACY, **capabilities: Any) -> "Session":
        """Shake hands as a legacy client."""
        params = {
            "protocolVersion": revision,
            "capabilities": capabilities,
            "clientInfo": {"name": "wire", "version": "1"},
        }
        response = await self.post(message("initialize", params, id=0))
        assert response.status_code == 200, response.text
        session = Session(self, response.headers["mcp-session-id"], response.json()["result"])
        assert (await session.post(message("notifications/initialized"))).status_code == 202
        return session


class Session:
    """A legacy session. `result` is what the handshake brought."""

    def __init__(self, web: Web, id: str, result: Json) -> None:
        self.web = web
        self.id = id
        self.result = result
        self.headers = {
            "Mcp-Session-Id": self.id,
            "MCP-Protocol-Version": self.result["protocolVersion"],
        }

    async def post(self, body: Any, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        """POST within the session."""
        return await self.web.post(body, {**self.headers, **(headers or {})})

    async def ask(self, method: str, params: Json | None = None, *, id: Any = 1) -> Json:
        """The whole answer to one request."""
        return last(await self.post(message(method, params, id=id)))

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[AsyncIterator[Json]]:
        """The session's GET stream: its messages as they come, each wait bounded."""
        headers = {**self.headers, "Accept": "text/event-stream"}
        async with self.web.http.stream("GET", self.web.url, headers=headers) as response:
            assert response.status_code == 200
            yield events(response)

    @asynccontextmanager
    async def calling(self, body: Any) -> "AsyncIterator[EventStream]":
        """The stream that answers a POST; its connection is closed at the end."""
        headers = post_headers(self.headers)
        async with self.web.http.stream(
            "POST", self.web.url, content=as_bytes(body), headers=headers
        ) as response:
            yield EventStream(response)

    @asynccontextmanager
    async def resuming(self, id: str = "") -> "AsyncIterator[EventStream]":
        """The GET stream, or what came after an event; its connection is closed at the end."""
        headers = {**self.headers, "Accept": "text/event-stream"}
        if id:
            headers["Last-Event-ID"] = id
        async with self.web.http.stream("GET", self.web.url, headers=headers) as response:
            yield EventStream(response)


class EventStream:
    """The events of an answer, one at a time, each wait bounded."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._parser = Parser(MAX_BYTES)
        self._chunks = aiter(response.aiter_raw())
        self._events: deque[Event] = deque()

    @property
    def last_id(self) -> str:
        """The last id seen."""
        return self._parser.last_id.decode()

    @property
    def retry_s(self) -> float | None:
        """When to come back, if that was said."""
        return self._parser.retry_s

    async def next(self) -> Json | None:
        """The next message, {} for an event without data; None at the end."""
        async with asyncio.timeout(WAIT_S):
            while not self._events:
                try:
                    self._events.extend(self._parser.feed(await anext(self._chunks)))
                except StopAsyncIteration:
                    return None
        data = self._events.popleft().data
        found: Json = json.loads(data) if data else {}
        return found

    async def rest(self) -> list[Json]:
        """All further messages up to the end, without the empty ones."""
        found = []
        while (one := await self.next()) is not None:
            if one:
                found.append(one)
        return found


@asynccontextmanager
async def web(url: str, **options: Any) -> AsyncIterator[Web]:
    """A client without proxies, cookies or patience."""
    async with httpx2.AsyncClient(trust_env=False, timeout=WAIT_S, **options) as http:
        yield Web(http, url)


def as_bytes(body: Any) -> bytes:
    """JSON text."""
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def post_headers(changes: Mapping[str, str] | None) -> dict[str, str]:
    """What every POST says, with changes; "" takes a header away."""
    found = {"Content-Type": "application/json", "Accept": BOTH, **(changes or {})}
    return {name: value for name, value in found.items() if value}


def messages(response: httpx2.Response) -> list[Any]:
    """The messages of an answer: one JSON text, or the events of a stream."""
    if response.headers["content-type"].startswith("application/json"):
        return [response.json()]
    return [json.loads(data) for data in datas(response.content)]


def last(response: httpx2.Response) -> Json:
    """The message that ends an answer."""
    found: Json = messages(response)[-1]
    return found


def datas(stream: bytes) -> list[bytes]:
    """The data of each event of a whole stream; one without data says nothing."""
    found = [line[5:].strip() for line in stream.splitlines() if line.startswith(b"data:")]
    return [data for data in found if data]


def raw(response: httpx2.Response) -> bytes:
    """The text of the message that ends an answer."""
    if response.headers["content-type"].startswith("application/json"):
        return response.content
    return datas(response.content)[-1]


async def events(response: httpx2.Response) -> AsyncIterator[Json]:
    """The messages of a stream as they come."""
    lines = aiter(response.aiter_lines())
    while True:
        async with asyncio.timeout(WAIT_S):
            try:
                line = await anext(lines)
            except StopAsyncIteration:
                return
        if line.startswith("data:") and line[5:].strip():
            yield json.loads(line[5:])


def error(response: httpx2.Response) -> tuple[int, int]:
    """HTTP status and JSON-RPC code of a refusal."""
    return response.status_code, last(response)["error"]["code"]
