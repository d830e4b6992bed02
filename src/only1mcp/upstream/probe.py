"""Find the era of a server and shake hands: `server/discover` first, then `initialize`.

    discover answered ── a revision we share ──► modern
        │ any other error, or silence                │ -32022 that names no revision we share
        ▼                                            ▼
    initialize ────────────────────────────────► legacy (or the fault that explains why not)

A server that starts slowly has heard nothing yet, so silence alone ends no probe: after
SILENCE_S the handshake is sent as well and the first to answer decides.
Source  MCP 2026-07-28 basic/versioning and transports, "Backward Compatibility".
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, Protocol

from only1mcp.observe.tasks import Tasks
from only1mcp.protocol import message, questions
from only1mcp.protocol.eras import IMPLEMENTATION, SERVER_INFO_KEY, gateways_in, own_meta
from only1mcp.protocol.errors import (
    ServerFault,
    ServerProtocolError,
    ServerUnavailable,
    UnsupportedVersion,
    UpstreamError,
)
from only1mcp.protocol.message import Params, as_raw
from only1mcp.protocol.methods import LEGACY, MODERN, NEWEST_LEGACY, NEWEST_MODERN
from only1mcp.upstream.answer import NotStreamable
from only1mcp.upstream.base import Call, Greeting

SILENCE_S: Final = 2.0


class Greetable(Protocol):
    """The part of an Upstream that a probe needs. `revision` steers its headers."""

    server: str
    revision: str | None

    async def call(self, call: Call) -> bytes:
        """See upstream/base.py."""

    async def notify(self, method: str, params: Params | None = None) -> None:
        """See upstream/base.py."""


class _NotModern(Exception):
    """The probe's verdict: shake hands instead."""


async def greet(upstream: Greetable, protocol: str, start_s: float) -> Greeting:
    """Find the era (`protocol`: auto, legacy or modern) and open the conversation, all of it
    within `start_s`.

    Raises:
        ServerUnavailable, ServerLost, ServerTimeout: as the upstream says.
        ServerProtocolError: it answers, but no revision is shared.
    """
    ends_at = asyncio.get_running_loop().time() + start_s
    if protocol == "legacy":
        return await _initialize(upstream, ends_at)
    if protocol == "modern":
        try:
            return await _discover(upstream, ends_at)
        except _NotModern as verdict:
            raise ServerProtocolError(
                upstream.server,
                f"server '{upstream.server}' does not speak {NEWEST_MODERN}: {verdict}",
                hint="set protocol: auto (or legacy) for this server",
            ) from None
    return await _either(upstream, ends_at)


async def _either(upstream: Greetable, ends_at: float) -> Greeting:
    """Discover, and once it has been silent for SILENCE_S shake hands beside it."""
    tasks = Tasks()
    try:
        probe = tasks.start(_tried(_discover(upstream, ends_at)), f"probe {upstream.server}")
        await asyncio.wait([probe], timeout=SILENCE_S)
        if probe.done():
            return _accept(upstream, probe.result() or await _initialize(upstream, ends_at))
        shake = tasks.start(_tried(_initialize(upstream, ends_at)), f"greet {upstream.server}")
        done, _ = await asyncio.wait([probe, shake], return_when=asyncio.FIRST_COMPLETED)
        first, second = (probe, shake) if probe in done else (shake, probe)
        found = first.result()
        if not isinstance(found, Greeting):
            found = await second or found
        return _accept(upstream, found)
    finally:
        await tasks.close()


async def _tried(attempt: Coroutine[Any, Any, Greeting]) -> Greeting | ServerFault | None:
    """The greeting; a fault as a value, for the attempt beside it may succeed; None: not modern."""
    try:
        return await attempt
    except _NotModern:
        return None
    except ServerFault as fault:
        return fault


def _accept(upstream: Greetable, found: Greeting | ServerFault | None) -> Greeting:
    if isinstance(found, Greeting):
        upstream.revision = found.revision
        return found
    raise found or ServerProtocolError(
        upstream.server, f"server '{upstream.server}' answers no probe"
    )


async def _discover(upstream: Greetable, ends_at: float) -> Greeting:
    upstream.revision = NEWEST_MODERN
    params: Params = {"_meta": as_raw(own_meta({}))}
    call = _within("server/discover", params, ends_at)
    try:
        raw = await upstream.call(call)
    except UpstreamError as error:
        if error.own_code == UnsupportedVersion.code and NEWEST_MODERN in _versions(error):
            raw = await upstream.call(call)  # it changed its mind, or another answered: once more
        else:
            raise _NotModern(_refusal(error)) from None
    except ServerUnavailable:
        raise
    except ServerProtocolError as error:
        raise _NotModern(error.message) from None
    found = message.any_value(raw)
    offered = found.get("supportedVersions", ()) if isinstance(found, dict) else ()
    shared = [revision for revision in MODERN if revision in offered]
    if not shared:
        raise _NotModern(f"it offers {', '.join(map(str, offered)) or 'no revision'}")
    return _greeting(shared[-1], found, modern=True)


def _versions(error: UpstreamError) -> list[Any]:
    """What a -32022 names as supported."""
    fields = message.any_value(error.raw)
    data = fields.get("data") if isinstance(fields, dict) else None
    named = data.get("supported") if isinstance(data, dict) else None
    return named if isinstance(named, list) else []


def _refusal(error: UpstreamError) -> str:
    named = _versions(error)
    return f"it offers {', '.join(map(str, named))}" if named else error.message


async def _initialize(upstream: Greetable, ends_at: float) -> Greeting:
    upstream.revision = None
    params: Params = {
        "protocolVersion": as_raw(NEWEST_LEGACY),
        "capabilities": as_raw(questions.EVERYTHING),
        "clientInfo": as_raw(IMPLEMENTATION),
    }
    try:
        raw = await upstream.call(_within("initialize", params, ends_at))
    except UpstreamError as error:
        fault = NotStreamable if error.status in (404, 405) else ServerProtocolError
        raise fault(
            upstream.server,
            f"server '{upstream.server}' refused the handshake: {error.message}",
            hint="check that this is an MCP server; protocol: modern skips the handshake",
        ) from None
    found = message.any_value(raw)
    revision = found.get("protocolVersion") if isinstance(found, dict) else None
    if revision not in LEGACY:
        raise ServerProtocolError(
            upstream.server,
            f"server '{upstream.server}' answered the handshake with revision {revision!r}",
            hint=f"this gateway speaks {', '.join(LEGACY + MODERN)}",
        )
    upstream.revision = revision
    await upstream.notify("notifications/initialized")
    return _greeting(revision, found, modern=False)


def _within(method: str, params: Params, ends_at: float) -> Call:
    """A call for which there is as much time as is left of the start, in tenths of a second."""
    left_s = max(round(ends_at - asyncio.get_running_loop().time(), 1), 0.1)
    return Call(method, params, idle_s=left_s, max_s=left_s)


def _greeting(revision: str, found: dict[str, Any], *, modern: bool) -> Greeting:
    meta = found.get("_meta")
    info = found.get("serverInfo") or (
        meta.get(SERVER_INFO_KEY) if isinstance(meta, dict) else None
    )
    capabilities = found.get("capabilities")
    instructions = found.get("instructions")
    return Greeting(
        revision=revision,
        modern=modern,
        capabilities=capabilities if isinstance(capabilities, dict) else {},
        server_info=info if isinstance(info, dict) else {},
        instructions=instructions if isinstance(instructions, str) else None,
        gateways=gateways_in(found),
    )
