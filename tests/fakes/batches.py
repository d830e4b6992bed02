"""A server of 2025-03-26 over HTTP that takes JSON-RPC arrays, and answers with what it was asked.

web = Batches()
web.answers = script          # what to do with an array; see `all`
async with web.serve() as server: ...
"""

import json
from typing import Any

from fakes.http_mcp import INITIALIZED, Mcp
from fakes.http_server import Request, Script, Wire


class Batches(Mcp):
    """Answers arrays as `script` says; keeps those it got."""

    def __init__(self) -> None:
        super().__init__("legacy")
        self.arrays: list[list[Any]] = []
        self.answers: Any = self.all
        self.alone: list[Any] = []
        self.on["POST initialize"] = self._greet
        self.on["POST tools/list"] = _nothing("tools")
        self.on["POST resources/list"] = _nothing("resources")
        self.on["POST resources/templates/list"] = _templates
        self.on["POST resources/read"] = self._one

    async def _greet(self, request: Request, wire: Wire) -> None:
        self.alive.add("s")
        able: dict[str, Any] = {"tools": {}, "resources": {}}
        greeting = INITIALIZED | {"protocolVersion": "2025-03-26", "capabilities": able}
        await wire.result(request, greeting, Mcp_Session_Id="s")

    async def script(self, request: Request, wire: Wire) -> None:
        """An array, or what an Mcp does."""
        if request.says != "POST array":
            await super().script(request, wire)
            return
        self.arrays.append(json.loads(request.body))
        await self.answers(self.arrays[-1], wire)

    async def _one(self, request: Request, wire: Wire) -> None:
        self.alone.append(request.json)
        await wire.json(answer(request.json))

    async def all(self, array: list[Any], wire: Wire) -> None:
        """All answers, the last first."""
        await wire.json([answer(one) for one in reversed(array)])


def answer(one: Any) -> Any:
    """Its params as the result; an error for the tool `bad`."""
    if one["params"].get("name") == "bad":
        return {"jsonrpc": "2.0", "id": one["id"], "error": {"code": 7, "message": "bad"}}
    return {"jsonrpc": "2.0", "id": one["id"], "result": one["params"]}


def _nothing(kind: str) -> Script:
    async def script(request: Request, wire: Wire) -> None:
        await wire.result(request, {kind: []})

    return script


async def _templates(request: Request, wire: Wire) -> None:
    one = {"uriTemplate": "old://{name}", "name": "anything"}
    await wire.result(request, {"resourceTemplates": [one]})
