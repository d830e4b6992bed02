"""Faults read like a compiler's, come all at once and in the order of the file."""

import pytest

from only1mcp.config.faults import ConfigError, Fault, Place, Report

HERE = Place("only1mcp.yaml", 4, 9, "server.port")


def test_a_fault_is_one_line_that_editors_can_follow() -> None:
    fault = Fault(*HERE, "expected a whole number", "write 8080")
    assert str(fault) == "only1mcp.yaml:4:9: expected a whole number; write 8080"
    assert fault.where == "server.port"


def test_a_fault_outside_a_file_has_no_line() -> None:
    place = Place("environment variable ONLY1MCP_SERVER__PORT", 0, 0, "server.port")
    assert str(Fault(*place, "bad")) == "environment variable ONLY1MCP_SERVER__PORT: bad"


def test_a_warning_says_that_it_is_one() -> None:
    assert str(Fault(*HERE, "odd", severity="warning")) == "only1mcp.yaml:4:9: warning: odd"


def test_the_error_carries_everything_in_the_order_of_the_file() -> None:
    report = Report()
    report.error(HERE._replace(line=9), "last")
    report.warn(HERE._replace(line=5), "odd")
    report.error(HERE, "first")
    report.error(HERE, "first")
    with pytest.raises(ConfigError) as caught:
        report.fail_if_any()
    assert [fault.message for fault in caught.value.faults] == ["first", "odd", "last"]
    assert str(caught.value).count("\n") == 2


def test_warnings_alone_do_not_fail() -> None:
    report = Report()
    report.warn(HERE, "odd")
    report.fail_if_any()
    assert [fault.message for fault in report.warnings()] == ["odd"]


@pytest.mark.parametrize(
    ("where", "accused"),
    [("", True), ("server", True), ("server.port", True), ("server.po", False), ("servers", False)],
)
def test_an_error_accuses_the_blocks_around_it(where: str, accused: bool) -> None:
    report = Report()
    report.error(HERE, "bad")
    assert report.accuses(where) is accused
