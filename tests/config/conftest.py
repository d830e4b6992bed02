"""Loading short texts: what a text is read as, and what is said against it."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from only1mcp.config.load import ConfigError, Format, Loaded, load_text

Load = Callable[..., Loaded]
Complain = Callable[..., list[str]]


@pytest.fixture
def read() -> Load:
    """`read(text, environ, format, overrides)` is what the text is loaded as."""

    def read(
        text: str,
        environ: Mapping[str, str] | None = None,
        format: Format = "yaml",
        overrides: Mapping[str, Any] | None = None,
    ) -> Loaded:
        return load_text(text, "f", format, environ or {}, overrides or {})

    return read


@pytest.fixture
def complaints(read: Load) -> Complain:
    """`complaints(text, ...)` is every error as text; empty if it loads."""

    def complaints(*args: Any, **named: Any) -> list[str]:
        try:
            read(*args, **named)
        except ConfigError as error:
            return [str(fault) for fault in error.faults if fault.severity == "error"]
        return []

    return complaints


@pytest.fixture
def warnings(read: Load) -> Complain:
    """`warnings(text, ...)` is every warning of a text that loads, but for having no server."""

    def warnings(*args: Any, **named: Any) -> list[str]:
        said = map(str, read(*args, **named).warnings)
        return [text for text in said if "no server is enabled" not in text]

    return warnings
