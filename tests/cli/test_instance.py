"""Whether a gateway runs in the background: by its lock, whatever its file says."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from only1mcp.cli import instance
from only1mcp.cli.instance import Place, began, every, hold, name_of, state_folder
from only1mcp.cli.say import Exit, Failure

HOLD = """
import os, sys
from only1mcp.cli.instance import Place, hold
with hold(Place(sys.argv[1], dict(os.environ)), config="c", log="l", folder="f"):
    print("held", flush=True)
    sys.stdin.read()
"""
KNOWN: dict[str, Any] = {"config": "c", "log": "l", "folder": "f"}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path)}


@contextmanager
def holder(environ: dict[str, str], name: str = "a") -> Iterator[subprocess.Popen[str]]:
    """Another process that is the gateway of this place."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_STATE_HOME": "", **environ},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_nobody_runs_where_nothing_is(environ: dict[str, str]) -> None:
    assert Place("a", environ).look() is None
    assert Place("a", environ).last() is None
    assert every(environ) == []


def test_who_holds_the_lock_runs(environ: dict[str, str]) -> None:
    place = Place("a", environ)
    with holder(environ) as process:
        found = place.look()
        assert found is not None
        assert (found.pid, found.name, found.config, found.url) == (process.pid, "a", "c", "")
        assert every(environ) == [found]
        with pytest.raises(Failure, match=rf"'a' runs already \(pid {process.pid}, starting, c\)"):
            hold(place, **KNOWN).__enter__()
        process.kill()
        process.wait()
        assert place.look() is None
        assert place.last() == found  # what kill -9 leaves behind
    with hold(place, **KNOWN) as held:
        held.tell(url="http://x")
        again = place.look()
        assert again is not None
        assert (again.pid, again.url) == (os.getpid(), "http://x")
    assert place.look() is None


def test_a_living_process_with_the_pid_of_the_file_is_not_taken_for_it(
    environ: dict[str, str],
) -> None:
    place = Place("a", environ)
    with holder(environ) as process:
        found = place.look()
        assert found is not None
        process.kill()
    stranger = asdict(found) | {"pid": os.getpid(), "began": began(os.getpid())}
    place.state.write_text(json.dumps(stranger))
    assert place.last() is not None
    assert place.look() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "a"}', "\x00\xff"])
def test_a_locked_file_that_names_nobody_is_a_failure(
    environ: dict[str, str], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instance, "_SETTLE_S", 0.0)
    place = Place("a", environ)
    with holder(environ):
        place.state.write_text(text)
        with pytest.raises(Failure, match="locked by a process that it does not name"):
            place.look()


def test_the_pid_of_a_locked_file_must_be_that_process(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instance, "_SETTLE_S", 0.0)
    place = Place("a", environ)
    with holder(environ):
        found = place.look()
        assert found is not None
        place.state.write_text(json.dumps(asdict(found) | {"began": "another time"}))
        with pytest.raises(Failure, match="does not name"):
            place.look()


def test_files_are_private(environ: dict[str, str]) -> None:
    place = Place("a", environ)
    with hold(place, **KNOWN):
        assert place.state.stat().st_mode & 0o777 == 0o600
        assert place.state.parent.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    place = Place("a", {"XDG_STATE_HOME": str(tmp_path / "file")})
    with pytest.raises(Failure, match="cannot write"):
        hold(place, **KNOWN).__enter__()


@pytest.mark.parametrize("name", ["", "..", "a/b", "-a", "a b", "ü", "x" * 65])
def test_what_can_be_no_name(name: str) -> None:
    with pytest.raises(Failure) as caught:
        Place(name, {})
    assert caught.value.code == Exit.USAGE


def test_the_same_file_is_the_same_gateway(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ".config" / "only1mcp"
    assert name_of(folder / "only1mcp.json", environ) == "default"
    chosen = environ | {"ONLY1MCP_CONFIG": str(tmp_path / "work.yaml")}
    names = {
        name_of(tmp_path / "work.yaml", environ),
        name_of(Path("work.yaml"), environ),
        name_of(Path("..", tmp_path.name, "work.yaml"), chosen),
    }
    assert len(names) == 1
    assert names.pop().startswith("work-")
    assert name_of(folder / "work.yaml", environ) != name_of(tmp_path / "work.yaml", environ)
    assert name_of(Path("/üü.yaml"), environ).startswith("gateway-")


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"HOME": "/h"}, "/h/.local/state/only1mcp"),
        ({"HOME": "/h", "XDG_STATE_HOME": "/s"}, "/s/only1mcp"),
        ({"HOME": "/h", "XDG_STATE_HOME": "relative"}, "/h/.local/state/only1mcp"),
    ],
)
def test_where_the_state_is(environ: dict[str, str], folder: str) -> None:
    assert state_folder(environ) == Path(folder)


def test_a_link_is_a_gateway_of_its_own_wherever_it_leads(
    environ: dict[str, str], tmp_path: Path
) -> None:
    link = tmp_path / "current.yaml"
    names = []
    for target in ("one.yaml", "two.yaml"):
        link.unlink(missing_ok=True)
        link.symlink_to(tmp_path / target)
        names.append(name_of(link, environ))
    assert names[0] == names[1]


def test_another_version_may_say_more_or_less(environ: dict[str, str]) -> None:
    place = Place("a", environ)
    with hold(place, **KNOWN):
        said = json.loads(place.state.read_text())
        del said["drain_s"], said["folder"]
        place.state.write_text(json.dumps(said | {"new": 1}))
        found = place.look()
        assert found is not None
        assert (found.pid, found.drain_s) == (os.getpid(), 0.0)


def test_when_a_process_began_tells_it_from_others(tmp_path: Path) -> None:
    with holder({"HOME": str(tmp_path)}) as process:
        first = began(process.pid)
        assert first == began(process.pid) != began(os.getpid())
    assert began(process.pid) is None
