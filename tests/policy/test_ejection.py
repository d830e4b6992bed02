"""Who takes calls when some replicas are in trouble."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.policy.ejection import eligible, ramp


@dataclass
class Replica:
    """One member of a group."""

    id: str
    connected: bool = True
    usable: bool = True
    open_since: float | None = None


def group(states: str) -> list[Replica]:
    """`ok`, `gone`, `ill` or `open@since` for each replica: a, b, c …"""
    found = []
    for id, state in zip("abcdefgh", states.split(), strict=False):
        since = float(state.partition("@")[2]) if "@" in state else None
        found.append(Replica(id, state != "gone", state != "ill", since))
    return found


@pytest.mark.parametrize(
    ("states", "takes"),
    [
        ("ok", "a"),
        ("open@1", ""),
        ("ill", ""),
        ("gone", ""),
        ("ok open@1", "a"),
        ("open@1 open@2", ""),
        ("ok ok ok", "abc"),
        ("ok ok open@1", "ab"),
        ("ok ok ill", "ab"),
        ("ok open@1 open@2", "ac"),  # the cap: one of three, the one that opened first
        ("open@3 open@2 open@1 open@4", "ad"),
        ("open@1 open@1 gone", "ab PANIC"),
        ("ok ill ill", "abc PANIC"),
        ("ok ill gone", "ab PANIC"),
        ("ill ill ill", "abc PANIC"),
        ("ok ill ill ok", "ad"),  # half is not too few
        ("gone gone ok", "c"),
        ("gone gone gone", ""),
        ("open@1 ill gone gone", "ab PANIC"),
    ],
)
def test_who_takes_calls(states: str, takes: str) -> None:
    found = eligible(group(states))
    said = "".join(one.id for one in found.members) + (" PANIC" if found.panic else "")
    assert said == takes


REPLICAS = st.builds(
    Replica,
    st.text("abc", max_size=3),
    st.booleans(),
    st.booleans(),
    st.none() | st.floats(0, 100),
)


@given(st.lists(REPLICAS, max_size=9))
def test_whoever_is_well_takes_calls_and_nobody_who_is_not_there(replicas: list[Replica]) -> None:
    members = {id(one) for one in eligible(replicas).members}
    for one in replicas:
        if not one.connected:
            assert id(one) not in members
        elif one.usable and one.open_since is None:
            assert id(one) in members


@given(st.lists(REPLICAS, min_size=3, max_size=9))
def test_a_group_with_anybody_connected_is_never_shut(replicas: list[Replica]) -> None:
    connected = [one for one in replicas if one.connected]
    members = eligible(replicas).members
    assert bool(members) is bool(connected)
    assert len(members) >= min(len(connected), len(replicas) / 2)


def test_slow_start_is_linear_from_a_tenth() -> None:
    shares = [ramp(100.0, 100.0 + age, 30.0) for age in (0, 3, 15, 29.7, 30, 99)]
    assert shares == pytest.approx([0.1, 0.1, 0.5, 0.99, 1, 1])
    assert ramp(100.0, 100.0, 0.0) == 1.0
