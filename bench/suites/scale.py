"""From 1 to 500 servers and 10 000 tools: what many servers cost a call and a list."""

from functools import partial
from typing import Final

from bench.rig import Rig, Target
from only1mcp.bench import drive
from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.started import http_server

SERVERS: Final = (1, 10, 100, 500)
TOOLS_EACH: Final = 20
SECONDS: Final = 2
CONNECTIONS: Final = 32


def run(rig: Rig) -> None:
    """One gateway for each number of servers; the calls of each take turns with those of one."""
    with rig.stub("--tools", str(TOOLS_EACH)) as stub:
        one = [http_server("s0", stub.url)]
        for count in SERVERS:
            servers = [http_server(f"s{n}", stub.url) for n in range(count)]
            with rig.gateway({"servers": one}) as alone, rig.gateway({"servers": servers}) as many:
                last = f"s{count - 1}__echo_{TOOLS_EACH - 1}"
                one_target = Target(Endpoint(alone.url).open(), "s0__echo", alone.program)
                last_target = Target(Endpoint(many.url).open(), last, many.program)
                _calls(rig, count, one_target, last_target)
                rig.row(
                    f"memory, {count} servers",
                    "MB",
                    [many.program.own_memory_bytes() / 1e6],
                    better="less",
                )
                _list(rig, count, Endpoint(many.url).open())


def _calls(rig: Rig, count: int, alone: Target, many: Target) -> None:
    load = partial(rig.closed, connections=CONNECTIONS, seconds=SECONDS)
    runs = rig.turns({"one": alone, "many": many}, lambda target: load(target).rate, 3)
    ratios = [b / a for a, b in zip(runs["one"], runs["many"], strict=True)]
    rig.row(f"tools/call, {count} servers", "calls/s", runs["many"], better="more")
    rig.row(
        f"tools/call, {count} servers over 1",
        "x",
        ratios,
        better="more",
        bar=0.9,
        guard=count > 1,
    )


def _list(rig: Rig, count: int, end: Endpoint) -> None:
    runs = [drive.closed(drive.job(end, "tools/list", {}, 4, 1), rig.cores.load) for _ in range(2)]
    tools = len(end.ask("tools/list", {}).get("tools", ()))
    name = f"tools/list, {count} servers, first page of {tools}"
    rig.row(name, "lists/s", [run.rate for run in runs], better="more")
