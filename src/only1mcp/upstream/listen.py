"""The GET streams of legacy sessions: what a server sends outside any call, and resuming.

    open ──200──► events … ──end──► pause ──► open again with Last-Event-ID
      └──405 or another refusal──► the server has no such stream; that is fine

Source  MCP 2025-11-25 basic/transports "Listening for Messages from the Server",
        "Resumability and Redelivery".
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from only1mcp.protocol.errors import McpError, ParseError, ServerUnavailable
from only1mcp.protocol.message import Message
from only1mcp.protocol.sse import Event
from only1mcp.upstream.answer import messages
from only1mcp.upstream.connection import Exchange, Exchanged, Response
from only1mcp.upstream.http import HttpPool

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
SHORTEST_PAUSE_S: Final = 0.05  # also when a server says `retry: 0`
_AGAIN: Final = frozenset((409, 429, 500, 502, 503, 504))
"""409: the server still holds our former stream. Others: it may work later."""


class Stream(Exchange):
    """An event stream whose messages belong to no call."""

    __slots__ = ("_on_message", "heard")

    def __init__(self, on_message: Callable[[Message], None]) -> None:
        super().__init__()
        self._on_message = on_message
        self.heard = False  # an event has come since it was last opened

    def on_event(self, event: Event) -> bool:
        """Pass messages on. The stream never ends by itself; what is no message is skipped."""
        self.heard = True
        with suppress(ParseError):
            for found in messages_in(event):
                self._on_message(found)
        return False


def messages_in(event: Event) -> list[Message]:
    """What an event carries: nothing when it is a priming event or of another kind.

    Raises:
        ParseError: it should carry a message and does not.
    """
    if not event.data or event.name not in (b"", b"message"):
        return []
    return messages(event.data)


async def follow(
    pool: HttpPool,
    head: Callable[[bytes], bytes],
    stream: Stream,
    on_unreachable: Callable[[str], None],
) -> Response:
    """Keep the stream open until the server refuses it; return the refusal.

    `head` makes the request for a given last event id; `on_unreachable` hears why the server
    cannot be reached, each time.
    """
    pause_s = FIRST_PAUSE_S
    while True:
        stream.heard = False
        wait_s = pause_s * _jitter()
        try:
            response = await pool.request(stream, head(last_id(stream)))
            if not response.stream and response.status not in _AGAIN:
                return response
            wait_s = told_s(stream, wait_s)
        except ServerUnavailable as fault:
            on_unreachable(fault.message)
        except McpError:  # ServerLost is the usual end of a long stream
            wait_s = told_s(stream, wait_s)
        await asyncio.sleep(wait_s)
        pause_s = FIRST_PAUSE_S if stream.heard else min(pause_s * 2, LONGEST_PAUSE_S)


def last_id(exchange: Exchanged) -> bytes:
    """Where to resume the stream; empty when it gave no ids."""
    return exchange.events.last_id if exchange.events is not None else b""


def told_s(exchange: Exchanged, otherwise_s: float) -> float:
    """How long the server wants us to wait before we open the stream again."""
    told = exchange.events.retry_s if exchange.events is not None else None
    return otherwise_s if told is None else max(told, SHORTEST_PAUSE_S)


def _jitter() -> float:
    return random.uniform(0.8, 1.2)  # noqa: S311 (spreads load, guards nothing)
