"""What the gateway is known to lose, in tests/conformance/expected_lost.toml.

    [[lost]]
    reason = "issue 3: ..."
    servers = ["mcp-2.3.0", "mcp-1.30.0"]
    legs = ["0.1.16", "all"]
    checks = ["tools-call-sampling:*", "server-stateless:sep-2575-server-sends-subscription-ack"]

An entry stands for every combination of a server, a leg and a check (`scenario:check`, where
`*` is any check of the scenario). Each of them has to be lost still: the file only shrinks.
"""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from scripts.conformance.compare import Loss, Row
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


class Verdict(NamedTuple):
    """What has to change: in the gateway for `unexpected`, in the file for `stale`."""

    unexpected: list[tuple[Row, Loss]]
    stale: list[Expected]
    empty: list[Row]
    """Legs at which the server itself passed nothing: not a proof of anything."""

    @property
    def good(self) -> bool:
        """True if all is as the file says."""
        return not (self.unexpected or self.stale or self.empty)


def load(file: Path = FILE) -> list[Expected]:
    """Every combination that the file stands for."""
    return [
        Expected(server, leg, scenario, check, entry["reason"])
        for entry in tomllib.loads(file.read_text()).get("lost", [])
        for server in entry["servers"]
        for leg in entry["legs"]
        for scenario, _, check in (name.partition(":") for name in entry["checks"])
    ]


def judge(rows: Iterable[Row], expected: Iterable[Expected]) -> Verdict:
    """Compare what was lost with what was expected, at the legs that were run."""
    rows = [*rows]
    run = {(row.server, row.leg) for row in rows}
    due = [entry for entry in expected if (entry.server, entry.leg) in run]
    lost = [(row, loss) for row in rows for loss in row.lost()]
    return Verdict(
        [(row, loss) for row, loss in lost if not any(e.covers(row, loss) for e in due)],
        [entry for entry in due if not any(entry.covers(row, loss) for row, loss in lost)],
        [row for row in rows if not row.scenarios()],
    )


def reason_for(row: Row, loss: Loss, expected: Iterable[Expected]) -> str | None:
    """Why this loss is known, None if it is not."""
    return next((entry.reason for entry in expected if entry.covers(row, loss)), None)
