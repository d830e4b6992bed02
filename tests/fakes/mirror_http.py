"""A mirror over Streamable HTTP, on a port of its own."""

import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec

from fakes.http_server import HttpServer, Request, Wire
from fakes.mirror import FAULT, Envelope, Mirror, Refused, answer, refusal
from only1mcp.observe.tasks import Tasks


@asynccontextmanager
async def over_http(
    mirror: Mirror, port: int = 0, *, page: Callable[[], int] | None = None
) -> AsyncIterator[str]:
    """The URL of an HTTP server that is `mirror`; `page` is the status of any other path."""

    async def script(request: Request, wire: Wire) -> None:
        if request.method == "POST":
            await _post(mirror, request, wire)
        elif page is not None and request.target != "/mcp":
            await wire.answer(page())
        elif mirror.modern:
            await wire.answer(405, Allow="POST")
        elif request.headers.get("mcp-session-id", "") not in mirror.sessions:
            await wire.answer(404)
        elif request.method == "DELETE":
            mirror.sessions.discard(request.headers["mcp-session-id"])
            await wire.answer(200)
        else:
            await _listen(mirror, wire)

    async with HttpServer(script, port=port) as server:
        mirror.runs += 1
        yield server.url
        mirror.sessions.clear()


async def _listen(mirror: Mirror, wire: Wire) -> None:
    async def tell(body: bytes) -> None:
        await wire.chunk(b"data: %b\n\n" % body)

    await wire.stream()
    mirror.channels[wire] = tell
    await mirror.changed()
    try:
        while await wire.reader.read(65536):
            pass
    finally:
        del mirror.channels[wire]
        wire.close()


async def _post(mirror: Mirror, request: Request, wire: Wire) -> None:
    found = msgspec.json.decode(request.body, type=Envelope)
    headers: dict[str, str] = {}
    if not mirror.modern and found.method != "server/discover":
        if found.method == "initialize":
            headers["mcp_session_id"] = secrets.token_hex(8)
            mirror.sessions.add(headers["mcp_session_id"])
        elif request.headers.get("mcp-session-id") not in mirror.sessions:
            await wire.answer(404)
            return
    if not found.id or not found.method:
        await mirror.take(request.body, request.headers, _nobody)
        await wire.answer(202, kind="")
        return
    await _request(mirror, request, wire, bytes(found.id), headers)


async def _nobody(body: bytes) -> None:
    """A notification has no answer to put messages before."""


async def _request(
    mirror: Mirror, request: Request, wire: Wire, id: bytes, headers: dict[str, str]
) -> None:
    streaming = False

    async def tell(body: bytes) -> None:
        nonlocal streaming
        if not streaming:
            streaming = True
            await wire.stream(**headers)
        lines = b"\ndata: ".join(body.splitlines())
        await wire.chunk(b"event: message\ndata: %b\n\n" % lines)

    status = 200
    try:
        async with _watched(mirror, wire):
            result = await mirror.take(request.body, request.headers, tell)
        assert result is not None
        body = answer(id, result)
    except Refused as refused:
        headers |= refused.headers
        if not refused.error:
            await wire.answer(refused.status, b"out of order", kind="text/plain", **headers)
            return
        status, body = refused.status, refusal(id, refused.error)
    except Exception as fault:
        body = refusal(id, json.dumps({"code": FAULT, "message": repr(fault)}).encode())
    if not wire.open:
        return
    if streaming:
        await tell(body)
        await wire.end()
    else:
        await wire.answer(status, body, **headers)


@asynccontextmanager
async def _watched(mirror: Mirror, wire: Wire) -> AsyncIterator[None]:
    """Notice that the client closes the connection: for a modern server that is a cancellation."""
    before = len(mirror.asked)

    async def watch() -> None:
        if await wire.reader.read(1) == b"":
            wire.close()
            if mirror.modern:
                for asked in mirror.asked[before : before + 1]:
                    asked.cancelled.set()
            await mirror.changed()

    tasks = Tasks()
    tasks.start(watch(), "mirror watches")
    try:
        yield
    finally:
        await tasks.close()
