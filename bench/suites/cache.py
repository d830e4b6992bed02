"""The cache by what it spares its servers: hits, misses, 80/20, eviction. Counted there."""

import random
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from bench.rig import Rig
from only1mcp.bench import drive
from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.figures import paired
from only1mcp.bench.load import Outcome
from only1mcp.bench.started import Started, http_server, told

SECONDS: Final = 2
CONNECTIONS: Final = 32
KEYS: Final = 100
UNLIKE: Final = 4000
"""Questions of which none is asked twice before the cache has forgotten it."""


def run(rig: Rig) -> None:
    """resources/read and a cached tool, with the cache on; each load in a gateway of its own."""
    if not rig.knows({"cache": {"enabled": True}}):
        rig.gap("hit, miss, 80/20, eviction", "this version does not know the setting `cache`")
        return
    with rig.stub() as stub:
        _hits(rig, stub)
        for name, keys, capacity, hot in (
            ("miss: no question twice", UNLIKE, 500, 0.0),
            ("80/20: four of five ask for a fifth of 100", KEYS, 500, 0.8),
            ("eviction: 100 resources, room for 10", KEYS, 10, 0.0),
            ("eviction, 80/20: 100 resources, room for 25", KEYS, 25, 0.8),
        ):
            _mixed(rig, stub, name, _order(keys, hot), capacity)


def _hits(rig: Rig, stub: Started) -> None:
    """The same again and again, with the cache and without it, in pairs."""
    questions: dict[str, tuple[str, dict[str, Any]]] = {
        "resources/read": ("resources/read", {"uri": "stub://one"}),
        "tools/call of a cached tool": ("tools/call", {"name": "stub__echo", "arguments": {}}),
        "tools/list": ("tools/list", {}),
    }
    on = {"cache": {"tools": [{"match": "stub__*", "ttl": "10m"}]}}
    off = {"cache": {"enabled": False}}
    servers = {"servers": [http_server("stub", stub.url)]}
    with rig.gateway({**servers, **on}) as with_it, rig.gateway({**servers, **off}) as without:
        for name, question in questions.items():
            runs = rig.turns(
                {"hit": with_it, "off": without}, partial(_load, rig, [question], (0,)), 3
            )
            cpu = {side: [us for _, us in some] for side, some in runs.items()}
            rates = [outcome.rate for outcome, _ in runs["hit"]]
            rig.row(f"hit, {name}", "calls/s", rates, better="more")
            rig.row(f"hit CPU, {name}", "us", cpu["hit"], better="less")
            ratio = paired(cpu["hit"], cpu["off"])
            rig.row(f"hit over no cache, {name}", "x CPU", ratio, better="less", guard=True)


def _mixed(rig: Rig, stub: Started, name: str, order: list[int], capacity: int) -> None:
    """By the bundled generator: wrk leaves calls under way, which the server counts and it not."""
    config = {"cache": {"l2": {"capacity": capacity}}, "servers": [http_server("stub", stub.url)]}
    questions: list[tuple[str, dict[str, Any]]] = [
        ("resources/read", {"uri": f"stub://{number:04d}"}) for number in range(max(order) + 1)
    ]
    with rig.gateway(config) as gateway:
        job = drive.jobs(Endpoint(gateway.url).open(), questions, order, CONNECTIONS, SECONDS)
        before = told(stub.url).get("resources/read", 0)
        outcome, cpu = rig.per_call_us(gateway.program, lambda: drive.ours(job, rig.cores.load))
        asked = told(stub.url).get("resources/read", 0) - before
    hits = 1 - asked / outcome.calls
    rig.row(f"hit rate, {name}", "%", [hits * 100], better="more", guard=hits > 0.05)
    rig.row(f"CPU a call, {name}", "us", [cpu], better="less")


def _load(
    rig: Rig, questions: list[tuple[str, dict[str, Any]]], order: Sequence[int], gateway: Started
) -> tuple[Outcome, float]:
    end = Endpoint(gateway.url).open()
    job = drive.jobs(end, questions, order, CONNECTIONS, SECONDS)
    return rig.per_call_us(gateway.program, lambda: drive.closed(job, rig.cores.load))


def _order(keys: int, hot: float) -> list[int]:
    """Which question comes when; `hot` is the share of the first fifth of them.

    Number 0 comes last, as it is tried before: asked next it would be a hit.
    """
    if not hot:
        return [*range(1, keys), 0]
    chance = random.Random(1)
    fifth = keys // 5
    return [
        chance.randrange(fifth) if chance.random() < hot else chance.randrange(fifth, keys)
        for _ in range(keys * 20)
    ]
