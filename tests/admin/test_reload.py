"""The configuration is read again: one at a time, all of it or nothing, said once."""

import asyncio
import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from only1mcp.admin.reload import Outcome, Reloads
from only1mcp.config.diff import SAME, Diff
from only1mcp.config.faults import ConfigError, Fault
from only1mcp.config.load import Loaded
from only1mcp.config.model import Config

PATIENCE_S = 10.0
FAULT = Fault("f", 3, 5, "servers", "unknown key", "remove it")
ODD = Fault("f", 1, 1, "", "an older spelling", severity="warning")
CHANGED = Diff(changed=("one",))


class File:
    """What the file says: `says` is returned or raised in turn, the last one again and again."""

    def __init__(self, *says: Diff | ConfigError, warnings: tuple[Fault, ...] = ()) -> None:
        self.says = list(says)
        self.warnings = warnings
        self.reads = 0
        self.applied: list[Config] = []

    def read(self) -> Loaded:
        """In a thread."""
        assert threading.current_thread() is not threading.main_thread()
        self.reads += 1
        if isinstance(self.says[0], ConfigError):
            self._say()
        return Loaded(Config(), self.warnings, Path("f"))

    def apply(self, config: Config) -> Diff:
        """On the loop."""
        assert threading.current_thread() is threading.main_thread()
        found = self._say()
        self.applied.append(config)
        return found

    def _say(self) -> Diff:
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if isinstance(said, ConfigError):
            raise said
        return said


class Slow(File):
    """A file whose reading lasts until it may go on."""

    def __init__(self, *says: Diff | ConfigError) -> None:
        super().__init__(*says)
        self.entered, self.go = threading.Event(), threading.Event()

    def read(self) -> Loaded:
        """In a thread."""
        self.entered.set()
        assert self.go.wait(PATIENCE_S)
        return super().read()


def reloads_of(file: File) -> Reloads:
    """Reloads of it."""
    return Reloads(file.read, file.apply)


async def test_what_is_read_is_applied_and_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    found = reloads_of(File(CHANGED, warnings=(ODD,)))
    assert await found.reload() == Outcome(CHANGED, warnings=(ODD,)) == found.last
    await found.reload()
    assert [one.getMessage() for one in caplog.records] == [
        "f:1:1: warning: an older spelling",
        "configuration reloaded: changed one",
        "configuration reloaded: changed one",
    ], "what is odd is said once"


async def test_faults_change_nothing_and_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    refused = ConfigError((FAULT,))
    file = File(refused, refused, SAME)
    found = reloads_of(file)
    for _ in range(2):
        assert (await found.reload()).faults == (FAULT,)
    assert file.applied == []
    await found.reload()
    assert [one.getMessage() for one in caplog.records] == [
        "f:3:5: unknown key; remove it",
        "configuration refused, the former one stays in force until it is mended",
        "configuration reloaded: mended, as it is in force",
    ]


async def test_what_cannot_be_applied_is_a_fault_too() -> None:
    class Unbound(File):
        def read(self) -> Loaded:
            return Loaded(Config(), (), None)

    found = reloads_of(Unbound(ConfigError((FAULT,))))
    assert (await found.reload()).faults == (FAULT,)


async def test_a_restart_that_is_needed_is_said(caplog: pytest.LogCaptureFixture) -> None:
    found = reloads_of(File(Diff(restart=("server.port",))))
    await found.reload()
    assert caplog.messages == ["configuration: server.port: in force after a restart"]


async def test_all_who_ask_meanwhile_are_served_by_one_more_reading() -> None:
    file = Slow(SAME)
    found = reloads_of(file)
    first = asyncio.get_running_loop().create_task(found.reload())
    assert await asyncio.to_thread(file.entered.wait, PATIENCE_S)
    others = [asyncio.get_running_loop().create_task(found.reload()) for _ in range(10)]
    others[0].cancel()
    await asyncio.wait(others[:1])
    file.go.set()
    done: list[Any] = await asyncio.gather(first, *others[1:])
    assert {one.changes for one in done} == {SAME}
    assert file.reads == 2, "who has gone changes nothing"


async def test_nothing_is_applied_after_the_end() -> None:
    file = Slow(SAME)
    found = reloads_of(file)
    asking = asyncio.get_running_loop().create_task(found.reload())
    assert await asyncio.to_thread(file.entered.wait, PATIENCE_S)
    await found.close()
    file.go.set()
    await asyncio.wait([asking])
    assert asking.cancelled()
    assert file.applied == []
    assert file.applied == []


async def test_all_who_look_meanwhile_share_one_reading() -> None:
    file = Slow(SAME)
    found = reloads_of(file)
    looking = [asyncio.get_running_loop().create_task(found.check(Config())) for _ in range(50)]
    assert await asyncio.to_thread(file.entered.wait, PATIENCE_S)
    file.go.set()
    assert {one.faults for one in await asyncio.gather(*looking)} == {()}
    assert file.reads == 1
