"""A scripted MCP server over HTTP: sensible by default, each method replaceable.

web = Mcp(era="legacy")
web.on["POST tools/call"] = script        # see fakes/http_server.py
async with web.serve() as server: ...
"""

from typing import Any

from fakes.http_server import HttpServer, Request, Script, Wire

INITIALIZED = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "fake", "version": "1"},
}
DISCOVERED = {
    "supportedVersions": ["2026-07-28"],
    "capabilities": {"tools": {}},
    "resultType": "complete",
    "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "fake", "version": "1"}},
}


class Mcp:
    """Legacy with sessions, or modern. `sessions` counts handshakes; `forget` ends them all."""

    def __init__(self, era: str = "legacy") -> None:
        self.era = era
        self.sessions = 0
        self.alive: set[str] = set()
        self.on: dict[str, Script] = {
            "POST server/discover": self.discover,
            "POST initialize": self.initialize,
            "POST notifications/initialized": accept,
            "POST notifications/cancelled": accept,
            "POST response": accept,
            "POST tools/call": echo,
            "POST ping": empty,
            "GET": no_stream,
            "DELETE": self.delete,
        }

    def serve(self, port: int = 0) -> HttpServer:
        """The listener; enter it."""
        return HttpServer(self.script, port=port)

    def forget(self) -> None:
        """End all sessions, as a server that was started anew."""
        self.alive.clear()

    async def script(self, request: Request, wire: Wire) -> None:
        """Dispatch, after the check of the session."""
        session = request.headers.get("mcp-session-id")
        handshake = request.says in ("POST initialize", "POST server/discover")
        if session is not None and session not in self.alive:
            assert not handshake, "a handshake with a session id"
            await wire.answer(404, b"session not found", "text/plain")
        elif self.era == "legacy" and session is None and not handshake:
            await wire.answer(400, b"no session", "text/plain")
        else:
            await self.on[request.says](request, wire)

    async def discover(self, request: Request, wire: Wire) -> None:
        """What a modern server offers; a legacy one complains of the session."""
        if self.era == "modern":
            await wire.result(request, DISCOVERED)
            return
        error = {"code": -32600, "message": "Bad Request: Missing session ID"}
        refusal = {"jsonrpc": "2.0", "id": "server-error", "error": error}
        await wire.json(refusal, 400, Mcp_Session_Id="not-to-be-adopted")

    async def initialize(self, request: Request, wire: Wire) -> None:
        """A new session."""
        self.sessions += 1
        session = f"session-{self.sessions}"
        self.alive.add(session)
        await wire.result(request, INITIALIZED, Mcp_Session_Id=session)

    async def delete(self, request: Request, wire: Wire) -> None:
        """The end of a session."""
        self.alive.discard(request.headers["mcp-session-id"])
        await wire.answer(200)


async def accept(request: Request, wire: Wire) -> None:
    """202 for what has no answer."""
    await wire.answer(202, kind="")


async def echo(request: Request, wire: Wire) -> None:
    """The params come back as the result."""
    await wire.result(request, request.json.get("params", {}))


async def empty(request: Request, wire: Wire) -> None:
    """An empty result."""
    await wire.result(request, {})


async def no_stream(request: Request, wire: Wire) -> None:
    """405 to a GET."""
    await wire.answer(405, Allow="POST")


def note(method: str, **params: Any) -> dict[str, Any]:
    """A notification."""
    return {"jsonrpc": "2.0", "method": method, "params": params}


def result(request: Request, value: Any) -> dict[str, Any]:
    """The answer to `request`."""
    return {"jsonrpc": "2.0", "id": request.json["id"], "result": value}
