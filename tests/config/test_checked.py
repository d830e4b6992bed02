"""What is checked again in a reload, and what is not; and that nobody can tell by the outcome."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.config.checked import Checked
from only1mcp.config.faults import ConfigError
from only1mcp.config.load import check
from only1mcp.config.model import Config

FILE = Path("c.json")


def entry(id: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "transport": {"type": "http", "url": "http://h/mcp"}, **more}


def loaded(checked: Checked, *entries: Any, environ: dict[str, str] | None = None) -> Config:
    """The configuration with these servers; each entry on a line of its own."""
    lines = ",\n".join(json.dumps(one) for one in entries)
    return check(FILE, f'{{"servers": [\n{lines}\n]}}', environ or {}, {}, checked).config


def faults(checked: Checked, *entries: Any, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(checked, *entries, environ=environ)
    return str(caught.value).splitlines()


def kept(before: Config, now: Config) -> list[str]:
    """The ids of servers that are the same object in both."""
    return [one.id for one in now.servers if any(one is other for other in before.servers)]


def test_only_what_is_written_otherwise_is_checked() -> None:
    checked = Checked()
    first = loaded(checked, entry("a"), entry("b"), entry("c"))
    second = loaded(checked, entry("a"), entry("b", enabled=False), entry("c"))
    third = loaded(checked, entry("a"), entry("b", enabled=False), entry("c"))
    assert (kept(first, second), kept(second, third)) == (["a", "c"], ["a", "b", "c"])
    assert not second.servers[1].enabled


def test_a_server_may_stand_elsewhere_go_and_come_back() -> None:
    checked = Checked()
    first = loaded(checked, entry("a"), entry("b"))
    second = loaded(checked, entry("b"))
    third = loaded(checked, entry("b"), entry("a"))
    assert (kept(first, second), kept(second, third)) == (["b"], ["b"])
    assert [one.id for one in third.servers] == ["b", "a"]
    assert third.servers[1] == first.servers[0], "it is checked anew, and no other for that"


def test_another_value_of_a_variable_is_seen() -> None:
    checked, named = Checked(), entry("a")
    named["transport"]["url"] = "http://${HOST}/mcp"
    first = loaded(checked, named, entry("b"), environ={"HOST": "x"})
    second = loaded(checked, named, entry("b"), environ={"HOST": "y"})
    assert kept(first, second) == ["b"]
    assert [one.servers[0].transport.url for one in (first, second)] == [  # type: ignore[union-attr]
        "http://x/mcp",
        "http://y/mcp",
    ]
    (fault,) = faults(checked, named, entry("b"))
    assert fault.startswith("c.json:2:50: variable HOST is not set; ")


def test_a_fault_is_named_at_its_place_each_time_and_changes_nothing() -> None:
    checked = Checked()
    first = loaded(checked, entry("a"), entry("b"), entry("c"))
    wrong = entry("b", timeouts={"list": "soon"})
    for _ in range(2):
        (fault,) = faults(checked, entry("a"), wrong, entry("c"))
        assert fault.startswith("c.json:3:88: list: expected a duration")
    assert kept(first, loaded(checked, entry("a"), entry("b"), entry("c"))) == ["a", "b", "c"]


def test_rules_between_servers_hold_for_those_that_are_known() -> None:
    checked = Checked()
    loaded(checked, entry("a"), entry("b"))
    (fault,) = faults(checked, entry("a"), entry("b"), entry("a"))
    assert fault == "c.json:4:8: server id 'a' is taken; the first is at c.json:2:8"


def test_values_that_are_equal_are_not_the_same() -> None:
    """In Python, 1 == 1.0 == True."""
    checked = Checked()
    loaded(checked, entry("a", concurrency={"queue": 1}))
    (fault,) = faults(checked, entry("a", concurrency={"queue": True}))
    assert "queue: expected a whole number" in fault


def test_what_the_machine_has_is_looked_at_each_time(tmp_path: Path) -> None:
    program = tmp_path / "server"
    one = {"id": "a", "transport": {"type": "stdio", "command": str(program)}}
    text, checked = json.dumps({"servers": [one]}), Checked()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert check(FILE, text, {}, {}, checked).warnings == ()
    program.unlink()
    (warning,) = check(FILE, text, {}, {}, checked).warnings
    assert "is not found" in warning.message


def test_a_warning_is_said_at_its_place_in_each_load() -> None:
    checked, one = Checked(), entry("b", timeouts={"list_ms": 500})
    text = "\n".join(json.dumps({"servers": [entry("a"), one]}, indent=1).splitlines())
    first, second = (check(FILE, text, {}, {}, checked) for _ in range(2))
    assert first.warnings == second.warnings
    assert [(one.line, one.where) for one in first.warnings] == [
        (17, "servers[1].timeouts.list_ms")
    ]
    assert kept(first.config, second.config) == ["a", "b"]


entries = st.fixed_dictionaries(
    {"id": st.sampled_from("abc"), "transport": st.just(entry("a")["transport"])},
    optional={
        "enabled": st.sampled_from([True, False, 1, "yes", None]),
        "timeouts": st.sampled_from([None, {}, {"list_ms": 5}, {"list": 5}, {"list": "x"}]),
        "concurrency": st.sampled_from([{"queue": 1}, {"queue": 1.0}, {"queue": True}]),
    },
)


@given(st.lists(st.lists(entries, max_size=3), max_size=4))
def test_a_load_is_the_same_whatever_was_loaded_before(loads: list[list[Any]]) -> None:
    checked = Checked()
    for one in loads:
        text = json.dumps({"servers": one}, indent=1)
        assert outcome(text, checked) == outcome(text, None)


def outcome(text: str, checked: Checked | None) -> Any:
    try:
        found = check(FILE, text, {}, {}, checked)
    except ConfigError as error:
        return error.faults
    return found.config, found.warnings
