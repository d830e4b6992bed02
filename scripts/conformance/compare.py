"""What the gateway loses: checks that pass at the server itself and not through the gateway.

Failures are what counts, not passes: against an address where nothing listens, suite 0.2
reports dozens of passes.
"""

from typing import Final, NamedTuple

PASSED: Final = {"SUCCESS"}
FAILED: Final = {"FAILURE", "WARNING"}
NOTED: Final = "INFO"
"""The suite saw something that is neither right nor wrong, say JSON where SSE would do as well."""
MISSING: Final = "MISSING"


class Check(NamedTuple):
    """One check of a scenario. `nth` tells apart those that a scenario makes repeatedly."""

    scenario: str
    id: str
    name: str
    nth: int


class Outcome(NamedTuple):
    """What the suite says of a check: SUCCESS, FAILURE, WARNING, SKIPPED or INFO; and why."""

    status: str
    message: str = ""


Results = dict[Check, Outcome]
Loss = tuple[Check, Outcome]


class Row(NamedTuple):
    """One leg at one server, without and with the gateway."""

    server: str
    leg: str
    direct: Results
    through: Results

    def lost(self) -> list[Loss]:
        """Passed directly and not through the gateway; skipped or missing is lost as well."""
        return [
            (check, outcome)
            for check, outcome in self._of_passed()
            if outcome.status not in PASSED | {NOTED}
        ]

    def noted(self) -> list[Check]:
        """Passed directly, only noted through the gateway: it took another legal way."""
        return [check for check, outcome in self._of_passed() if outcome.status == NOTED]

    def gained(self) -> list[Check]:
        """Passed through the gateway only."""
        return [
            check
            for check in of_status(self.through, PASSED)
            if self.direct.get(check, Outcome(MISSING)).status not in PASSED
        ]

    def scenarios(self) -> int:
        """How many the suite ran at the server itself."""
        return len({check.scenario for check in self.direct})

    def _of_passed(self) -> list[Loss]:
        missing = Outcome(MISSING)
        return [
            (check, self.through.get(check, missing)) for check in of_status(self.direct, PASSED)
        ]


def of_status(results: Results, wanted: set[str]) -> list[Check]:
    """The checks with one of these statuses, in a stable order."""
    return sorted(check for check, outcome in results.items() if outcome.status in wanted)
