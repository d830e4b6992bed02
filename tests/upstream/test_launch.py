"""Which program is started, with which environment, and why it cannot be."""

import errno
import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from fakes.children import executable
from only1mcp.config.overrides import DEPTH
from only1mcp.config.servers import Stdio
from only1mcp.protocol.errors import Outcome, ServerUnavailable
from only1mcp.upstream.launch import NotStartable, environment, find, spawn_fault


def test_a_child_gets_what_is_harmless() -> None:
    harmless = {"HOME": "/h", "LC_ALL": "C", "XDG_RUNTIME_DIR": "/run", "no_proxy": "x"}
    secret = {"AWS_SECRET_ACCESS_KEY": "s", "ONLY1MCP_TOKEN": "t", "LD_PRELOAD": "x"}
    code = {"TERM": "() { :; }"}
    assert environment(Stdio(command="x"), harmless | secret | code) == harmless | {DEPTH: "1"}


def test_its_own_environment_wins() -> None:
    transport = Stdio(command="x", env={"PATH": SecretStr("/opt"), "KEY": SecretStr("() k")})
    assert environment(transport, {"PATH": "/bin", DEPTH: "1"}) == {
        "PATH": "/opt",
        "KEY": "() k",
        DEPTH: "2",
    }


def test_a_bare_name_is_looked_up_on_path(tmp_path: Path) -> None:
    name = executable(tmp_path / "server", "")
    path = f"/nowhere{os.pathsep}{tmp_path}"
    assert find("s", Stdio(command="server"), path) == name


def test_a_path_starts_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    name = executable(tmp_path / "bin" / "server", "")
    assert find("s", Stdio(command="bin/server", cwd=str(tmp_path)), "") == name
    assert find("s", Stdio(command=name), "") == name
    monkeypatch.chdir(tmp_path)
    assert find("s", Stdio(command="./bin/server"), "") == name
    assert find("s", Stdio(command="./server", cwd="bin"), "") == name


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotStartable) as caught:
        find("s", Stdio(command="server"), str(tmp_path))
    assert caught.value.message == (
        f"server 's' cannot start 'server': there is no such program; PATH searched: {tmp_path}"
    )
    assert caught.value.data["outcome"] == Outcome.NOT_SENT
    assert "transport.command" in caught.value.data["hint"]


@pytest.mark.parametrize("full", [False, True])
def test_what_may_not_be_executed_is_named(tmp_path: Path, full: bool) -> None:
    name = executable(tmp_path / "server", "", mode=0o644)
    with pytest.raises(NotStartable, match=f"{name} is not executable"):
        find("s", Stdio(command=name if full else "server"), str(tmp_path))


def test_a_missing_working_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotStartable, match=r"working directory \S+/gone does not exist"):
        find("s", Stdio(command="true", cwd=str(tmp_path / "gone")), os.defpath)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOEXEC, "Exec format error"), NotStartable),
        (ValueError("embedded null byte"), NotStartable),
        (OSError(errno.EMFILE, "Too many open files"), ServerUnavailable),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), ServerUnavailable),
    ],
)
def test_the_machine_may_be_at_fault(error: OSError | ValueError, kind: type) -> None:
    fault = spawn_fault("s", Stdio(command="x"), "/bin", error)
    assert type(fault) is kind
    assert fault.message.startswith("server 's' cannot start 'x': ")
    assert str(error) in fault.message
