"""The rows of a short run, with figures that are made up."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from only1mcp.bench import drive, short, started, wrk
from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.load import Job, Outcome


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A load of no time: 1000 calls, a millisecond each."""

    def load(job: Job, core: int, processes: int = 1) -> Outcome:
        return Outcome(1000, 0, 0.5, {round(-348.8): 1000})

    monkeypatch.setattr(drive, "ours", load)
    monkeypatch.setattr(drive, "closed", load)
    monkeypatch.setattr(wrk, "version", lambda: None)


@pytest.mark.usefixtures("quick")
def test_beside_its_own_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with started.stub(0) as stub:

        @contextmanager
        def pair() -> Iterator[dict[str, short.Subject]]:
            end = Endpoint(stub.url).open()
            yield dict.fromkeys(("direct", "gateway"), short.Subject(end, "ping", {}))

        monkeypatch.setattr(short, "_pair", pair)
        found = short.own(0.1, "1.0")
    (suite,) = found.suites
    figures = {row.name: row.spread.median for row in suite.rows}
    assert figures["gateway over direct"] == 1.0
    assert figures["added p50, 1 client"] == 0.0
    assert figures["gateway, 32 connections"] == 2000.0
    assert all(len(row.samples) == short.ROUNDS for row in suite.rows)
    assert "bundled Python generator" in suite.notes[0]


@pytest.mark.usefixtures("quick")
def test_of_a_gateway_that_runs() -> None:
    with started.stub(0) as stub:
        subject = short.Subject(Endpoint(stub.url).open(), "tools/list", {})
        (suite,) = short.theirs(subject, 0.1, "1.0").suites
    assert suite.title == f"tools/list at {stub.url}"
    assert [row.name for row in suite.rows] == [
        *("p50, 1 client", "p99, 1 client", "gateway, 32 connections"),
    ]
