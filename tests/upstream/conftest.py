"""What talks to servers runs on both loops: uvloop is what users get, asyncio what they debug."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import pytest
import pytest_asyncio
import uvloop

from fakes.group import Group, Start
from fakes.upstream import FakeUpstream

HTTP: Final = frozenset(
    {
        *("test_dial.py", "test_http.py", "test_sse.py", "test_streamable.py"),
        "test_streamable_session.py",
    }
)
PROCESSES: Final = frozenset(
    {"test_process.py", "test_spawn.py", "test_stdio.py", "test_stdio_end.py", "test_warden.py"}
)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loops to run a test on; the first is the default one."""
    if item.path.name in HTTP | PROCESSES:
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


@pytest_asyncio.fixture
async def group() -> AsyncIterator[Start]:
    """Groups that are started, and all ready unless told otherwise."""
    started: list[Group] = []

    async def start(
        count: int = 2, *, settled: bool = True, fakes: tuple[FakeUpstream, ...] = (), **more: Any
    ) -> Group:
        found = Group(*(fakes or [FakeUpstream("one") for _ in range(count)]), **more)
        found.start()
        started.append(found)
        if settled:
            await found.all_ready()
        return found

    yield start
    for one in started:
        await one.live.close("the test is over")
