"""The dashboard by its keys."""

import re
from collections.abc import Awaitable, Callable

import pytest
from textual.widgets import Button, DataTable, Input, Label, RichLog, Static

from fakes.edge import until
from fakes.outside import Fake, request, server
from only1mcp.tui.app import TABS, Dashboard, Done, Happened, Seen, Unseen
from only1mcp.tui.dialogs import Choice, Details, ToolCall
from only1mcp.tui.logs import Line

OF_RICH = {"ff5f57", "febc2e", "28c840", "c5c8c6"}
"""Colours of the window that Rich draws around a picture."""

Pair = tuple[Dashboard, Callable[..., Awaitable[None]]]


def state(app: Dashboard) -> str:
    """The line about the gateway."""
    return str(app.query_one("#state", Static).content)


def rows(app: Dashboard) -> list[list[str]]:
    """What the table of the open tab shows."""
    table = app.query_one(f"#{app.tab} DataTable", DataTable)
    return [[str(cell) for cell in table.get_row_at(at)] for at in range(table.row_count)]


def said(app: Dashboard) -> str:
    """The text of the dialog that is open."""
    return "\n".join(str(one.content) for one in app.screen.query(Static))


async def test_tabs_by_number_and_in_turn(dashboard: Pair) -> None:
    app, press = dashboard
    for at, tab in enumerate(TABS, 1):
        await press(str(at))
        assert app.tab == tab
    await press("tab")
    assert app.tab == "overview"
    await press("shift+tab")
    assert app.tab == "logs"


async def test_servers(dashboard: Pair, gateway: Fake) -> None:
    app, press = dashboard
    await press("2")
    assert rows(app) == [
        ["a", "ready", "healthy", "closed", "0", "2", "1.5", ""],
        ["b", "failed", "healthy", "closed", "0", "2", "1.5", "no file"],
    ]
    await press("down", "enter")
    assert isinstance(app.screen, Choice)
    assert [str(button.label) for button in app.screen.query(Button)] == ["restart", "disable"]
    await press("enter")
    await until(lambda: isinstance(app.screen, Details))
    assert gateway.did == [("/servers/b/restart", None)]


async def test_nothing_is_done_without_an_answer(dashboard: Pair, gateway: Fake) -> None:
    app, press = dashboard
    await press("2", "enter", "escape")
    assert len(app.screen_stack) == 1
    assert gateway.did == []


async def test_replicas_stand_below_their_server(dashboard: Pair, gateway: Fake) -> None:
    app, press = dashboard
    one = server("a")["replicas"][0]
    two = [{**one, "id": "left"}, {**one, "id": "right", "state": "failed", "reason": "gone"}]
    gateway.pages["/servers"] = {"servers": [server("a", replicas=two)]}
    await press("2", "r")
    await until(lambda: len(rows(app)) == 3)
    assert [row[0] for row in rows(app)] == ["a", "└ left", "└ right"]
    assert rows(app)[2][7] == "gone"


async def test_requests_are_filtered_and_held(dashboard: Pair, gateway: Fake) -> None:
    app, press = dashboard
    await press("3")
    assert rows(app)[1][:4] == ["12:00:00.123", "4.2", "error -31001", "tools/call"]
    await press("slash", *"31001")
    assert len(rows(app)) == 1
    await press("escape")
    assert len(rows(app)) == 2
    await press("space")
    gateway.pages["/requests?limit=200"] = {"requests": [request(3)]}
    before = app.shot
    await press("r")
    await until(lambda: app.shot is not before)
    assert len(rows(app)) == 2, "held"
    await press("space", "enter")
    assert isinstance(app.screen, Details)


async def test_a_tool_is_called(dashboard: Pair, gateway: Fake) -> None:
    app, press = dashboard
    await press("4", "enter")
    await until(lambda: isinstance(app.screen, ToolCall))
    assert "Finds." in said(app)
    field = app.screen.query_one(Input)
    for text, fault in (("{", "no JSON"), ("[]", "arguments are a JSON object")):
        field.value = text
        await press("enter")
        assert fault in str(app.screen.query_one(".fault", Label).content)
    field.value = '{"q": 1}'
    await press("enter")
    await until(lambda: isinstance(app.screen, Details))
    assert gateway.did == [("a__find", {"q": 1})]
    assert "found" in said(app)


async def test_the_cache_is_cleared_when_asked_twice(dashboard: Pair, gateway: Fake) -> None:
    app, press = dashboard
    await press("5", "c")
    assert gateway.did == [], "there is none"
    tier = {"hits": 3, "misses": 1, "entries": 1, "evictions": 0, "expiries": 0}
    tiers = {"l1": {**tier, "invalidations": 0, "hit_rate": 0.75}}
    gateway.pages["/cache"] = {"enabled": True, "tiers": tiers, "calls": 4, "shared": 2}
    await press("r")
    await until(lambda: len(rows(app)) == 1)
    assert rows(app)[0] == ["l1", "████████░░ 75%", "3", "1", "1", "0", "0", "0"]
    await press("c", "enter")
    await until(lambda: gateway.did != [])
    assert gateway.did == [("/cache/clear", None)]


async def test_a_gateway_that_goes_and_comes_back(dashboard: Pair, gateway: Fake) -> None:
    app, press = dashboard
    gateway.lost = "no gateway at http://gateway"
    await press("r")
    await until(lambda: state(app) == "no gateway at http://gateway")
    assert app.shot is not None, "what was known is kept"
    gateway.lost = None
    await press("r")
    await until(lambda: state(app).startswith("http://gateway   ok"))


async def test_why_it_is_lost_is_read_to_its_end_also_in_80_columns(
    dashboard: Pair, gateway: Fake
) -> None:
    app, press = dashboard
    line = app.query_one("#state", Static)
    gateway.lost = "no gateway at http://127.0.0.1:8080 (refused); start one, or name it with --url"
    await press("r")
    await until(lambda: state(app) == gateway.lost)
    await press("f1")
    assert line.size.height == 2
    gateway.lost = None
    await press("r")
    await until(lambda: state(app).startswith("http://gateway   ok"))
    await press("f1")
    assert line.size.height == 1


async def test_what_comes_when_it_is_taken_down_is_dropped(dashboard: Pair) -> None:
    app, press = dashboard
    assert app.shot is not None
    await app.screen.query("*").remove()
    for late in (Seen(app.shot), Unseen("gone"), Happened("log", {}), Done("restart", "done")):
        app.post_message(late)
    await press("f1")
    assert len(app.screen_stack) == 1


async def test_an_action_that_fails_says_why(dashboard: Pair, gateway: Fake) -> None:
    app, press = dashboard
    await press("2", "enter")
    gateway.lost = "not allowed"
    await press("enter")
    await until(lambda: isinstance(app.screen, Details))
    assert "not allowed" in said(app)


async def test_help(dashboard: Pair) -> None:
    app, press = dashboard
    await press("question_mark")
    assert "the gateway runs on" in said(app)
    await press("escape")
    assert len(app.screen_stack) == 1


async def test_what_has_failed_stands_out(dashboard: Pair) -> None:
    app, press = dashboard
    for tab, styles in (("servers", ["", "red"]), ("requests", ["", "red"])):
        await press(str(TABS.index(tab) + 1))
        table = app.query_one(f"#{tab} DataTable", DataTable)
        assert [str(table.get_row_at(at)[0].style) for at in range(2)] == styles


async def test_no_color(monkeypatch: pytest.MonkeyPatch, gateway: Fake) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = Dashboard(gateway, refresh_s=3600.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(lambda: app.shot is not None)
        for tab in "123456":
            await pilot.press(tab)
            await pilot.pause()
            svg = app.export_screenshot()
            colors = set(re.findall(r"fill[:=]\W*#(\w{6})", svg)) - OF_RICH
            assert {one for one in colors if len({one[:2], one[2:4], one[4:]}) > 1} == set()
        gateway.close()


def test_a_line_of_the_logs() -> None:
    said = {"at": "2026-01-15T12:00:00Z", "server": "a", "replica": "r", "reason": "", "was": None}
    assert Line("health", {**said, "health": "well"}).text == (
        "12:00:00 health   server=a  health=well  replica=r"
    )
    assert Line("lists", {"lists": ["tools", "prompts"]}).text == " lists    lists=tools,prompts"
    assert Line("log", {"message": "up", "replica": "r", "port": 0}).text.endswith(
        "up  port=0  replica=r"
    )


@pytest.mark.parametrize("gateway", [Fake()])
async def test_logs(gateway: Fake) -> None:
    said = {"at": "2026-01-15T12:00:00Z", "level": "info"}
    gateway.happens = [
        ("", "gap", {"missed": None}),
        ("x-1", "log", {**said, "message": "up [bold]"}),
        ("x-2", "log", {**said, "level": "debug", "message": "detail"}),
        ("x-3", "log", {**said, "level": "error", "message": "broken"}),
        ("", "gap", {"missed": 3}),
    ]
    app = Dashboard(gateway, refresh_s=3600.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("6")
        log = app.query_one(RichLog)
        await until(lambda: len(log.lines) == 3)
        assert [line.text.rstrip() for line in log.lines] == [
            "12:00:00 log      up [bold]",
            "12:00:00 log      broken",
            " gap      3 events are missing here",
        ]
        await pilot.press("l", "l")
        assert len(log.lines) == 1
        await pilot.press("l")
        assert len(log.lines) == 4
        await pilot.press("slash", *"detail")
        assert len(log.lines) == 1
        await pilot.press("escape", "space", "c")
        assert len(log.lines) == 0
        gateway.close()
