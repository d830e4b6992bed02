"""A Mirror over HTTP+SSE, the transport of 2024-11-05.

async with over_sse(mirror) as server: ...   server.url + "/sse", server.drop_all()
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fakes.http_server import HttpServer, Request, Wire
from fakes.mirror import Mirror, reply
from only1mcp.observe.tasks import Tasks


class SseServer(HttpServer):
    """The listener. `ended` counts streams that the client has closed."""

    def __init__(self, mirror: Mirror, port: int, place: str) -> None:
        super().__init__(self._take, port=port)
        self.mirror = mirror
        self.place = place
        self.ended = 0
        self.streams: dict[str, Wire] = {}
        self.tasks = Tasks()

    @property
    def url(self) -> str:
        """The stream."""
        return f"http://127.0.0.1:{self.port}/sse"

    async def _take(self, request: Request, wire: Wire) -> None:
        path, _, session = request.target.partition("?session=")
        if request.method == "GET" and path == "/sse":
            await self._stream(wire)
        elif request.method == "POST" and session in self.streams:
            await wire.answer(202, b"Accepted", "text/plain")
            self.tasks.start(self._answer(self.streams[session], request), "mirror answers")
        else:
            await wire.answer(404 if path != "/sse" else 405, b"no", "text/plain")

    async def _stream(self, wire: Wire) -> None:
        session = str(len(self.requests))
        self.streams[session] = wire
        place = self.place.format(port=self.port, session=session)
        await wire.stream(b": hello\n\n", b"event: endpoint\ndata: %b\n\n" % place.encode())
        self.mirror.channels[wire] = lambda body: _tell(wire, body)
        await self.mirror.changed()
        try:
            while await wire.reader.read(65536):
                pass
        finally:
            self.ended += 1
            del self.streams[session], self.mirror.channels[wire]
            wire.close()

    async def _answer(self, wire: Wire, request: Request) -> None:
        told = request.body, lambda text: _tell(wire, text), wire, request.headers
        found = await reply(self.mirror, *told)
        if found is not None and wire.open:
            await _tell(wire, found)


async def _tell(wire: Wire, body: bytes) -> None:
    lines = b"\ndata: ".join(body.splitlines())
    await wire.chunk(b"event: message\ndata: %b\n\n" % lines)


@asynccontextmanager
async def over_sse(
    mirror: Mirror, port: int = 0, place: str = "/post?session={session}"
) -> AsyncIterator[SseServer]:
    """A server that is `mirror`; `place` is what it says of where to post."""
    server = SseServer(mirror, port, place)
    async with server:
        mirror.runs += 1
        try:
            yield server
        finally:
            await server.tasks.close()
