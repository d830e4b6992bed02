"""A server of the older HTTP transport: one GET stream in, one POST per message out.

    GET url ──► event `endpoint`: where to post ──► events: answers, notifications, questions
    call ──► Mux.begin ──► POST there ──► 202; the answer comes on the stream

The stream is the session: when it ends, every call that runs ends with it, and a new
connection begins anew. All calls share it: upstream/mux.py tells whose each message is.
Errors  see upstream/base.py; every one names the URL, the cause and the next step.
Source  MCP 2024-11-05 basic/transports "HTTP with SSE".
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from only1mcp.config.servers import Http, Sse, Timeouts
from only1mcp.observe.tasks import Tasks
from only1mcp.protocol import message
from only1mcp.protocol.errors import (
    McpError,
    ServerFault,
    ServerLost,
    ServerProtocolError,
    ServerTimeout,
    ServerUnavailable,
    UpstreamError,
)
from only1mcp.protocol.message import Params
from only1mcp.protocol.sse import Event
from only1mcp.upstream import answer
from only1mcp.upstream.base import Call, Greeting, NotificationSink
from only1mcp.upstream.connection import Exchange, Response
from only1mcp.upstream.deadline import MAY_HAVE_RUN
from only1mcp.upstream.dial import Endpoint
from only1mcp.upstream.http import CONNECT_S, TRY_LATER, HttpPool
from only1mcp.upstream.listen import messages_in
from only1mcp.upstream.mux import Mux
from only1mcp.upstream.pending import Pending
from only1mcp.upstream.probe import greet

log = logging.getLogger("only1mcp.upstream.sse")

CONTROL_CONNECTIONS: Final = 64
"""For the stream, notifications and answers, which must get through when calls are many."""
MAX_UNSENT: Final = 256  # notifications and answers under way; more are dropped
POST_S: Final = 10.0  # one notification or answer; also a POST whose call has been answered
_GET: Final = b"accept: text/event-stream\r\ncache-control: no-store\r\n"
_POST: Final = b"accept: application/json, text/event-stream\r\ncontent-type: application/json\r\n"
_PORTS: Final = {"http": 80, "https": 443}


class LegacySse:
    """One stream and what is posted beside it; implements upstream/base.py `Upstream`.

    A new stream is a new object.
    """

    greeting: Greeting

    def __init__(
        self,
        server_id: str,
        transport: Sse | Http,
        timeouts: Timeouts,
        on_notification: NotificationSink,
    ) -> None:
        self.server = server_id
        self.who: str | None = None
        self.revision: str | None = None
        self._url = transport.url
        self._headers = {
            name: value.get_secret_value() for name, value in transport.headers.items()
        }
        self._start_s = timeouts.start
        self._endpoint = Endpoint(server_id, transport.url, self._headers)
        connect_s = min(CONNECT_S, timeouts.start)
        self._calls = HttpPool(self._endpoint, connect_s=connect_s)
        self._control = HttpPool(
            self._endpoint, connect_s=connect_s, max_connections=CONTROL_CONNECTIONS
        )
        self._post_head: bytes | None = None  # once the server has said where
        self._placed = asyncio.Event()  # it has, or the stream has ended before
        self._mux = Mux(server_id, self._say, on_notification, self._overdue)
        self._posts = Tasks()
        self._says = Tasks()
        self._stream = Tasks()
        self._lost = asyncio.Event()
        self._reason = ""
        self._fault: Callable[[], McpError] = self._gone

    # --- Upstream ---

    @property
    def busy(self) -> bool:
        """Whether calls are running."""
        return len(self._mux) > 0

    async def connect(self) -> Greeting:
        """Open the stream, learn where to post, shake hands; all within timeouts.start.

        Raises:
            ServerUnavailable, ServerTimeout, ServerLost.
            ServerProtocolError: it has no such stream, or posts would go to another host.
        """
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._start_s
        self._stream.start(self._listen(), f"listen to {self.server}")
        try:
            async with asyncio.timeout(self._start_s):
                await self._placed.wait()
        except TimeoutError:
            cause = f"its stream did not say where to post within {self._start_s:g} s"
            raise ServerTimeout(
                self.server, self._endpoint.say(cause), hint=self._try_it()
            ) from None
        if self._lost.is_set():
            raise self._fault()
        self.greeting = await greet(self, "legacy", ends_at - loop.time())
        return self.greeting

    async def call(self, call: Call) -> bytes:
        """The result of `call` as JSON text. See upstream/base.py for the errors."""
        if self._lost.is_set():
            raise ServerUnavailable(self.server, self._reason, hint=TRY_LATER)
        pending, body = self._mux.begin(call)
        exchange = Exchange()
        posting = self._posts.start(
            self._post(pending, exchange, body), f"post {call.method} to {self.server}"
        )
        try:
            return await self._mux.answer(pending)
        except (ServerTimeout, ServerLost) as fault:
            if exchange.sent:
                raise
            full = self._endpoint.say(f"no connection was free for {call.method}")
            cause = full if isinstance(fault, ServerTimeout) else fault.message
            raise ServerUnavailable(self.server, cause, hint=TRY_LATER) from None
        finally:
            if not exchange.sent:
                posting.cancel()

    async def notify(self, method: str, params: Params | None = None) -> None:
        """Send a notification; that the server cannot be reached is not an error."""
        text = message.encode(params) if params is not None else None
        await self._deliver(message.notification(method, text))

    async def wait_lost(self) -> str:
        """Why, once the stream has ended."""
        await self._lost.wait()
        return self._reason

    async def close(self) -> None:
        """End the stream, which ends the session, and cut every connection."""
        self._lose(self._endpoint.say("the gateway has closed the connection"), self._gone)
        for tasks in (self._posts, self._says, self._stream):
            await tasks.close()
        await self._control.close()
        await self._calls.close()

    # --- out ---

    async def _post(self, pending: Pending, exchange: Exchange, body: bytes) -> None:
        """Post the request of a call; the call ends here only if that fails."""
        assert self._post_head is not None
        try:
            head = self._post_head + pending.call.trace
            response = await self._calls.request(exchange, head, body)
        except McpError as fault:
            pending.fail(fault)
            return
        if not 200 <= response.status < 300:
            pending.fail(answer.refusal(self._endpoint, response))

    def _say(self, body: bytes) -> None:
        """Post what nobody waits for."""
        if len(self._says) < MAX_UNSENT and not self._lost.is_set():
            self._says.start(self._deliver(body), f"post to {self.server}")

    async def _deliver(self, body: bytes) -> None:
        if self._post_head is None:
            return
        try:
            async with asyncio.timeout(POST_S):
                await self._control.request(Exchange(), self._post_head, body)
        except (ServerFault, TimeoutError) as fault:
            log.debug("server '%s': message not delivered: %r", self.server, fault)

    # --- in ---

    async def _listen(self) -> None:
        """Hold the stream open to its end."""
        try:
            response = await self._control.request(_Stream(self), self._endpoint.head(b"GET", _GET))
        except McpError as fault:
            kept = fault
        else:
            kept = self._refused(response)
        placed = self._post_head is not None
        if placed and isinstance(kept, ServerLost):
            self._lose(self._endpoint.say("its event stream has ended"), self._gone)
        else:
            self._lose(kept.message, lambda: kept)

    def _refused(self, response: Response) -> McpError:
        """What an answer to GET means that is no stream, or one that has ended."""
        if response.stream:
            return self._endpoint.dropped(None, begun=True)
        fault = answer.refusal(self._endpoint, response)
        if not isinstance(fault, UpstreamError | ServerProtocolError):
            return fault
        cause = f"GET opens no event stream (HTTP {response.status})"
        return ServerProtocolError(
            self.server,
            self._endpoint.say(cause),
            hint="is it of the newer Streamable HTTP transport? then set type: http",
        )

    def on_event(self, event: Event) -> None:
        """Take one event of the stream."""
        if self._post_head is None:
            if event.name == b"endpoint":
                self._place(event.data)
            return
        try:
            for found in messages_in(event):
                self._mux.take(found, event.data)
        except McpError as error:
            log.warning("server '%s': an event that is no message: %s", self.server, error)
        except Exception:  # a sink's fault must not cost the other calls their answers
            log.exception("server '%s': a message could not be handled", self.server)

    def _place(self, data: bytes) -> None:
        """The server says where to post; another host would get our credentials.

        Raises:
            ServerProtocolError: it is not of the same origin.
        """
        own = urlsplit(self._url)
        try:
            place = urlsplit(urljoin(self._url, data.decode()))
            same = _origin(place) == _origin(own)
        except ValueError:  # UnicodeDecodeError is one
            same = False
        if not same:
            said = data[:200].decode("utf-8", "replace")
            raise ServerProtocolError(
                self.server,
                self._endpoint.say(f"it wants messages posted to another place: {said!r}"),
                hint="only the scheme, host and port of transport.url are trusted; use that URL",
            )
        url = urlunsplit(place._replace(netloc=own.netloc, fragment=""))
        self._post_head = Endpoint(self.server, url, self._headers).head(b"POST", _POST)
        self._placed.set()

    # --- the end ---

    def _lose(self, reason: str, fault: Callable[[], McpError]) -> None:
        """It is over: every call ends now."""
        if self._lost.is_set():
            return
        self._reason, self._fault = reason, fault
        self._lost.set()
        self._placed.set()
        for pending in self._mux.end():
            pending.fail(fault())

    def _gone(self) -> ServerFault:
        return ServerLost(self.server, self._reason, hint=MAY_HAVE_RUN)

    def _overdue(self, why: str, hint: str) -> ServerFault:
        return ServerTimeout(self.server, self._endpoint.say(f"it {why}"), hint=hint)

    def _try_it(self) -> str:
        return f"its first event must be `endpoint`; try: curl -iN {self._endpoint.shown}"


class _Stream(Exchange):
    """The GET stream: all its events are the server's."""

    __slots__ = ("_upstream",)

    def __init__(self, upstream: LegacySse) -> None:
        super().__init__()
        self._upstream = upstream

    def on_event(self, event: Event) -> bool:
        self._upstream.on_event(event)
        return False


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
