"""What an answer looks like on the wire, for each kind of request."""

import pytest

from fakes.exchange import FakeWire, an_exchange
from only1mcp.server.exchange import MAX_PENDING_BYTES


def written(wire: FakeWire) -> tuple[list[str], bytes]:
    head, _, body = b"".join(wire.writes).partition(b"\r\n\r\n")
    return head.decode().split("\r\n"), body


# one answer


def test_an_answer_has_status_type_and_length() -> None:
    exchange, wire = an_exchange(lines=b"Vary: Origin\r\n")
    exchange.respond(200, b"{}", headers=b"Mcp-Session-Id: 1\r\n")
    head, body = written(wire)
    assert head == [
        "HTTP/1.1 200 OK",
        "Content-Type: application/json",
        "Content-Length: 2",
        "Vary: Origin",
        "Mcp-Session-Id: 1",
    ]
    assert body == b"{}"
    assert (exchange.closed, wire.answers, len(wire.writes)) == (True, 1, 1)


def test_an_empty_answer_has_no_type() -> None:
    exchange, wire = an_exchange()
    exchange.respond(202)
    assert written(wire) == (["HTTP/1.1 202 Accepted", "Content-Length: 0"], b"")


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_never_has_a_body_has_no_length(status: int) -> None:
    exchange, wire = an_exchange()
    exchange.respond(status)
    assert len(written(wire)[0]) == 1


def test_an_unknown_status_is_sent_as_it_is() -> None:
    exchange, wire = an_exchange()
    exchange.respond(299, b"x", content_type=b"text/plain")
    assert written(wire)[0][:2] == ["HTTP/1.1 299 ", "Content-Type: text/plain"]


def test_head_has_the_length_but_not_the_body() -> None:
    for body in (b"hello", b"x" * 100_000):
        exchange, wire = an_exchange("HEAD")
        exchange.respond(200, body)
        head, rest = written(wire)
        assert f"Content-Length: {len(body)}" in head
        assert rest == b""


def test_a_large_body_is_not_copied() -> None:
    exchange, wire = an_exchange()
    large = b"x" * 100_000
    exchange.respond(200, large)
    assert wire.writes[1] is large
    assert written(wire)[1] == large


@pytest.mark.parametrize("body", [b"", b"x"])
def test_the_last_answer_says_so(body: bytes) -> None:
    exchange, wire = an_exchange()
    exchange.request.keep_alive = False
    exchange.respond(200, body)
    assert "Connection: close" in written(wire)[0]
    exchange, wire = an_exchange()
    wire.closing = True
    exchange.respond(200, body)
    assert "Connection: close" in written(wire)[0]


def test_only_the_first_answer_counts() -> None:
    exchange, wire = an_exchange()
    exchange.respond(200)
    exchange.respond(500)
    exchange.open_stream()
    assert not exchange.send(b"x")
    exchange.end()
    assert (wire.answers, len(wire.writes)) == (1, 1)


# a stream


def test_a_stream_is_chunked_events() -> None:
    exchange, wire = an_exchange(lines=b"Vary: Origin\r\n")
    exchange.open_stream(b"Mcp-Session-Id: 1\r\n")
    assert exchange.streaming
    assert exchange.send(b"data: 1\n\n")
    assert exchange.send(b"")  # an empty chunk would be the end
    assert exchange.send(b"x" * 17)
    assert not exchange.closed
    exchange.end()
    exchange.end()
    head, body = written(wire)
    assert head == [
        "HTTP/1.1 200 OK",
        "Transfer-Encoding: chunked",
        "Vary: Origin",
        "Content-Type: text/event-stream",
        "Cache-Control: no-store",
        "X-Accel-Buffering: no",
        "Mcp-Session-Id: 1",
    ]
    assert body == b"9\r\ndata: 1\n\n\r\n11\r\n" + b"x" * 17 + b"\r\n0\r\n\r\n"
    assert wire.answers == 1
    assert not exchange.send(b"late")


def test_http_1_0_gets_its_stream_without_chunks_until_the_close() -> None:
    exchange, wire = an_exchange()
    exchange.request.chunks = exchange.request.keep_alive = False
    exchange.open_stream()
    exchange.send(b"data")
    exchange.end()
    head, body = written(wire)
    assert "Connection: close" in head
    assert not any(line.startswith("Transfer-Encoding") for line in head)
    assert body == b"data"


def test_head_of_a_stream_is_only_a_head() -> None:
    exchange, wire = an_exchange("HEAD")
    exchange.open_stream()
    assert exchange.send(b"data")
    exchange.end()
    assert written(wire)[1] == b""
    assert wire.answers == 1


def test_respond_after_the_stream_began_is_a_mistake() -> None:
    exchange, _ = an_exchange()
    exchange.open_stream()
    with pytest.raises(RuntimeError, match="stream"):
        exchange.respond(200)


def test_a_client_that_does_not_read_is_cut_above_the_bound_only() -> None:
    exchange, wire = an_exchange()
    exchange.open_stream()
    wire.blocked, wire.waiting = True, MAX_PENDING_BYTES
    assert exchange.send(b"x")
    wire.waiting += 1
    assert not exchange.send(b"x")
    assert wire.was_cut
    assert exchange.closed
    assert not exchange.send(b"x")
    exchange.end()
    assert wire.answers == 0


# the client goes away


def test_on_disconnect_is_called_once_and_nothing_is_written_after() -> None:
    exchange, wire = an_exchange()
    calls: list[int] = []
    exchange.on_disconnect = lambda: calls.append(1)
    exchange.lost()
    assert exchange.closed
    exchange.respond(200, b"late")
    exchange.open_stream()
    assert not exchange.send(b"late")
    assert (calls, wire.writes, wire.answers) == ([1], [], 0)


def test_on_disconnect_set_too_late_is_still_called_soon() -> None:
    exchange, wire = an_exchange()
    exchange.lost()
    calls: list[int] = []
    exchange.on_disconnect = lambda: calls.append(1)
    assert not calls
    for callback in wire.soon:
        callback()
    assert calls == [1]
    exchange.on_disconnect = None
    assert len(wire.soon) == 1


async def test_what_else_the_connection_is_asked() -> None:
    exchange, _ = an_exchange()
    assert exchange.address("peername") == ("peername", 1)
    await exchange.drain()
