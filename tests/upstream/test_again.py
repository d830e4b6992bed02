"""The head of a server's answers: remembered where it repeats, and less and less where not."""

from math import inf
from typing import Any

import pytest

from fakes.http_server import HttpServer, Request, Wire
from only1mcp.upstream import connection as connections
from only1mcp.upstream.again import Again
from only1mcp.upstream.connection import Exchange, Response
from only1mcp.upstream.dial import Endpoint
from only1mcp.upstream.http import HttpPool

HEAD = b"HTTP/1.1 200 OK\r\ndate: %d\r\ncontent-length: 2\r\n\r\n"


def parsed(one: Again, date: int, **headers: bytes) -> bool:
    """Whether an answer that took the parser is remembered."""
    before = one.last
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    one.parsed(HEAD % date + b"{}", named, 2, inf)
    return one.last is not None and one.last is not before


def test_where_heads_differ_it_is_tried_ever_less_often() -> None:
    one = Again()
    assert [date for date in range(1, 20) if parsed(one, date)] == [1, 2, 4, 8, 16]


def test_a_head_that_was_of_use_is_worth_another_try() -> None:
    one = Again()
    for date in range(1, 12):
        parsed(one, date)
    assert one.last is not None
    one.last.used = True
    assert parsed(one, 12)


@pytest.mark.parametrize(
    "data",
    [
        HEAD.replace(b"200", b"202") % 1 + b"{}",
        HEAD.replace(b"1.1", b"1.0") % 1 + b"{}",
        b"HTTP/1.1 103 Early\r\n\r\n" + HEAD % 1 + b"{}",
    ],
)
def test_only_a_plain_200_is_remembered(data: bytes) -> None:
    one = Again()
    one.parsed(data, {}, 2, inf)
    assert one.last is None


# --- on a connection ---


class Asking:
    """A pool of one server; knows which answers took the parser."""

    def __init__(self, server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.endpoint = Endpoint("search", server.url, {})
        self.pool = HttpPool(self.endpoint)
        self.again: list[bytes] = []
        finish = connections.Connection._finish_again

        def noted(one: Any, last: Any, body: bytes) -> None:
            self.again.append(body)
            finish(one, last, body)

        monkeypatch.setattr(connections.Connection, "_finish_again", noted)

    async def ask(self, body: bytes = b"x") -> Response:
        return await self.pool.request(Exchange(), self.endpoint.head(b"POST", b""), body)


async def echo(request: Request, wire: Wire) -> None:
    await wire.answer(200, request.body)


async def test_answers_are_the_same_with_and_without_the_parser(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bodies = [
        b"{}",
        b"[1]",
        b"\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx",
        b"\xff",
        b"{}",
    ]
    async with HttpServer(echo) as server:
        one = Asking(server, monkeypatch)
        found = [await one.ask(body) for body in bodies]
        await one.pool.close()
    assert [answer.body for answer in found] == bodies
    assert {(answer.status, answer.stream) for answer in found} == {(200, False)}
    assert one.again == bodies[1:]
    assert server.connections == 1


async def test_answers_in_one_chunk_need_no_parser_either(monkeypatch: pytest.MonkeyPatch) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    pieces = (
        *(b"2\r\n{}\r\n0\r\n\r\n", b"3\r\n[1]\r\n0\r\n\r\n"),
        *(b"1\r\n[\r\n1\r\n]\r\n0\r\n\r\n", b"2\r\n{}\r\n0\r\nX: trailer\r\n\r\n"),
        *(b"2;x=y\r\n{}\r\n0\r\n\r\n", b"B\r\n0\r\n\r\n[1, 2]\r\n0\r\n\r\n"),
        b"2\r\n[]\r\n0\r\n\r\n",
    )
    script = iter(pieces)

    async def chunked(request: Request, wire: Wire) -> None:
        await wire.send(head + next(script))

    async with HttpServer(chunked) as server:
        one = Asking(server, monkeypatch)
        found = [(await one.ask()).body for _ in pieces]
        await one.pool.close()
    assert found == [b"{}", b"[1]", b"[]", b"{}", b"{}", b"0\r\n\r\n[1, 2]", b"[]"]
    assert one.again == [b"[1]", b"[]"], "nor does it matter what was parsed in between"
    assert server.connections == 1


async def test_another_status_or_another_kind_in_between_is_parsed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = iter(("json", "json", "error", "json", "nothing", "json", "stream", "json"))

    async def changing(request: Request, wire: Wire) -> None:
        match next(script):
            case "json":
                await wire.answer(200, b"{}")
            case "error":
                await wire.answer(500, b"no")
            case "nothing":
                await wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")
            case "stream":
                await wire.answer(200, b"data: {}\n\n", "text/event-stream")

    async with HttpServer(changing) as server:
        one = Asking(server, monkeypatch)
        found = [await one.ask() for _ in range(8)]
        await one.pool.close()
    assert [answer.status for answer in found] == [200, 200, 500, 200, 204, 200, 200, 200]
    assert [answer.stream for answer in found] == [False] * 6 + [True, False]
    assert len(one.again) == 4


async def test_a_promise_is_kept_on_each_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def promising(request: Request, wire: Wire) -> None:
        await wire.answer(200, b"{}", Keep_Alive="timeout=3")

    async with HttpServer(promising) as server:
        one = Asking(server, monkeypatch)
        for _ in range(2):
            await one.ask()
        (connection,) = one.pool._idle
        assert (connection.idle_s, len(one.again)) == (2.0, 1)
        connection.idle_s = 55.0  # as one that has not heard it yet
        await one.ask()
        assert connection.idle_s == 2.0
        await one.pool.close()


async def test_an_answer_with_bytes_behind_it_is_no_answer_that_repeats(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count = 0

    async def generous(request: Request, wire: Wire) -> None:
        nonlocal count
        count += 1
        more = b"surplus" if count == 2 else b""
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}" + more)

    async with HttpServer(generous) as server:
        one = Asking(server, monkeypatch)
        found = [await one.ask() for _ in range(3)]
        await one.pool.close()
    assert [answer.body for answer in found] == [b"{}"] * 3
    assert (one.again, server.connections) == ([b"{}"], 2), "a new connection, whose head is known"
