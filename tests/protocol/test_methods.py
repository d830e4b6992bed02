"""The table against the official SDK's own registry of methods and revisions."""

import pytest
from mcp_types import methods as oracle

from only1mcp.protocol.methods import ALL, LEGACY, METHODS, Route, known


def registry() -> set[tuple[str, str]]:
    found = {
        (method, str(version)) for method, version in oracle.CLIENT_REQUESTS if str(version) in ALL
    }
    assert found, "the SDK's registry has moved"
    return found


@pytest.mark.parametrize("row", METHODS.values(), ids=lambda row: row.name)
def test_each_row_exists_in_the_revisions_it_claims(row: object) -> None:
    from only1mcp.protocol.methods import Method

    assert isinstance(row, Method)
    known_to_sdk = {version for method, version in registry() if method == row.name}
    assert set(row.revisions) == known_to_sdk


def test_unknown_methods_and_revisions() -> None:
    assert known("tools/call", LEGACY[0]) is METHODS["tools/call"]
    assert known("server/discover", LEGACY[0]) is None
    assert known("tools/fly", LEGACY[0]) is None


def test_routed_rows_name_their_target() -> None:
    for row in METHODS.values():
        assert (row.target is not None) == (row.route in (Route.NAME, Route.URI, Route.REF))
        assert (row.items is not None) == (row.route is Route.LIST)
