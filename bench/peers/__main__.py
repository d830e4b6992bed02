"""Measure other gateways with the same load: `make bench-peers`.

    make bench-peers ARGS="FastMCP nginx"    those whose names begin so
    make bench-peers ARGS=--keep             also write bench/results/peers.json
    make bench-peers ARGS="nginx --keep"     the proxies there alone

Each is fetched once (install.py), started as its documents say (recipes.py), tried, measured
beside the server without anything in between, and asked for what it loses (probe.py).
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench import nginx
from bench.peers import probe
from bench.peers.install import Unavailable, installed
from bench.peers.recipes import PEERS, STDIO, Peer, Site, Up
from bench.peers.sse import SseClient
from bench.pipe import Pipe
from bench.rig import ARGUMENTS, Rig, Target
from bench.suites.throughput import ROOM
from only1mcp import __version__
from only1mcp.bench import drive, machine, results
from only1mcp.bench.endpoint import Endpoint, Refused
from only1mcp.bench.figures import paired
from only1mcp.bench.load import Outcome
from only1mcp.bench.processes import NotStarted, Program, ended_by_sigterm, running
from only1mcp.bench.results import Results, Suite
from only1mcp.bench.started import http_server, url_in

ROOT: Final = Path(__file__).resolve().parents[2]
SECONDS: Final = 2
ROUNDS: Final = 3
PROXY_ROUNDS: Final = 9
"""Of what is near to a bar; one run in five differs by a tenth."""
PATIENCE_S: Final = 30.0
CONNECTIONS: Final = 8
TITLES: Final = {
    "proxy": "Reverse proxies, on one core, to the same server",
    "aggregator": "Aggregators: many servers behind one endpoint",
    "meta": "Gateways whose tools call tools",
    "bridge": "Bridges to one child process",
    "fidelity": "What arrives of what a server says",
}
NOT_TESTED: Final = (
    "agentgateway, ToolHive, Docker MCP gateway, Envoy AI gateway, MCPJungle, mcpproxy-go and "
    "gridctl: not published to PyPI, npm or Debian, and what is compared comes from there",
    "bifrost: its npm package fetches a program from the maker's own site",
    "1mcp, MetaMCP and mcphub: not to be had from npm when these were chosen",
    "mcpm: runs FastMCP, which has its own two rows",
    "LiteLLM, fastmcp-gateway: left out to keep the run short",
    "executor, mcpo: offer no tools of the servers over MCP",
)


FAULTS: Final = (Unavailable, NotStarted, Refused, OSError, ValueError)
"""What may go wrong with one of them."""


class Asked(NamedTuple):
    """A gateway under measurement, whatever its transport."""

    up: Up
    say: probe.Ask
    alone: Callable[[], Outcome]
    """One client, one call after the other."""
    many: Callable[[], Outcome]
    """As many calls as go."""


def main(arguments: list[str]) -> int:
    """Measure; write the results."""
    parser = argparse.ArgumentParser(prog="make bench-peers", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("peer", nargs="*", help=", ".join(peer.name for peer in PEERS))
    parser.add_argument("--keep", action="store_true", help="also write bench/results")
    given = parser.parse_args(arguments)
    wanted = [p for p in PEERS if not given.peer or p.name.startswith(tuple(given.peer))]
    kinds = {peer.kind for peer in wanted} - {"proxy"}  # those are measured all or none
    if given.keep and any(peer.kind in kinds and peer not in wanted for peer in PEERS):
        parser.error("--keep replaces all gateways of a kind: name them all, none, or nginx")
    now = Results(_now(), machine.environment(__version__), [])
    rigs = {
        kind: Rig(
            Suite(kind, title, "make bench-peers"), PROXY_ROUNDS if kind == "proxy" else ROUNDS
        )
        for kind, title in TITLES.items()
    }
    with ended_by_sigterm():
        if any(peer.kind == "proxy" for peer in wanted):
            try:
                proxies(rigs["proxy"])
            except FAULTS as error:
                rigs["proxy"].gap("reverse proxies", _shown(error))
        for peer in wanted:
            if peer.kind != "proxy":
                measured(peer, rigs[peer.kind], rigs["fidelity"])
    now.suites = [rig.suite for rig in rigs.values() if rig.suite.rows or rig.suite.not_measured]
    if not given.peer:
        now.suites[-1].not_measured += NOT_TESTED
    results.save(now, ROOT / ".cache" / "bench" / "peers.json")
    if given.keep:
        file = ROOT / "bench" / "results" / "peers.json"
        results.save(results.merged(results.load(file), now) if given.peer else now, file)
    return 0


def _shown(error: Exception) -> str:
    return str(error).strip().replace("\n", " ")[:300]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def proxies(rig: Rig) -> None:
    """nginx, HAProxy and the gateway, in turns, each alone on the same core."""
    print("reverse proxies", file=sys.stderr, flush=True)
    if not nginx.can_stub():
        rig.gap(
            "reverse proxies", "nginx with the echo module is not here, and would be the server"
        )
        return
    start = time.perf_counter()
    with ExitStack() as stack:
        stub = stack.enter_context(nginx.stub(rig.cores.server))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        targets: dict[str, Target] = {}
        for peer in PEERS:
            if peer.kind == "proxy" and peer.version != "None":
                up = stack.enter_context(peer.start(Site(folder, rig.cores.gateway, stub.url)))
                targets[peer.name] = Target(Endpoint(up.url).open(), "echo", up.program)
                rig.note(f"{peer.name} {peer.version}: {peer.note}.")
        config = {"servers": [http_server("h", stub.url, concurrency=ROOM)]}
        gateway = stack.enter_context(rig.gateway(config))
        targets["Only1MCP"] = Target(Endpoint(gateway.url).open(), "h__echo", gateway.program)
        _proxy_rows(rig, targets)
    rig.note("The server is nginx as well; load by wrk, 32 connections.")
    rig.suite.seconds = round(time.perf_counter() - start, 1)


def _proxy_rows(rig: Rig, targets: dict[str, Target]) -> None:
    for method in ("tools/call", "tools/list"):
        runs = rig.turns(targets, partial(_asked, rig, method))
        for name, some in runs.items():
            rates, cpu = [o.rate for o, _ in some], [us for _, us in some]
            rig.row(f"{name}: {method}", "calls/s", rates, better="more")
            rig.row(f"{name}: CPU per {method}", "us", cpu, better="less")
            if name != "nginx":
                over = paired(rates, [o.rate for o, _ in runs["nginx"]])
                ours = name == "Only1MCP"
                bar = (0.45 if method == "tools/call" else 1.0) if ours else None
                rig.row(
                    f"{name}: {method} over nginx",
                    "x",
                    over,
                    better="more",
                    bar=bar,
                    guard=ours,
                )


def _asked(rig: Rig, method: str, target: Target) -> tuple[Outcome, float]:
    params = {"name": target.tool, "arguments": ARGUMENTS} if method == "tools/call" else {}
    job = drive.job(target.end, method, params, 32, SECONDS)
    return rig.per_call_us(target.program, lambda: drive.closed(job, rig.cores.load))


def measured(peer: Peer, rig: Rig, lost: Rig) -> None:
    """One gateway; what goes wrong is written down and the others go on."""
    print(f"{peer.name} {peer.version}", file=sys.stderr, flush=True)
    start = time.perf_counter()
    try:
        if peer.package is not None:
            installed(peer.package)
        with _under_load(peer, rig) as asked:
            _wait_until_it_calls(peer, asked)
            _speed(peer, rig, asked)
            _fidelity(peer, lost, asked.say)
        rig.note(f"{peer.name} {peer.version}: {peer.note}.")
    except FAULTS as error:
        rig.gap(f"{peer.name} {peer.version}", _shown(error))
    rig.suite.seconds = round(rig.suite.seconds + time.perf_counter() - start, 1)


@contextmanager
def _under_load(peer: Peer, rig: Rig) -> Iterator[Asked]:
    """The gateway, started in front of the stub server."""
    command = [sys.executable, "-m", "bench.peers.server"]
    with ExitStack() as stack:
        server = stack.enter_context(running(Program(command, rig.cores.server)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        site = Site(folder, rig.cores.gateway, server.wait_for(url_in))
        up = stack.enter_context(peer.start(site))
        if peer.sse:
            client = _patiently(lambda: SseClient(up.url))
            stack.callback(client.close)
            tool = f"{peer.prefix}echo"
            yield Asked(
                up,
                client.say,
                lambda: client.load(tool, SECONDS),
                lambda: client.load(tool, SECONDS),
            )
            return
        end = _patiently(lambda: Endpoint(up.url, headers=up.headers).open())
        yield Asked(
            up, end.say,
            lambda: drive.ours(_job(peer, end, 1), rig.cores.load),
            lambda: drive.ours(_job(peer, end, CONNECTIONS), rig.cores.load),
        )  # fmt: skip


def _patiently(act: Callable[[], Any]) -> Any:
    """Try until it works: a port may be open before anybody answers."""
    end = time.perf_counter() + PATIENCE_S
    while True:
        try:
            return act()
        except (Refused, OSError, ValueError):
            if time.perf_counter() > end:
                raise
            time.sleep(0.2)


def _params(peer: Peer, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """What a client says to call the server's tool."""
    if peer.kind != "meta":
        return {"name": f"{peer.prefix}{tool}", "arguments": arguments}
    calls = [{"mcp_server": "h", "tool": tool, "arguments": arguments}]
    return {"name": "hangar_call", "arguments": {"calls": calls}}


def _job(peer: Peer, end: Endpoint, connections: int) -> Any:
    return drive.job(end, "tools/call", _params(peer, "echo", ARGUMENTS), connections, SECONDS)


def _wait_until_it_calls(peer: Peer, asked: Asked) -> None:
    """The server may join later than the gateway listens."""
    end = time.perf_counter() + PATIENCE_S
    while b"xxxx" not in (said := asked.say("tools/call", _params(peer, "echo", ARGUMENTS))):
        if time.perf_counter() > end:
            raise Refused(f"the tool cannot be called: {said[:200].decode(errors='replace')}")
        time.sleep(0.3)


def _speed(peer: Peer, rig: Rig, asked: Asked) -> None:
    """Added time of a call beside the server alone; then calls per second, CPU and memory."""
    with _zero(peer, rig) as zero:
        runs = rig.turns({"direct": zero, "gateway": asked.alone}, _act)
    for percent in (50, 99):
        ms = {
            name: [run.latencies.percentile_s(percent) * 1e3 for run in some]
            for name, some in runs.items()
        }
        added = [b - a for a, b in zip(ms["direct"], ms["gateway"], strict=True)]
        rig.row(f"{peer.name}: added p{percent}", "ms", added, better="less")
    many = [rig.per_call_us(asked.up.program, asked.many) for _ in range(ROUNDS)]
    rig.row(
        f"{peer.name}: calls/s",
        "calls/s",
        [o.rate for o, _ in many],
        better="more",
    )
    rig.row(
        f"{peer.name}: CPU a call",
        "ms",
        [us / 1e3 for _, us in many],
        better="less",
    )
    memory = asked.up.program.memory_bytes() / 1e6
    rig.row(f"{peer.name}: memory", "MB", [memory], better="less")


def _act(load: Callable[[], Outcome]) -> Outcome:
    return load()


@contextmanager
def _zero(peer: Peer, rig: Rig) -> Iterator[Callable[[], Outcome]]:
    """The server without a gateway: over HTTP, or for bridges on its own pipe."""
    if peer.kind == "bridge":
        pipe = Pipe(STDIO, rig.cores.server)
        try:
            yield lambda: pipe.load("echo", 1, SECONDS)
        finally:
            pipe.close()
        return
    command = [sys.executable, "-m", "bench.peers.server"]
    with running(Program(command, rig.cores.server)) as server:
        end = Endpoint(server.wait_for(url_in)).open()
        job = drive.job(end, "tools/call", {"name": "echo", "arguments": ARGUMENTS}, 1, SECONDS)
        yield lambda: drive.ours(job, rig.cores.load)


def _fidelity(peer: Peer, rig: Rig, say: probe.Ask) -> None:
    if peer.kind == "meta":
        rig.note(f"{peer.name} wraps each result in one of its own; what is lost is not asked.")
        return
    found = probe.fidelity(
        say, lambda tool: f"{peer.prefix}{tool}", lambda tool, given: _params(peer, tool, given)
    )
    for question, arrived in found.items():
        rig.row(f"{peer.name}: {question}", "kept", [float(arrived)], better="more")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
