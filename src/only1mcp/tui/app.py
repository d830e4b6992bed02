"""The dashboard: six tabs over one gateway, looked at once in a while.

    timer ──► Feed.look in a thread ──► Shot ──► the tab that is open
    Outside.events in a thread ──► Line ──► Logs

It attaches to a gateway and never owns one. When the gateway is gone it says so, keeps what
was known, and looks again until it is back.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.message import Message
from textual.widgets import Footer, Static, TabbedContent, TabPane

from only1mcp.tui import panes
from only1mcp.tui.dialogs import HELP, Choice, Details, ToolCall
from only1mcp.tui.feed import Feed, Shot
from only1mcp.tui.logs import KINDS, Logs
from only1mcp.tui.outside import Lost, Outside
from only1mcp.tui.overview import Overview
from only1mcp.tui.tables import Filtered, Listed, as_text

TABS: Final = ("overview", "servers", "requests", "tools", "cache", "logs")
BEGINNING: Final = "-0"
"""Before the first event that the gateway remembers."""
AGAIN_S: Final = 1.0
"""After the stream of events has ended, until it is asked for again."""


class Seen(Message):
    """A look that succeeded."""

    def __init__(self, shot: Shot) -> None:
        super().__init__()
        self.shot = shot


class Unseen(Message):
    """A look that failed."""

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why


class Happened(Message):
    """Something that the gateway told."""

    def __init__(self, kind: str, said: dict[str, Any]) -> None:
        super().__init__()
        self.kind, self.said = kind, said


class Done(Message):
    """What came of an action: a title and a text."""

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self.title, self.text = title, text


class Dashboard(App[None]):
    """The dashboard of one gateway."""

    TITLE = "only1mcp"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = [
        Binding("q", "quit", "quit"),
        Binding("question_mark", "help", "help", key_display="?"),
        Binding("tab", "turn(1)", "next", show=False, priority=True),
        Binding("shift+tab", "turn(-1)", "previous", show=False, priority=True),
        *(Binding(str(at), f"go('{tab}')", tab, show=False) for at, tab in enumerate(TABS, 1)),
        Binding("slash", "filter", "filter", key_display="/"),
        Binding("escape", "unfilter", "all", show=False),
        Binding("r", "look", "look now"),
        Binding("c", "clear", "clear"),
        Binding("l", "level", "level", show=False),
        Binding("space", "hold", "hold"),
        Binding("enter", "open", "details", show=False),
    ]

    def __init__(
        self,
        gateway: Outside,
        refresh_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look every `refresh_s` seconds; `clock` counts seconds from any start."""
        super().__init__()
        self._gateway = gateway
        self._clock = clock
        self._feed = Feed(gateway)
        self._refresh_s = refresh_s
        self._ended = threading.Event()
        self.shot: Shot | None = None

    def compose(self) -> ComposeResult:
        """A line about the gateway, the tabs, the keys."""
        yield Static(f"connecting to {self._gateway.url}", id="state", markup=False)
        with TabbedContent(initial=TABS[0]):
            with TabPane("1 Overview", id="overview"):
                yield Overview()
            for number, (name, pane) in enumerate(
                (
                    ("Servers", panes.Servers()),
                    ("Requests", panes.Requests()),
                    ("Tools", panes.Tools()),
                    ("Cache", panes.Cache()),
                ),
                2,
            ):
                with TabPane(f"{number} {name}", id=name.lower()):
                    yield pane
            with TabPane("6 Logs", id="logs"):
                yield Logs()
        yield Footer()

    def on_mount(self) -> None:
        """Begin to look."""
        self.set_interval(self._refresh_s, self.action_look)
        self.action_look()
        self.run_worker(self._follow, thread=True, group="events")

    def on_unmount(self) -> None:
        """Let go of the gateway, which ends the thread of its events; it runs on."""
        self._ended.set()
        self._gateway.close()

    def action_look(self) -> None:
        """Look now, unless a look is under way."""
        busy = any(one.group == "look" and one.is_running for one in self.workers)
        if not busy:
            self.run_worker(self._look, thread=True, group="look")

    def _look(self) -> None:
        try:
            self.post_message(Seen(self._feed.look(self._clock())))
        except Lost as why:
            self.post_message(Unseen(str(why)))

    def _follow(self) -> None:
        after = BEGINNING
        while not self._ended.is_set():
            with suppress(Lost):  # the look says so
                for id, kind, said in self._gateway.events(KINDS, after):
                    after = id or after
                    self.post_message(Happened(kind, said))
            self._ended.wait(AGAIN_S)

    def on_seen(self, message: Seen) -> None:
        """Show it in the tab that is open."""
        if not self._stands:
            return
        self.shot = message.shot
        self._state(f"{self._gateway.url}   {message.shot.health.get('status', '')}", lost=False)
        self._show()

    def on_unseen(self, message: Unseen) -> None:
        """Say so, and keep what was known."""
        if self._stands:
            self._state(message.why, lost=True)

    def on_happened(self, message: Happened) -> None:
        """Another line of the logs."""
        if not self._stands:
            return
        logs = self.query_one(Logs)
        if message.kind == "gap" and not logs.lines:
            return  # nobody expects to hear of what was before
        if message.kind == "gap":
            logs.missed(message.said.get("missed"))
        else:
            logs.add(message.kind, message.said)

    def on_done(self, message: Done) -> None:
        """Show what came of it."""
        if not self._stands:
            return
        self.push_screen(Details(message.title, message.text))
        self.action_look()

    def on_tabbed_content_tab_activated(self) -> None:
        """Show what is known in the tab that was opened."""
        self._show()
        if isinstance(pane := self._pane, Listed):
            pane.table.focus()

    def on_data_table_row_selected(self) -> None:
        """Enter on a row."""
        self.action_open()

    def on_input_changed(self) -> None:
        """Another filter."""
        self._show()

    def action_go(self, tab: str) -> None:
        """Open a tab."""
        self._tabs.active = tab

    def action_turn(self, by: int) -> None:
        """The next tab, or the one before; in a dialog, the next field."""
        if len(self.screen_stack) > 1:
            (self.screen.focus_next if by > 0 else self.screen.focus_previous)()
            return
        self.action_go(TABS[(TABS.index(self._tabs.active) + by) % len(TABS)])

    def action_help(self) -> None:
        """The keys."""
        self.push_screen(Details("Keys", HELP))

    def action_filter(self) -> None:
        """Type what to look for."""
        if isinstance(pane := self._pane, Filtered):
            pane.filter()

    def action_unfilter(self) -> None:
        """Show all again."""
        if isinstance(pane := self._pane, Filtered):
            pane.unfilter()

    def action_hold(self) -> None:
        """Hold the requests or the logs, or let them run."""
        if isinstance(pane := self._pane, panes.Requests | Logs):
            pane.hold()

    def action_level(self) -> None:
        """The next level of the logs."""
        if isinstance(pane := self._pane, Logs):
            pane.next_level()

    def action_clear(self) -> None:
        """Forget the lines of the logs, or the answers of the cache."""
        pane = self._pane
        if isinstance(pane, Logs):
            pane.empty()
        elif isinstance(pane, panes.Cache) and self.shot and self.shot.cache:
            self._ask("Clear the whole cache?", "", ["clear"], "/cache/clear")

    def action_open(self) -> None:
        """Details of the row under the cursor."""
        pane = self._pane
        row = pane.chosen if isinstance(pane, Listed) else None
        if row is None:
            return
        if isinstance(pane, panes.Servers):
            server = str(row.get("key", row.get("id"))).partition("/")[0]
            question = f"Server {server}: its calls under way may be lost"
            actions = ["restart", "disable" if row.get("state") != "disabled" else "enable"]
            self._ask(question, as_text(row), actions, f"/servers/{server}/{{}}")
        elif isinstance(pane, panes.Tools) and row.get("name"):
            name = str(row["name"])
            self.run_worker(lambda: self._schema(name), thread=True, group="act")
        else:
            self.push_screen(Details("Details", as_text(row)))

    def _ask(self, question: str, text: str, answers: list[str], path: str) -> None:
        """Do what is answered: `path` with the answer in it."""

        def answered(answer: str | None) -> None:
            if answer is not None:
                target = path.format(answer)
                self.run_worker(lambda: self._post(answer, target), thread=True, group="act")

        self.push_screen(Choice(question, text, answers), answered)

    def _post(self, title: str, path: str) -> None:
        self._tell(title, lambda: self._gateway.post(path))

    def _schema(self, name: str) -> None:
        try:
            tool = self._gateway.schema(name)
        except Lost as why:
            self.post_message(Done(name, str(why)))
            return
        if tool is None:
            self.post_message(Done(name, "clients do not see it any more"))
            return
        self.call_from_thread(self.push_screen, ToolCall(tool), self._called(name))

    def _called(self, name: str) -> Any:
        def answered(arguments: dict[str, Any] | None) -> None:
            if arguments is not None:
                self.run_worker(
                    lambda: self._tell(name, lambda: self._gateway.call(name, arguments)),
                    thread=True,
                    group="act",
                )

        return answered

    def _tell(self, title: str, act: Any) -> None:
        try:
            self.post_message(Done(title, as_text(act())))
        except Lost as why:
            self.post_message(Done(f"{title}: failed", str(why)))

    @property
    def tab(self) -> str:
        """The one that is open."""
        return self._tabs.active

    @property
    def _stands(self) -> bool:
        """False once the widgets are being taken down: threads may still have something to tell."""
        return bool(self.query("#state"))

    @property
    def _tabs(self) -> TabbedContent:
        return self.query_one(TabbedContent)

    @property
    def _pane(self) -> Overview | Listed | Logs | None:
        pane = self._tabs.active_pane
        return None if pane is None else pane.query_one("Overview, Listed, Logs")  # type: ignore[return-value]

    def _show(self) -> None:
        pane = self._pane
        if self.shot is None or pane is None:
            return
        if isinstance(pane, Overview):
            pane.show(self.shot)
        elif isinstance(pane, panes.Servers | panes.Requests | panes.Tools | panes.Cache):
            pane.take(self.shot)

    def _state(self, said: str, *, lost: bool) -> None:
        line = self.query_one("#state", Static)
        line.update(said)
        line.set_class(lost, "lost")
