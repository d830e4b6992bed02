"""What each feature costs a call: CPU with it, over CPU without it."""

import os
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

from bench.rig import Rig, Target
from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.figures import paired
from only1mcp.bench.started import http_server

SECONDS: Final = 2
CONNECTIONS: Final = 32
TOKEN: Final = "a-token-of-the-benchmark-0123456789"  # noqa: S105 - opens nothing
OFF: Final[dict[str, Any]] = {
    "metrics": {"enabled": False},
    "cache": {"enabled": False},
    "batching": {"enabled": False},
}
"""Everything that can be off, off, as far as this version knows the keys."""
FEATURES: Final[dict[str, dict[str, Any]]] = {
    "auth": {"server": {"auth": {"tokens": [TOKEN]}}},
    "access log": {"logging": {"access": {"enabled": True, "file": os.devnull}}},
    "metrics": {"metrics": {"enabled": True}},
    "cache": {"cache": {"enabled": True}},
    "batching": {"batching": {"enabled": True}},
    "breaker and health checks": {"per server": {"circuit_breaker": {}, "health_check": {}}},
}


def run(rig: Rig) -> None:
    """Plain beside each feature, in pairs; then with all of them."""
    with rig.stub() as stub:
        off = _known(rig, stub.url, OFF)
        on = _known(rig, stub.url, FEATURES, told=True)
        for name, settings in on.items():
            _pair(rig, stub.url, name, off, {**off, **settings})
        if len(on) > 1:
            every: dict[str, Any] = {}
            for settings in on.values():
                every |= settings
            _pair(rig, stub.url, f"all of these ({', '.join(on)})", off, {**off, **every})


def _known(
    rig: Rig, url: str, features: dict[str, dict[str, Any]], *, told: bool = False
) -> dict[str, Any]:
    """Those of `features` whose settings this version has; the others are told as gaps."""
    known = {}
    for name, settings in features.items():
        config = settings if told else {name: settings}
        if rig.knows(_config(url, config)):
            known[name] = settings
        elif told:
            rig.gap(name, "this version does not know the setting")
    return known


def _pair(rig: Rig, url: str, name: str, off: dict[str, Any], on: dict[str, Any]) -> None:
    with ExitStack() as stack:
        targets = {}
        for side, settings in (("without", off), ("with", on)):
            gateway = stack.enter_context(rig.gateway(_config(url, settings)))
            headers = {"Authorization": f"Bearer {TOKEN}"} if "server" in settings else {}
            end = Endpoint(gateway.url, headers=headers).open()
            targets[side] = Target(end, "stub__echo", gateway.program)
        load = partial(rig.counted, connections=CONNECTIONS, seconds=SECONDS)
        runs = rig.turns(targets, load, 3)
    cpu = {side: [us for _, us in some] for side, some in runs.items()}
    rig.row(f"CPU a call with {name}", "us", cpu["with"], better="less")
    rig.row(
        f"CPU with over without {name}",
        "x",
        paired(cpu["with"], cpu["without"]),
        better="less",
        guard=True,
    )


def _config(url: str, settings: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in settings.items() if key != "per server"}
    return {**rest, "servers": [http_server("stub", url, **settings.get("per server", {}))]}
