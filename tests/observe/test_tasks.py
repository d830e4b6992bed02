"""Tasks: held by their owner, never silent, ended together."""

import asyncio
import logging

import pytest

from only1mcp.observe.tasks import Tasks


async def test_close_cancels_and_waits() -> None:
    tasks, ended = Tasks(), []

    async def sleeper() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    task = tasks.start(sleeper(), "sleeper")
    await asyncio.sleep(0)
    await tasks.close()
    assert task.cancelled()
    assert ended == [True]
    assert len(tasks) == 0


async def test_a_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    tasks = Tasks()

    async def broken() -> None:
        raise RuntimeError("boom")

    with caplog.at_level(logging.ERROR, "only1mcp.tasks"):
        task = tasks.start(broken(), "broken thing")
        await asyncio.wait([task])
        await asyncio.sleep(0)
    assert "broken thing" in caplog.text


async def test_finish_lets_them_end() -> None:
    tasks = Tasks()
    done = asyncio.Event()

    async def quick() -> int:
        await done.wait()
        return 5

    task = tasks.start(quick(), "quick")
    done.set()
    await tasks.finish(5)
    assert task.result() == 5


async def test_an_owner_may_close_itself() -> None:
    tasks = Tasks()

    async def closer() -> None:
        await tasks.close()

    await tasks.start(closer(), "closer")
