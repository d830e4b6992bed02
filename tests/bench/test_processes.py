"""Programs are pinned, searched, measured, and always ended."""

import os
import sys

import psutil
import pytest

from only1mcp.bench.processes import NotStarted, Program, cores, on_core, running

TALKS = "import sys, time; print('ready now', flush=True); sys.stdin.read()"
FAMILY = (
    "import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', 'import time; "
    "time.sleep(600)']); print('child', c.pid, flush=True); sys.stdin.read()"
)


def python(source: str) -> Program:
    return Program([sys.executable, "-c", source], cores().gateway)


def test_what_it_says_can_be_waited_for() -> None:
    with running(python(TALKS)) as program:
        assert program.wait_for(lambda said: "ready" in said)
        assert program.memory_bytes() > 1_000_000
        assert program.cpu_s() >= 0
        assert 0 < program.own_cpu_s() < 60


def test_it_ends_with_its_descendants() -> None:
    with running(python(FAMILY)) as program:
        child = int(program.wait_for(lambda said: said.split("child ")[-1].strip()))
        assert len(program.family()) == 2
    assert not psutil.pid_exists(program.pid)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie"


def test_one_that_ends_at_once_says_why() -> None:
    with (
        running(python("raise SystemExit('no such luck')")) as program,
        pytest.raises(NotStarted, match="ended with 1:\nno such luck"),
    ):
        program.wait_for(lambda said: "ready" in said)


def test_one_that_says_nothing_is_given_up() -> None:
    with running(python(TALKS)) as program, pytest.raises(NotStarted, match="says nothing more"):
        program.wait_for(lambda said: "other" in said, patience_s=0.05)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores cannot be chosen here")
def test_what_is_started_is_on_its_core_and_we_are_not() -> None:
    before = os.sched_getaffinity(0)
    with running(python(TALKS)) as program:
        assert os.sched_getaffinity(program.pid) == {cores().gateway}
    with on_core(cores().load):
        assert os.sched_getaffinity(0) == {cores().load}
    assert os.sched_getaffinity(0) == before
