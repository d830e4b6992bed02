"""Log lines: text for people, JSON for machines, never on stdout, never with a secret."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest

from only1mcp.observe import logs
from only1mcp.observe.writer import File, Sink

log = logging.getLogger("only1mcp.test")


@pytest.fixture(autouse=True)
def restore(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root = logging.getLogger(logs.ROOT)
    before = (root.handlers[:], root.level, root.propagate)
    monkeypatch.setattr(logs.mask, "_secrets", [])
    yield
    logs.close()
    root.handlers[:], root.level, root.propagate = before


def written(level: str, format: str) -> str:
    stream = io.StringIO()
    logs.configure(level, format, Sink(stream))
    log.debug("hidden")
    try:
        raise ValueError("boom")
    except ValueError:
        log.warning("it is %s", "ünder\nway", exc_info=True)
    logs.flush()
    return stream.getvalue()


def said(path: Path) -> list[Any]:
    """The messages of a file of JSON lines."""
    logs.flush()
    return [json.loads(line)["message"] for line in path.read_text().splitlines()]


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


def test_a_file_gets_json_unless_text_is_asked_for(tmp_path: Path) -> None:
    for format, name in (("auto", "a"), ("text", "b")):
        logs.configure("info", format, File(tmp_path / name))
        log.info("hello")
    logs.close()
    assert json.loads((tmp_path / "a").read_text())["message"] == "hello"
    assert (tmp_path / "b").read_text().endswith(" info only1mcp.test: hello\n")


class Running:
    """A request that is worked on."""

    def labels(self) -> dict[str, str]:
        return {"request_id": "7", "trace_id": "4bf9"}


def late() -> None:
    log.info("early")
    logs.about.set(Running())
    log.info("late")


@pytest.mark.parametrize("format", ["text", "json"])
def test_what_request_it_belongs_to(tmp_path: Path, format: str) -> None:
    logs.configure("info", format, File(tmp_path / "log"))
    copy_context().run(late)
    log.info("another's")
    logs.close()
    before, line, after = (tmp_path / "log").read_text().splitlines()
    if format == "text":
        assert line.endswith("late (request 7)")
        assert "request" not in before + after
    else:
        assert (json.loads(line)["request_id"], json.loads(line)["trace_id"]) == ("7", "4bf9")
        assert "request_id" not in before + after


@pytest.mark.parametrize("format", ["text", "json"])
def test_no_line_holds_a_secret(tmp_path: Path, format: str) -> None:
    logs.configure("info", format, File(tmp_path / "log"))
    logs.hide(["s3cret", "s3cret-and-more", 'with "quotes"', ""])
    log.info("a %s b %r", "s3cret-and-more", 'with "quotes"')
    try:
        raise ValueError("s3cret")
    except ValueError:
        log.exception("it failed")
    logs.close()
    text = (tmp_path / "log").read_text()
    assert "a *** b '***'" in text
    assert "ValueError: ***" in text
    assert "s3cret" not in text
    assert "quotes" not in text


def test_the_level_changes_while_it_runs(tmp_path: Path) -> None:
    logs.configure("warning", "json", File(tmp_path / "log"))
    log.info("1")
    logs.set_level("info")
    log.info("2")
    logs.toggle_debug()
    log.debug("3")
    logs.toggle_debug()  # back to what is configured now
    log.info("4")
    log.warning("5")
    assert said(tmp_path / "log") == [
        "2",
        "log level is now debug",
        "3",
        "log level is now info",
        "4",
        "5",
    ]


def test_a_wrong_log_call_fails_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json", File(tmp_path / "log"))
    log.info("%d", "no number")
    log.info("fine")
    assert said(tmp_path / "log") == ["fine"]
    assert "no number" in capsys.readouterr().err  # of logging itself


def test_reopen_and_dropped_reach_every_writer(tmp_path: Path) -> None:
    logs.configure("info", "json", File(tmp_path / "log"))
    other = logs.opened(File(tmp_path / "access"))
    for name in ("log", "access"):
        (tmp_path / name).rename(tmp_path / f"{name}.1")
    logs.reopen()
    log.info("new")
    other.write("new")
    assert said(tmp_path / "log") == ["new"]
    assert (tmp_path / "access").read_text() == "new\n"
    other.dropped += 2
    assert logs.dropped() == 2


def test_json_lines_for_people() -> None:
    line = {"ts": "2026-01-02T03:04:05.678+00:00", "level": "info", "logger": "l", "message": "m"}
    assert logs.readable(json.dumps(line)).endswith(" info l: m")
    assert logs.readable(json.dumps(line | {"error": "E"})).endswith(" info l: m\nE")
    for other in ("plain", "7", "{}", '{"ts": 7, "level": 1, "logger": 2, "message": 3}'):
        assert logs.readable(other) == other


async def test_who_hears_of_lines_hears_those_of_other_threads_too(tmp_path: Path) -> None:
    logs.configure("info", "json", File(tmp_path / "log"))
    heard: list[tuple[str, str, str]] = []
    unhear = logs.hear(lambda at, *said: heard.append(said))
    log.debug("too fine")
    log.warning("here %d", 1)
    await asyncio.to_thread(log.info, "there")
    await asyncio.sleep(0)
    unhear()
    log.info("after")
    assert heard == [("warning", log.name, "here 1"), ("info", log.name, "there")]
