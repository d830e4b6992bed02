"""The gateway in the background, with real processes in a home of its own."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest

from fakes import stdio_server as scripted_child
from fakes.cli import Shell, background, configured, place, running
from fakes.edge import PATIENCE_S, until
from fakes.gateway import closed_port, gateway, stdio_server
from only1mcp.cli import daemon
from only1mcp.cli.instance import began, every

CHILD = stdio_server("child", sys.executable, scripted_child.__file__)
LOG_LINE = "only1mcp listens on"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with background(tmp_path) as shell:
        yield shell


def test_from_start_to_stop(shell: Shell) -> None:
    config = configured(shell, CHILD)
    started = shell("start", "--port", "0")
    assert started.code == 0, started.err
    here = running(shell)
    assert f"listens on {here.url}/mcp, 'default', pid {here.pid}" in started.err
    assert psutil.Process(here.pid).cmdline()[-4:] == ["default", config, "--port", "0"]
    assert os.getsid(here.pid) == here.pid  # no terminal can end it

    assert shell("servers").code == 0  # commands find it, whatever its port
    status = shell("status", "--json")
    assert status.code == 0
    assert status.json["uptime_s"] >= 0
    assert {key: status.json[key] for key in ("pid", "url", "config", "servers")} == {
        "pid": here.pid,
        "url": here.url,
        "config": config,
        "servers": 1,
    }
    assert f"pid      {here.pid}\n" in shell("status").out

    again = shell("start")
    assert again.code == 1
    assert f"'default' runs already (pid {here.pid}, {here.url}, {config})" in again.err

    stopped = shell("stop")
    assert (stopped.code, stopped.err) == (0, "'default' has ended\n")
    assert shell("status", "--json").json == {"name": "default", "running": False}
    for command in ("status", "stop"):
        assert shell(command).code == 3


def test_why_one_is_degraded_is_said_if_that_is_its_file(shell: Shell) -> None:
    config = Path(configured(shell))
    assert shell("start", "--port", "0").code == 0
    assert shell("status", "--json").json["config_status"] == "ok"
    Path(shell.file("{", "new")).replace(config)
    reload = shell("reload")  # finds it, though its file does not say where
    assert reload.code == 2
    assert "the configuration is refused; the former one stays in force\n" in reload.err
    status = shell("status").out
    assert "status   degraded\n" in status
    assert f"config   {config}, refused as it is now; `only1mcp reload` says why\n" in status


def test_two_configurations_run_side_by_side(shell: Shell) -> None:
    configured(shell)
    other = shell.file({"servers": []}, "work.json")
    assert shell("start", "--port", "0").code == 0
    assert shell("start", "-c", other, "--port", "0").code == 0
    assert shell("start", "--name", "third", "--port", "0").code == 0
    work, third, default = (
        next(one for one in every({"HOME": str(shell.home)}) if one.name.startswith(name))
        for name in ("work-", "third", "default")
    )
    assert len({work.pid, third.pid, default.pid}) == 3
    assert shell("status", "-c", other, "--json").json["pid"] == work.pid
    assert shell("stop", "-c", other).code == 0
    nobody = shell("stop", "--name", "fourth")
    assert nobody.code == 3
    assert "'default' (" in nobody.err
    assert "'third' (" in nobody.err
    assert shell("stop", "--name", "third").code == 0
    assert running(shell).pid == default.pid


def test_who_names_none_means_the_only_one_that_runs(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = shell.file({"servers": []}, "folder/work.json")
    assert shell("start", "-c", config, "--port", "0").code == 0
    (before,) = every({"HOME": str(shell.home)})
    said = f"'{before.name}' ({config}) is the only one that runs\n"
    monkeypatch.chdir(Path(config).parent)

    status = shell("status", "--json")
    assert (status.code, status.json["pid"], status.err) == (0, before.pid, said)
    logs = shell("logs")
    assert (logs.code, logs.err) == (0, said)
    assert LOG_LINE in logs.out

    restarted = shell("restart")
    (after,) = every({"HOME": str(shell.home)})
    assert restarted.code == 0
    assert restarted.err.startswith(said)
    assert (after.name, after.config) == (before.name, config)
    assert after.pid != before.pid
    assert shell("stop") == (0, "", f"{said}'{before.name}' has ended\n")
    assert (
        shell("stop").err
        == "error: 'default' does not run in the background; see `only1mcp start`\n"
    )


def test_of_several_that_run_one_has_to_be_named(shell: Shell) -> None:
    config = shell.file({"servers": []}, "work.json")
    for name in ("a", "b"):
        assert shell("start", "-c", config, "--name", name, "--port", "0").code == 0
    hint = f"running: 'a' ({config}), 'b' ({config}); name one with --name\n"
    for command in ("status", "stop", "restart"):
        nobody = f"error: 'default' does not run in the background; {hint}"
        assert shell(command) == (3, "", nobody)
    logs = shell("logs")
    assert logs.code == 1
    assert logs.err.endswith(hint)
    assert {one.name for one in every({"HOME": str(shell.home)})} == {"a", "b"}

    configured(shell)  # the usual one could be started, but nobody has asked for that
    assert shell("restart") == (3, "", nobody)
    place(shell).log.write_text("old\n")
    past = "'default' does not run, this is the log of its last run"
    assert shell("logs") == (0, "old\n", f"{past}; {hint}")
    assert {one.name for one in every({"HOME": str(shell.home)})} == {"a", "b"}

    assert shell("stop", "--name", "a").code == 0
    for chosen in (["-c", str(shell.home / "other.json")], ["--name", "c"]):
        assert shell("stop", *chosen).code == 3, "another one was meant"
    assert shell("stop", ONLY1MCP_CONFIG=str(shell.home / "other.json")).code == 3
    assert running(shell, "b").pid


def test_who_has_ended_is_restarted_as_it_was_by_its_name(shell: Shell) -> None:
    usual = configured(shell)
    config = shell.file({"servers": []}, "work.json")
    assert shell("start", "-c", config, "--name", "a", "--port", "0").code == 0
    unknown = f"error: 'b' does not run in the background; running: 'a' ({config}); name one"
    assert shell("restart", "--name", "b").err.startswith(unknown), "a slip starts nothing"

    assert shell("stop").code == 0
    assert shell("restart", "--name", "a").code == 0
    again = running(shell, "a")
    assert (again.config, again.port) == (config, 0)
    assert shell("restart", "--name", "a", "-c", usual).code == 0
    assert running(shell, "a").config == usual


def test_the_usual_one_is_meant_as_long_as_it_runs(shell: Shell) -> None:
    configured(shell)
    other = shell.file({"servers": []}, "work.json")
    assert shell("start", "--port", "0").code == 0
    assert shell("start", "-c", other, "--name", "work", "--port", "0").code == 0
    assert shell("stop") == (0, "", "'default' has ended\n")
    assert running(shell, "work").pid


async def test_of_two_that_start_at_once_one_runs(shell: Shell) -> None:
    configured(shell)
    env = {**os.environ, "HOME": str(shell.home), "XDG_STATE_HOME": "", "XDG_CONFIG_HOME": ""}
    argv = (sys.executable, "-m", "only1mcp", "start", "--port", "0")
    async with asyncio.timeout(3 * PATIENCE_S):
        both = [await asyncio.create_subprocess_exec(*argv, stderr=PIPE, env=env) for _ in "ab"]
        said = [(await one.communicate())[1].decode() for one in both]
    assert sorted(one.returncode or 0 for one in both) == [0, 1], said
    assert sum("runs already" in text for text in said) == 1
    assert shell("stop").code == 0


def test_after_kill_9_it_starts_again(shell: Shell) -> None:
    configured(shell)
    assert shell("start", "--port", "0").code == 0
    before = running(shell)
    os.kill(before.pid, signal.SIGKILL)
    psutil.Process(before.pid).wait(PATIENCE_S)
    assert shell("status").code == 3
    assert shell("start", "--port", "0").code == 0
    assert running(shell).pid != before.pid


@pytest.mark.parametrize("same_time", [False, True])
def test_a_stranger_with_its_pid_is_left_alone(shell: Shell, same_time: bool) -> None:
    configured(shell)
    assert shell("start", "--port", "0").code == 0
    here = running(shell)
    assert shell("stop").code == 0
    me = os.getpid()  # a signal to this pid would end the tests
    left = asdict(here) | {"pid": me, "url": "http://x"}
    place(shell).state.write_text(json.dumps(left | ({"began": began(me)} if same_time else {})))
    for command in ("status", "stop"):
        assert shell(command).code == 3
    assert shell("start", "--port", "0").code == 0
    assert running(shell).pid not in (me, here.pid)


def test_restart_keeps_what_it_was_started_with(shell: Shell, tmp_path: Path) -> None:
    config = shell.file({"servers": []}, "work.json")
    with closed_port() as port:
        assert shell("start", "-c", config, "--name", "a", "--port", str(port)).code == 0
        before = running(shell, "a")
        done = shell("restart", "--name", "a")
        after = running(shell, "a")
    assert done.code == 0, done.err
    assert (after.config, after.url, after.folder) == (config, before.url, before.folder)
    assert after.pid != before.pid
    assert not psutil.pid_exists(before.pid) or began(before.pid) == before.began  # a zombie


def test_restart_takes_a_file_of_this_folder_and_runs_in_that_of_the_start(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = shell.file({"servers": []}, "folder/work.json")
    assert shell("start", "-c", config, "--port", "0").code == 0
    monkeypatch.chdir(Path(config).parent)
    done = shell("restart", "-c", "work.json")
    assert done.code == 0, done.err
    (after,) = every({"HOME": str(shell.home)})
    assert after.config == config
    assert Path(after.folder) != Path(config).parent


def test_the_file_is_shown_without_detours(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    config = shell.file({"servers": []}, "work.json")
    (shell.home / "folder" / "deep").mkdir(parents=True)
    (shell.home / "link").symlink_to("folder/deep")
    other = shell.file({"servers": []}, "folder/other.json")
    monkeypatch.chdir(shell.home / "folder")
    assert shell("start", "-c", "../work.json", "--name", "a", "--port", "0").code == 0
    assert running(shell, "a").config == config
    monkeypatch.chdir(shell.home)
    around = "link/../other.json"  # `..` of where the link leads
    assert shell("start", "-c", around, "--name", "b", "--port", "0").code == 0
    assert Path(running(shell, "b").config).samefile(other)


def test_restart_does_not_end_what_could_not_start_again(shell: Shell) -> None:
    config = configured(shell)
    assert shell("start", "--port", "0").code == 0
    here = running(shell)
    Path(config).write_text('{"servre": []}')
    found = shell("restart")
    assert found.code == 2
    assert "unknown key 'servre'" in found.err
    assert running(shell).pid == here.pid


def test_restart_starts_what_does_not_run(shell: Shell) -> None:
    configured(shell)
    assert shell("restart", "--port", "0").code == 0
    assert running(shell).url


@pytest.mark.parametrize(
    ("content", "code", "reason"),
    [
        ({"servre": []}, 2, "1:2: unknown key 'servre'; did you mean 'server'?"),
        ("{", 2, "only1mcp.json:1:2"),
        ({"servers": [], "logging": {"file": "/dev/null/x"}}, 1, "cannot write /dev/null"),
    ],
)
def test_what_cannot_start_says_why(shell: Shell, content: Any, code: int, reason: str) -> None:
    shell.file(content, ".config/only1mcp/only1mcp.json")
    found = shell("start", "--port", "0")
    assert found.code == code
    assert found.err.startswith("error: the gateway did not start:\n")
    assert reason in found.err
    assert shell("status").code == 3


def test_a_port_that_is_taken_is_the_reason(shell: Shell) -> None:
    configured(shell)
    assert shell("start", "--port", "0", "--name", "first").code == 0
    port = running(shell, "first").url.rpartition(":")[2]
    found = shell("start", "--port", port)
    assert found.code == 1
    assert port in found.err
    assert "in use" in found.err


def test_without_a_configuration_it_says_what_to_do(shell: Shell) -> None:
    for command in ("start", "restart"):
        found = shell(command)
        assert found.code == 2
        assert "only1mcp config init" in found.err
    missing = shell("start", "-c", str(shell.home / "none.yaml"))
    assert (missing.code, "does not exist" in missing.err) == (2, True)


def test_a_process_that_is_never_ready_is_ended(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "START_S", 0.0)
    configured(shell)
    found = shell("start", "--port", "0")
    assert found.code == 1
    assert "was not ready within 0 s" in found.err
    assert place(shell).look() is None


async def test_the_log_goes_on_in_a_new_file_once_moved_away(shell: Shell) -> None:
    configured(shell)
    assert shell("start", "--port", "0").code == 0
    log, old = place(shell).log, place(shell).log.with_suffix(".1")
    await until(lambda: LOG_LINE in log.read_text())
    log.rename(old)
    os.kill(running(shell).pid, signal.SIGUSR1)
    await until(log.exists)
    os.kill(running(shell).pid, signal.SIGUSR2)
    await until(lambda: "log level is now debug" in log.read_text())
    assert shell("stop").code == 0
    assert LOG_LINE not in log.read_text()
    assert "log level" not in old.read_text()


async def test_the_log_file_of_the_configuration_is_used(shell: Shell) -> None:
    content = {"servers": [], "logging": {"file": "own.log", "format": "text"}}
    shell.file(content, ".config/only1mcp/only1mcp.json")
    assert shell("start", "--port", "0").code == 0
    own = shell.home / ".config" / "only1mcp" / "own.log"
    await until(lambda: f"info only1mcp.run: {LOG_LINE}" in own.read_text())
    assert LOG_LINE not in place(shell).log.read_text()
    assert LOG_LINE in shell("logs").out


async def test_the_access_log_says_who_called_what(shell: Shell) -> None:
    log = {"access": {"enabled": True, "file": "access.log", "arguments": True}}
    auth = {"tokens": ["token-of-ann"]}
    content = {"server": {"auth": auth}, "servers": [CHILD], "logging": log}
    shell.file(content, ".config/only1mcp/only1mcp.json")
    assert shell("start", "--port", "0").code == 0
    words = '{"text": "token-of-ann"}'
    called = shell("call", "child__echo", words, ONLY1MCP_TOKEN="token-of-ann")
    assert called.code == 0, called.err
    written = shell.home / ".config" / "only1mcp" / "access.log"
    await until(lambda: written.read_text().endswith("}\n"))
    line = json.loads(written.read_text())
    assert (line["principal"], line["name"], line["outcome"]) == ("token-1", "child__echo", "ok")
    assert line["arguments"] == {"text": "***"}


async def test_one_in_the_foreground_is_seen(tmp_path: Path, shell: Shell) -> None:
    async with gateway({"servers": []}, tmp_path) as other:
        port = int(other.url.rpartition(":")[2])
        configured(shell, port=port)
        found = await asyncio.to_thread(shell, "status")
    assert found.code == 3
    said = f"but a gateway answers at {other.url}: `only1mcp run`, or a service; it is ended"
    assert said in found.err


@pytest.mark.parametrize(
    ("seconds", "text"), [(59.9, "0m 59s"), (3661, "1h 1m 1s"), (90061, "1d 1h 1m")]
)
def test_how_long_it_runs(seconds: float, text: str) -> None:
    assert daemon._span(seconds) == text
