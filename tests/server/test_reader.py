"""Bytes to requests: everything that can be cut, doubled, endless or ambiguous."""

from itertools import pairwise
from typing import Any
from unittest.mock import Mock

import pytest
from httptools import HttpParserCallbackError
from hypothesis import example, given
from hypothesis import strategies as st

from fakes.http_corpus import AMBIGUOUS, CHUNKED, GET, POST
from only1mcp.config.model import Listener
from only1mcp.policy.access import Access
from only1mcp.server.exchange import Request
from only1mcp.server.head import MAX_HEADERS, MAX_TARGET, Refused
from only1mcp.server.reader import BETWEEN, BODY, HEAD, MAX_HEAD, SLICE, Reader, is_mcp


def a_reader(max_body_bytes: int = 1000, **settings: Any) -> Reader:
    return Reader(Access(Listener(**settings)), max_body_bytes)


def read(data: bytes, step: int = SLICE, reader: Reader | None = None) -> list[Request]:
    """All requests in `data`, fed `step` bytes at a time."""
    reader = reader or a_reader()
    for start in range(0, len(data), step):
        reader.feed(data[start : start + step])
    return list(reader.ready)


def status_of(data: bytes, step: int = SLICE, **settings: Any) -> int:
    """The status `data` is refused with."""
    reader = a_reader(**settings)
    with pytest.raises(Refused) as caught:
        read(data, step, reader)
    assert reader.over
    assert not reader.ready
    reader.feed(GET + b"\r\n")  # nothing is read any more
    assert not reader.ready
    return caught.value.status


# requests as they should be


@pytest.mark.parametrize("step", [1, 2, 7, SLICE])
def test_pipelined_requests_come_out_in_order_however_they_are_cut(step: int) -> None:
    data = (
        GET
        + b"X-A: 1\r\nx-a: 2 \t\r\nEmpty:\r\n\r\n"
        + POST.replace(b"/mcp", b"/mcp/one?q=1")
        + b"Content-Length: 5\r\n\r\nhello"
        + CHUNKED
        + b"5;ext=1\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: x\r\nHost: evil\r\n\r\n"
        + b"\r\n"
        + GET
        + b"\r\n"
    )
    first, second, third, fourth = read(data, step)
    assert (first.method, first.path, first.query, first.body) == ("GET", "/mcp", b"", b"")
    assert first.headers == {b"host": b"localhost", b"x-a": b"1, 2", b"empty": b""}
    assert (second.path, second.query, second.body) == ("/mcp/one", b"q=1", b"hello")
    assert third.body == b"hello!"
    assert third.headers == {b"host": b"localhost", b"transfer-encoding": b"chunked"}
    assert fourth.headers == {b"host": b"localhost"}
    assert first.principal == "anonymous"
    assert first.keep_alive
    assert first.chunks


def test_phase_tells_what_is_half_read() -> None:
    reader = a_reader()
    assert reader.phase == BETWEEN
    reader.feed(b"\r\n")
    assert reader.phase == BETWEEN
    for part, phase in ((b"P", HEAD), (POST[1:], HEAD), (b"Content-Length: 3\r\n\r\n", BODY)):
        reader.feed(part)
        assert reader.phase == phase
    assert (reader.body_left, reader.read) == (3, 0)
    reader.feed(b"ab")
    assert (reader.body_left, reader.read) == (1, 2)
    reader.feed(b"c")
    assert reader.phase == BETWEEN


@pytest.mark.parametrize(
    ("head", "keep_alive"),
    [
        (GET, True),
        (GET + b"Connection: close\r\n", False),
        (GET + b"Connection: keep-alive, Close\r\n", False),
        (b"GET / HTTP/1.0\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n", False),
    ],
)
def test_nothing_is_read_after_the_last_request(head: bytes, keep_alive: bool) -> None:
    requests = read(head + b"\r\n" + GET + b"\r\n")
    assert len(requests) == 1 + keep_alive
    assert requests[0].keep_alive == keep_alive


@pytest.mark.parametrize("step", [1, 5, SLICE])
@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"Content-Length: 5\r\n\r\nhello", b"hello"),
        (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"\r\n", b""),
        (b"Content-Length: 0\r\n\r\n", b""),
    ],
)
def test_an_upgrade_is_ignored_body_and_all(framing: bytes, body: bytes, step: int) -> None:
    upgrade = POST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" + framing
    first, second, third = read(upgrade + upgrade + GET + b"\r\n", step)
    assert [first.body, second.body, third.body] == [body, body, b""]
    assert (first.path, third.method) == ("/mcp", "GET")
    assert first.headers[b"upgrade"] == b"h2c"


def test_an_upgrade_with_close_is_the_last_request() -> None:
    upgrade = POST + b"Connection: close, Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi"
    assert [request.body for request in read(upgrade + GET + b"\r\n")] == [b"hi"]


def test_absolute_form_is_understood() -> None:
    (request,) = read(b"GET http://localhost/mcp?x HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (request.path, request.query) == ("/mcp", b"x")


@pytest.mark.parametrize("second", [b"http://localhost/mcp", b"/mcp", b"*"])
def test_a_target_is_judged_with_its_own_host(second: bytes) -> None:
    first = b"OPTIONS %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % second
    reader = a_reader()
    assert len(read(first, reader=reader)) == 1
    other = first.replace(b"Host: localhost", b"Host: 127.0.0.1")
    if second.startswith(b"http"):
        with pytest.raises(Refused):
            read(other, reader=reader)
    else:
        assert len(read(other, reader=reader)) == 2


def test_expect_continue_waits_for_us_until_a_body_byte_comes() -> None:
    reader = a_reader()
    waits = []
    for data in (
        POST + b"Content-Length: 2\r\nExpect: 100-Continue\r\n\r\n",
        b"h",
        b"i" + POST + b"Content-Length: 0\r\nExpect: 100-continue\r\n\r\n",
    ):
        reader.feed(data)
        waits.append(reader.awaits_continue)
    assert waits == [True, False, False]
    assert len(reader.ready) == 2


def test_http_1_0_knows_no_expect() -> None:
    reader = a_reader()
    reader.feed(b"POST /mcp HTTP/1.0\r\nContent-Length: 2\r\nExpect: x\r\n\r\nhi")
    assert reader.ready[0].body == b"hi"
    assert not reader.awaits_continue


def test_preflight_is_for_mcp_paths_with_origin_and_method_asked_for() -> None:
    asked = b"Origin: http://localhost:1\r\nAccess-Control-Request-Method: POST\r\n\r\n"
    options = b"OPTIONS /mcp/x HTTP/1.1\r\nHost: localhost\r\n"
    (request,) = read(options + asked, reader=a_reader(auth={"tokens": ["secret"]}))
    assert request.preflight
    assert b"Access-Control-Allow-Headers" in request.cors
    assert not read(options + b"\r\n")[0].preflight
    assert status_of(options.replace(b"/mcp/x", b"/x") + asked, auth={"tokens": ["s"]}) == 401


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/mcp", True), ("/mcp/", True), ("/mcp/a", True), ("/mcpx", False), ("/%6dcp", False)],
)
def test_mcp_paths(path: str, expected: bool) -> None:
    assert is_mcp(path) == expected


# refusals

SINGLE = ["content-type", "origin", "authorization", "mcp-session-id", "mcp-protocol-version"]
SINGLE += ["mcp-method", "mcp-name", "mcp-param-x", "last-event-id", "expect", "content-encoding"]


@pytest.mark.parametrize("step", [1, SLICE])
@pytest.mark.parametrize("name", AMBIGUOUS)
def test_the_ambiguous_is_refused_whole(name: str, step: int) -> None:
    assert status_of(AMBIGUOUS[name], step) == 400


@pytest.mark.parametrize("name", SINGLE)
def test_a_second_value_for_a_single_header_is_refused(name: str) -> None:
    line = b"%b: http://localhost\r\n" % name.encode()
    assert status_of(GET + line + line.upper().replace(b"HTTP", b"http") + b"\r\n") == 400


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (GET.replace(b"/mcp", b"/" + b"x" * MAX_TARGET) + b"\r\n", 414),
        (GET + b"".join(b"H%d: x\r\n" % number for number in range(MAX_HEADERS)) + b"\r\n", 431),
        (GET + b"Accept: x\r\n" * (MAX_HEADERS + 2) + b"\r\n", 431),
        (GET + b"X: " + b"x" * MAX_HEAD * 2, 431),
        (GET + b"X" * MAX_HEAD * 2, 431),
        (POST + b"Content-Length: 1001\r\n\r\n", 413),
        (POST + b"Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n", 413),
        (CHUNKED + b"3e8\r\n" + b"x" * 1000 + b"\r\n1\r\nx\r\n", 413),
        (POST + b"Content-Length: 2\r\nExpect: 200-ok\r\n\r\nhi", 417),
        (POST + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi", 415),
        (b"GET /mcp HTTP/0.9\r\n\r\n", 505),
        (b"GET /mcp\r\n\r\n", 505),
        (b"GET /mcp HTTP/2.0\r\nHost: localhost\r\n\r\n", 505),
        (b"TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
        (b"BREW /pot HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
        (b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost:1\r\n\r\n", 400),
        (b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
        (b"GET /mcp HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (GET + b"Origin: null\r\n\r\n", 403),
    ],
    ids=lambda value: str(value)[:40],
)
def test_refusals(data: bytes, status: int) -> None:
    assert status_of(data) == status


def test_trailers_and_extensions_are_not_read_without_end() -> None:
    assert status_of(CHUNKED + b"0\r\nX: " + b"x" * MAX_HEAD * 2) == 400
    assert status_of(CHUNKED + b"5;" + b"x" * MAX_HEAD * 2) == 400
    small_chunks = CHUNKED + b"1\r\nx\r\n" * 900 + b"0\r\n\r\n"
    assert len(read(small_chunks)[0].body) == 900


def test_a_head_up_to_the_limit_passes() -> None:
    line = b"X: " + b"x" * (MAX_HEAD - len(GET) - 7) + b"\r\n\r\n"
    assert len(GET + line) == MAX_HEAD
    assert len(read(GET + line)) == 1
    many = b"".join(b"H%d: x\r\n" % number for number in range(MAX_HEADERS - 1))
    assert len(read(GET + many + b"\r\n")) == 1
    target = b"/" + b"x" * (MAX_TARGET - 1)
    assert len(read(GET.replace(b"/mcp", target) + b"\r\n")) == 1


def test_requests_before_a_refused_one_stay_valid() -> None:
    reader = a_reader()
    with pytest.raises(Refused):
        reader.feed(GET + b"\r\n" + AMBIGUOUS["two lengths"])
    assert len(reader.ready) == 1


@pytest.mark.parametrize("upgrades", [0, 1, 3])
@pytest.mark.parametrize("bad", [AMBIGUOUS["two hosts"], AMBIGUOUS["bare LF"]])
def test_a_refusal_is_found_behind_upgrades_and_inside_other_errors(
    upgrades: int, bad: bytes
) -> None:
    upgrade = POST + b"Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\nhi"
    reader = a_reader()
    try:
        raise KeyError
    except KeyError:
        with pytest.raises(Refused) as caught:
            reader.feed(upgrade * upgrades + bad)
    assert caught.value.status == 400
    assert len(reader.ready) == upgrades


def test_a_fault_of_ours_is_not_blamed_on_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Access, "check", Mock(side_effect=ZeroDivisionError))
    reader = a_reader()
    with pytest.raises(HttpParserCallbackError):
        reader.feed(GET + b"\r\n")
    assert reader.over


# properties

BLOCKS = [GET, b"\r\n", POST, b"Content-Length: 5\r\n\r\nhello", b"5\r\nhello\r\n", b"0\r\n\r\n"]
BLOCKS += [b"Transfer-Encoding: chunked\r\n\r\n", b"Connection: Upgrade\r\nUpgrade: x\r\n", b"\n"]
BLOCKS += [POST + b"Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\nhi"]
BLOCKS += [b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"HEAD / HTTP/1.0\r\n", b"\x00"]
bytes_like_http = st.lists(
    st.one_of(
        st.sampled_from(BLOCKS), st.sampled_from([*AMBIGUOUS.values()]), st.binary(max_size=9)
    )
).map(b"".join)


def outcome(data: bytes, cuts: list[int]) -> tuple[list[tuple[str, bytes]], int | None]:
    """What `data` means when cut at `cuts`: the requests, and the status of a refusal."""
    reader = a_reader()
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    try:
        for start, end in pairwise(places):
            reader.feed(data[start:end])
    except Refused as refused:
        return [(one.path, one.body) for one in reader.ready], refused.status
    return [(one.path, one.body) for one in reader.ready], None


@given(bytes_like_http, st.lists(st.integers(min_value=0), max_size=8))
@example(b"BREW /pot HTTP/1.1\r\n\r\n", [2])
def test_where_the_bytes_are_cut_changes_nothing(data: bytes, cuts: list[int]) -> None:
    requests, status = outcome(data, [])
    cut_requests, cut_status = outcome(data, cuts)
    assert cut_requests == requests
    assert (cut_status is None) == (status is None)
    if status != cut_status:  # an unknown method is told from garbage only while it is whole
        assert {status, cut_status} == {400, 501}


@given(st.sampled_from([*AMBIGUOUS.values()]), st.lists(st.integers(min_value=0), max_size=5))
def test_an_ambiguous_request_never_becomes_one_or_two(data: bytes, cuts: list[int]) -> None:
    assert outcome(data + GET + b"\r\n", cuts) == ([], 400)
