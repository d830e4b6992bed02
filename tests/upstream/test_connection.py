"""One connection, fed by hand: every answer cut at every byte, and every way to end badly."""

import asyncio
import socket
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from only1mcp.protocol.errors import (
    AnswerTooLarge,
    InternalError,
    McpError,
    ServerLost,
    ServerProtocolError,
)
from only1mcp.protocol.sse import Event
from only1mcp.upstream import connection as module
from only1mcp.upstream.connection import Connection, Exchange, Response
from only1mcp.upstream.dial import Endpoint


class Pool:
    """Remembers what is given back."""

    def __init__(self) -> None:
        self.endpoint = Endpoint("search", "http://a.example/mcp")
        self.idle_s = 55.0
        self.released: list[Connection] = []
        self.forgotten: list[Connection] = []

    def release(self, connection: Connection) -> None:
        self.released.append(connection)

    def forget(self, connection: Connection) -> None:
        self.forgotten.append(connection)


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.ours, self.theirs = socket.socketpair()
        self.written = b""
        self.ended = asyncio.Event()

    @property
    def aborted(self) -> bool:
        return self.ended.is_set()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.ours if name == "socket" else default

    def write(self, data: Any) -> None:
        self.written += data

    def abort(self) -> None:
        self.ended.set()

    def is_closing(self) -> bool:
        return self.aborted

    def close_sockets(self) -> None:
        self.ours.close()
        self.theirs.close()


class Listening(Exchange):
    """Keeps events; the one with data `last` is the last."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[bytes] = []

    def on_event(self, event: Event) -> bool:
        self.got.append(event.data)
        return event.data == b"last"


class Rig:
    """A connection between a fake pool and a fake transport, with one exchange begun."""

    def __init__(self) -> None:
        self.pool = Pool()
        self.transport = Transport()
        self.connection = Connection(self.pool)
        self.connection.connection_made(self.transport)
        self.begin()

    def begin(self) -> None:
        self.exchange = Listening()
        self.future = self.connection.send(self.exchange, b"POST")

    def feed(self, *chunks: bytes) -> None:
        for chunk in chunks:
            self.connection.data_received(chunk)

    def ended(self) -> Response:
        assert self.future.done()
        return self.future.result()

    def fault(self) -> McpError:
        assert self.future.done()
        error = self.future.exception()
        assert isinstance(error, McpError)
        return error

    def __enter__(self) -> "Rig":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.connection_lost(None)
        self.transport.close_sockets()
        if self.future.done() and not self.future.cancelled():
            self.future.exception()  # looked at


PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\ncontent-length: 2\r\n\r\n{}"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\n"
    b"1\r\n{\r\n1;ext=1\r\n}\r\n0\r\ntrailer: x\r\n\r\n"
)
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + PLAIN
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: Text/Event-Stream; charset=utf-8\r\n"
STREAM = STREAM_HEAD + b"transfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize("answer", [PLAIN, CHUNKED, INTERIM])
async def test_an_answer_may_come_in_any_pieces(answer: bytes) -> None:
    for pieces in ([answer], [answer[i : i + 1] for i in range(len(answer))]):
        with Rig() as rig:
            rig.feed(*pieces)
            found = rig.ended()
            assert (found.status, found.body, found.stream) == (200, b"{}", False)
            assert found.headers[b"content-type"] == b"application/json"
            assert rig.pool.released == [rig.connection]
            assert not rig.transport.aborted


async def test_it_serves_one_exchange_after_another() -> None:
    with Rig() as rig:
        for _ in range(3):
            rig.feed(PLAIN)
            assert rig.ended().body == b"{}"
            rig.begin()
        rig.feed(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
        assert (rig.ended().status, rig.ended().body) == (202, b"")
        assert len(rig.pool.released) == 4


async def test_204_has_no_body() -> None:
    with Rig() as rig:
        rig.feed(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert rig.ended().status == 204
        assert rig.pool.released


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nconnection: close\r\n", b"HTTP/1.0 200 OK\r\n"]
)
async def test_a_server_that_will_close_is_not_used_again(head: bytes) -> None:
    with Rig() as rig:
        rig.feed(head + b"content-length: 2\r\n\r\n{}")
        assert rig.ended().body == b"{}"
        assert rig.pool.released == []
        assert rig.transport.aborted


async def test_without_a_length_the_answer_ends_with_the_connection() -> None:
    with Rig() as rig:
        rig.feed(b"HTTP/1.1 200 OK\r\n\r\n", b"{", b"}")
        assert not rig.future.done()
        rig.connection.connection_lost(None)
        assert rig.ended().body == b"{}"


@pytest.mark.parametrize("surplus", [PLAIN, b"garbage"])
async def test_what_follows_an_answer_reaches_nobody(surplus: bytes) -> None:
    with Rig() as rig:
        rig.feed(PLAIN + surplus)
        assert rig.ended().body == b"{}"
        assert rig.pool.released == []
        assert rig.transport.aborted


async def test_bytes_nobody_asked_for_end_an_idle_connection() -> None:
    with Rig() as rig:
        rig.feed(PLAIN)
        rig.feed(PLAIN)
        assert rig.transport.aborted
        assert not rig.connection.is_quiet()


async def test_an_idle_connection_is_quiet_until_its_peer_says_or_ends_something() -> None:
    with Rig() as rig:
        rig.feed(PLAIN)
        assert rig.connection.is_quiet()
        rig.transport.theirs.close()
        assert not rig.connection.is_quiet()


async def test_a_promise_to_keep_alive_shortens_the_idle_time() -> None:
    with Rig() as rig:
        rig.feed(PLAIN.replace(b"\r\n\r\n", b"\r\nKeep-Alive: max=9, timeout=5\r\n\r\n"))
        assert rig.connection.idle_s == 4.0
        rig.begin()
        rig.feed(PLAIN.replace(b"\r\n\r\n", b"\r\nKeep-Alive: max=8\r\n\r\n"))
        assert rig.connection.idle_s == 4.0


async def test_events_arrive_as_they_come_and_the_last_one_answers() -> None:
    with Rig() as rig:
        rig.feed(STREAM, chunk(b"data: one\n\nda"), chunk(b"ta: two\n\n"))
        assert rig.exchange.got == [b"one", b"two"]
        assert not rig.future.done()
        rig.feed(chunk(b"data: last\n\ndata: late\n\n"))
        assert rig.ended().stream
        assert rig.exchange.got == [b"one", b"two", b"last"]
        assert rig.pool.released == []  # its end has not come
        rig.feed(chunk(b"data: later\n\n"), b"0\r\n\r\n")
        assert rig.pool.released == [rig.connection]
        assert rig.exchange.got == [b"one", b"two", b"last"]


async def test_a_stream_that_does_not_end_after_its_answer_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LINGER_S", 0.01)
    with Rig() as rig:
        rig.feed(STREAM, chunk(b"data: last\n\n"))
        async with asyncio.timeout(5):
            await rig.transport.ended.wait()
        assert rig.pool.released == []


async def test_a_stream_that_ends_without_its_answer_says_so() -> None:
    with Rig() as rig:
        rig.feed(STREAM, chunk(b"id: 7\ndata: one\n\n"), b"0\r\n\r\n")
        assert rig.ended().stream
        assert rig.exchange.events is not None
        assert rig.exchange.events.last_id == b"7"


async def test_only_a_200_is_a_stream() -> None:
    with Rig() as rig:
        rig.feed(STREAM.replace(b"200", b"400"), chunk(b"data: last\n\n"), b"0\r\n\r\n")
        assert not rig.ended().stream
        assert rig.ended().body == b"data: last\n\n"


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (b"", "before it answered"),
        (PLAIN[:20], "in the middle of its answer"),
        (PLAIN[:-1], "in the middle of its answer"),
        (STREAM + chunk(b"data: one\n\n"), "in the middle of its answer"),
    ],
)
@pytest.mark.parametrize("fault", [None, ConnectionResetError("reset by peer")])
async def test_an_end_before_the_answer_is_an_unknown_outcome(
    sent: bytes, text: str, fault: Exception | None
) -> None:
    with Rig() as rig:
        rig.feed(*[sent] if sent else [])
        rig.connection.connection_lost(fault)
        error = rig.fault()
        assert isinstance(error, ServerLost)
        assert text in error.message
        assert ("reset by peer" in error.message) == (fault is not None)
        assert error.data["outcome"] == "unknown"


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9\r\n",
        b"\x15\x03\x01\x00\x02\x02",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nxx",
    ],
)
async def test_what_is_no_http_is_a_protocol_error(answer: bytes) -> None:
    with Rig() as rig:
        rig.feed(answer)
        error = rig.fault()
        assert isinstance(error, ServerProtocolError)
        assert "http://a.example/mcp" in error.message
        assert rig.transport.aborted


@pytest.mark.parametrize(
    "endless",
    [
        b"HTTP/1.1 200 OK\r\nx: ",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n0\r\nx: ",
    ],
)
async def test_bytes_that_are_no_body_are_bounded(endless: bytes) -> None:
    with Rig() as rig:
        rig.feed(endless, *[b"x" * 8192] * 9)
        assert isinstance(rig.fault(), ServerProtocolError)
        assert rig.transport.aborted


async def test_a_body_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MESSAGE_BYTES", 10)
    with Rig() as rig:
        rig.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n", b"x" * 6, b"x" * 5)
        assert isinstance(rig.fault(), AnswerTooLarge)
        assert rig.fault().data["outcome"] == "executed"
    with Rig() as rig:
        rig.feed(STREAM, chunk(b"data: " + b"x" * 11))
        assert isinstance(rig.fault(), AnswerTooLarge)


async def test_a_consumer_that_fails_fails_its_own_call_only() -> None:
    class Broken(Exchange):
        def on_event(self, event: Event) -> bool:
            raise ValueError("oops")

    with Rig() as rig:
        rig.future = rig.connection.send(Broken(), b"POST")
        rig.feed(STREAM + chunk(b"data: x\n\n"))
        assert isinstance(rig.fault(), InternalError)
        assert "oops" not in rig.fault().message
        assert rig.transport.aborted


async def test_only_the_exchange_it_carries_can_abandon_it() -> None:
    with Rig() as rig:
        rig.feed(PLAIN)
        former = rig.exchange
        rig.begin()
        rig.connection.abandon(former)
        assert not rig.transport.aborted
        rig.connection.abandon(rig.exchange)
        assert rig.transport.aborted


@settings(max_examples=60)
@given(st.data())
async def test_the_cuts_do_not_matter_for_streams(data: st.DataObject) -> None:
    events = [b"data: %d\r\n\r\n" % n for n in range(data.draw(st.integers(0, 4)))]
    text = b"".join([*events, b"data: last\n\n"])
    answer = STREAM + chunk(text[:5]) + chunk(text[5:]) + b"0\r\n\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=6)))
    pieces = [answer[a:b] for a, b in zip([0, *cuts], [*cuts, len(answer)], strict=True) if b > a]
    with Rig() as rig:
        rig.feed(*pieces)
        assert rig.exchange.got == [b"%d" % n for n in range(len(events))] + [b"last"]
        assert rig.pool.released == [rig.connection]
