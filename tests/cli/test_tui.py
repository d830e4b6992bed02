"""The way of the dashboard to a gateway, and what is said without one or without a terminal."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fakes.cli import Shell
from fakes.upstream import library, served
from only1mcp.cli import tui
from only1mcp.cli.reach import Remote
from only1mcp.cli.tui import Reach
from only1mcp.tui.app import Dashboard
from only1mcp.tui.outside import Lost

NOBODY = "http://127.0.0.1:1"
BOUND_S = 10.0


@contextmanager
def reach(url: str) -> Iterator[Reach]:
    """The dashboard's way to the gateway at `url`."""
    with Remote(url, None) as remote, Remote(url, None) as second:
        yield Reach(remote, second)


async def test_what_the_dashboard_sees() -> None:
    def look() -> None:
        with reach(url) as gateway:
            (row,) = (gateway.get("/servers") or {})["servers"]
            assert (row["id"], row["state"]) == ("lib", "ready")
            assert gateway.get("/no-such-page") is None
            assert (gateway.schema("lib__find") or {})["name"] == "lib__find"
            assert gateway.schema("lib__gone") is None
            assert "content" in gateway.call("lib__find", {})
            with pytest.raises(Lost, match="unknown tool"):
                gateway.call("lib__gone", {})

    async with served(library()) as (_, url):
        await asyncio.to_thread(look)


async def test_events_until_it_is_closed() -> None:
    def follow() -> list[str]:
        kinds = []
        with reach(url) as gateway:
            for _, kind, _ in gateway.events("server,health", "-0"):
                kinds.append(kind)
                if kind in ("server", "health"):
                    break
        return kinds

    async with served(library()) as (_, url):
        kinds = await asyncio.to_thread(follow)
    assert kinds[0] == "gap", "nobody knows what was before"


async def test_a_stream_of_events_ends_when_it_is_closed() -> None:
    heard, gone = threading.Event(), threading.Event()

    def follow(gateway: Reach) -> None:
        try:
            for _ in gateway.events("health,server", "-0"):
                heard.set()
        except Lost:
            pass
        gone.set()

    async with served(library()) as (_, url):
        with Remote(url, None) as remote, Remote(url, None) as second:
            gateway = Reach(remote, second)
            thread = threading.Thread(target=follow, args=[gateway], daemon=True)
            thread.start()
            assert await asyncio.to_thread(heard.wait, BOUND_S)
            gateway.close()
            assert await asyncio.to_thread(gone.wait, BOUND_S), "silence is 60 s long"


def test_nobody_there() -> None:
    with reach(NOBODY) as gateway:
        for question in (gateway.metrics, lambda: gateway.get("/system")):
            with pytest.raises(Lost, match=r"no gateway at http://127\.0\.0\.1:1"):
                question()
        with pytest.raises(Lost, match="no gateway"):
            next(gateway.events("log", "-0"))


def test_it_needs_a_terminal(shell: Shell) -> None:
    found = shell("tui", "--url", NOBODY)
    assert found.code == 2
    assert "a dashboard needs a terminal" in found.err


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard streams that are a terminal."""
    monkeypatch.setattr(tui, "at_terminal", lambda: True)
    monkeypatch.setattr(Dashboard, "run", lambda self: None)


@pytest.mark.usefixtures("terminal")
def test_a_gateway_that_was_named_is_not_started(capsys: pytest.CaptureFixture[str]) -> None:
    assert tui.show_dashboard(NOBODY, None, 1.0) == 3
    assert "no gateway at http://127.0.0.1:1" in capsys.readouterr().err


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(("answer", "code", "started"), [("n", 3, 0), ("y", 0, 1)])
def test_it_offers_to_start_one(
    monkeypatch: pytest.MonkeyPatch, answer: str, code: int, started: int
) -> None:
    begun: list[object] = []

    def start(*given: object) -> int:
        begun.append(given)
        return 0

    monkeypatch.setattr("builtins.input", lambda question: answer)
    monkeypatch.setattr("only1mcp.cli.daemon.start", start)
    monkeypatch.setattr("only1mcp.cli.reach.configured_url", lambda trusted: NOBODY)
    assert tui.show_dashboard(None, None, 1.0) == code
    assert len(begun) == started
