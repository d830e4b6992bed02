"""Runs by whichever generator, and those that measure nothing."""

import psutil
import pytest

from only1mcp.bench import drive, started, wrk
from only1mcp.bench.endpoint import Endpoint, Refused
from only1mcp.bench.load import Job, Outcome


def test_connections_are_shared_among_processes() -> None:
    with started.stub(0) as stub:
        end = Endpoint(stub.url).open()
        job = drive.job(end, "ping", {}, 4, 0.2)
        outcome = drive.ours(job, 0, processes=2)
        assert outcome.tool == "python"
        assert 0 < outcome.calls <= started.told(stub.url)["ping"]


def test_without_wrk_ours_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrk, "version", lambda: None)
    with started.stub(0) as stub:
        job = drive.job(Endpoint(stub.url).open(), "ping", {}, 1, 0.1)
        assert drive.closed(job, 0).tool == "python"


def test_with_wrk_a_closed_loop_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrk, "version", lambda: "4")
    monkeypatch.setattr(wrk, "run", lambda job, core: Outcome(5, 0, 1.0, {0: 5}, "wrk"))
    assert drive.closed(Job("h", 1, [(b"", b"")], 1, 1), 0).tool == "wrk"


def test_a_question_that_fails_is_not_measured() -> None:
    with started.stub(0) as stub, pytest.raises(Refused, match="prompts/get"):
        drive.job(Endpoint(stub.url).open(), "prompts/get", {"name": "x"}, 1, 0.1)


@pytest.mark.parametrize("errors", [2, 100])
def test_a_run_of_failures_measures_nothing(monkeypatch: pytest.MonkeyPatch, errors: int) -> None:
    failed = Outcome(100, errors, 1.0, {0: 100}, "wrk", "503 all the time")
    monkeypatch.setattr(wrk, "version", lambda: "4")
    monkeypatch.setattr(wrk, "run", lambda job, core: failed)
    with pytest.raises(Refused, match=f"{errors} of 100 calls failed: 503"):
        drive.closed(Job("h", 1, [(b"", b"")], 1, 1), 0)


def test_no_generator_outlives_a_run_that_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken_off(process: object, job: Job) -> Outcome:
        assert len(psutil.Process().children()) == before + 2
        raise KeyboardInterrupt

    before = len(psutil.Process().children())
    monkeypatch.setattr(drive, "_finish", broken_off)
    with pytest.raises(KeyboardInterrupt):
        drive.ours(Job("127.0.0.1", 1, [(b"", b"")], 2, 60), 0, processes=2)
    assert len(psutil.Process().children()) == before


def test_a_load_beside_another_lasts_as_long_as_that() -> None:
    with started.stub(0) as stub:
        job = drive.job(Endpoint(stub.url).open(), "ping", {}, 1, 60, rate=500)
        asked = started.told(stub.url)["ping"]
        with drive.beside(job, 0):
            outcome = drive.ours(drive.job(Endpoint(stub.url).open(), "tools/list", {}, 1, 0.3), 0)
        after = started.told(stub.url)["ping"]
        assert outcome.calls > 0
        assert after > asked
        assert started.told(stub.url)["ping"] == after
