"""The load generator against servers that answer, stall, break off and refuse."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from only1mcp.bench import load, started
from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.load import Job, Outcome, answer_length, is_result, merged, run

ASK = (b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n", b"")
GOOD = b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"result":{}}'
STALL_S = 0.3


@contextmanager
def listener(answers: list[bytes], stall_at: int = -1) -> Iterator[int]:
    """One connection after the other, each request answered with the next of `answers`."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            asked = 0
            try:
                while True:
                    line, _ = server.accept()
                    with line:
                        while line.recv(65536):
                            if asked == stall_at:
                                time.sleep(STALL_S)
                            answer = answers[asked % len(answers)]
                            asked += 1
                            if not answer:
                                break
                            line.sendall(answer)
            except OSError:
                return  # the test is over

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_closed_loop_asks_again_and_again() -> None:
    with started.stub(0) as stub:
        end = Endpoint(stub.url).open()
        request = end.request("tools/call", {"name": "echo", "arguments": {}})
        outcome = run(Job(end.host, end.port, [(request.before, request.after)], 4, 0.2))
        assert outcome.calls > 10
        assert outcome.errors == 0
        assert started.told(stub.url)["tools/call"] == outcome.calls


def test_an_answer_that_never_comes_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for patience in ("SLOW_S", "GRACE_S"):
        monkeypatch.setattr(load, patience, 0.0)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        outcome = run(Job("127.0.0.1", nobody.getsockname()[1], [ASK], 1, 0.01))
    assert (outcome.calls, outcome.errors) == (0, 0)


def test_an_open_loop_keeps_its_rate() -> None:
    with started.stub(0) as stub:
        end = Endpoint(stub.url).open()
        request = end.request("ping", {})
        outcome = run(Job(end.host, end.port, [(request.before, request.after)], 8, 0.5, 100))
        assert outcome.calls == 50
        assert outcome.errors == 0


def test_a_stall_shows_in_every_call_that_was_due() -> None:
    with listener([GOOD], stall_at=10) as port:
        outcome = run(Job("127.0.0.1", port, [ASK], 1, 0.6, 100))
    slow = sum(
        count for bucket, count in outcome.latencies.buckets.items() if 1.02**bucket > STALL_S / 2
    )
    assert outcome.calls == 60
    assert (
        slow >= 14
    )  # half of the thirty that were due meanwhile, and not just the one that met it


def test_a_call_under_way_at_the_end_is_waited_for() -> None:
    with listener([GOOD], stall_at=20) as port:
        outcome = run(Job("127.0.0.1", port, [ASK], 1, STALL_S / 2))
    assert (outcome.calls, outcome.errors) == (21, 0)
    assert outcome.seconds >= STALL_S


def test_errors_and_lost_connections_are_counted_and_told() -> None:
    refused = b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno"
    with listener([GOOD, refused]) as port:
        outcome = run(Job("127.0.0.1", port, [ASK], 1, 0.1))
    assert outcome.errors > 0
    assert "500" in outcome.fault
    with listener([GOOD, b""]) as port:
        outcome = run(Job("127.0.0.1", port, [ASK], 1, 0.1))
    assert outcome.errors > 0
    assert "closed" in outcome.fault


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-", 0),
        (b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 3\r\nX: y\r\n\r\nab", 47),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab", -1),
    ],
)
def test_where_an_answer_ends(data: bytes, length: int) -> None:
    assert answer_length(data) == length


def test_what_counts_as_a_result() -> None:
    assert is_result(GOOD)
    assert not is_result(GOOD.replace(b"200", b"503"))
    assert not is_result(b'HTTP/1.1 200 OK\r\n\r\n{"error":{}}')
    assert not is_result(b'HTTP/1.1 200 OK\r\n\r\n{"result":{"isError":true}}')


def test_processes_are_added_up() -> None:
    both = merged([Outcome(1, 0, 1.0, {-10: 1}), Outcome(2, 1, 2.0, {-10: 2}, fault="oh")])
    assert both == Outcome(3, 1, 2.0, {-10: 3}, fault="oh")
    assert both.rate == 1.5
