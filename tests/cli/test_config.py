"""`validate` and `config`: check, write and show configuration files."""

import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from fakes.cli import Shell
from only1mcp.config.templates import NAMES, template

USUAL = ".config/only1mcp/only1mcp.json"
NOTES = {
    "id": "notes",
    "transport": {
        "type": "stdio",
        "command": sys.executable,
        "args": ["-m", "only1mcp.demo.notes"],
    },
}
NOBODY = {"id": "nobody", "transport": {"type": "http", "url": "http://127.0.0.1:1/mcp"}}


# --- validate ---


def test_a_good_file(shell: Shell) -> None:
    file = shell.file({"servers": [NOBODY]})
    assert shell("validate", file) == (0, "", f"{file}: valid, 1 server\n")


@pytest.mark.parametrize("name", ["mcp.json", "mcp.jsonc", "mcp"])
def test_a_file_as_editors_write_it(shell: Shell, name: str) -> None:
    text = '// mine\n{"servers": {\n  "x": {"url": "http://127.0.0.1:1/mcp"}, /* last */\n}}\n'
    file = shell.file(text, name)
    assert shell("validate", file) == (0, "", f"{file}: valid, 1 server\n")


def test_warnings_are_no_fault(shell: Shell) -> None:
    file = shell.file({"servers": []})
    found = shell("validate", file)
    assert found.code == 0
    assert f"{file}:1:" in found.out
    assert "warning: no server is enabled" in found.out


def test_every_fault_with_its_place(shell: Shell) -> None:
    file = shell.file("server:\n  prot: 1\n  port: 0\n", "c.yaml")
    found = shell("validate", file)
    assert found.code == 2
    first, second = (line for line in found.out.splitlines() if "warning" not in line)
    assert first.startswith(f"{file}:2:3: ")
    assert "did you mean 'port'?" in first
    assert second.startswith(f"{file}:3:9: ")
    assert found.err == f"{file}: not valid\n"


def test_faults_for_programs(shell: Shell) -> None:
    file = shell.file("server: {prot: 1}\n", "c.yaml")
    found = shell("validate", file, "--json")
    assert (found.code, found.err) == (2, "")
    (fault,) = [one for one in found.json["faults"] if one["severity"] == "error"]
    assert found.json["file"] == file
    assert {key: fault[key] for key in ("line", "column", "where")} == {
        "line": 1,
        "column": 10,
        "where": "server.prot",
    }
    assert fault["message"]


def test_without_a_name_the_usual_file_is_checked(shell: Shell) -> None:
    none = shell("validate")
    assert none.code == 2
    assert none == shell("config", "show") == shell("start") == shell("run")
    file = shell.file({"servers": [NOBODY]}, USUAL)
    assert shell("validate").err == f"{file}: valid, 1 server\n"


def test_a_file_that_is_not_there(shell: Shell) -> None:
    found = shell("validate", str(shell.home / "none.yaml"))
    assert found.code == 2
    assert "cannot be read: No such file or directory" in found.out


# --- validate --connect: starts servers ---


def test_servers_that_cannot_be_reached(shell: Shell) -> None:
    file = shell.file({"servers": [NOBODY]})
    found = shell("validate", file, "--connect")
    assert found.code == 2
    assert found.out.startswith("error: server 'nobody': ")
    assert "connection refused" in found.out
    assert "curl -i http://127.0.0.1:1/mcp" in found.out


def test_names_that_clash(shell: Shell) -> None:
    servers = [NOTES, {**NOTES, "id": "more"}]
    file = shell.file({"servers": servers, "naming": {"mode": "bare"}})
    found = shell("validate", file, "--connect", "--json")
    assert found.code == 0
    assert found.json["faults"] == []
    clash = "warning: tools 'add_note' of server 'more' is hidden by the one of 'notes'"
    assert any(line.startswith(clash) for line in found.json["servers"])


# --- config init ---


@pytest.mark.parametrize("name", NAMES)
def test_a_new_file_is_the_template_and_nobody_elses(shell: Shell, name: str) -> None:
    file = shell.home / ".config" / "only1mcp" / "only1mcp.yaml"
    found = shell("config", "init", "--template", name)
    assert (found.code, found.out) == (0, "")
    assert f"wrote {file}" in found.err
    assert file.read_text() == template(name)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_existing_file_is_kept_unless_forced(shell: Shell) -> None:
    file = Path(shell.file("mine", "c.yaml"))
    file.chmod(0o644)
    found = shell("config", "init", "-o", str(file))
    assert (found.code, found.err) == (1, f"error: {file} exists; --force overwrites it\n")
    assert file.read_text() == "mine"
    assert shell("config", "init", "-o", str(file), "--force").code == 0
    assert file.read_text() == template("solo")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_template_on_stdout(shell: Shell) -> None:
    assert shell("config", "init", "-o", "-") == (0, template("solo"), "")


def test_a_template_that_is_none(shell: Shell) -> None:
    found = shell("config", "init", "--template", "huge")
    assert (found.code, found.out) == (2, "")
    assert "no template 'huge'; there are solo, team, enterprise" in found.err


@pytest.mark.parametrize("where", ["blocked/c.yaml", "folder.yaml"])
def test_a_place_that_cannot_be_written(shell: Shell, where: str) -> None:
    shell.file("a file, no folder", "blocked")
    (shell.home / "folder.yaml").mkdir()
    found = shell("config", "init", "--force", "-o", str(shell.home / where))
    assert found.code == 1
    assert "error: cannot write " in found.err


@pytest.mark.parametrize("name", ["c.toml", "c.json"])
def test_a_template_is_written_as_what_it_is(shell: Shell, name: str) -> None:
    found = shell("config", "init", "-o", str(shell.home / name))
    assert found.code == 2
    assert "templates are YAML: name it c.yaml" in found.err


# --- config show, config path ---


def test_what_the_gateway_understands_without_secrets(shell: Shell) -> None:
    server: dict[str, Any] = {
        **NOBODY,
        "transport": {
            "type": "http",
            "url": "http://u:s3cret@h.example/mcp",
            "headers": {"Authorization": "Bearer s3cret"},
        },
    }
    tokens = {"auth": {"tokens": ["${T}"]}, "port": 9000}
    file = shell.file({"server": tokens, "servers": [server]})
    found = shell("config", "show", "-c", file, T="s3cret")
    assert found.code == 0
    assert "s3cret" not in found.out + found.err
    assert "port: 9000" in found.out
    assert "drain_timeout: 30s" in found.out  # defaults are shown too


def test_a_file_with_faults_is_not_shown(shell: Shell) -> None:
    found = shell("config", "show", "-c", shell.file("[", "c.yaml"))
    assert (found.code, found.out) == (2, "")
    assert shell("config", "show").code == 2


def test_where_the_configuration_is(shell: Shell) -> None:
    nothing = shell("config", "path")
    assert (nothing.code, nothing.out) == (1, f"{shell.home}/.config/only1mcp/only1mcp.yaml\n")
    assert "config init" in nothing.err
    file = shell.file({}, USUAL)
    assert shell("config", "path") == (0, f"{file}\n", "")
    assert shell("config", "path", ONLY1MCP_CONFIG="/else.yaml") == (0, "/else.yaml\n", "")
