"""`isolation: session` beside what belongs to no call: lists and subscriptions stay shared."""

from pathlib import Path

import pytest

from fakes.gateway import gateway, http_server, stdio_server
from fakes.library import UPDATED, Library
from fakes.mirror import notification, over_stdio, tool
from fakes.mirror_http import over_http
from fakes.wire import Session, web

pytestmark = pytest.mark.timeout(60)


def library() -> Library:
    """A server with a resource and a tool."""
    found = Library("legacy")
    found.lists["tools"] = [tool("echo")]
    return found


async def ask(session: Session, method: str, **params: object) -> None:
    """Ask what is answered with a result."""
    answer = await session.ask(method, dict(params))
    assert "result" in answer, answer


async def test_calls_go_apart_lists_and_subscriptions_do_not(tmp_path: Path) -> None:
    server = library()
    async with over_http(server) as url:
        config = {"servers": [http_server("legacy", url, isolation="session")]}
        async with gateway(config, tmp_path) as running, web(running.mcp) as wire:
            await running.ready("legacy")
            for session in (await wire.open(), await wire.open()):
                await ask(session, "resources/subscribe", uri=server.uri)
                await ask(session, "tools/call", name="legacy__echo")

    def sessions(method: str) -> list[str]:
        return [one.headers["mcp-session-id"] for one in server.calls(method)]

    (shared,) = set(sessions("tools/list"))
    assert sessions("resources/subscribe") == [shared], "the first of many subscribes for all"
    mine, theirs = sessions("tools/call")
    assert len({shared, mine, theirs}) == 3


async def test_an_update_is_heard_by_all_who_watch_whichever_process_says_it(
    tmp_path: Path,
) -> None:
    server = library()
    async with over_stdio(server) as argv:
        config = {"servers": [stdio_server("legacy", *argv, isolation="session")]}
        async with gateway(config, tmp_path) as running, web(running.mcp) as wire:
            await running.ready("legacy")
            mine, theirs = await wire.open(), await wire.open()
            for session in (mine, theirs):
                await ask(session, "resources/subscribe", uri=server.uri)
            await ask(mine, "tools/call", name="legacy__echo")
            async with mine.listen() as stream, theirs.listen() as other:
                assert len(server.channels) == 2, "the shared process, and one of `mine`"
                for place, tell in enumerate(server.channels.values()):
                    uri = f"{server.uri}/row/{place}"
                    await tell(notification(UPDATED, {"uri": uri}))
                    for heard in (stream, other):
                        assert (await anext(heard))["params"] == {"uri": uri}
