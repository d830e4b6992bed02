"""Events in, events out, wherever the bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.protocol import sse
from only1mcp.protocol.sse import Event, EventTooLarge, Parser

BOUND = 1000


def parsed(*chunks: bytes) -> list[tuple[bytes, bytes, bytes]]:
    parser = Parser(BOUND)
    return [(event.name, event.id, event.data) for chunk in chunks for event in parser.feed(chunk)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_all_three_line_ends_mean_the_same(end: bytes) -> None:
    text = end.join([b"event: message", b"id: 7", b"data: {}", b"", b"data: x", b"", b""])
    assert parsed(text) == [(b"message", b"7", b"{}"), (b"", b"7", b"x")]


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data:a\n\ndata:  a\n\n", [b"a", b" a"]),  # one blank belongs to the format
        (b"data\n\n", [b""]),
        (b"data: \n\n", [b""]),  # a priming event
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b": comment\ndata: a\n: more\n\n", [b"a"]),
        (b"unknown: x\ndatax: y\ndata: a\n\n", [b"a"]),
        (b"event: ping\n\ndata: a\n\n", [b"a"]),  # no data, no event
        (b"data: never finished\n", []),
        (b"\n\n\n", []),
    ],
)
def test_what_counts_as_data(stream: bytes, data: list[bytes]) -> None:
    assert [event[2] for event in parsed(stream)] == data


def test_the_name_lasts_one_event_and_the_id_until_the_next() -> None:
    stream = b"event: x\nid: 1\ndata: a\n\ndata: b\n\nid:\ndata: c\n\n"
    assert parsed(stream) == [(b"x", b"1", b"a"), (b"", b"1", b"b"), (b"", b"", b"c")]


def test_an_id_counts_once_its_event_has_ended() -> None:
    parser = Parser(BOUND)
    parser.feed(b"id: 1\n\nid: 2\n")
    assert parser.last_id == b"1"
    parser.feed(b"\n")
    assert parser.last_id == b"2"


@pytest.mark.parametrize("id", [b"a\0b", b"x" * (sse.MAX_ID_BYTES + 1)])
def test_an_id_that_no_header_can_carry_is_ignored(id: bytes) -> None:
    parser = Parser(10_000)
    parser.feed(b"id: 1\n\nid: " + id + b"\n\n")
    assert parser.last_id == b"1"


def test_retry_is_in_milliseconds_and_must_be_a_number() -> None:
    parser = Parser(BOUND)
    parser.feed(b"retry: 1500\n\n")
    assert parser.retry_s == 1.5
    parser.feed(b"retry: soon\n\nretry: 99999999999999\n\nretry: -1\n\n")
    assert parser.retry_s == 1.5


def test_a_new_stream_keeps_the_id_and_drops_what_was_incomplete() -> None:
    parser = Parser(BOUND)
    parser.feed(b"id: 1\ndata: a\n\nid: 2\nevent: x\ndata: lost\nda")
    parser.restart()
    assert parser.last_id == b"1"
    assert parser.feed(b"\xef\xbb\xbfdata: b\n\n") == [Event(b"b", b"", b"1")]


@pytest.mark.parametrize(
    "chunks",
    [
        [b"data: " + b"x" * BOUND + b"x"],
        [b"data: " + b"x" * 600, b"x" * 600],
        [b"data: " + b"x" * 600 + b"\n", b"data: " + b"x" * 600 + b"\n"],
        [b": " + b"x" * 600, b"x" * 600],
    ],
)
def test_an_event_is_bounded(chunks: list[bytes]) -> None:
    with pytest.raises(EventTooLarge):
        parsed(*chunks)


def test_the_bound_is_on_one_event_not_on_the_stream() -> None:
    event = b"data: " + b"x" * 900 + b"\n\n"
    assert len(parsed(*[event[:500], event[500:]] * 50)) == 50


lines = st.lists(
    st.one_of(
        st.sampled_from([b"", b"", b"data", b"data: {}", b"event: message", b":x", b"retry: 5"]),
        st.binary(max_size=12).map(
            lambda raw: b"data: " + raw.replace(b"\r", b"").replace(b"\n", b"")
        ),
        st.binary(max_size=12).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"")),
    ),
    max_size=12,
)
ends = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(st.data())
def test_the_cuts_between_chunks_do_not_matter(data: st.DataObject) -> None:
    stream = b"".join(line + data.draw(ends) for line in data.draw(lines))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert parsed(*chunks) == parsed(stream)
    assert parsed(*[stream[i : i + 1] for i in range(len(stream))]) == parsed(stream)


@given(st.binary(max_size=200), st.sampled_from([b"", b"42"]), st.sampled_from([None, 0, 3000]))
def test_what_is_written_is_read_again(data: bytes, id: bytes, retry_ms: int | None) -> None:
    parser = Parser(BOUND)
    events = parser.feed(sse.write(data, id=id, retry_ms=retry_ms))
    same_lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert events == [Event(same_lines, b"message", id)]
    assert parser.retry_s == (None if retry_ms is None else retry_ms / 1000)


def test_the_wire_form() -> None:
    assert sse.write(b"{}") == b"event: message\ndata: {}\n\n"
    assert sse.write(b"/m", name=b"endpoint") == b"event: endpoint\ndata: /m\n\n"
    assert parsed(sse.KEEP_ALIVE) == []
