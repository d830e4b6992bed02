"""What the gateway is known to lose, in tests/conformance/expected_lost.toml.

    [direct]
    "mcp-2.3.0" = { "0.1.16" = 44 }

    [[lost]]
    reason = "issue 3: ..."
    servers = ["mcp-2.3.0", "mcp-1.30.0"]
    legs = ["0.1.16", "all"]
    checks = ["tools-call-sampling:*", "server-stateless:sep-2575-server-sends-subscription-ack"]

An entry stands for every combination of a server, a leg and a check (`scenario:check`, where
`*` is any check of the scenario). Each of them has to be lost still: the file only shrinks.
`direct` is what a server passes by itself, at least: nothing is lost where nothing was tried.
"""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from scripts.conformance.compare import PASSED, Loss, Row, of_status
from scripts.conformance.legs import CLIENT, LEGS, SERVERS
from scripts.conformance.node import ROOT

FILE: Final = ROOT / "tests" / "conformance" / "expected_lost.toml"
ANY: Final = "*"


class Expected(NamedTuple):
    """One known loss."""

    server: str
    leg: str
    scenario: str
    check: str
    reason: str

    def covers(self, row: Row, loss: Loss) -> bool:
        """True if `loss` of `row` is this one."""
        check, _ = loss
        return (
            (self.server, self.leg, self.scenario) == (row.server, row.leg, check.scenario)
            and self.check in (ANY, check.id)
        )  # fmt: skip

    def __str__(self) -> str:
        return f"{self.server} {self.leg} {self.scenario}:{self.check}"


class Baseline(NamedTuple):
    """The file, read."""

    lost: list[Expected]
    direct: Mapping[str, Mapping[str, int]]

    def reason(self, row: Row, loss: Loss) -> str | None:
        """Why this loss is known, None if it is not."""
        return next((entry.reason for entry in self.lost if entry.covers(row, loss)), None)

    def floor(self, row: Row) -> int:
        """How many checks the server of `row` passes by itself, at least."""
        return max(1, self.direct.get(row.server, {}).get(row.leg, 0))


class Verdict(NamedTuple):
    """What has to change: the gateway for `unexpected`, the file for `stale`."""

    unexpected: list[tuple[Row, Loss]]
    stale: list[Expected]
    weak: list[Row]
    """Legs at which the server itself passes less than it did: they prove less."""

    @property
    def good(self) -> bool:
        """True if all is as the file says."""
        return not (self.unexpected or self.stale or self.weak)


def load(file: Path = FILE) -> Baseline:
    """Read the file.

    Raises:
        ValueError: it names a server or a leg that there is not; such an entry would never
            be looked at.
    """
    found = tomllib.loads(file.read_text())
    lost = [
        Expected(server, leg, scenario, check, entry["reason"])
        for entry in found.get("lost", [])
        for server in entry["servers"]
        for leg in entry["legs"]
        for scenario, _, check in (name.partition(":") for name in entry["checks"])
    ]
    direct = found.get("direct", {})
    places = {(entry.server, entry.leg) for entry in lost}
    places |= {(server, leg) for server, legs in direct.items() for leg in legs}
    for server, leg in sorted(places):
        if server not in (*SERVERS, CLIENT) or leg not in LEGS:
            raise ValueError(f"{file.name} names {server} {leg}, which is not run")
    return Baseline(lost, direct)


def judge(rows: Iterable[Row], baseline: Baseline) -> Verdict:
    """Compare what was lost with what was expected, at the legs that were run."""
    rows = [*rows]
    run = {(row.server, row.leg) for row in rows}
    due = [entry for entry in baseline.lost if (entry.server, entry.leg) in run]
    lost = [(row, loss) for row in rows for loss in row.lost()]
    return Verdict(
        [(row, loss) for row, loss in lost if baseline.reason(row, loss) is None],
        [entry for entry in due if not any(entry.covers(row, loss) for row, loss in lost)],
        [row for row in rows if len(of_status(row.direct, PASSED)) < baseline.floor(row)],
    )
