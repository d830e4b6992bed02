"""A head that comes again is read without the parser, and means the same."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.config.model import Listener
from only1mcp.policy.access import Access
from only1mcp.server.again import remembered
from only1mcp.server.exchange import Request
from only1mcp.server.head import Refused
from only1mcp.server.reader import Reader

FRONT = b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Odd: a,b\r\nContent-Length: "
BACK = b"\r\nContent-Type: application/json\r\n\r\n"


def post(body: bytes, front: bytes = FRONT, back: bytes = BACK) -> bytes:
    return b"%b%d%b%b" % (front, len(body), back, body)


def reader(**settings: object) -> Reader:
    return Reader(Access(Listener.model_validate(settings)), 1000)


class Side:
    """What a connection does with the bytes of a client that waits for each answer."""

    def __init__(self, one: Reader | None = None) -> None:
        self.reader = one or reader()
        self.read: list[Request] = []
        self.again = 0

    def feed(self, data: bytes) -> None:
        request = self.reader.again(data)
        if request is not None:
            self.again += 1
            self.read.append(request)
        else:
            self.reader.feed(data)
            self.read += self.reader.ready
            self.reader.ready.clear()


def fed(*pieces: bytes) -> list[Request]:
    one = Side()
    for piece in pieces:
        one.feed(piece)
    return one.read


LENGTH = b"content-length"


def said(request: Request) -> tuple[object, ...]:
    """All of it but how long its body is, which nobody asks a request that was read again."""
    headers = {name: value for name, value in request.headers.items() if name != LENGTH}
    return (
        *(request.method, request.path, request.query, headers, request.body),
        *(request.principal, request.keep_alive, request.chunks, request.cors, request.admin),
    )


def first_of(data: bytes) -> Request:
    return fed(data)[0]


def test_it_is_remembered_and_read_again() -> None:
    one = Side()
    bodies = (b"{}", b'{"a": 1}', b"[]", b"[1]", b"{}")
    for body in bodies:
        one.feed(post(body))
    assert [request.body for request in one.read] == list(bodies)
    assert [said(request) for request in one.read] == [
        said(first_of(post(body))) for body in bodies
    ]
    assert (one.reader.serial, one.again) == (5, 4)


def test_what_a_handler_finds_out_from_the_head_is_kept_with_it() -> None:
    first, second, other = fed(post(b"{}"), post(b"[]"), post(b"{}", back=BACK + b""))
    assert second.memo is other.memo
    (alone,) = fed(post(b"{}"))
    assert alone.memo is not first.memo


def test_of_the_first_request_only_its_head_is_kept() -> None:
    """A connection that rests for an hour must not hold on to what was sent on it."""
    body = b'{"secret": 1}'
    one = reader()
    one.feed(post(body))
    assert one._last is not None
    assert body not in one._last.bytes._front + one._last.bytes._back
    assert one._last.request.body == b""


@pytest.mark.parametrize(
    "second",
    [
        post(b"{}") + post(b"[]"),  # two at once
        post(b"{}")[:-1],  # not whole
        post(b"{}", front=FRONT.replace(b"a,b", b"c")),  # another head
        post(b"{}", back=b"\r\nExpect: 100-continue\r\n\r\n"),
        b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ],
    ids=["two", "half", "other", "expect", "get"],
)
def test_everything_else_goes_to_the_parser(second: bytes) -> None:
    one = Side()
    one.feed(post(b"{}"))
    one.feed(second)
    alone = Side()
    alone.feed(second)
    assert [said(request) for request in one.read[1:]] == [said(request) for request in alone.read]
    assert (one.reader.phase, one.again) == (alone.reader.phase, 0)


@given(
    st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=5),
    st.lists(st.integers(1, 900), max_size=8),
)
def test_however_it_is_cut_it_is_the_same(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(post, bodies))
    places = sorted({0, *(cut for cut in cuts if cut < len(stream)), len(stream)})
    pieces = [stream[a:b] for a, b in pairwise(places)]
    assert [request.body for request in fed(*pieces)] == bodies
    assert [request.body for request in fed(*map(post, bodies))] == bodies


def test_a_body_that_looks_like_a_head_is_none() -> None:
    """Two readers of one stream must not see two things: request smuggling."""
    body = b"\r\n\r\nContent-Length: 5\r\n\r\n"
    stream = post(body) + post(b"12345")
    assert [request.body for request in fed(stream, post(b"[]"))] == [body, b"12345", b"[]"]


def test_who_is_calling_is_looked_at_each_time() -> None:
    access = Access(Listener.model_validate({"auth": {"tokens": ["a" * 20]}}))
    bearer = FRONT.replace(b"X-Odd: a,b", b"Authorization: Bearer " + b"a" * 20)
    one = Side(Reader(access, 1000))
    one.feed(post(b"{}", front=bearer))
    one.feed(post(b"[]", front=bearer))
    assert one.again == 1
    access.prepare(Listener.model_validate({"auth": {"tokens": ["b" * 20]}}))()
    with pytest.raises(Refused) as refused:
        one.feed(post(b"{}", front=bearer))
    assert refused.value.status == 401
    assert one.reader.over


def test_a_longer_body_than_allowed_is_refused_as_ever() -> None:
    one = Side()
    one.feed(post(b"{}"))
    with pytest.raises(Refused) as refused:
        one.feed(post(b"x" * 1001))
    assert refused.value.status == 413


@pytest.mark.parametrize(
    "head",
    [
        b"POST /mcp HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 2\r\n\r\n",
        b"POST /mcp HTTP/1.0\r\nHost: h\r\nContent-Length: 2\r\n\r\n",
    ],
)
def test_the_last_of_a_connection_is_not_remembered(head: bytes) -> None:
    request = Request("POST", "/mcp", b"", {b"content-length": b"2"})
    request.body = b"{}"
    request.keep_alive = False
    assert remembered(head + b"{}", request, 0) is None
