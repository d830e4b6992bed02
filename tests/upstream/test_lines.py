"""Lines are the same however they are cut; what is in them is a message or it is not."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.protocol.errors import InvalidRequest, ParseError
from only1mcp.upstream.lines import Lines, is_text, messages

STREAM = b'{"a":1}\n\r\n\nxx\xff\r\n' + b"y" * 300 + b"\nrest"


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_any_cut_gives_the_same_lines(cuts: list[int]) -> None:
    lines, found = Lines(), []
    edges = [0, *sorted(cuts), len(STREAM)]
    for start, end in pairwise(edges):
        found += lines.feed(STREAM[start:end])
    assert found == STREAM.split(b"\n")[:-1]
    assert lines.held == len(b"rest")


def test_held_counts_what_waits() -> None:
    lines = Lines()
    assert [lines.feed(b"abc"), lines.held] == [[], 3]
    assert [lines.feed(b"de"), lines.held] == [[], 5]
    assert [lines.feed(b"f\ng"), lines.held] == [[b"abcdef"], 1]
    assert [lines.feed(b"\n"), lines.held] == [[b"g"], 0]


@pytest.mark.parametrize("line", [b"", b"  ", b"\r", b"\t \r"])
def test_a_blank_line_is_nothing(line: bytes) -> None:
    assert messages(line) == []


def test_a_line_is_a_message() -> None:
    (found,) = messages(b' {"jsonrpc":"2.0","id":1,"result":{"a": 1} }\r')
    assert (bytes(found.id), bytes(found.result)) == (b"1", b'{"a": 1}')


def test_a_batch_is_several() -> None:
    found = messages(b'[{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0","id":1,"result":{}}]')
    assert [one.method for one in found] == ["a", ""]


@pytest.mark.parametrize(
    "line",
    [b"ready", b"123", b"[INFO] hello", b"[]", b"[1]", b'{"id":', b'"x"', b"\xff\xfe", b"[" * 5000],
)
def test_noise_is_told_from_messages(line: bytes) -> None:
    with pytest.raises((ParseError, InvalidRequest)):
        messages(line)


def test_text_is_utf_8() -> None:
    assert is_text(b"ascii")
    assert is_text("é\u2028".encode())
    assert not is_text(b'{"a":"\xff"}')
