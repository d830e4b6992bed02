"""Clients of every revision on every transport, all with the same few verbs.

    async with connected(how, where) as client:
        answer = await client.ask("tools/call", {"name": "x"})
        await client.hear(uri="a://b")              list changes and updates of that resource
        client.heard, client.asked                  notifications, questions

A question of a server is answered from `answers`, by its method, in the form of the era: a
legacy client answers a request, a modern one repeats its own with `inputResponses`.
"""

import asyncio
import itertools
import json
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Protocol

import httpx2

from fakes.teller import ACK
from fakes.wire import BOTH, META, MODERN, Json, headers_of, message
from only1mcp.observe.tasks import Tasks

WAIT_S: Final = 10.0
ANSWERS: Final[Json] = {
    "elicitation/create": {"action": "accept", "content": {"name": "Ada"}},
    "sampling/createMessage": {
        "role": "assistant", "content": {"type": "text", "text": "hello"}, "model": "m",
    },
    "roots/list": {"roots": [{"uri": "file:///home", "name": "home"}]},
}  # fmt: skip
FORM: Final[Json] = {"elicitation": {}}
BOTH_MODES: Final[Json] = {"elicitation": {"form": {}, "url": {}}}
DECLARED: Final[dict[str, Json]] = {
    "2024-11-05": {},
    "2025-03-26": {},
    "2025-06-18": FORM,
    "2025-11-25": BOTH_MODES,
    "2026-07-28": BOTH_MODES,
}
"""What a revision has beside sampling and roots, which all have."""

Take = Callable[[Json], None]


class Channel(Protocol):
    """How messages go to the gateway; those that come are given to `take`."""

    take: Take

    async def send(self, body: Json) -> None:
        """Send one message; returns without waiting for an answer."""

    async def close(self) -> None:
        """The client leaves."""


class Client:
    """What both eras have in common."""

    def __init__(self, revision: str, channel: Channel) -> None:
        self.revision = revision
        self.capabilities: Json = {"sampling": {}, "roots": {}, **DECLARED[revision]}
        self.answers = dict(ANSWERS)
        self.heard: list[Json] = []
        self.asked: list[Json] = []
        self.tasks = Tasks()
        self.channel = channel
        channel.take = self._take
        self._ids = itertools.count(1)
        self._due: dict[int, asyncio.Future[Json]] = {}
        self._changed = asyncio.Condition()

    # --- what a test does ---

    async def open(self) -> None:
        """Whatever has to be said first."""

    async def ask(self, method: str, params: Json | None = None, *, token: Any = None) -> Json:
        """The whole answer to a request; a progress token goes into its `_meta`."""
        meta = {} if token is None else {"progressToken": token}
        return await self.request(next(self._ids), method, params or {}, meta)

    async def request(self, id: int, method: str, params: Json, meta: Json) -> Json:
        """Send one request and wait for its answer."""
        due: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._due[id] = due
        try:
            more = {"_meta": meta} if meta else {}
            await self.channel.send(message(method, {**params, **more}, id=id))
            async with asyncio.timeout(WAIT_S):
                return await due
        finally:
            del self._due[id]

    async def cancel(self, id: int) -> None:
        """No longer want the answer to the request with this id."""
        params = {"requestId": id, "reason": "enough"}
        await self.channel.send(message("notifications/cancelled", params))

    @property
    def last_id(self) -> int:
        """Of the newest request under way."""
        return max(self._due)

    def told(self, method: str) -> list[Json]:
        """The params of all notifications of this kind so far."""
        return [one.get("params", {}) for one in self.heard if one["method"] == method]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is looked at whenever something has come."""
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(condition)

    async def another(self, method: str, seen: int) -> int:
        """Wait for more than `seen` notifications of this kind; how many there are then."""
        await self.until(lambda: len(self.told(method)) > seen)
        return len(self.told(method))

    async def level(self, level: str) -> None:
        """Want log messages from this level on."""

    async def hear(self, *, uri: str) -> None:
        """Hear of list changes, and of updates of that resource."""

    async def hear_no_more(self, *, uri: str) -> None:
        """The end of `hear`."""

    async def close(self) -> None:
        """Leave."""
        await self.channel.close()
        await self.tasks.close()

    # --- what comes ---

    def _take(self, found: Json) -> None:
        assert found["jsonrpc"] == "2.0"
        if "method" not in found:
            if (due := self._due.get(found["id"])) is not None and not due.done():
                due.set_result(found)
        elif "id" in found:
            self._question(found)
        else:
            self.heard.append(found)
        self.tasks.start(self._wake(), "wake the test")

    def _question(self, found: Json) -> None:
        raise AssertionError(f"a request to a client of {self.revision}: {found}")

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class LegacyClient(Client):
    """Shakes hands first."""

    async def open(self) -> None:
        """`initialize`, and what follows it."""
        params = {
            "protocolVersion": self.revision,
            "capabilities": self.capabilities,
            "clientInfo": {"name": "era", "version": "1"},
        }
        found = await self.ask("initialize", params)
        assert found["result"]["protocolVersion"] == self.revision
        await self.channel.send(message("notifications/initialized"))

    async def level(self, level: str) -> None:
        """`logging/setLevel`."""
        assert (await self.ask("logging/setLevel", {"level": level}))["result"] == {}

    async def hear(self, *, uri: str) -> None:
        """List changes come without asking, where the transport has a stream for them."""
        if isinstance(self.channel, Posts):
            await self.channel.listen()
        assert (await self.ask("resources/subscribe", {"uri": uri}))["result"] == {}

    async def hear_no_more(self, *, uri: str) -> None:
        """The end of the subscription; the stream stays."""
        assert (await self.ask("resources/unsubscribe", {"uri": uri}))["result"] == {}

    def _question(self, found: Json) -> None:
        self.asked.append({"method": found["method"], "params": found.get("params", {})})
        answer = {"jsonrpc": "2.0", "id": found["id"], "result": self.answers[found["method"]]}
        self.tasks.start(self.channel.send(answer), "answer a question")


class ModernClient(Client):
    """Every request describes itself; questions come as results."""

    _level: str | None = None
    _listen: int | None = None

    async def level(self, level: str) -> None:
        """`logLevel` in all requests from now on."""
        self._level = level

    async def request(self, id: int, method: str, params: Json, meta: Json) -> Json:
        """Send one request, and again with answers as long as the server asks."""
        own = {META + "protocolVersion": MODERN, META + "clientCapabilities": self.capabilities}
        if self._level is not None:
            own[META + "logLevel"] = self._level
        found = await super().request(id, method, params, {**own, **meta})
        result = found.get("result", {})
        if "result" in found:
            assert result["resultType"] in ("complete", "input_required")
        if result.get("resultType") != "input_required":
            return found
        wanted = result["inputRequests"]
        self.asked += wanted.values()
        given = {key: self.answers[one["method"]] for key, one in wanted.items()}
        again = {**params, "inputResponses": given, "requestState": result["requestState"]}
        return await self.request(next(self._ids), method, again, meta)

    async def cancel(self, id: int) -> None:
        """Over HTTP one hangs up."""
        if isinstance(self.channel, Posts):
            self.channel.hang_up(id)
        else:
            await super().cancel(id)

    async def hear(self, *, uri: str) -> None:
        """`subscriptions/listen`, until it is acknowledged."""
        self._listen = next(self._ids)
        wanted = {"toolsListChanged": True, "resourceSubscriptions": [uri]}
        before = len(self.told(ACK))
        listen = super().request(
            self._listen, "subscriptions/listen", {"notifications": wanted},
            {META + "protocolVersion": MODERN, META + "clientCapabilities": {}},
        )  # fmt: skip
        self.tasks.start(_ended(listen), "listen")
        await self.until(lambda: len(self.told(ACK)) > before)
        assert self.told(ACK)[-1]["notifications"] == wanted

    async def hear_no_more(self, *, uri: str) -> None:
        """Cancel the listen."""
        assert self._listen is not None
        await self.cancel(self._listen)


async def _ended(listen: Any) -> None:
    """A listen has no answer once it is cancelled; while it lasts none is due."""
    with suppress(TimeoutError):
        await listen


class Posts:
    """Streamable HTTP of either era."""

    take: Take

    def __init__(self, http: httpx2.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url
        self._session: dict[str, str] = {}
        self._tasks = Tasks()
        self._running: dict[Any, asyncio.Task[None]] = {}
        self._listening = False

    async def send(self, body: Json) -> None:
        """A request is answered in its own time; anything else at once."""
        if "method" in body and "id" in body:
            id = body["id"]
            self._running[id] = self._tasks.start(self._post(body), "post")
            self._running[id].add_done_callback(lambda _: self._running.pop(id, None))
        else:
            await self._post(body)

    def hang_up(self, id: int) -> None:
        """Close the connection of a request."""
        self._running[id].cancel()

    async def listen(self) -> None:
        """Open the session's GET stream, once."""
        if not self._listening:
            self._listening = True
            opened = asyncio.Event()
            self._tasks.start(self._get(opened), "listen")
            await opened.wait()

    async def close(self) -> None:
        """End the session."""
        await self._tasks.close()
        if self._session:
            await self._http.delete(self._url, headers=self._session)

    async def _post(self, body: Json) -> None:
        headers = {"Content-Type": "application/json", "Accept": BOTH, **self._session}
        if META + "protocolVersion" in body.get("params", {}).get("_meta", {}):
            headers |= headers_of(body)
        content = json.dumps(body).encode()
        async with self._http.stream("POST", self._url, headers=headers, content=content) as found:
            await self._read(found)

    async def _read(self, found: httpx2.Response) -> None:
        if (session := found.headers.get("mcp-session-id")) is not None:
            self._session = {"Mcp-Session-Id": session}
        kind = found.headers.get("content-type", "")
        if kind.startswith("text/event-stream"):
            await _pump(found, self.take)
        elif body := await found.aread():
            self.take(json.loads(body))

    async def _get(self, opened: asyncio.Event) -> None:
        headers = {"Accept": "text/event-stream", **self._session}
        async with self._http.stream("GET", self._url, headers=headers) as found:
            assert found.status_code == 200
            opened.set()
            await _pump(found, self.take)


class Events:
    """HTTP+SSE of 2024-11-05."""

    take: Take

    def __init__(self, http: httpx2.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url
        self._place = asyncio.get_running_loop().create_future()
        self._tasks = Tasks()
        self._tasks.start(self._get(), "events")

    async def send(self, body: Json) -> None:
        """To the place that the stream has named."""
        async with asyncio.timeout(WAIT_S):
            place = await self._place
        found = await self._http.post(httpx2.URL(self._url).join(place), json=body)
        assert found.status_code == 202, found.text

    async def close(self) -> None:
        """The end of the stream is the end of the session."""
        await self._tasks.close()

    async def _get(self) -> None:
        headers = {"Accept": "text/event-stream"}
        async with self._http.stream("GET", self._url, headers=headers) as found:
            async for data in _datas(found):
                if self._place.done():
                    self.take(json.loads(data))
                else:
                    self._place.set_result(data)


class Lines:
    """The pipes of a gateway that is a child."""

    take: Take

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout
        self._tasks = Tasks()
        self._tasks.start(self._pump(), "stdout")

    async def send(self, body: Json) -> None:
        """One line."""
        self._stdin.write(json.dumps(body).encode() + b"\n")
        await self._stdin.drain()

    async def close(self) -> None:
        """End the input."""
        self._stdin.close()
        await self._tasks.close()

    async def _pump(self) -> None:
        while line := await self._stdout.readline():
            self.take(json.loads(line))


async def _pump(stream: httpx2.Response, take: Take) -> None:
    async for data in _datas(stream):
        take(json.loads(data))


async def _datas(stream: httpx2.Response) -> AsyncIterator[str]:
    async for line in stream.aiter_lines():
        if line.startswith("data:") and (data := line[5:].strip()):  # an event may have an id only
            yield data


@asynccontextmanager
async def connected(revision: str, channel: Channel) -> AsyncIterator[Client]:
    """A client of `revision`, ready to ask."""
    client = (ModernClient if revision == MODERN else LegacyClient)(revision, channel)
    try:
        await client.open()
        yield client
    finally:
        await client.close()
