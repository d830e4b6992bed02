"""Scrapes of a running gateway: read, remembered, compared."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from fakes.wire import WAIT_S

Key = tuple[str, tuple[tuple[str, str], ...]]
"""The name of a line and its labels."""
PAUSE_S: Final = 0.05


class Scrape:
    """One look at all metrics: the value of each line, and the family it belongs to."""

    def __init__(self, text: str) -> None:
        self.families: dict[str, dict[Key, float]] = {}
        for family in text_string_to_metric_families(text):
            total = f"{family.name}_total" if family.type == "counter" else family.name
            self.families[total] = {
                (one.name, tuple(sorted(one.labels.items()))): one.value for one in family.samples
            }
        self.lines = {key: value for one in self.families.values() for key, value in one.items()}

    def sum(self, name: str, **labels: str) -> float:
        """All lines of this name with these labels, added up."""
        wanted = labels.items()
        return sum(
            value
            for (line, had), value in self.lines.items()
            if line == name and wanted <= dict(had).items()
        )

    def is_there(self, name: str, **labels: str) -> bool:
        """Whether there is such a line, and it is not 0."""
        return self.sum(name, **labels) > 0


class Scraper:
    """Whoever scrapes `url`; remembers what has ever been different."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        self.url = url
        self.headers = dict(headers or {})
        self.first: dict[str, dict[Key, float]] = {}
        self.moved: set[str] = set()

    async def now(self) -> Scrape:
        """Look."""
        async with httpx2.AsyncClient(trust_env=False, timeout=WAIT_S) as http:
            response = await http.get(self.url, headers=self.headers)
        assert response.status_code == 200, response.text
        scrape = Scrape(response.text)
        for name, lines in scrape.families.items():
            if self.first.setdefault(name, lines) != lines:
                self.moved.add(name)
        return scrape

    async def until(self, condition: Callable[[Scrape], Any], what: str = "") -> Scrape:
        """Look until it holds; `what` does if not."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + WAIT_S
        while not condition(scrape := await self.now()):
            assert loop.time() < ends, (
                f"never: {what}; still as at first: {set(self.first) - self.moved}"
            )
            await asyncio.sleep(PAUSE_S)
        return scrape
