"""How commands speak: results on stdout, everything else on stderr, errors with a next step."""

import sys
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

from only1mcp.config.checked import Checked
from only1mcp.config.faults import Fault
from only1mcp.config.load import ConfigError, Loaded, check, find, load
from only1mcp.config.model import Config
from only1mcp.config.overrides import depth
from only1mcp.config.secrets import secrets
from only1mcp.config.watch import EMPTY, Source, content
from only1mcp.observe import access, logs, tracing
from only1mcp.observe.writer import File, Sink

MAX_DEPTH: Final = 1
"""One gateway may be a server of another; deeper than that, one has started itself."""


NO_OPTIONS: Final[Mapping[str, object]] = MappingProxyType({})


class Exit(IntEnum):
    """Exit codes; scripts rely on them."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    UNREACHABLE = 3
    UNAUTHORISED = 4


class Failure(Exception):
    """A command cannot do its job: what, why, next step, and the exit code."""

    def __init__(self, message: str, code: Exit = Exit.FAILURE) -> None:
        super().__init__(message)
        self.code = code


def note(text: str) -> None:
    """A line for the person at the terminal."""
    print(text, file=sys.stderr, flush=True)


def fail(error: Failure) -> int:
    """Say it, and the code to leave with."""
    note(f"error: {error}")
    return error.code


def no_config() -> Failure:
    """No file is named, and none is where it usually is."""
    return Failure(
        "no configuration found; write one with `only1mcp config init`, name one with --config "
        "FILE, or see the gateway work with `only1mcp demo`",
        Exit.USAGE,
    )


def load_config(
    file: Path | None,
    environ: dict[str, str],
    overrides: dict[str, object] | None = None,
    checked: Checked | None = None,
) -> Loaded:
    """The configuration a command asks for; warnings are said. `checked`: that of its `source_of`.

    Raises:
        Failure: no file, or faults in it (all of them are said).
    """
    if depth(environ) > MAX_DEPTH:
        raise Failure(
            "a gateway started by a gateway starts a gateway: does the configuration contain "
            "only1mcp itself? Remove that entry",
            Exit.USAGE,
        )
    path = file or find(environ)
    if path is None:
        raise no_config()
    try:
        loaded = load(path, environ, overrides or {}, checked)
    except ConfigError as error:
        for fault in error.faults:
            note(str(fault))
        count = sum(fault.severity == "error" for fault in error.faults)
        raise Failure(f"{path}: {count} fault{'s' * (count != 1)}", Exit.USAGE) from None
    for warning in loaded.warnings:
        note(str(warning))
    return loaded


def source_of(
    file: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object] = NO_OPTIONS,
    checked: Checked | None = None,
) -> Source | None:
    """What to read again; to be asked for before it is read first. None: there is no file.

    A file without any content is good enough for a beginning, but once there is a configuration
    it is one that was cut short.
    """
    path = file or find(environ)
    if path is None:
        return None
    known = checked or Checked()

    def again() -> Loaded:
        before = content(path)
        loaded = load(path, environ, overrides, known)
        if EMPTY in (before, content(path)):
            hint = "write `servers: []` to have no servers"
            raise ConfigError((Fault(str(path), 1, 1, "", "the file is empty", hint),))
        return loaded

    def look(text: str) -> Loaded:
        return check(path, text, environ, overrides, known)

    return Source(path, again, content(path), look)


def start_logs(config: Config, stderr: Sink | None = None) -> None:
    """Log and trace as the configuration says, without its secrets. `stderr`: what is used for it.

    Raises:
        Failure: a file cannot be written; OpenTelemetry is not there.
    """
    settings = config.logging
    logs.hide(secrets(config))
    access.off()
    tracing.use(None)
    try:
        sink = File(Path(settings.file)) if settings.file else stderr
        logs.configure(settings.level, settings.format, sink)
        if settings.access.enabled:
            access.configure(settings.access.file, arguments=settings.access.arguments)
        if (spans := config.tracing).enabled:
            headers = {name: value.get_secret_value() for name, value in spans.headers.items()}
            where = spans.endpoint, headers, spans.sample, spans.service_name
            tracing.use(tracing.exporting(*where))
    except OSError as error:
        raise Failure(f"cannot write {error.filename}: {error.strerror}; see logging") from None
    except tracing.TracingUnavailable as error:
        raise Failure(str(error)) from None
