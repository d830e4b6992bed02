"""What opens over the tabs: help, details, a question before something is done, a tool to call."""

import json
from typing import Any, Final

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static

HELP: Final = """\
1-6, Tab, Shift+Tab   go to a tab
arrows, PgUp, PgDn    move
Home, End             first, last
Enter                 details; on Servers: restart, enable, disable; on Tools: schema and call
/                     filter; Esc shows all again
Space                 hold the requests or the logs, or let them run
l                     on Logs: from which level on
c                     on Cache: clear it; on Logs: forget the lines
r                     look now
q                     quit; the gateway runs on"""


class Details(ModalScreen[None]):
    """A text to read; Esc or Enter closes it."""

    BINDINGS = [Binding("escape,enter,q", "dismiss", "close")]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        """Title and text."""
        with Vertical(classes="dialog"):
            yield Label(self._title, classes="title", markup=False)
            with VerticalScroll():
                yield Static(self._text, markup=False)


class Choice(ModalScreen[str | None]):
    """A question with some answers; Esc is none of them."""

    BINDINGS = [
        Binding("escape", "dismiss(None)", "none"),
        Binding("left,up", "app.focus_previous"),
        Binding("right,down", "app.focus_next"),
    ]

    def __init__(self, question: str, text: str, answers: list[str]) -> None:
        super().__init__()
        self._question, self._text, self._answers = question, text, answers

    def compose(self) -> ComposeResult:
        """The question, what it is about, and a button for each answer."""
        with Vertical(classes="dialog"):
            yield Label(self._question, classes="title", markup=False)
            with VerticalScroll(can_focus=False):
                yield Static(self._text, markup=False)
            with Horizontal(classes="buttons"):
                for answer in self._answers:
                    yield Button(answer, name=answer)

    def on_mount(self) -> None:
        """The first answer is ready."""
        self.query(Button).first().focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """That answer."""
        self.dismiss(event.button.name)


class ToolCall(ModalScreen[dict[str, Any] | None]):
    """A tool: what it is, its schema, and arguments to call it with."""

    BINDINGS = [Binding("escape", "dismiss(None)", "close")]

    def __init__(self, tool: dict[str, Any]) -> None:
        super().__init__()
        self._tool = tool

    def compose(self) -> ComposeResult:
        """Description and schema; arguments below."""
        schema = json.dumps(self._tool.get("inputSchema", {}), indent=2, ensure_ascii=False)
        text = f"{self._tool.get('description') or ''}\n\n{schema}"
        with Vertical(classes="dialog"):
            yield Label(str(self._tool.get("name")), classes="title", markup=False)
            with VerticalScroll():
                yield Static(text, markup=False)
            yield Input(value="{}", placeholder="arguments as JSON; Enter calls the tool")
            yield Label("", classes="fault", markup=False)

    def on_mount(self) -> None:
        """Ready to type."""
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Call it, if the arguments can be read."""
        event.stop()
        try:
            arguments = json.loads(event.value or "{}")
        except ValueError as error:
            self.query_one(".fault", Label).update(f"no JSON: {error}")
            return
        if not isinstance(arguments, dict):
            self.query_one(".fault", Label).update("arguments are a JSON object: {...}")
            return
        self.dismiss(arguments)
