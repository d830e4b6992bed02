"""An HTTP server that does as it is told: whole answers, pieces, resets, silence.

    async def script(request: Request, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nhi")

    async with HttpServer(script) as server: ...  # server.url, server.requests

After the script the connection is kept, unless it was closed or reset.
"""

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self

WAIT_S = 5.0  # bound on every wait for something that should happen at once


@dataclass
class Request:
    """What came in. `headers` by lower-case name; `connection` counts from 1."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def says(self) -> str:
        """HTTP method and, for a message, its JSON-RPC method."""
        found = self.json if self.body else {"method": ""}
        method = "array" if isinstance(found, list) else found.get("method", "response")
        return f"{self.method} {method}".strip()


class Wire:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.open = True

    async def send(self, data: bytes) -> None:
        """Write raw bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(
        self, status: int, body: bytes = b"", kind: str = "application/json", **headers: str
    ) -> None:
        """A whole answer; header names are written with _ for -."""
        lines = [f"HTTP/1.1 {status} Whatever", f"content-length: {len(body)}"]
        if kind:
            lines.append(f"content-type: {kind}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    async def json(self, value: Any, status: int = 200, **headers: str) -> None:
        """A JSON answer."""
        await self.answer(status, json.dumps(value).encode(), **headers)

    async def result(self, request: Request, result: Any, **headers: str) -> None:
        """A JSON-RPC result."""
        found = {"jsonrpc": "2.0", "id": request.json["id"], "result": result}
        await self.json(found, 200, **headers)

    async def stream(self, *chunks: bytes, **headers: str) -> None:
        """Begin an event stream in chunked coding; more with `chunk`, end with `end`."""
        lines = ["HTTP/1.1 200 OK", "content-type: text/event-stream", "transfer-encoding: chunked"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join(lines).encode() + b"\r\n\r\n")
        for chunk in chunks:
            await self.chunk(chunk)

    async def chunk(self, data: bytes) -> None:
        """One chunk."""
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def event(self, value: Any, id: str = "") -> None:
        """One event with a JSON message, as a chunk of its own."""
        prefix = f"id: {id}\n".encode() if id else b""
        await self.chunk(b"event: message\n%bdata: %b\n\n" % (prefix, json.dumps(value).encode()))

    async def end(self) -> None:
        """The last chunk."""
        await self.send(b"0\r\n\r\n")

    async def gone(self) -> None:
        """Wait until the peer has closed."""
        async with asyncio.timeout(WAIT_S):
            while await self.reader.read(65536):
                pass
        self.close()

    def close(self) -> None:
        """Close cleanly."""
        self.open = False
        self.writer.close()

    def reset(self) -> None:
        """Close with RST."""
        self.open = False
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Request, Wire], Awaitable[None]]


class HttpServer:
    """Listens on a port of its own while entered; counts what comes."""

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.script = script
        self.connections = 0
        self.closed = 0
        self.requests: list[Request] = []
        self._tls = tls
        self._port = port
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._wires: set[Wire] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", self._port, ssl=self._tls
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for wire in list(self._wires):
            wire.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """The MCP endpoint."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/mcp"

    def drop_all(self) -> None:
        """Close every connection, as a server that stops does."""
        for wire in list(self._wires):
            wire.close()

    def said(self) -> list[str]:
        """What came, in order: see Request.says."""
        return [request.says for request in self.requests]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that this server can see has happened."""
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(condition)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        wire = Wire(reader, writer)
        self._wires.add(wire)
        try:
            await self._serve(wire, self.connections)
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the peer left, or the test is over
        finally:
            self._wires.discard(wire)
            writer.close()
            self.closed += 1
            await self._tell()

    async def _serve(self, wire: Wire, number: int) -> None:
        while wire.open:
            request = await _read(wire.reader, number)
            self.requests.append(request)
            await self._tell()
            await self.script(request, wire)


async def _read(reader: asyncio.StreamReader, number: int) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        assert name.lower() not in headers, f"{name} twice"
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body, number)
