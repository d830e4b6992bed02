"""The access log: one line for each finished request, and never a secret."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from only1mcp.observe import access, logs
from only1mcp.observe.access import MAX_ARGUMENTS, Finished
from only1mcp.observe.writer import File

FINISHED = Finished(
    number=7,
    at=1_700_000_000.5,
    duration_s=0.0123456,
    upstream_s=0.01,
    principal="token-1",
    session="0123456789abcdef",
    method="tools/call",
    revision="2025-11-25",
    name="notes__add",
    server="notes",
    outcome="error",
    code=-31002,
    arguments=b'{"text": "the s3cret", "deep": [{"s3cret": 1.50}]}',
    traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
)


@pytest.fixture(autouse=True)
def restore(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(logs.mask, "_secrets", [])
    root = logging.getLogger(logs.ROOT)
    before = (root.handlers[:], root.level, root.propagate)
    yield
    access.off()
    logs.close()
    root.handlers[:], root.level, root.propagate = before


def told(path: Path, *finished: Finished) -> list[Any]:
    """What the log says of them."""
    tell = access.current()
    assert tell is not None
    for one in finished:
        tell(one)
    logs.flush()
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_says_who_called_what_and_how_it_ended(tmp_path: Path) -> None:
    access.configure(str(tmp_path / "access"), arguments=False)
    (line,) = told(tmp_path / "access", FINISHED)
    assert line == {
        "ts": "2023-11-14T22:13:20.500+00:00",
        "request_id": "7",
        "principal": "token-1",
        "session": "01234567",
        "method": "tools/call",
        "name": "notes__add",
        "server": "notes",
        "outcome": "error",
        "code": -31002,
        "duration_ms": 12.346,
        "upstream_ms": 10.0,
        "revision": "2025-11-25",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }


def test_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    access.configure(str(tmp_path / "access"), arguments=True)
    none = replace(
        FINISHED,
        session=None,
        name=None,
        server=None,
        code=None,
        arguments=None,
        traceparent=None,
        upstream_s=0.0,
    )
    (line,) = told(tmp_path / "access", none)
    assert [*line] == [
        "ts",
        "request_id",
        "principal",
        "method",
        "outcome",
        "duration_ms",
        "revision",
    ]


def test_arguments_when_asked_for_but_no_secrets_among_them(tmp_path: Path) -> None:
    logs.hide(["s3cret"])
    access.configure(str(tmp_path / "access"), arguments=True)
    long, huge = b'"%b"' % (b"x" * MAX_ARGUMENTS), b'{"n": %b}' % (b"1" * 5000)
    lines = told(
        tmp_path / "access",
        replace(FINISHED, name="s3cret", method="s3cret/get"),
        *(replace(FINISHED, arguments=text) for text in (long, huge)),
    )
    assert lines[0]["arguments"] == {"text": "the ***", "deep": [{"***": 1.5}]}
    assert (lines[0]["name"], lines[0]["method"]) == ("***", "***/get")
    assert [line["arguments_bytes"] for line in lines[1:]] == [len(long), len(huge)]


@pytest.mark.parametrize("arguments", [False, True])
def test_a_line_has_no_blanks_between_its_members(tmp_path: Path, arguments: bool) -> None:
    access.configure(str(tmp_path / "access"), arguments=arguments)
    (line,) = told(tmp_path / "access", replace(FINISHED, arguments=b'{"a": [1, 2]}'))
    assert ("arguments" in line) == arguments
    text = (tmp_path / "access").read_text().rstrip("\n")
    assert text == json.dumps(line, separators=(",", ":"))


def test_names_are_cut(tmp_path: Path) -> None:
    access.configure(str(tmp_path / "access"), arguments=False)
    (line,) = told(tmp_path / "access", replace(FINISHED, method="m" * 9999, name="n" * 9999))
    assert (len(line["method"]), len(line["name"])) == (500, 500)


def test_without_a_file_of_its_own_it_goes_where_log_lines_go(tmp_path: Path) -> None:
    logs.configure("error", "text", File(tmp_path / "log"))
    access.configure(None, arguments=False)
    (line,) = told(tmp_path / "log", FINISHED)
    assert line["method"] == "tools/call"


def test_off_there_is_nobody_to_tell(tmp_path: Path) -> None:
    assert access.current() is None
    access.configure(str(tmp_path / "access"), arguments=False)
    access.off()
    assert access.current() is None


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="directory"):
        access.configure(str(tmp_path), arguments=False)
    assert access.current() is None
