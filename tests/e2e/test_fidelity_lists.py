"""Lists come out as they went in: every entry of every server, whatever else is in it.

Source  the same rules as in test_fidelity.py; only names change, and only on /mcp.
"""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.gateway import Running
from fakes.json_text import ANY, OBJECT, STRINGS, UNKNOWN, Members, objects, parse
from fakes.mirror import Mirror, tool
from fakes.scripted import behind
from fakes.wire import last, raw, web

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

EXAMPLES: Final = 8
SERVERS: Final = ("old-pipe", "new-pipe", "old-web", "new-web")
METHODS: Final = {
    "tools": "tools/list",
    "prompts": "prompts/list",
    "resources": "resources/list",
    "resourceTemplates": "resources/templates/list",
}
SCHEMA: Final = objects(
    ANY, UNKNOWN, type='"object"', properties='{"a":{"type":"integer","maximum":1e400}}'
)
OPTIONAL: Final = st.none() | STRINGS


@st.composite
def entries(draw: st.DrawFn, kind: str, server: str) -> str:
    """A list as JSON text."""
    found = []
    for number in range(draw(st.integers(0, 4))):
        more: dict[str, Any] = {"title": draw(OPTIONAL), "description": draw(OPTIONAL)}
        more["_meta"] = draw(st.none() | OBJECT)
        match kind:
            case "tools":
                more |= {"name": f'"n{number}"', "inputSchema": draw(SCHEMA)}
                more["annotations"] = draw(st.none() | objects(ANY, UNKNOWN, readOnlyHint="true"))
                more["outputSchema"] = draw(st.none() | SCHEMA)
            case "prompts":
                more |= {"name": f'"n{number}"', "arguments": '[{"name":"x","x-y":1.0}]'}
            case "resources":
                more |= {"name": '"ü"', "uri": f'"{server}:{number}\\u00e9"', "size": "12345678901"}
            case "resourceTemplates":
                more |= {"name": '"ü"', "uriTemplate": f'"{server}:{number}/{{x}}"'}
        found.append(draw(objects(ANY, UNKNOWN, **more)))
    return f"[{','.join(found)}]"


class Listed(Mirror):
    """Its lists are JSON texts."""

    def __init__(self, name: str) -> None:
        super().__init__(name, modern=name.startswith("new"))
        self.texts = dict.fromkeys(METHODS, "[]")
        for kind, method in METHODS.items():
            self.on(method, self._answer_with(kind))

    def _answer_with(self, kind: str) -> Any:
        hints = ',"resultType":"complete","ttlMs":0,"cacheScope":"private"' if self.modern else ""

        async def handler(_: Any) -> bytes:
            return f'{{"{kind}":{self.texts[kind]}{hints}}}'.encode()

        return handler

    async def refetched(self) -> None:
        """A legacy server must say that its lists have changed; a modern one is asked anew."""
        if not self.modern:
            before = len(self.calls("tools/list"))
            await self.until(lambda: bool(self.channels))
            await self.announce("notifications/tools/list_changed")
            await self.until(lambda: len(self.calls("tools/list")) > before)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mirrors() -> dict[str, Listed]:
    return {name: Listed(name) for name in SERVERS}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    mirrors: dict[str, Listed], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    async with behind(mirrors, tmp_path_factory.mktemp("gateway")) as running:
        yield running


def named(entry: Members, prefix: str) -> Members:
    """An entry as /mcp shows it."""
    return Members([(k, prefix + v if k == "name" else v) for k, v in entry.pairs])


def members(entries: list[Members]) -> list[dict[str, Any]]:
    """Entries without the order of their own members: an entry that has only that changed since
    the last list is kept as it was."""
    return [dict(entry.pairs) for entry in entries]


@pytest.mark.parametrize("server", SERVERS)
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
@given(data=st.data())
async def test_lists(
    running: Running, mirrors: dict[str, Listed], server: str, data: st.DataObject
) -> None:
    mirror = mirrors[server]
    mirror.texts = {kind: data.draw(entries(kind, server)) for kind in METHODS}
    await mirror.refetched()
    for url, prefix in ((running.server(server), ""), (running.mcp, f"{server}__")):
        async with web(url) as wire:
            session = await wire.open()
            for kind, method in METHODS.items():
                expected = parse(mirror.texts[kind])
                if prefix and kind in ("tools", "prompts"):
                    expected = [named(entry, prefix) for entry in expected]
                body = {"jsonrpc": "2.0", "id": 1, "method": method}
                for response in (await session.post(body), await wire.modern(method)):
                    found = parse(raw(response)).get("result").get(kind)
                    if prefix:
                        found = [one for one in found if dict(one.pairs) in members(expected)]
                    assert members(found) == members(expected)


async def test_one_bad_entry_hides_nothing_else(
    running: Running, mirrors: dict[str, Listed]
) -> None:
    """Each of these is refused by some client, or trips some parser."""
    bad = [
        '{"name":"a","inputSchema":{"type":"object","x-mcp-header":"X","maximum":1e400}}',
        r'{"name":"b","inputSchema":{"type":"object","title":"\u00e9","maximum":1e400}}',
        '{"name":"c","inputSchema":null}',
        '{"name":7,"inputSchema":{"type":"object"}}',
        '{"inputSchema":{"type":"object"}}',
        '"no object"',
        f'{{"name":"deep","inputSchema":{{"type":"object","x":{"[" * 60}{"]" * 60}}}}}',
    ]
    mirror = mirrors["old-pipe"]
    good = json.dumps(tool("good"))
    mirror.texts["tools"] = f"[{','.join(bad)},{good}]"
    await mirror.refetched()
    async with web(running.mcp) as wire:
        found = last(await wire.modern("tools/list"))["result"]["tools"]
        assert "old-pipe__good" in {one["name"] for one in found}
        result = await wire.modern("tools/call", {"name": "old-pipe__good"})
        assert result.status_code == 200
