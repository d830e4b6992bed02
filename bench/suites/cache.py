"""The cache by what it spares its servers: hits, misses, 80/20, eviction. Calls are counted there."""

import random
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
            runs = rig.turns({
                side: lambda g=gateway, q=question: rig.per_call_us(
                    g.program, lambda: _load(rig, g, [q], (0,))
                )
                for side, gateway in (("hit", with_it), ("off", without))
            }, 3)  # fmt: skip
            cpu = {side: [us for _, us in some] for side, some in runs.items()}
            rates = [outcome.rate for outcome, _ in runs["hit"]]
            rig.row(f"hit, {name}", "calls/s", rates, better="more", group="calls/s")
            rig.row(f"hit CPU, {name}", "us", cpu["hit"], better="less", group="CPU")
            ratio = paired(cpu["hit"], cpu["off"])
            rig.row(f"hit over no cache, {name}", "x CPU", ratio, better="less", guard=True)


def _mixed(rig: Rig, stub: Started, name: str, order: list[int], capacity: int) -> None:
    config = {"cache": {"l2": {"capacity": capacity}}, "servers": [http_server("stub", stub.url)]}
    questions = [
        ("resources/read", {"uri": f"stub://{number:04d}"}) for number in range(max(order) + 1)
    ]
    with rig.gateway(config) as gateway:
        before = told(stub.url).get("resources/read", 0)
        outcome, cpu = rig.per_call_us(
            gateway.program, lambda: _load(rig, gateway, questions, order)
        )
        asked = told(stub.url).get("resources/read", 0) - before
    hits = 1 - asked / outcome.calls
    rig.row(f"hit rate, {name}", "%", [hits * 100], better="more", guard=hits > 0.05, group="%")
    rig.row(f"CPU a call, {name}", "us", [cpu], better="less", group="CPU")


def _load(
    rig: Rig, gateway: Started, questions: list[tuple[str, dict[str, Any]]], order: Any
) -> Outcome:
    end = Endpoint(gateway.url).open()
    job = drive.jobs(end, questions, order, CONNECTIONS, SECONDS)
    return drive.closed(job, rig.cores.load)


def _order(keys: int, hot: float) -> list[int]:
    """Which question comes when; `hot` is the share of the first fifth of them."""
    if not hot:
        return list(range(keys))
    chance = random.Random(1)
    fifth = keys // 5
    return [
        chance.randrange(fifth) if chance.random() < hot else chance.randrange(fifth, keys)
        for _ in range(keys * 20)
    ]
