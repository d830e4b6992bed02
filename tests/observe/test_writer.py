"""Lines from a thread: none waits, none is lost unsaid."""

import io
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from only1mcp.observe import writer as module
from only1mcp.observe.writer import File, Sink, Writer

PATIENCE_S = 20.0


class Stuck(Sink):
    """A disk that stands still until `go`, and may be full."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.entered = threading.Event()
        self.full = False
        self.puts: list[str] = []

    @property
    def text(self) -> str:
        """All that was written."""
        return "".join(self.puts)

    def put(self, text: str) -> None:
        """Wait, then take it."""
        self.entered.set()
        assert self.go.wait(PATIENCE_S)
        if self.full:
            raise OSError(28, "no space")
        self.puts.append(text)


@pytest.fixture
def stuck() -> Iterator[tuple[Stuck, Writer]]:
    sink = Stuck()
    writer = Writer(sink)
    yield sink, writer
    sink.go.set()
    writer.close()


def written(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_lines_reach_a_stream_in_order() -> None:
    stream = io.StringIO()
    writer = Writer(Sink(stream))
    for number in range(100):
        writer.write(f"line {number}")
    writer.close()
    assert stream.getvalue().splitlines() == [f"line {number}" for number in range(100)]


def test_a_burst_is_written_in_one_go(stuck: tuple[Stuck, Writer]) -> None:
    sink, writer = stuck
    writer.write("first")
    assert sink.entered.wait(PATIENCE_S)
    for number in range(100):
        writer.write(f"line {number}")
    sink.go.set()
    assert writer.flush(PATIENCE_S)
    assert sink.puts == ["first\n", "".join(f"line {number}\n" for number in range(100))]


def test_a_stream_with_a_descriptor_is_written_past_its_buffers(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as stream:
        writer = Writer(Sink(stream))
        writer.write("half a \ud83d surrogate")
        assert writer.flush(PATIENCE_S)
        assert written(tmp_path / "out") == ["half a \\ud83d surrogate"]
        writer.close()
        assert not stream.closed


def test_a_sink_that_stands_still_holds_nobody_up(
    stuck: tuple[Stuck, Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_QUEUED_BYTES", 100)
    sink, writer = stuck
    writer.write("first")
    assert sink.entered.wait(PATIENCE_S)
    for _ in range(50):
        writer.write("x" * 30)
    assert not writer.flush(0.01)
    assert writer.dropped == 46
    sink.go.set()
    assert writer.flush(PATIENCE_S)
    note = "(46 log lines are missing here: they came faster than they could be written)"
    assert sink.text.splitlines() == ["first", "x" * 30, note, *["x" * 30] * 3]


def test_a_full_disk_loses_lines_and_says_so_when_there_is_room(
    stuck: tuple[Stuck, Writer],
) -> None:
    sink, writer = stuck
    sink.full = True
    sink.go.set()
    writer.write("lost")
    writer.write("lost too")
    assert writer.flush(PATIENCE_S)
    sink.full = False
    writer.write("kept")
    assert writer.flush(PATIENCE_S)
    assert writer.dropped == 2
    assert sink.text.startswith("kept\n(2 log lines are missing here")


def test_a_file_is_private_and_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "new" / "log"
    for line in ("one", "two"):
        writer = Writer(File(path))
        writer.write(line)
        writer.close()
    assert written(path) == ["one", "two"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_moved_away_and_reopened_no_line_is_lost(tmp_path: Path) -> None:
    path, old = tmp_path / "log", tmp_path / "log.1"
    with (tmp_path / "stderr").open("w") as other:
        writer = Writer(File(path, also=(other.fileno(),)))
        writer.write("before")
        writer.flush(PATIENCE_S)
        path.rename(old)
        writer.write("still the old one")
        writer.reopen()
        writer.write("after")
        writer.flush(PATIENCE_S)
        os.write(other.fileno(), b"a crash\n")
        writer.close()
    assert written(old) == ["before", "still the old one"]
    assert written(path) == ["after", "a crash"]


def test_what_cannot_be_reopened_goes_on_in_the_old_file(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    writer = Writer(File(folder / "log"))
    folder.rename(tmp_path / "moved")
    folder.write_text("no folder")
    writer.reopen()
    writer.write("kept")
    writer.close()
    assert written(tmp_path / "moved" / "log") == ["kept"]
