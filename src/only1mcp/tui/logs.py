"""The last tab: what the gateway says, as it says it."""

from collections import deque
from typing import Any, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Input, RichLog, Static

from only1mcp.tui.tables import Filtered

KEPT: Final = 2000
"""Lines that can be looked through."""
KINDS: Final = "log,server,health,breaker,restart,reload,lists"
LEVELS: Final = ("debug", "info", "warning", "error")
STYLES: Final = {"warning": "yellow", "error": "red", "critical": "red", "debug": "dim"}


WIDE: Final = ("replica", "reason")
"""Members that may be long: they stand last, where a narrow terminal cuts."""


def _shown(said: dict[str, Any]) -> str:
    """The message, then what else there is, as name=value."""
    rest = {name: _plain(value) for name, value in said.items() if name not in ("at", "level")}
    message = rest.pop("message", "")
    ordered = sorted(rest, key=lambda name: WIDE.index(name) if name in WIDE else -1)
    more = "  ".join(f"{name}={rest[name]}" for name in ordered if rest[name])
    return "  ".join(one for one in (message, more) if one)


def _plain(value: Any) -> str:
    """A member as text; nothing for what is not there."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


class Line:
    """One event as a line."""

    __slots__ = ("level", "text")

    def __init__(self, kind: str, said: dict[str, Any]) -> None:
        self.level = str(said.get("level", "info")).lower()
        at = str(said.get("at", ""))
        self.text = f"{at.partition('T')[2][:8] or at} {kind:8} {_shown(said)}"


class Logs(Filtered):
    """A filter, the lines, and what they are filtered by."""

    def __init__(self, **known: Any) -> None:
        super().__init__(**known)
        self.lines: deque[Line] = deque(maxlen=KEPT)
        self.least = 1
        self.follow = True

    def compose(self) -> ComposeResult:
        """Filter, lines, state."""
        yield Input(placeholder="filter", classes="filter")
        yield RichLog(max_lines=KEPT, wrap=False, auto_scroll=True)
        yield Static("", classes="line", markup=False)

    def on_mount(self) -> None:
        """Hide the filter."""
        self.field.display = False
        self._say()

    def add(self, kind: str, said: dict[str, Any]) -> None:
        """One more event."""
        line = Line(kind, said)
        self.lines.append(line)
        if self._fits(line):
            self._write(line)
        self._say()

    def missed(self, many: int | None) -> None:
        """Some events are not there any more."""
        self.add(
            "gap", {"level": "warning", "message": f"{many or 'some'} events are missing here"}
        )

    def empty(self) -> None:
        """Forget all lines."""
        self.lines.clear()
        self.query_one(RichLog).clear()
        self._say()

    def next_level(self) -> None:
        """Show from the next level on; after errors comes debug again."""
        self.least = (self.least + 1) % len(LEVELS)
        self._again()

    def hold(self) -> None:
        """Follow, or stay where the user looks."""
        self.follow = not self.follow
        self.query_one(RichLog).auto_scroll = self.follow
        self._say()

    def back(self) -> None:
        """To the lines."""
        self.query_one(RichLog).focus()

    def on_input_changed(self) -> None:
        """Show what fits."""
        self._again()

    def _fits(self, line: Line) -> bool:
        level = LEVELS.index(line.level) if line.level in LEVELS else len(LEVELS)
        return level >= self.least and self.wanted in line.text.casefold()

    def _write(self, line: Line) -> None:
        self.query_one(RichLog).write(Text(line.text, STYLES.get(line.level, "")))

    def _again(self) -> None:
        self.query_one(RichLog).clear()
        for line in self.lines:
            if self._fits(line):
                self._write(line)
        self._say()

    def _say(self) -> None:
        state = "following" if self.follow else "held"
        self.query_one(".line", Static).update(
            f"{len(self.lines)} lines, {state}, from {LEVELS[self.least]} on"
            "   Space: hold   l: level   c: clear"
        )
