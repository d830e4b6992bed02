"""What is kept of a session's streams, what comes back for which id, what a flood pushes out."""

import json
import re
from typing import Any

import pytest

from fakes.exchange import FakeWire, an_exchange
from only1mcp.protocol.sse import Event, Parser
from only1mcp.server import events as module
from only1mcp.server.events import EVENT_BYTES, Events, Memory, Stream


def connection(stream: Stream) -> FakeWire:
    """A new connection that carries the stream; what is written to it, without chunks."""
    exchange, wire = an_exchange("GET")
    exchange.request.chunks = False
    stream.carry(exchange)
    return wire


def said(n: int | str) -> bytes:
    """A message."""
    return json.dumps({"say": n}).encode()


def heard(wire: FakeWire) -> list[Any]:
    """The messages on a connection; None for an event that carries none."""
    return [json.loads(one.data)["say"] if one.data else None for one in parsed(wire)]


def ids(wire: FakeWire) -> list[bytes]:
    """The ids on a connection."""
    return [one.id for one in parsed(wire)]


def parsed(wire: FakeWire) -> list[Event]:
    """The events on a connection."""
    return Parser(1 << 24).feed(wire.body)


def resumed(events: Events, id: bytes) -> FakeWire:
    """A new connection that asks for what came after `id`."""
    found = events.find(id)
    assert found is not None
    stream, place = found
    wire = connection(stream)
    stream.replay(place)
    return wire


def test_ids_name_session_stream_and_place() -> None:
    events = Events(Memory())
    first, second = events.open(), events.open()
    wires = connection(first), connection(second)
    first.prime()
    first.write(said("a"))
    second.write(said("b"))
    found = ids(wires[0]) + ids(wires[1])
    assert all(re.fullmatch(rb"[0-9a-f]{8}-\d+-\d+", id) for id in found)
    assert [id.split(b"-")[1:] for id in found] == [[b"1", b"1"], [b"1", b"2"], [b"2", b"1"]]
    assert wires[0].body.startswith(b"event: message\nid: %b\ndata: \n\n" % found[0])


def test_a_resumed_stream_brings_what_was_missed_and_goes_on_live() -> None:
    events = Events(Memory())
    stream, other = events.open(), events.open()
    lost = connection(stream)
    stream.write(said(1))
    stream.write(said(2))
    other.write(said("other"))
    again = resumed(events, ids(lost)[0])
    assert heard(again) == [2]
    assert lost.answers == 1  # one connection at a time
    stream.write(said(3))
    stream.finish(said("end"))
    assert heard(again) == [2, 3, "end"]
    assert again.answers == 1
    assert heard(lost) == [1, 2]


def test_the_answer_can_be_fetched_more_than_once() -> None:
    events = Events(Memory())
    stream = events.open()
    wire = connection(stream)
    stream.prime()
    stream.finish(said("end"))
    for _ in range(2):
        again = resumed(events, ids(wire)[0])
        assert (heard(again), again.answers) == (["end"], 1)
    nothing_more = resumed(events, ids(wire)[1])
    assert (heard(nothing_more), nothing_more.answers) == ([], 1)


def test_hanging_up_says_when_to_come_back() -> None:
    events = Events(Memory())
    stream = events.open()
    wire = connection(stream)
    stream.hang_up(250)
    assert b"retry: 250\n" in wire.body
    assert wire.answers == 1
    stream.hang_up(250)  # nobody is there
    stream.finish(said("end"))
    assert heard(resumed(events, ids(wire)[0])) == ["end"]


def test_the_listening_stream_is_one_and_never_forgotten() -> None:
    events = Events(Memory())
    stream = events.listening()
    wire = connection(stream)
    stream.prime()
    assert events.listening() is stream
    stream.write(said("missed"))
    assert heard(resumed(events, ids(wire)[0])) == ["missed"]
    assert stream.listening
    assert not events.open().listening


@pytest.mark.parametrize(
    "id",
    [b"", b"-", b"1-1", b"00000000-1-1", b"%b", b"%b-1", b"%b-1-2", b"%b-2-0", b"%b-1-1-1",
     b"%b-1--1", b"%b-1-x", b"%b-1-1 ", b"%b--1-1", b"%b-1-" + b"9" * 5000, b"\xff-1-1"],
)  # fmt: skip
def test_an_id_that_is_not_ours_is_found_nowhere(id: bytes) -> None:
    events = Events(Memory())
    stream = events.open()
    wire = connection(stream)
    stream.write(said(1))
    tag = ids(wire)[0].split(b"-")[0]
    assert events.find(b"%b-1-1" % tag) == (stream, 1)
    assert events.find(id.replace(b"%b", tag)) is None


def test_the_id_of_another_session_is_found_nowhere() -> None:
    memory = Memory()
    mine, theirs = Events(memory), Events(memory)
    mine_stream, their_stream = mine.open(), theirs.open()
    wire = connection(their_stream)
    wire = connection(their_stream)
    mine_stream.write(said("mine"))
    their_stream.write(said("theirs"))
    assert mine.find(ids(wire)[0]) is None


# --- bounds ---


def test_a_flood_pushes_out_its_own_past_and_keeps_the_answer() -> None:
    events = Events(Memory())
    quiet, loud = events.open(), events.open()
    asked, wire = connection(quiet), connection(loud)
    quiet.prime()
    loud.prime()
    quiet.finish(said("precious"))
    for n in range(module.MAX_EVENTS + 500):
        loud.write(said(n))
    loud.finish(said("end"))
    assert events.count == module.MAX_EVENTS
    assert heard(resumed(events, ids(asked)[0])) == ["precious"]
    late = heard(resumed(events, ids(wire)[0]))
    assert len(late) == module.MAX_EVENTS - 1
    assert late[-2:] == [module.MAX_EVENTS + 499, "end"]


def test_a_gap_in_the_listening_stream_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_EVENTS", 3)
    monkeypatch.setattr(module, "MAX_BYTES", 4000)
    events = Events(Memory())
    stream = events.listening()
    wire = connection(stream)
    for n in range(5):
        stream.write(said(n))
    first, second, *_, last = ids(wire)
    assert events.find(first) is None
    assert heard(resumed(events, second)) == [2, 3, 4]
    stream.write(said("x" * 4000))  # is not kept
    stream.write(said("end"))
    assert events.find(last) is None


def test_many_streams_push_out_the_oldest_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_EVENTS", 3)
    events = Events(Memory())
    found = []
    for n in range(5):
        stream = events.open()
        wire = connection(stream)
        stream.finish(said(n))
        found.append(ids(wire)[0])
    assert [events.find(id) is not None for id in found] == [False, False, True, True, True]


def test_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 4000)
    memory = Memory()
    events = Events(memory)
    stream = events.open()
    wire = connection(stream)
    for n in range(100):
        stream.write(said(f"{n:03}" + "x" * 800))
        assert events.size <= 4000
        assert memory.size == events.size
    kept = heard(resumed(events, ids(wire)[0]))
    assert [one[:3] for one in kept] == ["097", "098", "099"]


def test_an_answer_larger_than_the_bound_is_sent_and_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    memory = Memory()
    events = Events(memory)
    stream = events.open()
    wire = connection(stream)
    stream.write(said(1))
    stream.finish(said("x" * 1000))
    assert heard(wire) == [1, "x" * 1000]
    assert events.find(ids(wire)[0]) is None  # without its end it is of no use
    assert (events.count, events.size, memory.size) == (0, 0, 0)


def test_all_sessions_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES_IN_ALL", 4 * (EVENT_BYTES + 100))
    memory = Memory()
    sessions = [Events(memory) for _ in range(6)]
    found = []
    for events in sessions:
        stream = events.open()
        wire = connection(stream)
        stream.finish(said("x"))
        found.append(ids(wire)[0])
        assert memory.size <= module.MAX_BYTES_IN_ALL
    there = [events.find(id) is not None for events, id in zip(sessions, found, strict=True)]
    assert there == [False, False, True, True, True, True]  # who wrote longest ago lost first


def test_a_session_that_ends_keeps_nothing_even_of_what_still_runs() -> None:
    memory = Memory()
    events, other = Events(memory), Events(memory)
    stream = events.open()
    stream.write(said(1))
    other.open().write(said(2))
    events.end()
    assert memory.size == other.size > 0
    stream.finish(said("late"))
    assert (memory.size, events.size) == (other.size, 0)
    other.end()
    assert memory.size == 0
