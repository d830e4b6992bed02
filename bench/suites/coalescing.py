"""Equal questions at the same time: how many reach the server, and what waiting for them costs."""

from typing import Any, Final

from bench.rig import Rig
from only1mcp.bench import drive
from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.load import Outcome
from only1mcp.bench.started import Started, http_server, told

CLIENTS: Final = 100
WINDOWS_MS: Final = (0, 20, 100)
DELAY_MS: Final = 20
SECONDS: Final = 2
NO_CACHE: Final = {"cache": {"enabled": False}}
SLOW: Final = ("resources/read", {"uri": "stub://one", "delay_ms": DELAY_MS})
MIXED: Final = [
    SLOW,
    *(("resources/read", {"uri": f"stub://{n}", "delay_ms": DELAY_MS}) for n in range(4)),
]


def run(rig: Rig) -> None:
    """A hundred clients ask a server that takes 20 ms, without a cache in front of it."""
    with rig.stub() as stub:
        _lists(rig, stub)
        if not rig.knows({"batching": {"enabled": True}, **NO_CACHE}):
            rig.gap("windows and sizes", "this version does not know the setting `batching`")
            return
        _measure(rig, stub, "off", {"enabled": False}, [SLOW], CLIENTS)
        for window in WINDOWS_MS:
            settings = {"enabled": True, "window": f"{window}ms"}
            _measure(rig, stub, f"window {window} ms", settings, [SLOW], CLIENTS)
        for size in (1, 5, 10, 20, 50):
            settings = {"enabled": True, "window": "100ms", "max_size": size}
            _measure(rig, stub, f"window 100 ms, at most {size}", settings, MIXED, CLIENTS)
        _measure(rig, stub, "10 clients, window 100 ms", {"window": "100ms"}, [SLOW], 10)
        _measure(rig, stub, "1 client, window 0 ms", {"window": "0ms"}, [SLOW], 1)
        share = _measure(rig, stub, "mixed load, window 0 ms", {"enabled": True}, MIXED, CLIENTS)
        rig.row(
            "calls spared in the mixed load", "%", [100 - share], better="more", bar=50, guard=True
        )


def _lists(rig: Rig, stub: Started) -> None:
    """tools/list comes from the catalogue, which was filled when the server joined."""
    with rig.gateway({"servers": [http_server("stub", stub.url)]}) as gateway:
        end = Endpoint(gateway.url).open()
        before = told(stub.url).get("tools/list", 0)
        job = drive.job(end, "tools/list", {}, CLIENTS, 1)
        calls = drive.ours(job, rig.cores.load).calls
        asked = told(stub.url).get("tools/list", 0) - before
    rig.row(
        f"{CLIENTS} clients list tools, calls to the server", "calls", [asked], better="less", bar=1
    )
    rig.note(f"The lists were asked for {calls} times.")


def _measure(
    rig: Rig, stub: Started, name: str, batching: dict[str, Any], questions: Any, clients: int
) -> float:
    """Calls that reached the server, in percent of those made."""
    servers = {"servers": [http_server("stub", stub.url)]}
    with rig.gateway({"batching": batching, **NO_CACHE, **servers}) as gateway:
        end = Endpoint(gateway.url).open()
        job = drive.jobs(end, questions, tuple(range(len(questions))), clients, SECONDS)
        before = told(stub.url).get("resources/read", 0)
        outcome: Outcome = drive.ours(job, rig.cores.load)
        asked = told(stub.url).get("resources/read", 0) - before
    share = asked / outcome.calls * 100
    rig.row(f"{name}: calls that reach the server", "%", [share], better="less")
    median = outcome.latencies.percentile_s(50) * 1e3
    rig.row(f"{name}: p50", "ms", [median], better="less")
    return share
