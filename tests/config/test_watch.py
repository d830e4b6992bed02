"""A file is watched: every way of saving it is noticed, once, when it has come to rest."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf
from pathlib import Path
from typing import Any

import pytest

from fakes.clock import Clock
from fakes.edits import Edited
from only1mcp.config import watch as module
from only1mcp.config.watch import MIN_S, Pace, Watch, content, folders, happenings, stamp_of
from only1mcp.observe.tasks import Tasks

PATIENCE_S = 10.0
QUIET_S = 0.05


# --- when to act ---


def test_it_acts_when_the_file_has_been_left_alone() -> None:
    pace = Pace()
    assert pace.due(0.5) == inf
    for now in (10.0, 10.2, 10.4):
        pace.changed(now)
        assert pace.due(0.5) == now + 0.5
    pace.read()
    assert pace.due(0.5) == inf


def test_a_file_that_is_never_left_alone_is_read_all_the_same() -> None:
    pace = Pace()
    for tenth in range(100):
        pace.changed(10.0 + tenth / 10)
    assert pace.due(0.5) == 10.0 + MIN_S
    assert pace.due(5.0) == 15.0, "but never sooner than it may be"


def test_it_acts_no_more_often_than_it_may() -> None:
    pace = Pace()
    pace.acted(10.0)
    pace.changed(10.1)
    assert pace.due(0.5) == 10.0 + MIN_S
    pace.read()
    pace.changed(13.0)
    assert pace.due(0.5) == 13.5


# --- what is looked at ---


def test_the_content_stands_for_the_file_or_for_why_there_is_none(tmp_path: Path) -> None:
    file = tmp_path / "file"
    assert content(file) == "No such file or directory"
    file.write_text("a")
    assert content(file) != content(tmp_path)
    assert content(file) == content(file)
    before = content(file)
    file.write_text("b")
    assert content(file) != before


def test_a_pipe_is_left_to_whoever_reads_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert content(pipe) == "not a file"


def test_the_stamp_tells_files_apart(tmp_path: Path) -> None:
    file = tmp_path / "file"
    missing = stamp_of(file)
    file.write_text("a")
    first = stamp_of(file)
    file.rename(tmp_path / "kept")
    file.write_text("a")
    second = stamp_of(file)
    file.chmod(0)
    assert len({missing, first, second, stamp_of(file)}) == 4


def test_the_folders_are_those_of_every_link_on_the_way(tmp_path: Path) -> None:
    for name in ("here", "..v1", "there"):
        (tmp_path / name).mkdir()
    (tmp_path / "..v1" / "config").write_text("x")
    (tmp_path / "..data").symlink_to("..v1")
    (tmp_path / "there" / "config").symlink_to("../..data/config")
    file = tmp_path / "here" / "config"
    file.symlink_to("../there/config")
    found = {folder.resolve().name for folder in folders(file)}
    assert found >= {"here", "there", "..v1"}
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    assert tmp_path in folders(loop), "it comes to an end"


# --- acting ---


class Acts:
    """Counts how often the watch has acted; `known` is what the file held then."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.known: list[str] = []
        self._new = asyncio.Event()

    async def __call__(self) -> None:
        self.known.append(self.file.read_text() if self.file.is_file() else "")
        self._new.set()

    async def until(self, text: str) -> None:
        """Wait until it has acted on this text."""
        async with asyncio.timeout(PATIENCE_S):
            while text not in self.known:
                self._new.clear()
                await self._new.wait()


@asynccontextmanager
async def watching(file: Path) -> AsyncIterator[Acts]:
    """The real watch on a file that says {}."""
    Edited(file).write("{}")
    acts, tasks = Acts(file), Tasks()
    watch = Watch(file, content(file), lambda: QUIET_S)
    tasks.start(watch.hear(), "hear")
    tasks.start(watch.run(acts), "run")
    try:
        yield acts
    finally:
        await tasks.close()


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may act as often as it likes."""
    monkeypatch.setattr(module, "MIN_S", 0.0)


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look without an event does not come within the test."""
    monkeypatch.setattr(module, "LOOK_S", 600.0)


WAYS: list[Callable[[Edited, Any], None]] = [
    Edited.write,
    Edited.replace,
    Edited.back_up,
    Edited.write_slowly,
    Edited.recreate,
    lambda file, config: file.swap(config, config["n"]),
    Edited.move_folder,
]
NAMES = ["in place", "rename", "vim", "in pieces", "anew", "kubernetes", "folder"]


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("way", WAYS, ids=NAMES)
async def test_every_way_of_saving_is_noticed(
    way: Callable[[Edited, Any], None], tmp_path: Path
) -> None:
    folder = tmp_path / "conf"
    folder.mkdir()
    async with watching(folder / "config.json") as acts:
        edited = Edited(folder / "config.json")
        for number in range(1 if way is Edited.move_folder else 3):
            way(edited, {"n": number})
            await acts.until(f'{{"n": {number}}}')


@pytest.mark.usefixtures("eager", "deaf")
async def test_events_are_enough_to_notice(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    async with watching(file) as acts:
        edited = Edited(file)
        async with asyncio.timeout(PATIENCE_S):
            number = 0
            while not acts.known:  # until the watch stands, nobody hears
                edited.replace({"n": (number := number + 1)})
                await asyncio.sleep(QUIET_S * 4)


@pytest.mark.usefixtures("eager")
async def test_what_leaves_the_content_as_it_is_is_no_change(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    async with watching(file) as acts:
        edited = Edited(file)
        edited.replace({})
        file.touch()
        file.chmod(0o600)
        (tmp_path / "other").write_text("x")
        edited.replace({"n": 1})
        await acts.until('{"n": 1}')
        assert acts.known == ['{"n": 1}']


async def test_without_events_it_looks_from_time_to_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.02)
    file, clock = tmp_path / "config.json", Clock()
    file.write_text("{}")
    acts, tasks = Acts(file), Tasks()
    tasks.start(Watch(file, content(file), lambda: 0.0, clock).run(acts), "run")
    file.write_text("[]")
    await acts.until("[]")
    await tasks.close()


async def test_where_nothing_can_be_watched_it_still_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.0)

    def refuses(*_: object, **__: object) -> AsyncIterator[object]:
        raise OSError("inotify watch limit reached")

    monkeypatch.setattr(module, "awatch", refuses)
    events = happenings(tmp_path / "config.json")
    for _ in range(3):
        await anext(events)
    await events.aclose()  # type: ignore[attr-defined]
    assert caplog.text.count("inotify watch limit reached") == 1
