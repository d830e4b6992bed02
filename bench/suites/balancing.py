"""Choosing among replicas: how long a pick takes and how even the shares are. In this process."""

import random
import time
from dataclasses import dataclass
from typing import Any, Final, get_args

from bench.rig import Rig
from only1mcp.config.resilience import LoadBalancing
from only1mcp.policy.balance import Balancer, balancer

REPLICAS: Final = (5, 50, 500)
PICKS: Final = 20_000
POLICIES: Final = get_args(LoadBalancing.model_fields["policy"].annotation)


@dataclass(slots=True)
class Replica:
    """What a balancer looks at. Weights are 1 and 3 in turn."""

    id: str
    weight: int
    in_flight: int = 0
    latency_s: float = 0.01
    slow_start: float = 1.0


def run(rig: Rig) -> None:
    """Each policy with each number of replicas; a call ends when eight times as many have begun."""
    for policy in POLICIES:
        for count in REPLICAS:
            group = tuple(Replica(f"r{n}", 1 + 2 * (n % 2)) for n in range(count))
            weights = {one.id: one.weight for one in group}
            chooser: Balancer[Replica] = balancer(LoadBalancing(policy=policy), weights)
            times = [_picks(chooser, group) for _ in range(3)]
            rig.row(
                f"{policy}, {count} replicas",
                "us a pick",
                [us for us, _ in times],
                better="less",
                bar=10,
            )
            _shares(rig, policy, group, times[-1][1])
    rig.note(
        "Shares: the most one replica got, over its fair share; by weight where weights count."
    )
    rig.note("With 500 replicas a share is 40 calls, so chance alone makes 1.5 of it.")


def _picks(chooser: Balancer[Replica], group: tuple[Replica, ...]) -> tuple[float, dict[str, int]]:
    chance = random.Random(1).random
    keys = [f"session-{n}" for n in range(5000)]
    for one in group:
        one.in_flight = 0
    shares = dict.fromkeys((one.id for one in group), 0)
    under_way: list[Any] = [None] * (8 * len(group))
    took = 0.0
    for number in range(PICKS):
        place = number % len(under_way)
        if (over := under_way[place]) is not None:
            over.in_flight -= 1
        key = keys[number % 5000]
        before = time.perf_counter()
        chosen = chooser.pick(group, key, chance)
        took += time.perf_counter() - before
        assert chosen is not None
        chosen.in_flight += 1
        under_way[place] = chosen
        shares[chosen.id] += 1
    return took / PICKS * 1e6, shares


def _shares(rig: Rig, policy: str, group: tuple[Replica, ...], shares: dict[str, int]) -> None:
    by_weight = policy != "random"
    total = sum(one.weight for one in group) if by_weight else len(group)
    most = max(shares[one.id] / (PICKS * (one.weight if by_weight else 1) / total) for one in group)
    rig.row(f"{policy}, {len(group)} replicas, largest share", "x fair", [most])
