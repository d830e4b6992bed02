"""A stub MCP server that is no limit: raw HTTP/1.1 in one loop, answers made in advance.

    python -m only1mcp.bench.stub [--era legacy|modern|both] [--tools N] [--size BYTES] [--stdio]

It prints its URL. `tools/call` answers at once with a text of --size bytes; in the arguments
`"size":N` asks for another size, `"delay_ms":N` for an answer that takes time and `"steps":N`
for an event stream with N notifications of progress. `GET /count` tells how often each method
was called. It ends with its stdin.
Cost    about 9 us a call over HTTP.
"""

import argparse
import asyncio
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, cast

_METHOD: Final = re.compile(rb'"method": ?"([^"]*)"')
_ID: Final = re.compile(rb'"id": ?("[^"]*"|\d+)')
_REVISION: Final = re.compile(rb'"protocolVersion": ?"(20(?:24-11-05|25-03-26|25-06-18))"')
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_SIZE: Final = re.compile(rb'"size": ?(\d+)')
_DELAY: Final = re.compile(rb'"delay_ms": ?(\d+)')
_STEPS: Final = re.compile(rb'"steps": ?(\d+)')
_TOKEN: Final = re.compile(rb'"progressToken": ?("[^"]*"|\d+)')
_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
_ACCEPTED: Final = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
_STREAM: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_PROGRESS: Final = (
    b'{"jsonrpc":"2.0","method":"notifications/progress",'
    b'"params":{"progressToken":%b,"progress":%d}}'
)
_NO_STREAM: Final = b"HTTP/1.1 405 Method Not Allowed\r\nAllow: POST\r\nContent-Length: 0\r\n\r\n"
_UNKNOWN: Final = b'{"jsonrpc":"2.0","id":%b,"error":{"code":-32601,"message":"not here"}}'

Answer = bytes
"""The JSON of a whole answer."""


class Stub:
    """What the server answers, and what it has counted."""

    def __init__(self, era: str, tools: int, size: int) -> None:
        self.counts: Counter[str] = Counter()
        self._text = text_result(size)
        self._sizes: dict[int, bytes] = {size: self._text}
        self._results = {
            b"tools/list": encoded({"tools": [tool(n) for n in range(tools)], **_KEPT}),
            b"prompts/list": encoded({"prompts": [], **_KEPT}),
            b"resources/list": encoded({"resources": [_RESOURCE], **_KEPT}),
            b"resources/templates/list": encoded({"resourceTemplates": [_TEMPLATE], **_KEPT}),
            b"resources/read": encoded({"contents": [{**_RESOURCE, "text": "x" * size}], **_KEPT}),
            b"ping": b"{}",
        }
        if era != "modern":
            self._results[b"initialize"] = encoded(
                {"protocolVersion": "2025-11-25", "capabilities": _CAN, "serverInfo": _INFO}
            )
        if era != "legacy":
            about = {"supportedVersions": ["2026-07-28"], "capabilities": _CAN, **_KEPT}
            self._results[b"server/discover"] = encoded(about)

    def answer(self, body: bytes) -> Answer | None:
        """The answer to one message; None if none is due."""
        found = _METHOD.search(body)
        id = _ID.search(body)
        if found is None or id is None:
            return None
        method = found[1]
        if method == b"tools/call":
            self.counts["tools/call"] += 1
            result = self._text if b'"size"' not in body else self._sized(body)
            return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (id[1], result)
        self.counts[method.decode()] += 1
        known = self._results.get(method)
        if known is None:
            return _UNKNOWN % id[1]
        if method == b"initialize" and (asked := _REVISION.search(body)):
            known = known.replace(b"2025-11-25", asked[1])
        return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (id[1], known)

    def _sized(self, body: bytes) -> bytes:
        found = _SIZE.search(body)
        size = int(found[1]) if found else 0
        if size not in self._sizes:
            self._sizes[size] = text_result(size)
        return self._sizes[size]


class Wire(asyncio.Protocol):
    """One connection over HTTP."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        data = self._data + data if self._data else data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(data, 0, end)
            stop = end + 4 + (int(length[1]) if length else 0)
            if len(data) < stop:
                break
            self._take(data[:end], data[end + 4 : stop])
            data = data[stop:]
        self._data = data

    def _take(self, head: bytes, body: bytes) -> None:
        if not head.startswith(b"POST"):
            self._transport.write(self._counts() if b" /count " in head else _NO_STREAM)
            return
        answer = self._stub.answer(body)
        if answer is None:
            self._transport.write(_ACCEPTED)
        elif b'"steps"' in body and (steps := _STEPS.search(body)):
            self._stream(body, int(steps[1]), answer)
        elif b'"delay_ms"' in body and (delay := _DELAY.search(body)):
            loop = asyncio.get_running_loop()
            loop.call_later(int(delay[1]) / 1000, self._write, answer)
        else:
            self._write(answer)

    def _write(self, answer: bytes) -> None:
        self._transport.write(_HEAD % len(answer) + answer)

    def _stream(self, body: bytes, steps: int, answer: bytes) -> None:
        out = [_STREAM]
        if token := _TOKEN.search(body):
            out += [_event(_PROGRESS % (token[1], step + 1)) for step in range(steps)]
        self._transport.write(b"".join([*out, _event(answer), b"0\r\n\r\n"]))

    def _counts(self) -> bytes:
        body = json.dumps(self._stub.counts).encode()
        return _HEAD % len(body) + body


class Pipe(asyncio.Protocol):
    """stdin: a message on each line."""

    def __init__(self, stub: Stub, write: Callable[[bytes], None], over: asyncio.Event) -> None:
        self._stub, self._write, self._over = stub, write, over
        self._data = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._data = (self._data + data).split(b"\n")
        answers = [answer for line in lines if (answer := self._stub.answer(line)) is not None]
        if answers:
            self._write(b"\n".join([*answers, b""]))

    def connection_lost(self, exc: Exception | None) -> None:
        self._over.set()


def tool(number: int) -> dict[str, Any]:
    """The entry of one tool in the list, of usual size."""
    properties = {"text": {"type": "string", "description": "What to say back"}}
    return {
        "name": "echo" if number == 0 else f"echo_{number}",
        "description": "Says back what it is told; one of many that are alike.",
        "inputSchema": {"type": "object", "properties": properties},
    }


def text_result(size: int) -> bytes:
    """The result of a tool: a text of `size` bytes."""
    block = {"type": "text", "text": "x" * size}
    return encoded({"content": [block], "isError": False, "resultType": "complete"})


def encoded(value: dict[str, Any]) -> bytes:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


def _event(message: bytes) -> bytes:
    event = b"event: message\ndata: %b\n\n" % message
    return b"%x\r\n%b\r\n" % (len(event), event)


async def serve(stub: Stub, port: int) -> None:
    """Over HTTP, until stdin ends."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    server = await loop.create_server(lambda: Wire(stub), "127.0.0.1", port, backlog=4096)
    await loop.connect_read_pipe(lambda: Pipe(stub, lambda _: None, over), sys.stdin)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp", flush=True)
    await over.wait()
    server.close()


async def serve_stdio(stub: Stub) -> None:
    """On stdin and stdout."""
    over = asyncio.Event()

    def write(data: bytes) -> None:
        while data:
            data = data[os.write(1, data) :]

    await asyncio.get_running_loop().connect_read_pipe(lambda: Pipe(stub, write, over), sys.stdin)
    await over.wait()


def main() -> None:
    """Serve as asked for."""
    parser = argparse.ArgumentParser(description="A stub MCP server for benchmarks.")
    parser.add_argument("--era", choices=("legacy", "modern", "both"), default="legacy")
    parser.add_argument("--tools", type=int, default=1)
    parser.add_argument("--size", type=int, default=400)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--stdio", action="store_true")
    given = parser.parse_args()
    stub = Stub(given.era, given.tools, given.size)
    with asyncio.Runner(loop_factory=fast_loop) as runner:
        runner.run(serve_stdio(stub) if given.stdio else serve(stub, given.port))


def fast_loop() -> asyncio.AbstractEventLoop:
    """The loop of uvloop."""
    import uvloop

    return uvloop.new_event_loop()


_INFO: Final = {"name": "stub", "version": "1"}
_CAN: Final = {"tools": {"listChanged": True}, "resources": {}, "prompts": {}}
_RESOURCE: Final = {"uri": "stub://one", "name": "one"}
_TEMPLATE: Final = {"uriTemplate": "stub://{name}", "name": "any"}
_KEPT: Final = {"resultType": "complete", "ttlMs": 300_000, "cacheScope": "public"}

if __name__ == "__main__":
    main()
