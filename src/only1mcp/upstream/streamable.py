"""MCP over Streamable HTTP to one server, in both eras.

    call ──► POST ──► JSON, or events: what belongs to the call, then its answer
                 ├── legacy: session id and revision in headers; 404 ends the session, one
                 │   new handshake serves all who wait; a GET stream for the rest
                 └── modern: method and name in headers; closing the connection cancels

Errors  see upstream/base.py; every one names the URL, the cause and the next step.
Source  MCP 2025-11-25 and 2026-07-28 basic/transports "Streamable HTTP".
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from msgspec import Raw

from only1mcp.config.servers import Http, Timeouts
from only1mcp.observe.tasks import Tasks
from only1mcp.protocol import headers, message
from only1mcp.protocol.errors import (
    McpError,
    MethodNotFound,
    ServerFault,
    ServerLost,
    ServerUnavailable,
)
from only1mcp.protocol.message import Message, Params
from only1mcp.protocol.methods import FROM_SERVERS, QUESTIONS, Fate, fate
from only1mcp.upstream import answer, traffic
from only1mcp.upstream.afterwards import Afterwards
from only1mcp.upstream.askers import GivenUp, asker, take_back
from only1mcp.upstream.base import Call, Greeting, NotificationSink, Waiter, put, refusal
from only1mcp.upstream.connection import Exchange, Response
from only1mcp.upstream.deadline import Deadlines
from only1mcp.upstream.dial import Endpoint
from only1mcp.upstream.heads import Heads
from only1mcp.upstream.http import CONNECT_S, TRY_LATER, HttpPool
from only1mcp.upstream.listen import Stream, follow, last_id
from only1mcp.upstream.notices import Notices
from only1mcp.upstream.probe import greet
from only1mcp.upstream.running import Running, resume, run, stray_progress

log = logging.getLogger("only1mcp.upstream.http")

CONTROL_CONNECTIONS: Final = 256
"""For GET streams, notifications and answers, which must get through when calls are many."""
CONTROL_S: Final = 10.0  # one notification or answer
CLOSE_S: Final = 2.0  # the DELETE of the session
MAX_ANSWERS: Final = 256  # to requests of the server, at once; more are dropped
_HANDSHAKE: Final = frozenset(("initialize", "server/discover"))
_CHANGES: Final = {
    "tools": "notifications/tools/list_changed",
    "prompts": "notifications/prompts/list_changed",
    "resources": "notifications/resources/list_changed",
}


class StreamableHttp:
    """One HTTP endpoint. `revision` steers the headers: None before and in the handshake."""

    def __init__(
        self,
        server_id: str,
        transport: Http,
        timeouts: Timeouts,
        protocol: str,
        on_notification: NotificationSink,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.server = server_id
        self.who: str | None = None
        self.greeting = Greeting("", modern=False)
        self._protocol = protocol
        self._timeouts = timeouts
        self._on_notification = on_notification
        self.clock = clock
        secrets = {name: value.get_secret_value() for name, value in transport.headers.items()}
        self.endpoint = Endpoint(server_id, transport.url, secrets)
        connect_s = min(CONNECT_S, timeouts.start)
        self._pool = HttpPool(self.endpoint, connect_s=connect_s, clock=clock)
        self._control = HttpPool(
            self.endpoint, connect_s=connect_s, max_connections=CONTROL_CONNECTIONS, clock=clock
        )
        self._heads = Heads(self.endpoint)
        self._ids = itertools.count(1)
        self._running: dict[int, Running] = {}
        self._given_up = GivenUp(clock)
        self._afterwards = Afterwards()
        self._deadlines = Deadlines(self._running.values(), clock)
        self._tasks = Tasks()
        self._notices = Notices(self._tasks, lambda text: self._deliver(self._heads.post, text))
        self._listening: asyncio.Task[None] | None = None
        self._renewal: asyncio.Task[ServerFault | None] | None = None
        self._lost = asyncio.Event()
        self._reason = ""

    @property
    def revision(self) -> str | None:
        """The revision spoken; None before and in the handshake of the legacy era."""
        return self._heads.revision

    @revision.setter
    def revision(self, value: str | None) -> None:
        self._heads.revision = value

    # --- Upstream ---

    @property
    def busy(self) -> bool:
        """Whether calls are running."""
        return bool(self._running)

    async def connect(self) -> Greeting:
        """Find the era and shake hands; in the legacy era open the GET stream too."""
        self.greeting = await greet(self, self._protocol, self._timeouts.start)
        self._listen()
        return self.greeting

    async def call(self, call: Call) -> bytes:
        """The result of `call` as JSON text. See upstream/base.py for the errors."""
        running = run(self, call, next(self._ids))
        self._running[running.id] = running
        self._deadlines.watch(running.due)
        return await self._outcome(running, None)

    def begin(self, call: Call, waiter: Waiter) -> Running | None:
        """Send it now, if there is a session and an idle connection; see upstream/base.py."""
        if self._renewal is not None or call.array is not None:
            return None
        running = run(self, call, next(self._ids), waiter)
        running.modern, running.session = self._heads.modern, self._heads.session
        sent = running, self._heads.of(call), running.body, waiter
        if (connection := self._pool.begin(*sent)) is None:
            return None
        running.connection = connection
        self._running[running.id] = running
        self._deadlines.watch(running.due)
        return running

    def end(self, begun: Running, response: Response) -> bytes | None:
        """The result, if the answer is a plain one: then it is over."""
        found = begun.answer or answer.plain(response, begun.raw_id)
        if found is None or not found.result:
            return None
        result = bytes(found.result)
        if not answer.is_plain(result, begun.modern):
            return None
        del self._running[begun.id]
        begun.end()
        return result

    async def rest(self, begun: Running, response: "asyncio.Future[Response]") -> bytes:
        """What `call` does from here on."""
        assert begun.connection is not None
        begun.take_task()
        return await self._outcome(begun, self._pool.finish(begun.connection, begun, response))

    async def _outcome(self, running: Running, sent: Coroutine[Any, Any, Response] | None) -> bytes:
        """The result of a call, or of the rest of one that has been sent."""
        call = running.call
        try:
            if sent is None and self._renewal is not None and call.method not in _HANDSHAKE:
                await self._renewed(self._renewal)
            found = await self._answer(running, sent)
            self._afterwards.keep(running.id, running.token, call, found.result)
            return answer.result(found)
        except asyncio.CancelledError:
            self._cancel(running)
            if running.has_expired():
                raise running.overdue() from None
            raise
        except ServerLost:
            self._given_up.note(bytes(running.raw_id), call)
            raise
        finally:
            del self._running[running.id]
            running.end()

    async def notify(self, method: str, params: Params | None = None) -> None:
        """Send a notification; that the server cannot be reached is not an error."""
        text = message.encode(params) if params is not None else None
        await self._deliver(self._heads.of(Call(method)), message.notification(method, text))

    async def wait_lost(self) -> str:
        """Why the endpoint is known to be dead, once it is."""
        await self._lost.wait()
        return self._reason

    async def close(self) -> None:
        """End the session at the server, within CLOSE_S, and cut every connection."""
        self.endpoint.closing = True
        await self._tasks.close()
        self._deadlines.close()
        try:
            await self._end_session()
        finally:
            await self._control.close()
            await self._pool.close()

    async def _end_session(self) -> None:
        if self._heads.session is None or self._heads.modern or self._lost.is_set():
            return
        with suppress(McpError, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._control.request(Exchange(), self._heads.delete)

    # --- one call ---

    async def _answer(
        self, running: Running, sent: Coroutine[Any, Any, Response] | None
    ) -> Message:
        """The message that answers; a session the server no longer knows is renewed once."""
        call = running.call
        session = self._heads.session if sent is None else running.session
        if call.method == "initialize":
            self._heads.session = None
            session = None
        response = await self._post(running, sent)
        if session is not None and running.answer is None and answer.session_is_gone(response):
            await self._renew(session)
            response = await self._post(running)
        found = running.answer or answer.read(self.endpoint, response, running.raw_id)
        if call.method == "initialize" and found.result:
            self._heads.session = response.headers.get(headers.SESSION_ID)
        return found

    async def _post(
        self, running: Running, sent: Coroutine[Any, Any, Response] | None = None
    ) -> Response:
        try:
            response = await (self._posted(running) if sent is None else sent)
            if running.answer is not None or not response.stream:
                return response
            running.hung_up()
            fault = self.endpoint.dropped(None, begun=True)
        except ServerUnavailable as unreachable:
            self._unreachable(unreachable.message)
            raise
        except ServerLost as lost:
            fault = lost
        if running.modern or not last_id(running):
            raise fault
        return await resume(running, fault, self._control, self._heads.resume)

    def _posted(self, running: Running) -> Coroutine[Any, Any, Response]:
        call, post = running.call, self._pool.request
        running.modern = self._heads.modern
        if call.array is not None:
            post = call.array.through(self._pool, self._tasks)
        return post(running, self._heads.of(call), running.body)

    def _cancel(self, running: Running) -> None:
        """Tell a legacy server; for a modern one the closed connection says it."""
        if running.sent and not running.modern and running.call.method != "initialize":
            self._notices.cancel(running.id)
            self._given_up.note(bytes(running.raw_id), running.call)

    # --- the session ---

    async def _renew(self, session: bytes) -> None:
        """Shake hands again, once for all calls that find the session gone."""
        if self._renewal is None:
            if self._heads.session != session:
                return
            self._renewal = self._tasks.start(self._greet_again(), f"greet {self.server} again")
        await self._renewed(self._renewal)

    async def _renewed(self, renewal: asyncio.Task[ServerFault | None]) -> None:
        """Wait for the new handshake; that one waiter is cancelled does not stop it."""
        await asyncio.wait([renewal])
        if renewal.cancelled():
            raise self.endpoint.unavailable("the gateway is disconnecting from it", TRY_LATER)
        fault = renewal.result()
        if fault is not None:
            raise fault

    async def _greet_again(self) -> ServerFault | None:
        """The fault as a value: it is for all who wait, and no surprise to the log."""
        if self._listening is not None:
            self._listening.cancel()
        try:
            greeting = await greet(self, self._protocol, self._timeouts.start)
            if greeting.modern != self.greeting.modern:
                raise self.endpoint.unavailable(f"it now speaks {greeting.revision}", TRY_LATER)
        except ServerFault as fault:
            self._lose(fault.message)
            return fault
        finally:
            self._renewal = None
        self.greeting = greeting
        self._listen()
        for kind, changed in _CHANGES.items():  # a new session may be that of a new version
            if kind in greeting.capabilities:
                self._on_notification(changed, Raw(b"{}"))
        return None

    # --- what belongs to no call ---

    def _listen(self) -> None:
        if not self.greeting.modern:
            self._listening = self._tasks.start(self._follow(), f"listen to {self.server}")

    async def _follow(self) -> None:
        session = self._heads.session
        stream = Stream(self.on_stray)
        refusal = await follow(self._control, self._heads.resume, stream, self._unreachable)
        opened = stream.events is not None
        if session is not None and opened and answer.session_is_gone(refusal):
            with suppress(ServerFault):
                await self._renew(session)

    def on_stray(self, found: Message) -> None:
        """Take what is no call's."""
        if found.method and found.id:
            self.on_request(found)
        elif found.method:
            self._on_told(found)
        elif found.id:
            self._given_up.answered(bytes(found.id))
            traffic.of(self.server).late += 1

    def _on_told(self, found: Message) -> None:
        match fate(FROM_SERVERS, found.method):
            case Fate.PROGRESS:
                stray_progress(found.params, self._running, self._afterwards)
            case Fate.HOP:
                take_back(found.params, self._running.values())
            case _:
                self._on_notification(found.method, found.params)

    async def _put(self, running: Running, request: Message) -> None:
        assert running.call.on_question is not None
        running.asking(True)
        try:
            body = await put(request, running.call.on_question, self._tell)
            await self._deliver(self._heads.post, body)
        finally:
            running.questions.pop(bytes(request.id), None)
            running.asking(False)
            self._deadlines.watch(running.due)

    def on_request(self, request: Message, of: Running | None = None) -> None:
        """A request of the server: on the stream of a call it is for the client of that call."""
        if self._heads.modern or len(self._tasks) >= MAX_ANSWERS:
            log.debug("server '%s': request %s dropped", self.server, request.method)
            return
        if fate(QUESTIONS, request.method) is Fate.HOP:
            self._send(message.result(request.id, b"{}"))
            return
        sent = [running for running in self._running.values() if running.sent]
        one = asker(request, sent, self._given_up) if of is None else asker(request, [of])
        if isinstance(one, str):
            self._send(refusal(request, MethodNotFound(f"{request.method}: {one}")))
            return
        task = self._tasks.start(self._put(one, request), f"question of {self.server}")
        one.questions[bytes(request.id)] = task

    def _tell(self, method: str, params: Raw) -> None:
        if len(self._tasks) < MAX_ANSWERS:
            self._send(message.notification(method, params))

    def _send(self, body: bytes) -> None:
        """Deliver without waiting."""
        self._tasks.start(self._deliver(self._heads.post, body), f"post to {self.server}")

    async def _deliver(self, head: bytes, body: bytes) -> None:
        try:
            async with asyncio.timeout(CONTROL_S):
                await self._control.request(Exchange(), head, body)
        except (ServerFault, TimeoutError) as fault:
            log.debug("server '%s': message not delivered: %r", self.server, fault)

    # --- the end ---

    def _unreachable(self, reason: str) -> None:
        """A dial failed. With calls still on their way the server is merely full."""
        if not any(running.sent for running in self._running.values()):
            self._lose(reason)

    def _lose(self, reason: str) -> None:
        if not self._lost.is_set():
            self._reason = reason
            self._lost.set()
