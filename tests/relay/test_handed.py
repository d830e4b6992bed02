"""What was handed to whom is remembered, the longest unused forgotten."""

import pytest

from only1mcp.relay import handed
from only1mcp.relay.handed import Handed, Owner

ANN, BOB = Owner("ann", "1"), Owner("bob", None)


def test_each_id_of_each_server_has_one_owner() -> None:
    table = Handed()
    table.note("one", "id", ANN)
    table.note("two", "id", BOB)
    assert (table.owner("one", "id"), table.owner("two", "id")) == (ANN, BOB)
    assert table.owner("three", "id") is None


def test_the_longest_unused_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handed, "MAX_IDS", 2)
    table = Handed()
    table.note("one", "a", ANN)
    table.note("one", "b", ANN)
    table.owner("one", "a")
    table.note("one", "c", ANN)
    assert len(table) == 2
    assert table.owner("one", "b") is None
    assert table.owner("one", "a") == ANN
