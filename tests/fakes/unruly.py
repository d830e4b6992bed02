"""A TCP proxy that misbehaves as it is told: `async with unruly(port) as wire: wire.port`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from only1mcp.observe.tasks import Tasks

READ_BYTES = 65536


class Unruly:
    """Between the gateway and one server. What is set holds for bytes that come from then on."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.accepted = 0
        """Connections so far."""
        self.refuses = False
        """Reset each connection as soon as it is there."""
        self.cut_after: int | None = None
        """Reset a connection when so many bytes of answers have passed on it."""
        self.cut_once: int | None = None
        """The same, for the next answer only."""
        self.keeps_s: float | None = None
        """Close a connection so long after an answer, as servers do with those they kept."""
        self.pace_s = 0.0
        """Let one byte of an answer through each time."""
        self._tasks = Tasks()
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.accepted += 1
        if self.refuses:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers |= {writer, back}
        sending = self._tasks.start(self._copy(reader, back), "unruly sends")
        try:
            await self._return(there, writer)
        finally:
            sending.cancel()
            for one in (writer, back):
                one.transport.abort()
                self._writers.discard(one)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(READ_BYTES):
                writer.write(data)
            writer.write_eof()

    async def _return(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        with suppress(OSError):
            while data := await reader.read(READ_BYTES):
                cut = self.cut_after if self.cut_once is None else self.cut_once
                if cut is not None and passed + len(data) >= cut:
                    self.cut_once = None
                    writer.write(data[: cut - passed])
                    return
                passed += len(data)
                await self._let_through(data, writer)
                if self.keeps_s is not None:
                    asyncio.get_running_loop().call_later(self.keeps_s, writer.close)

    async def _let_through(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        if not self.pace_s:
            writer.write(data)
            return
        for byte in data:
            writer.write(bytes((byte,)))
            await asyncio.sleep(self.pace_s)

    def cut_all(self) -> None:
        """Reset every connection there is."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def close(self) -> None:
        """Cut everything, for good."""
        self.cut_all()
        await self._tasks.close()


@asynccontextmanager
async def unruly(target: int) -> AsyncIterator[Unruly]:
    """A proxy before `target`, a port of 127.0.0.1."""
    proxy = Unruly(target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
        await server.wait_closed()
