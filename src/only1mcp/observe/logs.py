"""Log lines: for people on a terminal, JSON otherwise; to stderr or a file, never to stdout.

    log.info(...) ──► level ──► secrets hidden ──► one line ──► Writer, a thread of its own

`configure` once; `hide`, `set_level`, `toggle_debug` and `reopen` act on what runs.
"""

import asyncio
import atexit
import json
import logging
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from threading import get_ident
from typing import Final, Protocol

from only1mcp.observe.writer import Sink, Writer

ROOT: Final = "only1mcp"
HIDDEN: Final = "***"


class Labelled(Protocol):
    """What log lines may belong to."""

    def labels(self) -> dict[str, str]:
        """What they then say of it: request_id, trace_id, span_id."""


about: ContextVar[Labelled] = ContextVar("about")
"""The request that is worked on; each runs in a context of its own."""


class Mask:
    """Takes known secrets out of texts."""

    def __init__(self) -> None:
        self._secrets: list[str] = []

    def add(self, secrets: Iterable[str]) -> None:
        """From now on these are hidden too."""
        known = {*self._secrets, *filter(None, secrets)}
        self._secrets = sorted(known, key=len, reverse=True)  # first those that hold others

    def __call__(self, text: str) -> str:
        """`text` without them."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, HIDDEN)
        return text


class TextFormatter(logging.Formatter):
    """`12:00:01 warning only1mcp.servers: text`, one line each, and the traceback on debug."""

    def __init__(self, mask: Mask) -> None:
        super().__init__()
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        """One line for people."""
        at = datetime.fromtimestamp(record.created)
        text = record.getMessage()
        if (request := about.get(None)) is not None and (found := request.labels()):
            text += f" (request {found['request_id']})"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return as_text(at, record.levelname, record.name, self._mask(text))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ts (RFC 3339, UTC), level, logger, message, error."""

    def __init__(self, mask: Mask) -> None:
        super().__init__()
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        """One line for machines."""
        fields = {
            "ts": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._mask(record.getMessage()),
        }
        if (request := about.get(None)) is not None:
            fields |= request.labels()
        if record.exc_info:
            fields["error"] = self._mask(self.formatException(record.exc_info))
        return json.dumps(fields, ensure_ascii=False)


class _Queued(logging.Handler):
    """Hands finished lines to a writer."""

    def __init__(self, writer: Writer) -> None:
        super().__init__()
        self.writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.writer.write(self.format(record))
        except Exception:  # noqa: BLE001 - a log call that is wrong must not fail its caller
            self.handleError(record)


class _Heard(logging.Handler):
    """Tells of each line; of those from other threads a moment later, in that of the loop."""

    def __init__(self, tell: Callable[[float, str, str, str], None]) -> None:
        super().__init__()
        self._tell = tell
        self._thread = get_ident()
        self._loop = asyncio.get_running_loop()

    def emit(self, record: logging.LogRecord) -> None:
        said = record.created, record.levelname.lower(), record.name, record.getMessage()
        if get_ident() == self._thread:
            self._tell(*said)
        else:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._tell, *said)


mask: Final = Mask()
"""Of this process; the access log hides by it too."""
_writers: Final[list[Writer]] = []
_usual: Final[dict[str, int]] = {"level": logging.INFO}


def configure(level: str, format: str, sink: Sink | None = None) -> None:
    """Send our log lines to `sink` (stderr). `format` is auto, text or json."""
    sink = sink or Sink(sys.stderr)
    text = format == "text" or (format == "auto" and sink.is_terminal)
    close()
    handler = _Queued(opened(sink))
    handler.setFormatter(TextFormatter(mask) if text else JsonFormatter(mask))
    root = logging.getLogger(ROOT)
    root.handlers[:] = [handler]
    root.propagate = False
    set_level(level)


def opened(sink: Sink) -> Writer:
    """A writer that `reopen` and `close` reach."""
    writer = Writer(sink)
    _writers.append(writer)
    return writer


def main_writer() -> Writer:
    """Where log lines go, once `configure` has said it."""
    return _writers[0]


def hide(secrets: Iterable[str]) -> None:
    """From now on no line holds one of these, in whichever way it is written."""
    mask.add(secrets)


def hear(tell: Callable[[float, str, str, str], None]) -> Callable[[], None]:
    """From now on `tell` gets time, level, logger and text of each line, not masked yet, in the
    thread of this loop; until what is returned is called."""
    root, handler = logging.getLogger(ROOT), _Heard(tell)
    root.addHandler(handler)
    return lambda: root.removeHandler(handler)


def set_level(level: str) -> None:
    """From now on write this level and what is graver: debug, info, warning or error."""
    root = logging.getLogger(ROOT)
    root.setLevel(level.upper())
    _usual["level"] = root.level


def toggle_debug() -> None:
    """To debug, or back from it to what was configured."""
    root = logging.getLogger(ROOT)
    root.setLevel(_usual["level"] if root.level == logging.DEBUG else logging.DEBUG)
    root.log(root.level, "log level is now %s", logging.getLevelName(root.level).lower())


def reopen() -> None:
    """Open the log files anew: they have been moved away."""
    for writer in _writers:
        writer.reopen()


def dropped() -> int:
    """Lines that were lost because they could not be written."""
    return sum(writer.dropped for writer in _writers)


def flush() -> None:
    """Wait until all that was said is written, within a bound."""
    for writer in _writers:
        writer.flush()


@atexit.register
def close() -> None:
    """Write what waits and end the writers, within a bound."""
    while _writers:
        _writers.pop().close()


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, with milliseconds."""
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 1000):03d}+00:00"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()


def as_text(at: datetime, level: str, logger: str, message: str) -> str:
    """A log line for people."""
    return f"{at:%H:%M:%S} {level.lower()} {logger}: {message}"


def readable(line: str) -> str:
    """A JSON log line for people; any other line as it is."""
    try:
        said = json.loads(line)
        at = datetime.fromisoformat(said["ts"]).astimezone()
        text = as_text(at, said["level"], said["logger"], said["message"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return line
    return f"{text}\n{said['error']}" if "error" in said else text
