"""The chaos proof: steady load while replicas are killed, hung and healed; a ledger says what ran.

    make soak                                300 calls a second for 60 s
    make soak ARGS="--seconds 20 --seed 7"   shorter, and the same trouble each time
    make soak ARGS="--reloads 50"            the configuration is rewritten meanwhile

Three servers: `web` has three replicas over HTTP, `pipe` two programs, `solo` one that is left
alone. At most one replica of a server is in trouble at a time, so there is always another one.

Passes if no call ran twice, none failed that could have run elsewhere (an error that says
`not_sent`), what an error says is true, and nothing is left behind.
"""

import argparse
import asyncio
import json
import random
import signal
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any, Final

import psutil

from fakes import ledger_server
from fakes.gateway import Running, gateway
from only1mcp.observe.tasks import Tasks

MODERN: Final = "2026-07-28"
SHARES: Final = {"web": 6, "pipe": 2, "solo": 2}
"""Of ten calls."""
TROUBLE_S: Final = 3.0
"""From one trouble of a server to its next."""
HUNG_S: Final = 2.5
HEALED_S: Final = 1.0
"""A killed replica over HTTP is started again after this."""
CONNECTIONS: Final = 256
PATIENCE_S: Final = 30.0
Json = dict[str, Any]


@dataclass
class Told:
    """What the client of one call was told."""

    server: str
    key: str
    outcome: str
    """"done", or what the error says: not_sent, unknown, executed; or "no answer"."""
    took_s: float
    error: str = ""


@dataclass
class Verdict:
    """What all calls together show. Everything but `lost` and `done` must be empty."""

    done: int = 0
    lost: int = 0
    """Errors that say the call may have run: those nobody can repeat."""
    twice: list[str] = field(default_factory=list)
    needless: list[str] = field(default_factory=list)
    """Failed, not sent: another replica could have run it."""
    untrue: list[str] = field(default_factory=list)
    """Done but not in the ledger, or not_sent and in it, or no answer at all."""

    @property
    def good(self) -> bool:
        """Whether it holds what we promise."""
        return not (self.twice or self.needless or self.untrue)


def judge(told: Sequence[Told], runs: Mapping[str, int]) -> Verdict:
    """Compare what clients were told with what has run."""
    verdict = Verdict()
    for one in told:
        ran = runs.get(one.key, 0)
        if ran > 1:
            verdict.twice.append(f"{one.key}: {ran} times, {one.outcome}")
        match one.outcome:
            case "done":
                verdict.done += 1
                false = ran == 0
            case "not_sent":
                verdict.needless.append(f"{one.key}: {one.error}")
                false = ran > 0
            case "unknown" | "executed":
                verdict.lost += 1
                false = False
            case _:
                false = True
        if false:
            verdict.untrue.append(f"{one.key}: {one.outcome}, ran {ran} times; {one.error}")
    return verdict


# --- the load ---


class Client:
    """A plain HTTP client with kept connections: cheap, so that the gateway has the machine."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._place = host, int(port)
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._room = asyncio.Semaphore(CONNECTIONS)

    async def add(self, server: str, key: str) -> Told:
        """One call, and what is told of it."""
        began = monotonic()
        try:
            async with asyncio.timeout(PATIENCE_S), self._room:
                answer = await self._post(f"{server}__add", {"key": key, "seconds": 0.005})
        except (OSError, EOFError, TimeoutError, ValueError) as fault:
            return Told(server, key, "no answer", monotonic() - began, repr(fault))
        took_s, error = monotonic() - began, answer.get("error")
        if error is None:
            return Told(server, key, "done", took_s)
        outcome = (error.get("data") or {}).get("outcome", "no outcome")
        return Told(server, key, outcome, took_s, f"{error['code']} {error['message'][:120]}")

    async def _post(self, name: str, arguments: Json) -> Json:
        meta = {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        params = {"name": name, "arguments": arguments, "_meta": meta}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        data = json.dumps(body).encode()
        head = (
            f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: {MODERN}\r\n"
            f"Mcp-Method: tools/call\r\nMcp-Name: {name}\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        fresh = not self._free
        reader, writer = await asyncio.open_connection(*self._place) if fresh else self._free.pop()
        try:
            writer.write(head.encode() + data)
            found: Json = json.loads(await _body(reader))
        except BaseException:
            writer.close()
            raise
        self._free.append((reader, writer))
        return found

    def close(self) -> None:
        """Close the connections."""
        for _, writer in self._free:
            writer.close()


async def _body(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    return await reader.readexactly(int(lines[b"content-length"]))


async def load(client: Client, rate: int, seconds: float) -> list[Told]:
    """So many calls a second, whether the ones before have ended or not."""
    tasks, began = Tasks(), monotonic()
    names = [name for name, share in SHARES.items() for _ in range(share)]
    calls = []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(began + number / rate - monotonic(), 0))
        server = names[number % len(names)]
        calls.append(tasks.start(client.add(server, f"{server}-{number}"), "call"))
    return [await call for call in calls]


# --- the trouble ---


class Replica:
    """A server over HTTP in a process of its own."""

    def __init__(self, ledger: Path, port: int) -> None:
        self.port = port
        self._argv = (ledger_server.__file__, str(ledger), "--http", str(port))
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        self.process = await asyncio.create_subprocess_exec(sys.executable, *self._argv)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    return
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


class Trouble:
    """Kills and hangs replicas of `web` and `pipe`, one of each at a time."""

    def __init__(self, replicas: Sequence[Replica], url: str, chance: random.Random) -> None:
        self.done: Counter[str] = Counter()
        self._replicas = replicas
        self._url = url
        self._chance = chance

    async def web(self) -> None:
        """For ever: trouble at one of the replicas over HTTP, and peace again."""
        for number in count():
            await self._up("web")  # or a call could not have gone elsewhere
            one = self._chance.choice(self._replicas)
            if number % 2 == 0:
                self.done["web killed"] += 1
                await one.kill()
                await asyncio.sleep(HEALED_S)
                await one.start()
            else:
                self.done["web hung"] += 1
                one.process.send_signal(signal.SIGSTOP)
                try:
                    await asyncio.sleep(HUNG_S)
                finally:
                    one.process.send_signal(signal.SIGCONT)
            await asyncio.sleep(TROUBLE_S)

    async def pipe(self) -> None:
        """For ever: trouble at one of the programs, which the gateway has to see to."""
        for number in count():
            pid = self._chance.choice([one["pid"] for one in await self._up("pipe")])
            killed = number % 2 == 0
            self.done["pipe killed" if killed else "pipe hung"] += 1
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                process.send_signal(signal.SIGKILL if killed else signal.SIGSTOP)
                if not killed:
                    await asyncio.sleep(HUNG_S)
                    process.send_signal(signal.SIGCONT)
            await asyncio.sleep(TROUBLE_S)

    async def _up(self, server: str) -> list[Json]:
        """The replicas of a server, once all of them are up."""
        while True:
            reader, writer = await asyncio.open_connection(*_place(self._url))
            writer.write(b"GET /api/v1/admin/servers HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            rows = json.loads(await _body(reader))["servers"]
            writer.close()
            replicas: list[Json] = next(row for row in rows if row["id"] == server)["replicas"]
            if all(one["state"] == "ready" for one in replicas):
                return replicas
            await asyncio.sleep(0.1)


def _place(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").partition(":")
    return host, int(port)


async def rewrite(file: Path, whole: Json, times: int, seconds: float) -> None:
    """Write the configuration again and again, with a server more or less each time."""
    extra = {"id": "extra", "transport": {"type": "http", "url": "http://127.0.0.1:9/mcp"}}
    for number in range(times):
        await asyncio.sleep(seconds / (times + 1))
        more = [extra] if number % 2 == 0 else []
        new = file.with_suffix(".new")
        new.write_text(json.dumps({**whole, "servers": [*whole["servers"], *more]}))
        new.replace(file)


# --- all of it ---


def config(ledger: Path, ports: Sequence[int]) -> Json:
    """What the gateway runs with."""
    argv = [ledger_server.__file__, str(ledger)]
    program = {"type": "stdio", "command": sys.executable, "args": argv}
    quick = {
        "timeouts": {"call_idle": 2},
        "health_check": {"interval": 1, "timeout": 0.5},
        "circuit_breaker": {"open": 0.5, "max_open": 2},
        "concurrency": {"max_in_flight": 512},
        "load_balancing": {"policy": "least_connections", "slow_start": 2},
    }
    urls = [{"type": "http", "url": f"http://127.0.0.1:{port}/mcp"} for port in ports]
    return {
        "servers": [
            {"id": "web", "replicas": [{"transport": one} for one in urls], **quick},
            {"id": "pipe", "replicas": [{"transport": program}] * 2, **quick},
            {"id": "solo", "transport": program},
        ]
    }


async def soak(options: argparse.Namespace, folder: Path) -> bool:
    """Run it all and say what was found; whether that is good."""
    ledger, ports = folder / "ledger", _free_ports(3)
    replicas = [Replica(ledger, port) for port in ports]
    chance = random.Random(options.seed)  # noqa: S311
    async with AsyncExitStack() as stack:
        for one in replicas:
            await one.start()
            stack.push_async_callback(one.kill)
        running = await stack.enter_async_context(gateway(config(ledger, ports), folder))
        await running.ready("web", "pipe", "solo")
        trouble = Trouble(replicas, running.url, chance)
        told = await under_load(running, trouble, options, folder / "only1mcp.json")
        ours = psutil.Process(running.process.pid).children(recursive=True)
    return report(told, ledger, trouble.done, [one for one in ours if one.is_running()])


async def under_load(
    running: Running, trouble: Trouble, options: argparse.Namespace, file: Path
) -> list[Told]:
    """The load and all that happens meanwhile."""
    client, tasks = Client(running.url), Tasks()
    whole = json.loads(file.read_bytes())  # noqa: ASYNC240 - the load has not begun
    try:
        for job in (trouble.web(), trouble.pipe()):
            tasks.start(job, "trouble")
        tasks.start(rewrite(file, whole, options.reloads, options.seconds), "rewrite")
        return await load(client, options.rate, options.seconds)
    finally:
        await tasks.close()
        client.close()


def report(
    told: Sequence[Told], ledger: Path, trouble: Mapping[str, int], orphans: Sequence[object]
) -> bool:
    """Print the numbers; whether all is well."""
    runs = Counter(line.split(" ")[0] for line in ledger.read_text().splitlines())
    verdict = judge(told, runs)
    print(f"{len(told)} calls: {verdict.done} done, {verdict.lost} lost (unknown, not repeatable)")
    print(f"trouble: {', '.join(f'{count} {what}' for what, count in sorted(trouble.items()))}")
    for server in SHARES:
        times = sorted(one.took_s * 1000 for one in told if one.server == server)
        middle, late = times[len(times) // 2], times[len(times) * 99 // 100]
        print(f"{server:>5}: p50 {middle:.1f} ms, p99 {late:.1f} ms, longest {times[-1]:.0f} ms")
    for name in ("twice", "needless", "untrue"):
        found = getattr(verdict, name)
        print(f"{name}: {len(found)}")
        for line in found[:10]:
            print(f"    {line}")
    print(f"orphans: {len(orphans)}")
    return verdict.good and not orphans


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in found]


def main() -> None:
    """Parse arguments, run, exit with 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=int, default=300, help="calls a second")
    parser.add_argument("--reloads", type=int, default=0, help="how often the file is rewritten")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        good = asyncio.run(soak(options, Path(folder)))
    print("good" if good else "BROKEN")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
