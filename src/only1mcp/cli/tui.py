"""`tui`: a dashboard in the terminal, attached to a running gateway."""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from only1mcp.cli import daemon
from only1mcp.cli.reach import Remote
from only1mcp.cli.say import Exit, Failure, fail, note
from only1mcp.config.model import Dashboard as Settings
from only1mcp.tui.outside import ADMIN, Lost

Found = TypeVar("Found")


def show_dashboard(url: str | None, token: str | None, refresh_s: float | None) -> int:
    """`only1mcp tui`: offers to start a gateway if none is there."""
    if not at_terminal():
        return fail(Failure("a dashboard needs a terminal; see `only1mcp servers`", Exit.USAGE))
    try:
        with Remote(url, token) as remote, remote.another() as second:
            reached = _reached(remote, may_start=url is None)
            if not reached:
                return Exit.UNREACHABLE
            from only1mcp.tui.app import Dashboard

            reach = Reach(remote, second)
            Dashboard(reach, refresh_s or configured_refresh_s(reach)).run()
    except Failure as error:
        return fail(error)
    except Lost as error:
        return fail(Failure(str(error)))
    return Exit.OK


def configured_refresh_s(gateway: "Reach") -> float:
    """How often that gateway wants to be looked at; an older one has not said."""
    config = (gateway.get("/config") or {}).get("config", {})
    return Settings.model_validate(config.get("tui", {})).refresh


def at_terminal() -> bool:
    """True if somebody can see and type."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _reached(remote: Remote, *, may_start: bool) -> bool:
    """True if a gateway answers, after it was started if the user wants that."""
    try:
        remote.get(f"{ADMIN}/health", "status")
    except Failure as error:
        if error.code is not Exit.UNREACHABLE or not may_start:
            raise
        note(str(error))
        if input("Start one in the background? [y/N] ").strip().lower() not in ("y", "yes"):
            return False
        return daemon.start(None, None, None, None) == Exit.OK
    return True


class Reach:
    """A running gateway for the dashboard; events go over a connection of their own."""

    def __init__(self, remote: Remote, second: Remote) -> None:
        self._remote, self._second = remote, second
        self.url = remote.url

    def get(self, path: str) -> dict[str, Any] | None:
        """The JSON document, or None."""
        return _asked(lambda: self._remote.look(ADMIN + path))

    def metrics(self) -> str | None:
        """The text, or None."""
        return _asked(lambda: self._remote.text(f"{ADMIN}/metrics"))

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """What it says."""
        return _asked(lambda: self._remote.post(ADMIN + path, body))

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The result."""
        params = {"name": tool, "arguments": arguments}
        return _asked(lambda: self._remote.ask("tools/call", params, None, name=tool))

    def schema(self, tool: str) -> dict[str, Any] | None:
        """The tool, or None."""
        tools = self._remote.tools(None)
        return _asked(lambda: next((one for one in tools if one.get("name") == tool), None))

    def events(self, kinds: str, after: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Until the stream ends."""
        headers = {"Last-Event-ID": after}
        lines = self._second.stream(f"{ADMIN}/events?kinds={kinds}", headers)
        id = kind = data = ""
        while (line := _asked(lambda: next(lines, None))) is not None:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "id":
                id = value
            elif name == "event":
                kind = value
            elif name == "data":
                data += value
            elif not line and data:
                yield id, kind, _event(data)
                id = kind = data = ""

    def close(self) -> None:
        """End the stream of events, which ends its thread."""
        self._second.close()


def _event(data: str) -> dict[str, Any]:
    """What an event says."""
    try:
        said = json.loads(data)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise Lost("the gateway's events are not JSON objects; is it only1mcp?")
    return said


def _asked(question: Callable[[], Found]) -> Found:
    """The answer; what the commands call a Failure is Lost to the dashboard."""
    try:
        return question()
    except Failure as error:
        raise Lost(str(error)) from None
