"""What counts as lost, noted and gained."""

import pytest

from scripts.conformance.compare import Check, Outcome, Results, Row


def results(**statuses: str) -> Results:
    """One check of the scenario `s` for each name."""
    return {Check("s", id, "", 1): Outcome(status) for id, status in statuses.items()}


def row(direct: Results, through: Results) -> Row:
    return Row("mcp-2.3.0", "all", direct, through)


def ids(checks: list[Check]) -> list[str]:
    return [check.id for check in checks]


@pytest.mark.parametrize("status", ["FAILURE", "WARNING", "SKIPPED"])
def test_what_passed_and_does_not_pass_is_lost(status: str) -> None:
    ((check, outcome),) = row(results(a="SUCCESS"), results(a=status)).lost()
    assert (check.id, outcome.status) == ("a", status)


def test_what_is_missing_is_lost() -> None:
    ((check, outcome),) = row(results(a="SUCCESS", b="SUCCESS"), results(b="SUCCESS")).lost()
    assert (check.id, outcome.status) == ("a", "MISSING")


def test_another_legal_way_is_no_loss_but_noted() -> None:
    compared = row(results(a="SUCCESS"), results(a="INFO"))
    assert compared.lost() == []
    assert ids(compared.noted()) == ["a"]


@pytest.mark.parametrize("status", ["FAILURE", "WARNING", "SKIPPED", "INFO"])
def test_what_never_passed_is_not_lost(status: str) -> None:
    assert row(results(a=status), results()).lost() == []


def test_gained() -> None:
    direct = results(a="FAILURE", b="SUCCESS")
    assert ids(row(direct, results(a="SUCCESS", b="SUCCESS", c="SUCCESS")).gained()) == ["a", "c"]


def test_one_of_several_checks_of_the_same_name() -> None:
    direct = {Check("s", "a", "", nth): Outcome("SUCCESS") for nth in (1, 2, 3)}
    through = direct | {Check("s", "a", "", 2): Outcome("FAILURE")}
    assert [check.nth for check, _ in row(direct, through).lost()] == [2]
