"""A scripted server in memory: the twin of a real Upstream, and a gateway made of such twins.

notes = FakeUpstream("notes", offers(tools=["add"]) | {"tools/call": {"content": []}})
async with gateway_of(notes) as gateway:
    await ask(gateway, "tools/call", {"name": "notes__add"})
assert notes.calls[-1] == ("tools/call", {"name": "add"})
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from msgspec import Raw

from fakes.edge import PATIENCE_S
from only1mcp.config.model import Config
from only1mcp.config.servers import Http, Server, Stdio
from only1mcp.config.watch import Source
from only1mcp.gateway import Gateway
from only1mcp.protocol import message
from only1mcp.protocol.errors import UpstreamError
from only1mcp.protocol.methods import MODERN, NEWEST_LEGACY, NEWEST_MODERN
from only1mcp.relay.call import relay
from only1mcp.relay.request import Request
from only1mcp.upstream.base import Call, Greeting
from only1mcp.upstream.live import Live
from only1mcp.upstream.replica import Replica
from only1mcp.upstream.standing import Counted

Answer = Any  # JSON-able result, bytes, an exception, or a callable of (Call) giving one of these
_ALL: dict[str, Any] = {"tools": {}, "prompts": {}, "resources": {}, "completions": {}}
NOT_FOUND = UpstreamError(b'{"code":-32601,"message":"no such method"}', -32601, "no such method")


def tool(name: str, **more: Any) -> dict[str, Any]:
    """A tool entry."""
    return {"name": name, "inputSchema": {"type": "object"}, **more}


def text(value: str) -> dict[str, Any]:
    """A tool result of one text block."""
    return {"content": [{"type": "text", "text": value}]}


def offers(**lists: list[Any]) -> dict[str, Answer]:
    """Answers to the list methods. A bare string stands for the simplest entry of that name."""
    simplest: dict[str, Callable[[str], Any]] = {
        "tools": tool,
        "prompts": lambda name: {"name": name},
        "resources": lambda uri: {"uri": uri, "name": uri},
        "templates": lambda uri: {"uriTemplate": uri, "name": uri},
    }
    answers: dict[str, Answer] = {}
    for kind, make in simplest.items():
        entries = [make(one) if isinstance(one, str) else one for one in lists.get(kind, [])]
        method = "resources/templates" if kind == "templates" else kind
        member = "resourceTemplates" if kind == "templates" else kind
        answers[f"{method}/list"] = {member: entries}
    return answers


class Gate:
    """An answer that waits: `entered` once a call is there, `open` lets it and all others pass."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.entered = asyncio.Event()
        self._opened = asyncio.Event()

    async def __call__(self, call: Call) -> Answer:
        """Hold the call."""
        self.entered.set()
        await self._opened.wait()
        return self.answer

    def open(self) -> None:
        """Let the calls go on."""
        self._opened.set()


def unheard(method: str, params: Raw) -> None:
    """Nobody hears how far a client is with a question."""


class FakeUpstream:
    """Answers from a table; remembers every call."""

    def __init__(
        self,
        server: str = "fake",
        answers: Mapping[str, Answer] | None = None,
        *,
        modern: bool = False,
        capabilities: Mapping[str, Any] | None = None,
        instructions: str | None = None,
    ) -> None:
        self.server = server
        self.who: str | None = None
        self.answers: dict[str, Answer] = dict(answers or {})
        self.revision: str | None = NEWEST_MODERN if modern else NEWEST_LEGACY
        self.greeting = Greeting(
            NEWEST_MODERN if modern else NEWEST_LEGACY,
            modern,
            dict({"tools": {}} if capabilities is None else capabilities),
            {"name": server},
            instructions,
        )
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.sent: list[Call] = []
        self.notified: list[tuple[str, dict[str, Any]]] = []
        self.cancelled: list[str] = []
        self.busy = False
        self.connects = 0
        self.closed = 0
        self.refuse: Exception | None = None
        self.hold: asyncio.Event | None = None  # connect waits for it
        self._lost: asyncio.Future[str] | None = None

    async def connect(self) -> Greeting:
        """Join, or fail as told."""
        self.connects += 1
        if self.hold is not None:
            await self.hold.wait()
        if self.refuse is not None:
            raise self.refuse
        self._lost = asyncio.get_running_loop().create_future()
        return self.greeting

    async def call(self, call: Call) -> bytes:
        """The scripted answer."""
        self.calls.append((call.method, plain(call.params)))
        self.sent.append(call)
        answer = self.answers.get(call.method, NOT_FOUND)
        try:
            if callable(answer):
                answer = answer(call)
                if asyncio.iscoroutine(answer):
                    answer = await answer
        except asyncio.CancelledError:
            self.cancelled.append(call.method)
            raise
        if isinstance(answer, Exception):
            try:
                raise answer
            finally:
                del answer  # its traceback has this frame
        return answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    def asked(self, method: str) -> list[dict[str, Any]]:
        """The params of every call of `method`, oldest first."""
        return [params for called, params in self.calls if called == method]

    async def notify(self, method: str, params: Mapping[str, Raw] | None = None) -> None:
        """Remember it."""
        self.notified.append((method, plain(params)))

    async def wait_lost(self) -> str:
        """Until `lose`."""
        assert self._lost is not None
        return await self._lost

    def lose(self, reason: str) -> None:
        """The connection dies."""
        assert self._lost is not None
        self._lost.set_result(reason)

    async def close(self) -> None:
        """Remember it."""
        self.closed += 1


def library(
    id: str = "lib", answers: dict[str, Any] | None = None, *, modern: bool = False
) -> FakeUpstream:
    """A server with one of everything: tool find, prompt greet, resource ID://a, a template."""
    offered = offers(
        tools=["find"],
        prompts=["greet"],
        resources=[f"{id}://a"],
        templates=[f"{id}://item/{{name}}"],
    )
    said = {
        "tools/call": text("called"),
        "prompts/get": {"messages": []},
        "resources/read": {"contents": []},
        "completion/complete": {"completion": {"values": []}},
    }
    return FakeUpstream(id, offered | said | (answers or {}), modern=modern, capabilities=_ALL)


def plain(params: Mapping[str, Raw] | None) -> dict[str, Any]:
    """Params as Python values."""
    return {key: message.any_value(value) for key, value in (params or {}).items()}


def attach(live: Live, fake: FakeUpstream | None) -> None:
    """Make `fake` the connection of a server that is not started; None: it has none."""
    (replica,) = live.replicas
    replica.upstream, live.lead = fake, replica
    replica.calls = None if fake is None else Counted(replica, fake)
    replica.changed()


def no_pause(live: Live) -> None:
    """Let a server that is lost be started again without a pause."""
    for one in live.replicas:
        one._restarts._pause_s = 0.0


@contextlib.asynccontextmanager
async def gateway_of(
    *upstreams: FakeUpstream,
    notice: Callable[[Live], None] | None = None,
    settled: bool = True,
    entries: Mapping[str, Mapping[str, Any]] | None = None,
    **config: Any,
) -> AsyncIterator[Gateway]:
    """A started gateway whose servers are these fakes (no listener yet).

    Several fakes of one name are the replicas of one server.
    `entries` are more settings of a server, by id; an id without a fake is never started.
    """
    twins = by_server(*upstreams)
    more = entries or {}
    servers = tuple(
        Server(**{"id": id, **_way(len(twins.get(id, ()))), **more.get(id, {})})
        for id in dict.fromkeys([*twins, *more])
    )

    def make(live: Live, replica: Replica, era: str) -> FakeUpstream:
        return twins[live.id][live.replicas.index(replica)]

    gateway = Gateway(Config(servers=servers, **config), notice)
    for live in gateway.roster.servers.values():
        live._make = make
    gateway.start()
    try:
        if settled:
            await gateway.roster.settle([*twins], PATIENCE_S)
        yield gateway
    finally:
        await gateway.close()


def by_server(*upstreams: FakeUpstream) -> dict[str, list[FakeUpstream]]:
    """The fakes of each server, in order."""
    found: dict[str, list[FakeUpstream]] = {}
    for one in upstreams:
        found.setdefault(one.server, []).append(one)
    return found


def _way(replicas: int) -> dict[str, Any]:
    """How a server is said to be reached that has so many replicas."""
    if replicas < 2:
        return {"transport": Stdio(command="never-started")}
    urls = (f"http://127.0.0.1:{port}/mcp" for port in range(1, replicas + 1))
    return {"replicas": [{"transport": Http(url=url)} for url in urls]}


class Heard:
    """The client of one request: keeps the notifications that belong to it."""

    def __init__(self) -> None:
        self.principal = "test"
        self.headers: Mapping[bytes, bytes] | None = None
        self.capabilities: dict[str, Any] = {}
        self.notes: list[tuple[str, Any]] = []
        self.labels: list[bytes] = []

    log_level = None
    session: str | None = None

    async def ask(self, method: str, params: bytes, told: Any = None) -> bytes:
        """It takes no questions."""
        raise NOT_FOUND

    def notify(self, method: str, params: Raw) -> None:
        """Remember it."""
        self.notes.append((method, message.any_value(params)))

    def resumable(self, retry_s: float | None) -> None:
        """It has no stream."""

    def label(self, lines: bytes) -> None:
        """Remember it."""
        self.labels.append(lines)


def request(
    gateway: Gateway,
    method: str,
    params: Any = None,
    *,
    revision: str = NEWEST_LEGACY,
    mount: str | None = None,
    caller: Heard | None = None,
) -> Request:
    """What an edge makes of a client's request."""
    view = gateway.snapshot().view(mount)
    assert view is not None
    raw = params if isinstance(params, bytes) else json.dumps(params or {}).encode()
    modern = revision in MODERN
    return Request(method, message.members(raw), revision, modern, view, caller or Heard())


async def ask(gateway: Gateway, method: str, params: Any = None, **more: Any) -> Any:
    """The result of one request through the relay."""
    async with asyncio.timeout(PATIENCE_S):
        return json.loads(await relay(request(gateway, method, params, **more), gateway.snapshot()))


@contextlib.asynccontextmanager
async def served(
    *upstreams: FakeUpstream, source: Source | None = None, **more: Any
) -> AsyncIterator[tuple[Gateway, str]]:
    """A gateway of these fakes behind a real edge on a free port, and the URL of its endpoint.

    `source` is what it reads when it is told to reload.
    """
    async with gateway_of(*upstreams, **more) as gateway:
        gateway._source = source
        edge = await gateway.listen(0)
        yield gateway, f"{edge.url}/mcp"
