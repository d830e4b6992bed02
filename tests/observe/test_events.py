"""The rings of events, and who follows them."""

from collections.abc import Collection

import pytest

from only1mcp.observe.events import KEPT, MAX_QUEUED, Event, Events, Follower, Missed


def events(kept: int = 3) -> Events:
    """Events of two kinds."""
    return Events("boot", {"log": kept, "reload": kept})


def tell(found: Events, *said: str, kind: str = "log") -> None:
    """These happen, one after the other."""
    for one in said:
        found.tell(kind, 1.0, one)


def follow(
    found: Events, kinds: Collection[str] = ("log",), after: str | None = None
) -> tuple[Follower, list[None]]:
    """A follower, and how often it was woken."""
    woken: list[None] = []
    return found.follow(kinds, lambda: woken.append(None), after), woken


def said(follower: Follower) -> list[object]:
    """What it reads: words, or a Missed."""
    return [one if isinstance(one, Missed) else one.said for one in follower.read()]


def test_the_latest_are_remembered_the_newest_first() -> None:
    found = events()
    tell(found, "a", "b", "c", "d")
    assert [one.said for one in found.latest("log", 2)] == ["d", "c"]
    assert [one.said for one in found.latest("log", 100)] == ["d", "c", "b"]
    assert found.latest("log", 0) == []


def test_a_follower_hears_the_kinds_it_wants_from_now_on() -> None:
    found = events()
    tell(found, "before")
    follower, woken = follow(found)
    tell(found, "a")
    tell(found, "reloaded", kind="reload")
    tell(found, "b")
    assert said(follower) == ["a", "b"]
    assert len(woken) == 2
    assert said(follower) == []


def test_who_has_left_is_not_told() -> None:
    found = events()
    follower, woken = follow(found)
    assert len(found) == 1
    found.leave(follower)
    found.leave(follower)
    tell(found, "a")
    assert (len(found), woken, said(follower)) == (0, [], [])


def test_a_slow_reader_loses_the_oldest_and_is_told_how_many() -> None:
    found = events()
    follower, _ = follow(found)
    tell(found, *map(str, range(MAX_QUEUED + 2)))
    got = said(follower)
    assert got[:2] == [Missed(2), "2"]
    assert got[-1] == str(MAX_QUEUED + 1)
    assert len(got) == MAX_QUEUED + 1
    tell(found, "z")
    assert said(follower) == ["z"]


def test_who_comes_back_goes_on_where_it_was() -> None:
    found = events(10)
    tell(found, "a", "b")
    seen = found.id(found.latest("log", 1)[0])
    tell(found, "c")
    tell(found, "reloaded", kind="reload")
    tell(found, "d")
    follower, _ = follow(found, ("reload", "log"), seen)
    assert said(follower) == ["c", "reloaded", "d"]  # in the order in which it happened


def test_who_comes_back_too_late_is_told_that_something_is_missing() -> None:
    found = events()
    tell(found, "a")
    seen = found.id(found.latest("log", 1)[0])
    tell(found, "b", "c", "d", "e")
    follower, _ = follow(found, after=seen)
    assert said(follower) == [Missed(None), "c", "d", "e"]


def test_nothing_is_missing_while_the_ring_still_has_the_next_one() -> None:
    found = events()
    tell(found, "a", "b", "c", "d")
    follower, _ = follow(found, after="boot-1")
    assert said(follower) == ["b", "c", "d"]


@pytest.mark.parametrize(
    "id", ["other-1", "0", "", "boot-", "boot-x", "boot-99", "boot-²", "boot-" + "9" * 5000]
)
def test_an_id_that_is_not_ours_gets_all_there_is(id: str) -> None:
    found = events()
    tell(found, "a", "b")
    follower, _ = follow(found, after=id)
    assert said(follower) == [Missed(None), "a", "b"]


def test_what_comes_while_a_replay_is_read_follows_it() -> None:
    found = events()
    tell(found, "a")
    follower, woken = follow(found, after="boot-0")
    assert woken == []
    tell(found, "b")
    assert said(follower) == ["a", "b"]


def test_the_end_wakes_all_who_follow() -> None:
    found = events()
    follower, woken = follow(found)
    found.close()
    assert follower.ended
    assert len(woken) == 1
    late, woken = follow(found, after="boot-0")
    assert (late.ended, len(woken)) == (True, 1)


def test_numbers_count_over_all_kinds() -> None:
    found = events()
    tell(found, "a")
    tell(found, "b", kind="reload")
    assert found.latest("reload", 1) == [Event(2, "reload", 1.0, "b")]
    assert found.id(found.latest("reload", 1)[0]) == "boot-2"


def test_every_kind_is_kept_within_a_bound() -> None:
    assert set(Events("x").kinds) == set(KEPT)
    assert all(count > 0 for count in KEPT.values())
