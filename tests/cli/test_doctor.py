"""`doctor`: what it finds with real servers, and that it leaves none behind."""

import json
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from fakes import stdio_server as scripted_child
from fakes.cli import Shell
from fakes.gateway import closed_port, http_server, stdio_server
from only1mcp.cli import doctor

SCRIPT = (sys.executable, scripted_child.__file__)


def checked(shell: Shell, *servers: Any, **config: Any) -> tuple[int, dict[str, list[Any]]]:
    """Exit code, and the checks by name."""
    with closed_port() as port:
        server = {"port": port, "max_connections": 10} | config.pop("server", {})
        file = shell.file({"server": server, "servers": list(servers), **config})
        found = shell("doctor", "-c", file, "--json")
    by_name: dict[str, list[Any]] = {}
    for row in found.json["checks"]:
        by_name.setdefault(row["name"], []).append(row)
    assert found.json["ok"] is (found.code == 0)
    return found.code, by_name


def test_all_is_well(shell: Shell) -> None:
    children = {*psutil.Process().children()}
    code, found = checked(shell, stdio_server("child", *SCRIPT))
    assert code == 0, found
    (server,) = found["server child"]
    assert server["verdict"] == "OK"
    assert server["text"].startswith("ready in ")
    assert "legacy 2025-11-25" in server["text"]
    assert " tools" in server["text"]
    assert {row["verdict"] for rows in found.values() for row in rows} == {"OK"}
    assert {*psutil.Process().children()} <= children


def test_each_server_is_judged_alone(shell: Shell) -> None:
    with closed_port() as port:
        code, found = checked(
            shell,
            stdio_server("noisy", *SCRIPT, "--noise", "3"),
            stdio_server("dead", *SCRIPT, "--exit", "3", "--stderr", "no disk"),
            stdio_server("none", "no-such-program"),
            stdio_server("mute", *SCRIPT, "--silent", timeouts={"start": "300ms"}),
            stdio_server("off", *SCRIPT, enabled=False),
            http_server("url", f"http://127.0.0.1:{port}/mcp"),
        )
    assert code == 1
    said = {name: rows[0] for name, rows in found.items() if name.startswith("server ")}
    assert {name[7:]: row["verdict"] for name, row in said.items()} == {
        "noisy": "WARN",
        "dead": "FAIL",
        "none": "FAIL",
        "mute": "FAIL",
        "off": "OK",
        "url": "FAIL",
    }
    assert "3 lines on stdout are not MCP" in said["server noisy"]["text"]
    assert "exited with code 3" in said["server dead"]["text"]
    assert "no disk" in said["server dead"]["text"]
    assert said["server dead"]["fix"].endswith("stdio_server.py --exit 3 --stderr 'no disk'")
    assert "there is no such program" in said["server none"]["text"]
    assert "connection refused" in said["server url"]["text"]


def test_a_program_that_is_no_server_is_told_from_a_wrong_address(shell: Shell) -> None:
    argv = ("sh", "-c", "echo welcome; echo to the show; exec cat")
    code, found = checked(shell, stdio_server("cat", *argv))
    (said,) = found["server cat"]
    assert code == 1
    assert "2 lines on its stdout are not MCP" in said["text"]
    assert "address" not in said["text"]
    assert said["fix"].startswith("sh -c ")


def test_a_server_that_is_slow_or_offers_nothing(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "SLOW", 0.0)
    _, found = checked(shell, stdio_server("child", *SCRIPT))
    assert found["server child"][0]["fix"] == "raise timeouts.start for this server"
    monkeypatch.undo()
    _, found = checked(shell, stdio_server("child", *SCRIPT, tools={"allow": ["none"]}))
    assert found["server child"][0]["fix"] == "only1mcp why child"


def test_names_that_clash_or_are_long(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MAX_ROWS", 2)
    monkeypatch.setattr(doctor, "LONGEST_NAME", 12)
    two = (stdio_server("one", *SCRIPT), stdio_server("two", *SCRIPT))
    code, found = checked(shell, *two, naming={"mode": "bare"})
    assert code == 0
    texts = [row["text"] for row in found["names"]]
    assert texts[0] == "tools 'echo' of two is hidden by that of one"
    assert texts[2].startswith("and ")
    assert "tools have names above 12 characters, such as " in texts[3]
    assert {row["verdict"] for row in found["names"]} == {"WARN"}


@pytest.mark.parametrize(("text", "count"), [("{", 1), ('{"servre": 1, "sever": 2}', 2)])
def test_a_configuration_with_faults(shell: Shell, text: str, count: int) -> None:
    found = shell("doctor", "-c", shell.file(text), "--json")
    faults = [row for row in found.json["checks"] if row["verdict"] == "FAIL"]
    assert (found.code, len(faults)) == (1, count)
    assert all(row["name"] == "config" and row["fix"] for row in faults)


def test_no_configuration(shell: Shell) -> None:
    found = shell("doctor")
    assert found.code == 1
    assert "FAIL  config               there is no configuration file" in found.out
    assert "-> only1mcp config init" in found.out


def test_for_people_and_without_secrets(shell: Shell, tmp_path: Path) -> None:
    entry = stdio_server("dead", *SCRIPT, "--exit", "3", "--stderr", "s3cret-value")
    entry["transport"]["args"] += ["--api-key", "s3cret-value"]
    found = shell("doctor", shell.file({"servers": [entry]}))
    assert found.code == 1
    assert "starting 1 server, for 60 s at most" in found.err
    assert "1 failed" in found.err
    assert "--api-key '***'" in found.out or "--api-key ***" in found.out
    assert "s3cret-value" not in found.out.replace("--stderr s3cret-value", "")
    assert json.dumps(str(tmp_path))[1:-1] in found.out
