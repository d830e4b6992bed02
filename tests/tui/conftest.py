"""A dashboard in a terminal that nobody sees."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from fakes.edge import until
from fakes.outside import Fake
from only1mcp.tui.app import Dashboard

Press = Callable[..., Awaitable[None]]


@pytest.fixture
def gateway() -> Fake:
    """What it looks at; a test may change it."""
    return Fake()


@pytest_asyncio.fixture
async def dashboard(gateway: Fake) -> AsyncIterator[tuple[Dashboard, Press]]:
    """A dashboard that has looked once, 80x24, and how to press its keys."""
    app = Dashboard(gateway, refresh_s=3600.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(lambda: app.shot is not None)
        await pilot.pause()

        async def press(*keys: str) -> None:
            await pilot.press(*keys)
            await pilot.pause()

        try:
            yield app, press
        finally:
            gateway.close()
