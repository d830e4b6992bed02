"""How commands speak: stdout for results, stderr for people, every fault with a next step."""

import json
import logging
from pathlib import Path

import pytest
from pydantic import SecretStr

from only1mcp.cli.say import Exit, Failure, fail, load_config, note, source_of, start_logs
from only1mcp.config.faults import ConfigError
from only1mcp.config.model import Auth, Config, Listener, Logging
from only1mcp.observe import logs


def test_exit_codes_are_a_promise() -> None:
    assert {one.name: one.value for one in Exit} == {
        "OK": 0,
        "FAILURE": 1,
        "USAGE": 2,
        "UNREACHABLE": 3,
        "UNAUTHORISED": 4,
    }


def test_notes_and_errors_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    note("hello")
    assert fail(Failure("no luck", Exit.UNREACHABLE)) == 3
    assert fail(Failure("no luck")) == 1
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "hello\nerror: no luck\nerror: no luck\n")


def test_the_configuration_is_that_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("server: {port: 9000}\nservers: []\n")
    loaded = load_config(file, {}, {"server.host": "::1"})
    assert (loaded.config.server.port, loaded.config.server.host) == (9000, "::1")


def test_without_a_file_the_usual_place_is_looked_at(tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "only1mcp"
    folder.mkdir(parents=True)
    (folder / "only1mcp.yaml").write_text("server: {port: 9001}\n")
    assert load_config(None, {"HOME": str(tmp_path)}).config.server.port == 9001


def test_no_file_at_all_comes_with_three_ways_on(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="no configuration found") as caught:
        load_config(None, {"HOME": str(tmp_path)})
    assert caught.value.code == Exit.USAGE
    for way in ("config init", "--config FILE", "only1mcp demo"):
        assert way in str(caught.value)


@pytest.mark.parametrize(
    ("text", "count"),
    [("servre: {}\n", "1 fault"), ("server: {prot: 1, port: 0}\n", "2 faults")],
)
def test_every_fault_is_said_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, count: str
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(Failure) as caught:
        load_config(file, {})
    assert (str(caught.value), caught.value.code) == (f"{file}: {count}", Exit.USAGE)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= int(count[0])
    assert all(line.startswith(f"{file}:1:") for line in lines)


def test_warnings_are_said_and_no_hindrance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("servers: []\n")
    assert load_config(file, {}).config.servers == ()
    assert "no server is enabled" in capsys.readouterr().err


def test_logs_go_where_the_configuration_says_and_hold_none_of_its_secrets(tmp_path: Path) -> None:
    auth = Auth(tokens=(SecretStr("token-of-ann"),))
    file = tmp_path / "logs" / "log"
    start_logs(Config(server=Listener(auth=auth), logging=Logging(file=str(file))))
    logging.getLogger("only1mcp.test").info("who has token-of-ann?")
    logs.close()
    assert json.loads(file.read_text())["message"] == "who has ***?"


def test_a_log_file_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"cannot write .*; see logging"):
        start_logs(Config(logging=Logging(file=str(tmp_path))))


def test_what_was_read_can_be_read_again(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("server: {port: 9000}\n")
    source = source_of(file, {"PORT": "9002"}, {"server.host": "::1"})
    assert source is not None
    assert source.file == file
    file.write_text("server: {port: '${PORT}'}\n")
    server = source.read().config.server
    assert (server.port, server.host) == (9002, "::1"), "what was asked for at the start holds"
    assert source_of(None, {"HOME": str(tmp_path)}) is None


def test_a_file_that_was_cut_short_does_not_mean_to_have_no_servers(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("")
    source = source_of(file, {})
    assert source is not None
    with pytest.raises(ConfigError, match=r"c\.yaml:1:1: the file is empty; write `servers: \[\]`"):
        source.read()
    file.write_text("servers: []\n")
    assert source.read().config.servers == ()
