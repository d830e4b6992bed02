"""One request of one client, and what the relay notes on it while it runs."""

from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
from msgspec import Raw

from only1mcp.catalog.listing import Target
from only1mcp.catalog.view import View as View
from only1mcp.observe.tracing import TRACE_ID, Span
from only1mcp.protocol import message
from only1mcp.protocol.errors import McpError
from only1mcp.protocol.message import Params
from only1mcp.upstream.base import NotificationSink

if TYPE_CHECKING:
    from only1mcp.relay.under_way import UnderWay
    from only1mcp.relay.wanted import Fetch, Wanted
    from only1mcp.upstream.roster import Replica


CLIENT_CANCELLED: Final = "cancelled by the client"
"""The cancel message of a task whose client no longer wants the answer."""


class Caller(Protocol):
    """The client of one request while it runs; implemented by each edge."""

    principal: str
    headers: Mapping[bytes, bytes] | None
    """Of its HTTP request, names in lower case; None on stdio."""

    @property
    def session(self) -> str | None:
        """The id of its session; None for a modern client."""

    @property
    def capabilities(self) -> dict[str, Any]:
        """What it declared, in the words of its era."""

    @property
    def log_level(self) -> str | None:
        """The least grave log message it wants; None: it has not said."""

    def notify(self, method: str, params: Raw) -> None:
        """Pass on a notification that belongs to this request. Never blocks."""

    async def ask(self, method: str, params: bytes, told: NotificationSink | None = None) -> bytes:
        """Put a server's question to a legacy client; its result as JSON text. `told` hears how
        far the client is, if the question has a progress token.

        Raises:
            ClientRefused: the client's own error.
        """

    def resumable(self, retry_s: float | None) -> None:
        """The server's stream can be resumed, or it hung up and wants to be asked in so long."""

    def label(self, lines: bytes) -> None:
        """Header lines for its answer, where an answer has such."""


class Request(msgspec.Struct):
    """One client request. `params` belongs to it: the relay rewrites members in place."""

    method: str
    params: Params
    revision: str
    modern: bool
    view: View
    caller: Caller
    fetch: "Fetch | None" = None
    """Hears of the server's own result, if the call is made for the cache."""
    number: int = msgspec.field(default_factory=count(1).__next__)
    """Counts all requests of this process."""
    target: Target | None = None
    """Whose it is, once the relay has found that."""
    wanted: "Wanted | None" = None
    """As the cache sees it, from when it was looked for there until it is asked for."""
    replica: "Replica | None" = None
    """Chosen for it already, until it goes there."""
    under_way: "UnderWay | None" = None
    """It has been sent without a task, until one goes on with it."""
    named: str | None = None
    """What the client called what it is about, if somebody wants to know when it is over."""
    upstream_s: float = 0.0
    """How long servers have had it."""
    waited_s: float = 0.0
    """How long it waited in a window, for a turn, or to be sent again."""
    span: Span | None = None
    """Of the trace that it is part of, if requests are traced."""
    over: bool = False
    """It has been answered, or given up."""

    def labels(self) -> dict[str, str]:
        """What log lines about it say; none once it is over: who took up its context goes on."""
        if self.over:
            return {}
        found = {"request_id": str(self.number)}
        if self.span is not None:
            return found | {"trace_id": self.span.trace_id, "span_id": self.span.span_id}
        if (trace := self.trace_field("traceparent")) is not None:
            found["trace_id"] = trace[TRACE_ID]
        return found

    def trace_field(self, name: str) -> str | None:
        """What its `_meta` says of the trace that it is part of (SEP-414)."""
        meta = self.params.get("_meta")
        if meta is None or name.encode() not in bytes(meta):
            return None
        with suppress(McpError):
            return message.text(message.members(meta).get(name))
        return None
