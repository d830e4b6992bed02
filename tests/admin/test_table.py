"""The table of operations is consistent with itself and with what answers."""

from only1mcp.admin.may import Need
from only1mcp.admin.table import OPERATIONS


def test_each_operation_is_there_once() -> None:
    assert len({(one.method, one.path) for one in OPERATIONS}) == len(OPERATIONS)
    assert len({one.name for one in OPERATIONS}) == len(OPERATIONS)


def test_looking_changes_nothing_and_changing_wants_more() -> None:
    for one in OPERATIONS:
        assert (one.method == "GET") is (one.need is Need.LOOK), one
        assert one.body in (None, "filter") or one.need is Need.CHANGE, one


def test_who_must_match_is_told_when_he_does_not() -> None:
    for one in OPERATIONS:
        headers = {parameter.name: parameter.required for parameter in one.parameters}
        assert (412 in one.errors) is ("If-Match" in headers), one
        assert (428 in one.errors) is headers.get("If-Match", False), one
