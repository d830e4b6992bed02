"""A head that comes again frames its message as a parser would, or is left to one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.protocol.repeated import MAX_DIGITS, Repeated, repeated

FRONT = b"HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: "
BACK = b"\r\nContent-Type: application/json\r\n\r\n"


def whole(body: bytes, front: bytes = FRONT, back: bytes = BACK) -> bytes:
    return b"%b%d%b%b" % (front, len(body), back, body)


def known(body: bytes = b"{}") -> Repeated:
    found = repeated(whole(body), len(body))
    assert found is not None
    return found


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nDate: today\r\n\r\n"


def in_chunks(*bodies: bytes, number: bytes = b"%x", head: bytes = CHUNKED) -> bytes:
    return head + b"".join(number % len(body) + b"\r\n" + body + b"\r\n" for body in bodies)


def chunked(*bodies: bytes, number: bytes = b"%x", head: bytes = CHUNKED) -> bytes:
    return in_chunks(*bodies, b"", number=number, head=head)


def test_the_body_of_each_message_with_the_same_head() -> None:
    one = known()
    for body in (b"{}", b"[1]", b"[2]", b"x" * 70_000, b"", b"{}"):
        assert one.body(whole(body)) == body


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_whatever_is_in_the_body(bodies: list[bytes]) -> None:
    one = known()
    assert [one.body(whole(body)) for body in bodies] == bodies


def test_a_body_that_is_a_head_is_a_body() -> None:
    body = b"\r\n\r\n" + whole(b"inner")
    assert known().body(whole(body)) == body
    assert known(body).body(whole(b"{}")) == b"{}", "that of the message, not of its body"


@pytest.mark.parametrize(
    "data",
    [
        whole(b"{}")[:-1],
        whole(b"{}") + b"x",
        whole(b"{}") + whole(b"{}"),
        whole(b"{}")[: len(FRONT)],
        whole(b"{}")[: len(FRONT) + 1],
        FRONT[:-1],
        whole(b"{}", front=FRONT.replace(b"today", b"never")),
        whole(b"{}", back=b"\r\nConnection: close" + BACK),
        FRONT + b"+2" + BACK + b"{}",
        FRONT + b" 2" + BACK + b"{}",
        FRONT + b"0x2" + BACK + b"{}",
        FRONT + "\N{ARABIC-INDIC DIGIT TWO}".encode() + BACK + b"{}",
        FRONT + b"" + BACK,
        FRONT + b"0" * MAX_DIGITS + b"2" + BACK + b"{}",
        b"",
    ],
)
def test_anything_else_is_for_the_parser(data: bytes) -> None:
    one = known()
    assert one.body(data) is None
    one.body(whole(b"[]"))  # and so it is when a head as long is known as a whole
    assert one.body(data) is None


def one_chunk(body: bytes, number: bytes = b"%x") -> Repeated:
    found = repeated(chunked(body, number=number), len(body))
    assert found is not None
    return found


@pytest.mark.parametrize("number", [b"%x", b"%X"])
def test_the_body_that_is_in_one_chunk(number: bytes) -> None:
    one = one_chunk(b"y" * 0xAB, number)
    for body in (b"{}", b"x" * 0xFA, b"z" * 0xFA, b"x" * 70_000, chunked(b"inner"), b"{}"):
        assert one.body(chunked(body, number=number)) == body


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=6))
def test_whatever_is_in_the_chunk(bodies: list[bytes]) -> None:
    one = one_chunk(b"{}")
    assert [one.body(chunked(body)) for body in bodies] == bodies


@pytest.mark.parametrize(
    "data",
    [
        chunked(b"{}")[:-1],
        chunked(b"{}") + b"x",
        chunked(b"{}") + chunked(b"{}"),
        chunked(b"{", b"}"),
        chunked(),
        chunked(b""),
        in_chunks(b"{}"),
        in_chunks(b"{}") + b"0\r\nX: trailer\r\n\r\n",
        CHUNKED + b"2;x=y\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"02\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"-5\r\n\r\n0\r\n\r\n",
        CHUNKED + b"-5\r\n\r\n",
        CHUNKED + b"2\r\n{}XX0\r\n\r\n",
        CHUNKED + b"2\r\n{}\r\n1\r\n\r\n",
        chunked(b"{}", head=CHUNKED.replace(b"today", b"never")),
        whole(b"{}"),
    ],
)
def test_chunks_of_another_form_are_for_the_parser(data: bytes) -> None:
    one = one_chunk(b"{}")
    assert one.body(data) is None
    one = one_chunk(b"[1]")
    assert one.body(chunked(b"[]")) == b"[]"  # a head as long is known as a whole
    assert one.body(data) is None


def test_a_message_as_long_as_the_last_is_not_taken_for_one_like_it() -> None:
    one = known()
    assert one.body(whole(b"12345678")) == b"12345678"
    other = whole(b"12345678", front=FRONT.replace(b"today", b"never"))
    assert len(other) == len(whole(b"12345678"))
    assert one.body(other) is None


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (whole(b"{}"), 3),
        (whole(b"{}")[:-1], 2),
        (whole(b"{}") + b"x", 2),
        (b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n{}", 2),
        (whole(b"{}", back=b"\r\ncontent-length: 2" + BACK), 2),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + whole(b"{}"), 2),
        (FRONT + b"2, 2" + BACK + b"{}", 2),
        (FRONT + b"2\r\nX: y", 0),
        (whole(b"{}", back=b"\r\nTransfer-Encoding: identity" + BACK), 2),
        (chunked(b"{}", head=FRONT + b"2\r\nTransfer-Encoding: chunked\r\n\r\n"), 2),
        (chunked(b"{}", head=CHUNKED.replace(b"chunked", b"gzip, chunked")), 2),
        (chunked(b"{", b"}"), 2),
        (chunked(), 0),
        (b"HTTP/1.1 103 Early\r\n\r\n" + chunked(b"{}"), 2),
    ],
)
def test_what_is_not_one_whole_message_framed_by_its_length_is_not_remembered(
    data: bytes, length: int
) -> None:
    assert repeated(data, length) is None


@pytest.mark.parametrize("spelled", [b"Content-Length:", b"content-length: ", b"CONTENT-LENGTH: "])
def test_however_the_length_is_spelled(spelled: bytes) -> None:
    front = FRONT.replace(b"Content-Length: ", spelled)
    found = repeated(whole(b"{}", front=front), 2)
    assert found is not None
    assert found.body(whole(b"[1]", front=front)) == b"[1]"
    assert found.body(whole(b"[1]", front=FRONT)) is None or front == FRONT
