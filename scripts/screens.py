"""docs/screens/*.svg: the dashboard over a live gateway with the demo servers.

    python -m scripts.screens

Servers, states, calls, results, counts, the answers of the cache and events are what the gateway
says after TRAFFIC. Times, addresses, process ids and memory differ from run to run: `Still` puts
even ones in their place, so that the same screens are the same bytes.
"""

import asyncio
import contextlib
import itertools
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any, Final

from textual.pilot import Pilot

from only1mcp.cli.reach import Remote
from only1mcp.cli.tui import Reach
from only1mcp.tui.app import TABS, Dashboard
from only1mcp.tui.figures import DURATION
from only1mcp.tui.outside import ADMIN

FOLDER: Final = Path(__file__).resolve().parents[1] / "docs" / "screens"
SIZE: Final = (96, 22)
START_S: Final = 20.0
STEP_S: Final = 0.02
URL: Final = "http://127.0.0.1:8080"

NOTE: Final = ("notes__add_note", {"title": "hello", "text": "from only1mcp"})
TIME: Final = ("clock__now", {"timezone": "Europe/Berlin"})
WORDS: Final = ("text__word_count", {"text": "one endpoint, many servers"})
NOWHERE: Final = ("clock__now", {"timezone": "Europe/Nowhere"})
MORSE: Final = ("text__translate_morse", {"text": "sos"})
READ: Final[tuple[str, dict[str, Any]]] = ("note://1", {})
"""A resource, read again and again."""
CALLS: Final = (
    *(WORDS, READ, TIME, MORSE, NOTE, READ, WORDS, READ, TIME, WORDS, TIME, READ),
    *(MORSE, READ, WORDS, TIME, READ, WORDS, NOWHERE, MORSE, TIME, WORDS, READ, WORDS),
)
TRAFFIC: Final = (3, 5, 4, 7, 9, 12, 8, 10, 14, 11, 6, 9, 13, 16, 12, 7)
"""Requests in each second, of CALLS in turn."""

LATENCY_MS: Final = {"notes": 0.6, "clock": 2.4, "text": 1.1}
SHARES: Final = {"0.001": 0.5, "0.002": 0.8, "0.005": 0.98}
"""Of the requests, by how long they took at most, in seconds; longer ones 10 ms."""
EVEN: Final[dict[str, Any]] = {
    "uptime_s": 4271.0,
    "pid": 4242,
    "memory_bytes": 61_000_000,
    "since": "2026-01-15T10:48:49+00:00",
}
ADDRESS: Final = re.compile(r"127\.0\.0\.1:\d+")
TEXT: Final = re.compile(r"<text[^>]*>([^<]*)</text>")
FONTS: Final = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
"""Of another host: a picture in a README may not fetch them."""


class Still:
    """A gateway whose clocks stand still; an Outside for the dashboard."""

    url = URL

    def __init__(self, live: Reach) -> None:
        self._live = live

    def get(self, path: str) -> dict[str, Any] | None:
        """The page, with even times."""
        found: dict[str, Any] | None = even(self._live.get(path))
        for at, row in enumerate(reversed((found or {}).get("requests", ()))):
            row["at"] = f"2026-01-15T12:00:{at // 10:02}.{at % 10 * 97 + 11:03}+00:00"
            row["duration_ms"] = LATENCY_MS.get(row["server"], 0.1) + at % 7 / 10
        for server in (found or {}).get("servers", ()):
            for replica in server.get("replicas", ()):
                replica["latency_ms"] = LATENCY_MS[server["id"]]
        return found

    def metrics(self) -> str | None:
        """The counters as they are; how long requests took by SHARES."""
        return even_durations(self._live.metrics() or "")

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """As it is."""
        return self._live.post(path, body)

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """As it is."""
        return self._live.call(tool, arguments)

    def schema(self, tool: str) -> dict[str, Any] | None:
        """As it is."""
        return self._live.schema(tool)

    def events(self, kinds: str, after: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Those since the restart of a server: in a start all of them come in any order, and
        changes of lists do so always."""
        seconds = itertools.count(31)
        seen = False
        for id, kind, said in self._live.events(kinds, after):
            seen = seen or kind == "restart"
            if seen and kind != "lists":
                yield id, kind, {**even(said), "at": f"2026-01-15T11:59:{next(seconds):02}+00:00"}

    def close(self) -> None:
        """Let go of it."""
        self._live.close()


def even(value: Any) -> Any:
    """A document with EVEN members, and addresses that do not change."""
    if isinstance(value, dict):
        return {name: EVEN.get(name, even(member)) for name, member in value.items()}
    if isinstance(value, list):
        return [even(one) for one in value]
    if isinstance(value, str):
        return ADDRESS.sub("127.0.0.1:9001", value.replace(sys.executable, "python"))
    return value


def even_durations(text: str) -> str:
    """The metrics with one histogram of as many requests as there were."""
    rest = [line for line in text.splitlines() if not line.startswith(DURATION)]
    ends = [line for line in text.splitlines() if line.startswith(DURATION) and "+Inf" in line]
    total = sum(float(line.rpartition(" ")[2]) for line in ends)
    shares = {**SHARES, "0.01": 1.0, "+Inf": 1.0}
    made = [f'{DURATION}{{le="{bound}"}} {share * total}' for bound, share in shares.items()]
    return "\n".join([*rest, *made])


@contextlib.asynccontextmanager
async def demo() -> AsyncIterator[str]:
    """`only1mcp demo` until the end; gives its URL once its servers are ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "only1mcp", "demo", "--port", "0", stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        yield await ready(process.stderr)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def ready(stderr: asyncio.StreamReader) -> str:
    """The URL, once its servers are up."""
    said = ""
    async with asyncio.timeout(START_S):
        while said.count("  ready ") < len(LATENCY_MS):
            line = (await stderr.readline()).decode()
            if not line:
                raise SystemExit(f"the demo ended:\n{said}")
            said += line
    found = re.search(r"listens on (\S+)/mcp", said)
    assert found is not None
    return found[1]


def ask(remote: Remote, name: str, arguments: dict[str, Any]) -> None:
    """One request of a client."""
    if "://" in name:
        remote.ask("resources/read", {"uri": name}, None, name=name)
    else:
        remote.ask("tools/call", {"name": name, "arguments": arguments}, None, name=name)


async def pictures(url: str) -> dict[str, str]:
    """The SVG of each tab, and of what opens over them, after TRAFFIC."""
    seconds = itertools.count()
    with Remote(url, None) as remote, Remote(url, None) as second, Remote(url, None) as client:
        app = Dashboard(Still(Reach(remote, second)), 3600.0, clock=lambda: float(next(seconds)))
        await asyncio.to_thread(incidents, remote)
        async with app.run_test(size=SIZE) as pilot:
            await looked(app, pilot)
            await traffic(client, lambda: looked(app, pilot))
            return {name: svg async for name, svg in tour(app, pilot)}


async def traffic(client: Remote, after: Callable[[], Awaitable[None]]) -> None:
    """What TRAFFIC says, and what is to be done after each second of it."""
    calls = itertools.cycle(CALLS)
    for many in TRAFFIC:
        for name, arguments in itertools.islice(calls, many):
            await asyncio.to_thread(ask, client, name, arguments)
        await after()


def incidents(remote: Remote) -> None:
    """A server is restarted, another one dies and comes back by itself."""
    remote.post(f"{ADMIN}/servers/text/restart", None)
    comes_back(remote, "text")
    os.kill(row_of(remote, "notes")["pid"], signal.SIGKILL)
    comes_back(remote, "notes")


def comes_back(remote: Remote, id: str) -> None:
    """Wait until a server runs anew."""
    deadline = time.monotonic() + START_S
    while (row := row_of(remote, id))["restarts"] == 0 or row["state"] != "ready":
        if time.monotonic() > deadline:
            raise SystemExit(f"the server {id} of the demo did not come back")
        time.sleep(STEP_S)


def row_of(remote: Remote, id: str) -> dict[str, Any]:
    """A server as the admin API tells it."""
    rows = remote.get(f"{ADMIN}/servers", "servers")["servers"]
    return next(row for row in rows if row["id"] == id)


async def looked(app: Dashboard, pilot: Pilot[None]) -> None:
    """Wait until it has looked again."""
    before = app.shot
    await pilot.press("r")
    async with asyncio.timeout(START_S):
        while app.shot is before:
            await pilot.pause(STEP_S)
    await pilot.pause()


async def tour(app: Dashboard, pilot: Pilot[None]) -> AsyncIterator[tuple[str, str]]:
    """Through all tabs."""
    for number, tab in enumerate(TABS, 1):
        await pilot.press(str(number))
        await pilot.pause()
        yield tab, FONTS.sub("", app.export_screenshot(title="only1mcp tui"))
    await pilot.press("4", *["down"] * 4, "enter")
    async with asyncio.timeout(START_S):
        while len(app.screen_stack) == 1:
            await pilot.pause(STEP_S)
    await pilot.pause()
    yield "tool", FONTS.sub("", app.export_screenshot(title="only1mcp tui"))


def text_of(svg: str) -> list[str]:
    """What a picture says: its texts, in order."""
    return [unescape(one).replace("\xa0", " ") for one in TEXT.findall(svg)]


async def main() -> None:
    """Write them."""
    async with demo() as url:
        for name, svg in (await pictures(url)).items():
            (FOLDER / f"{name}.svg").write_text(svg)


if __name__ == "__main__":
    asyncio.run(main())
