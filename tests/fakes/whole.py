"""A scripted server that does all there is in its era: one tool for each feature.

    echo      its arguments                 fail     an error of its own
    steps     progress, then the end        elicit   asks with a form
    chatty    log messages                  visit    asks to open a URL
    wait      until it is cancelled         sample   asks a model
                                            roots    asks for the roots

What an asking tool got, the answer or the error, is its text. It asks as its era does: with a
request on the call's channel, or with `input_required` if the client takes that and -32021 if not.
"""

import itertools
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from fakes.gateway import http_server, stdio_server
from fakes.library import TOOLS as TOOLS_CHANGED
from fakes.library import Library
from fakes.mirror import Asked, Json, Refused, over_stdio, tool
from fakes.mirror_http import over_http
from fakes.mirror_sse import over_sse

META: Final = "io.modelcontextprotocol/"
FORM: Final = {
    "message": "who?",
    "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}},
}
SAMPLE: Final = {
    "messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}],
    "maxTokens": 9,
}
VISIT: Final = {"message": "sign in", "mode": "url", "url": "https://example.test/sign-in"}
QUESTIONS: Final[dict[str, tuple[str, Json]]] = {
    "elicit": ("elicitation/create", FORM),
    "visit": ("elicitation/create", VISIT),
    "sample": ("sampling/createMessage", SAMPLE),
    "roots": ("roots/list", {}),
}
NEEDED: Final[dict[str, Json]] = {
    "elicit": {"elicitation": {"form": {}}},
    "visit": {"elicitation": {"url": {}}},
    "sample": {"sampling": {}},
    "roots": {"roots": {}},
}
"""What a client must have declared to be asked."""
TOOLS: Final = ("echo", "steps", "chatty", "wait", "fail", *QUESTIONS)
LEVELS: Final = ("debug", "info", "warning", "error")
OWN_ERROR: Final[Json] = {"code": 77, "message": "out of paper", "data": {"tray": [1, 2]}}
STATE: Final = "where I was \\u00e9"


class Whole(Library):
    """One server. `level` is what a legacy one has been told to log."""

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.capabilities |= {"logging": {}, "completions": {}}
        self.lists["tools"] = [tool(name) for name in TOOLS]
        self.lists["prompts"] = [{"name": "hello", "arguments": [{"name": "who"}]}]
        self.lists["resourceTemplates"] = [{"name": "row", "uriTemplate": f"{self.uri}/row/{{n}}"}]
        self.level = LEVELS[0]
        self._ids = itertools.count(1000)
        self.on("tools/call", self._call)
        self.on("resources/read", self._read)
        self.on("completion/complete", self._complete)
        self.on("logging/setLevel", self._set_level)

    async def _call(self, asked: Asked) -> bytes:
        name = asked.json["name"]
        if name in QUESTIONS:
            return await (self._ask_later if self.modern else self._ask)(asked, name)
        match name:
            case "steps":
                await asked.progress(1)
                await asked.progress(2)
            case "chatty":
                await self._log(asked)
            case "wait":
                await asked.hang()
            case "fail":
                raise Refused(json.dumps(OWN_ERROR).encode())
        return self.text(json.dumps(asked.arguments))

    # --- questions ---

    async def _ask(self, asked: Asked, name: str) -> bytes:
        """A request, and its answer on the channel of the client's messages."""
        method, params = QUESTIONS[name]
        id = next(self._ids)
        if name == "visit":
            params = {**params, "elicitationId": "visit-1"}
        body = {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
        await asked.tell(json.dumps(body).encode())
        await self.until(lambda: bool(self._answers(id)))
        (answer,) = self._answers(id)
        return self.text(json.dumps(answer.get("result") or {"refused": answer["error"]}))

    def _answers(self, id: int) -> list[Json]:
        return [one for one in self.heard if one.get("id") == id]

    async def _ask_later(self, asked: Asked, name: str) -> bytes:
        """`input_required`, unless this is the call that brings the answer."""
        params = asked.json
        if (given := params.get("inputResponses")) is not None:
            assert params["requestState"] == STATE
            return self.text(json.dumps(given["q"]))
        declared = params["_meta"][META + "clientCapabilities"]
        ((kind, modes),) = NEEDED[name].items()
        if kind not in declared or not modes.keys() <= declared[kind].keys():
            data = {"requiredCapabilities": NEEDED[name]}
            error = {"code": -32021, "message": "not declared", "data": data}
            raise Refused(json.dumps(error).encode(), 400)
        method, wanted = QUESTIONS[name]
        requests = {"q": {"method": method, "params": wanted}}
        found = {"resultType": "input_required", "inputRequests": requests, "requestState": STATE}
        return json.dumps(found).encode()

    # --- the rest ---

    async def _log(self, asked: Asked) -> None:
        """Messages of all levels it has been asked for."""
        meta = asked.json.get("_meta", {})
        least = meta.get(META + "logLevel") if self.modern else self.level
        for level in LEVELS[LEVELS.index(least) :] if least else ():
            await asked.notify("notifications/message", level=level, data=level)

    async def _set_level(self, asked: Asked) -> bytes:
        self.level = asked.json["level"]
        return b"{}"

    async def _read(self, asked: Asked) -> bytes:
        uri = asked.json["uri"]
        code = -32602 if self.modern else -32002
        error = {"code": code, "message": "no such row", "data": {"uri": uri}}
        raise Refused(json.dumps(error).encode(), 400 if self.modern else 200)

    async def _complete(self, asked: Asked) -> bytes:
        given = asked.json["argument"]["value"]
        found: dict[str, Any] = {"completion": {"values": [given + "da"], "hasMore": False}}
        return self._stamped(found)

    async def next_call(self, before: int) -> Asked:
        """The first call after so many."""
        await self.until(lambda: len(self.calls()) > before)
        return self.calls()[before]

    async def grow(self, name: str) -> None:
        """There is one more tool, and all who listen hear that."""
        self.lists["tools"].append(tool(name))
        await self.says(TOOLS_CHANGED)

    def shrink(self, name: str) -> None:
        """The tool is gone again; nobody is told, it is noticed with the next change."""
        self.lists["tools"] = [one for one in self.lists["tools"] if one["name"] != name]


@asynccontextmanager
async def whole_servers(ids: Iterable[str]) -> AsyncIterator[tuple[dict[str, Whole], list[Json]]]:
    """Servers by id, which says era and transport, and the entries a gateway needs for them."""
    servers = {id: Whole(id) for id in ids}
    async with AsyncExitStack() as stack:
        entries = []
        for id, server in servers.items():
            match id.rpartition("-")[2]:
                case "stdio":
                    argv = await stack.enter_async_context(over_stdio(server))
                    entries.append(stdio_server(id, *argv))
                case "http":
                    url = await stack.enter_async_context(over_http(server))
                    entries.append(http_server(id, url))
                case _:
                    sse = await stack.enter_async_context(over_sse(server))
                    entries.append({"id": id, "transport": {"type": "sse", "url": sse.url}})
        yield servers, entries
