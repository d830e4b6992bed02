"""The configuration file under the hands of programs: tags, all or nothing, one at a time."""

import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from only1mcp.config.faults import ConfigError
from only1mcp.config.load import check
from only1mcp.config.store import ANY, Changed, NoServer, NotEditable, Store

TEXT = """\
# mine
servers:
  - id: one  # first
    transport: &t {type: stdio, command: sh, env: {KEY: "${KEY}"}}
  - {id: two, transport: *t}
  - {id: three, transport: {type: http, url: "http://127.0.0.1:1/mcp"}}
"""


def store(folder: Path, text: str = TEXT) -> Store:
    """One over a file with this text."""
    file = folder / "only1mcp.yaml"
    file.write_text(text)
    return Store(file, lambda text: check(file, text, {"KEY": "k"}))


def names(folder: Path) -> list[str]:
    """The files in it."""
    return [path.name for path in folder.iterdir()]


def test_a_change_is_in_the_file_and_gives_the_next_tag(tmp_path: Path) -> None:
    found = store(tmp_path)
    tag = found.tag()
    written = found.change(tag, "three", {"enabled": False})
    assert found.file.read_text() == TEXT.replace(':1/mcp"}}', ':1/mcp"}, enabled: false}')
    assert written.tag == found.tag() != tag
    assert not written.loaded.config.servers[2].enabled
    assert names(tmp_path) == ["only1mcp.yaml"]


def test_a_change_of_what_is_not_there_any_more_is_refused(tmp_path: Path) -> None:
    found = store(tmp_path)
    tag = found.tag()
    now = found.change(tag, "three", {"enabled": False}).tag
    with pytest.raises(Changed) as raised:
        found.change(tag, "three", {"enabled": True})
    assert raised.value.tag == now
    found.change(ANY, "three", {"enabled": True})


def test_of_two_at_once_with_the_same_tag_one_is_refused(tmp_path: Path) -> None:
    found = store(tmp_path)
    tag, ended = found.tag(), list[str]()
    start = threading.Barrier(2)

    def edit(enabled: bool) -> None:
        start.wait()
        try:
            found.change(tag, "three", {"enabled": enabled, "protocol": "modern"})
            ended.append("written")
        except Changed:
            ended.append("refused")

    threads = [threading.Thread(target=edit, args=(value,)) for value in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == ["refused", "written"]


def test_another_program_that_writes_meanwhile_wins(tmp_path: Path) -> None:
    file = tmp_path / "only1mcp.yaml"
    file.write_text(TEXT)
    loads: list[str] = []

    def load(text: str) -> Any:
        loads.append(text)
        if len(loads) == 2:  # our change is valid; now somebody else is quicker
            file.write_text("# theirs\n" + TEXT)
        return check(file, text, {"KEY": "k"})

    with pytest.raises(Changed):
        Store(file, load).change(ANY, "three", {"enabled": False})
    assert file.read_text() == "# theirs\n" + TEXT
    assert names(tmp_path) == ["only1mcp.yaml"]


@pytest.mark.parametrize(
    "patch",
    [{"enabled": "maybe"}, {"nonsense": 1}, {"transport": {"url": "ftp://x"}}, {"transport": None}],
)
def test_what_would_not_be_valid_is_not_written(tmp_path: Path, patch: dict[str, Any]) -> None:
    found = store(tmp_path)
    with pytest.raises(ConfigError) as raised:
        found.change(ANY, "three", patch)
    assert all(fault.path == str(found.file) and fault.line for fault in raised.value.faults)
    assert found.file.read_text() == TEXT


def test_a_change_that_would_reach_another_server_is_refused(tmp_path: Path) -> None:
    found = store(tmp_path)
    for id in ("one", "two"):
        with pytest.raises(NotEditable, match="counts elsewhere too"):
            found.change(ANY, id, {"transport": {"command": "bash"}})
    assert found.file.read_text() == TEXT


def test_what_is_the_default_may_be_written_out(tmp_path: Path) -> None:
    found = store(tmp_path)
    assert found.change(ANY, "three", {"enabled": True}).loaded.config.servers[2].enabled
    assert "enabled: true" in found.file.read_text()


def test_a_file_with_faults_is_left_alone(tmp_path: Path) -> None:
    found = store(tmp_path, TEXT + "nonsense: 1\n")
    with pytest.raises(NotEditable, match=r"faults already: .*only1mcp.yaml:7:1: .*; mend it"):
        found.change(ANY, "three", {"enabled": False})
    found.file.write_bytes(b"\xff\xfe")
    with pytest.raises(NotEditable, match="not UTF-8"):
        found.remove(ANY, "three")


def test_mode_link_and_byte_order_mark_stay(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    there = store(real)
    there.file.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    there.file.chmod(0o640)
    link = tmp_path / "only1mcp.yaml"
    link.symlink_to(there.file)
    Store(link, lambda text: check(link, text, {"KEY": "k"})).remove(ANY, "three")
    assert link.is_symlink()
    assert there.file.read_bytes().startswith(b"\xef\xbb\xbf# mine")
    assert stat.S_IMODE(there.file.stat().st_mode) == 0o640


def test_a_server_that_the_file_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(NoServer):
        store(tmp_path).change(ANY, "four", {})


def test_a_patch_without_any_difference_writes_nothing(tmp_path: Path) -> None:
    found = store(tmp_path)
    before = found.file.stat().st_ino
    assert found.change(ANY, "three", {"enabled": None}).tag == found.tag()
    assert found.file.stat().st_ino == before


def test_a_file_that_would_be_too_long_to_read_again_is_not_written(tmp_path: Path) -> None:
    found = store(tmp_path)
    with pytest.raises(NotEditable, match="longer than"):
        found.change(ANY, "three", {"tools": {"deny": ["x" * 250] * 35_000}})
    assert found.file.read_text() == TEXT


def test_a_disk_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = store(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        found.remove(ANY, "three")
    assert found.file.read_text() == TEXT
    assert names(tmp_path) == ["only1mcp.yaml"]
