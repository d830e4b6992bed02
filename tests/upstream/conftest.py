"""What talks to servers runs on both loops: uvloop is what users get, asyncio what they debug."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import pytest
import uvloop

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
