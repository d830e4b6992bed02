"""Which replicas of a server take calls, when some are in trouble.

    not connected             never
    unhealthy by its checks   no
    breaker open              no, but no more than half of the group: those open longest
    too few are left          panic: all that are connected

One or two replicas have no such rules: to send calls where they must fail helps nobody. In a
group of three and more, failures everywhere say more about the network or the calls than about
the replicas, and to leave the whole load to the last one would end that one as well.

Source  Envoy outlier detection (max_ejection_percent) and panic threshold, HAProxy slowstart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

GROUP: Final = 3
"""Replicas from which on the cap and the panic rule apply."""
MAX_EJECTED: Final = 0.5
PANIC: Final = 0.5
"""Below this share of usable replicas, health is not looked at."""
FIRST_SHARE: Final = 0.1
"""Of its weight, for a replica that has just come back."""


class Member(Protocol):
    """One replica, as far as this is concerned."""

    @property
    def connected(self) -> bool:
        """Whether a call could be sent at all."""

    @property
    def usable(self) -> bool:
        """What health checks say."""

    @property
    def open_since(self) -> float | None:
        """When its breaker opened or its pause began; None while it admits calls."""


M = TypeVar("M", bound=Member)


@dataclass(frozen=True, slots=True)
class Eligible(Generic[M]):
    """Who takes calls, in the order of the group."""

    members: tuple[M, ...]
    panic: bool = False


def eligible(group: Sequence[M]) -> Eligible[M]:
    """Who of `group` takes calls now. For each change of a replica's state, not for each call."""
    connected = [one for one in group if one.connected]
    well = [one for one in connected if one.usable and one.open_since is None]
    if len(group) < GROUP or len(well) == len(connected):
        return Eligible(tuple(well))
    ejected = [one for one in connected if one.usable and one.open_since is not None]
    ejected.sort(key=lambda one: one.open_since or 0.0)
    out = {id(one) for one in ejected[: int(len(group) * MAX_EJECTED)]}
    left = tuple(one for one in connected if one.usable and id(one) not in out)
    if len(left) < len(group) * PANIC:
        return Eligible(tuple(connected), panic=True)
    return Eligible(left)


def ramp(since: float, now: float, slow_start_s: float) -> float:
    """The share of its weight, from FIRST_SHARE to 1, for a replica that came back at `since`."""
    age_s = now - since
    if age_s >= slow_start_s:
        return 1.0
    return max(FIRST_SHARE, age_s / slow_start_s)
