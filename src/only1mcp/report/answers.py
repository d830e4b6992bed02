"""What a running gateway has answered, all of it asked for at one time."""

from datetime import datetime
from typing import Any, Final

import msgspec

from only1mcp.report.evidence import Source
from only1mcp.report.scrape import Scrape

Row = dict[str, Any]
ADMIN: Final = "/api/v1/admin"
METRICS: Final = f"{ADMIN}/metrics"
PAGES: Final = {
    "system": f"{ADMIN}/system",
    "health": f"{ADMIN}/health",
    "servers": f"{ADMIN}/servers",
    "tools": f"{ADMIN}/tools",
    "cache": f"{ADMIN}/cache",
    "config": f"{ADMIN}/config",
    "check": f"{ADMIN}/config/check",
    "past": f"{ADMIN}/events/past?kinds=server,health,breaker,restart,reload",
}
"""Every page that the report is made of, but for the metrics."""


class Answers(msgspec.Struct):
    """The answers of one gateway. A page that it does not have is None."""

    url: str
    at: datetime
    """When the first was asked for."""
    took_s: float
    """How much later the last one came."""
    pages: dict[str, Row | None]
    """By the names in PAGES."""
    scrape: Scrape | None
    """None: metrics are off."""

    def page(self, name: str) -> Row:
        """One of them; empty if there is none."""
        return self.pages.get(name) or {}

    def rows(self, name: str, member: str) -> list[Row]:
        """A list in one of them."""
        found = self.page(name).get(member)
        return found if isinstance(found, list) else []

    def source(self, name: str) -> Source:
        """Where what stands in a page is from."""
        return Source(f"GET {PAGES[name]}", self.at)

    def metric(self, name: str) -> Source:
        """Where a metric is from."""
        return Source(f"GET {METRICS}: {name}", self.at)

    def total(self, name: str, **labels: str) -> float | None:
        """A metric, added up; None if it is not there."""
        return self.scrape.total(name, **labels) if self.scrape is not None else None

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """A metric by the values of a label; empty if it is not there."""
        return self.scrape.by(name, label, **labels) if self.scrape is not None else {}
