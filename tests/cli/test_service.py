"""The files that make the gateway a service."""

import plistlib
import shlex
import sys
from pathlib import Path

import pytest

from fakes.cli import Shell
from only1mcp.cli.instance import Place
from only1mcp.cli.service import manager_of, quoted

UNIT = ".config/systemd/user/only1mcp.service"


@pytest.fixture
def on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")


def configured(shell: Shell, **server: str) -> str:
    return shell.file({"server": server, "servers": []}, ".config/only1mcp/only1mcp.json")


@pytest.mark.usefixtures("on_linux")
def test_install_writes_the_unit_and_says_what_to_run(shell: Shell) -> None:
    config = configured(shell, drain_timeout="1m")
    found = shell("service", "install", PATH="/usr/bin:/odd %d/bin")
    assert found.code == 0
    assert f"wrote {shell.home}/{UNIT}" in found.err
    assert found.out.splitlines()[:2] == [
        "  systemctl --user daemon-reload",
        "  systemctl --user enable --now only1mcp.service",
    ]
    text = (shell.home / UNIT).read_text()
    lines = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    argv = [sys.executable, "-P", "-m", "only1mcp", "run", "--config", config]
    assert shlex.split(lines["ExecStart"]) == argv
    assert lines["Environment"] == '"PATH=/usr/bin:/odd %%d/bin"'
    assert (lines["Type"], lines["TimeoutStopSec"], lines["KillMode"]) == ("notify", "85", "mixed")
    assert lines["NoNewPrivileges"] == "yes"


@pytest.mark.usefixtures("on_linux")
def test_what_is_there_is_not_overwritten_unasked(shell: Shell) -> None:
    configured(shell)
    assert shell("service", "install").code == 0
    again = shell("service", "install")
    assert again.code == 1
    assert "--force overwrites it" in again.err
    assert shell("service", "install", "--force").code == 0


@pytest.mark.usefixtures("on_linux")
def test_uninstall_removes_the_unit_and_what_enabled_it(shell: Shell) -> None:
    configured(shell)
    shell("service", "install")
    link = shell.home / ".config/systemd/user/default.target.wants/only1mcp.service"
    link.parent.mkdir()
    link.symlink_to(shell.home / UNIT)
    found = shell("service", "uninstall")
    assert found.code == 0
    assert "systemctl --user stop only1mcp.service" in found.out
    assert [path for path in shell.home.rglob("only1mcp.service") if path.is_symlink()] == []
    assert not (shell.home / UNIT).exists()
    gone = shell("service", "uninstall")
    assert gone.code == 1
    assert "is not there" in gone.err


@pytest.mark.usefixtures("on_linux")
def test_a_configuration_whose_variables_are_not_in_this_shell_is_a_warning(shell: Shell) -> None:
    auth = {"auth": {"tokens": ["${NOBODY_SET_THIS}"]}}
    shell.file({"server": auth, "servers": []}, ".config/only1mcp/only1mcp.json")
    found = shell("service", "install")
    assert found.code == 0
    assert "warning:" in found.err
    assert "TimeoutStopSec=55" in (shell.home / UNIT).read_text()


def test_without_a_configuration_there_is_nothing_to_install(shell: Shell) -> None:
    found = shell("service", "install")
    assert found.code == 2
    assert "only1mcp config init" in found.err


@pytest.mark.usefixtures("on_linux")
def test_a_folder_that_cannot_be_written_is_a_failure(shell: Shell) -> None:
    configured(shell)
    shell.file("", ".config/systemd")
    found = shell("service", "install")
    assert found.code == 1
    assert "error: cannot write" in found.err


def test_a_mac_gets_an_agent(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "PATH": "/usr/bin"}
    config = tmp_path / "work.json"
    config.write_text('{"servers": [], "server": {"drain_timeout": 5}}')
    place = Place("work", environ)
    manager = manager_of(place, environ, "darwin")
    label = "io.github.only1mcp-work"
    assert manager.file == tmp_path / "Library" / "LaunchAgents" / f"{label}.plist"
    agent = plistlib.loads(manager.content(config, environ))
    assert agent["Label"] == label
    assert agent["ProgramArguments"][-2:] == ["--config", str(config)]
    assert agent["EnvironmentVariables"] == {"PATH": "/usr/bin"}
    assert (agent["ExitTimeOut"], agent["StandardErrorPath"]) == (30, str(place.log))
    assert manager.install[0].startswith("launchctl bootstrap")
    assert manager.uninstall == (f"launchctl bootout gui/$(id -u)/{label}",)


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("plain", '"plain"'),
        ("a b", '"a b"'),
        ('q"q', '"q\\"q"'),
        ("back\\slash", '"back\\\\slash"'),
        ("100%", '"100%%"'),
        ("$HOME", '"$$HOME"'),
    ],
)
def test_words_of_a_unit(word: str, found: str) -> None:
    assert quoted(word) == found
    assert quoted("$X", variables=False) == '"$X"'
