"""News of tasks that nobody knows yet wait a little, within bounds."""

import pytest
from msgspec import Raw

from fakes.clock import Clock
from only1mcp.relay import early
from only1mcp.relay.early import KEEP_S, MAX_BYTES, Early
from only1mcp.relay.handed import TASK, Thing


def thing(id: str, who: str | None = None) -> Thing:
    return Thing("one", who, TASK, id)


def test_the_latest_is_given_out_once_and_to_its_own_connection() -> None:
    kept = Early()
    kept.keep(thing("t"), Raw(b"1"))
    kept.keep(thing("t"), Raw(b"2"))
    assert kept.take(thing("t", "ann")) is None
    assert kept.take(thing("t")) == Raw(b"2")
    assert kept.take(thing("t")) is None


def test_what_nobody_has_asked_for_in_time_is_forgotten() -> None:
    clock = Clock()
    kept = Early(clock)
    kept.keep(thing("a"), Raw(b"1"))
    clock.now += KEEP_S - 1
    kept.keep(thing("b"), Raw(b"2"))
    clock.now += 1
    assert kept.take(thing("a")) is None
    assert kept.take(thing("b")) == Raw(b"2")
    kept.keep(thing("c"), Raw(b"3"))
    clock.now += KEEP_S
    kept.keep(thing("d"), Raw(b"4"))
    assert len(kept) == 1


def test_there_is_room_for_so_many_and_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early, "MAX_KEPT", 2)
    kept = Early()
    for id in "aba":
        kept.keep(thing(id), Raw(id.encode()))
    kept.keep(thing("c"), Raw(b"c"))
    kept.keep(thing("d"), Raw(b"x" * (MAX_BYTES + 1)))
    assert [kept.take(thing(id)) for id in "abcd"] == [Raw(b"a"), None, Raw(b"c"), None]
