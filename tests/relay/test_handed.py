"""What was handed to whom is remembered, the longest unused forgotten."""

import pytest

from only1mcp.relay import handed
from only1mcp.relay.handed import TASK, VISIT, WORK_S, Handed, Holder, Owner, Thing

ANN, BOB = Owner("ann", "1"), Owner("bob", None)


def thing(place: str, id: str, who: str | None = None, kind: str = TASK) -> Thing:
    return Thing(place, who, kind, id)


def test_each_id_of_each_server_has_one_owner() -> None:
    table = Handed()
    table.note(thing("one", "id"), ANN)
    table.note(thing("two", "id"), BOB)
    assert (table.owner(thing("one", "id")), table.owner(thing("two", "id"))) == (ANN, BOB)
    assert table.owner(thing("three", "id")) is None


def test_so_has_each_id_of_each_connection_and_kind() -> None:
    table = Handed()
    table.note(thing("one", "1", "ann"), ANN)
    table.note(thing("one", "1", "bob"), BOB)
    table.note(thing("one", "1", "ann", VISIT), BOB)
    assert table.owner(thing("one", "1", "ann")) == ANN
    assert table.owner(thing("one", "1", "bob")) == BOB
    assert table.owner(thing("one", "1", "ann", VISIT)) == BOB
    assert table.owner(thing("one", "1")) is None


def test_the_longest_unused_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handed, "MAX_IDS", 2)
    table = Handed()
    table.note(thing("one", "a"), ANN)
    table.note(thing("one", "b"), ANN)
    table.owner(thing("one", "a"))
    table.note(thing("one", "c"), ANN)
    assert len(table) == 2
    assert table.owner(thing("one", "b")) is None
    assert table.owner(thing("one", "a")) == ANN


@pytest.mark.parametrize("alone", [False, True])
def test_a_holder_has_what_its_principal_took_on_the_same_connection(alone: bool) -> None:
    table = Handed()

    def holder(owner: Owner, who: str | None = None) -> Holder:
        return Holder(table, owner, {"one": who, "two": None}.__getitem__, alone=alone)

    holder(ANN).take("one", TASK, "1")
    assert holder(Owner("ann", "2")).has("one", TASK, "1")
    assert not holder(BOB).has("one", TASK, "1")
    for other in (holder(ANN, "ann").has("one", TASK, "1"), holder(ANN).has("two", TASK, "1")):
        assert other is alone, "nobody's, unless there is but one who could have made it"


def test_a_task_is_under_way_until_its_end_is_heard_or_for_so_long() -> None:
    now = 0.0
    table = Handed(lambda: now)
    table.note(thing("one", "1", "ann"), ANN)
    table.note(thing("one", "2", "ann"), ANN)
    table.note(thing("one", "1"), ANN)
    table.note(thing("one", "1", "bob", VISIT), BOB)
    table.note(thing("two@f00", "1"), ANN)
    assert (table.at_work("one"), table.at_work("two")) == ({"ann", None}, {None})
    table.ended(thing("one", "1"))
    table.ended(thing("one", "1", "ann"))
    assert table.at_work("one") == {"ann"}
    now = WORK_S
    assert table.at_work("one") == set()


def test_what_is_forgotten_is_not_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handed, "MAX_IDS", 1)
    table = Handed()
    table.note(thing("one", "1", "ann"), ANN)
    table.note(thing("two", "1", "ann"), ANN)
    assert (table.at_work("one"), table.at_work("two")) == (set(), {"ann"})
