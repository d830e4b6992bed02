"""Log lines: text for people, JSON for machines, never on stdout."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from only1mcp.observe import logs


@pytest.fixture(autouse=True)
def restore() -> Iterator[None]:
    root = logging.getLogger(logs.ROOT)
    before = (root.handlers[:], root.level, root.propagate)
    yield
    root.handlers[:], root.level, root.propagate = before


def written(level: str, format: str) -> str:
    stream = io.StringIO()
    logs.configure(level, format, stream)
    log = logging.getLogger("only1mcp.test")
    log.debug("hidden")
    try:
        raise ValueError("boom")
    except ValueError:
        log.warning("it is %s", "ünder\nway", exc_info=True)
    return stream.getvalue()


def test_json_lines_off_a_terminal() -> None:
    line = json.loads(written("info", "auto"))
    assert line["level"] == "warning"
    assert line["logger"] == "only1mcp.test"
    assert line["message"] == "it is ünder\nway"
    assert "boom" in line["error"]
    assert line["ts"].endswith("+00:00")


def test_text_when_asked() -> None:
    assert "warning only1mcp.test: it is ünder" in written("info", "text")


def test_the_level_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert written("error", "json") == ""
    assert capsys.readouterr().out == ""
