"""The types: durations, hosts, defaults, and that they cannot be changed or misused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from only1mcp.config.model import (
    Auth,
    Config,
    Http,
    Listener,
    Model,
    Server,
    Stdio,
    Timeouts,
    Tools,
    format_duration,
    is_loopback,
    parse_duration,
    shared_targets,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("500ms", 0.5), ("30s", 30.0), ("5m", 300.0), ("1h", 3600.0), ("1.5h", 5400.0)),
        *(("7", 7.0), (" 7 s ", 7.0), (7, 7.0), (0.25, 0.25), ("0ms", 0.0), ("1.1m", 66.0)),
    ],
)
def test_durations(text: Any, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "s", "5x", "-1s", "1e3", "1h30m", "1,5s", "٣s", True, None, [], float("inf"), 10**400],
)
def test_no_durations(text: Any) -> None:
    with pytest.raises(ValueError, match="expected a duration such as"):
        parse_duration(text)


@given(st.integers(0, 10**12))
def test_durations_survive_writing_and_reading(microseconds: int) -> None:
    seconds = microseconds / 1_000_000
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0s"), (0.5, "500ms"), (1.5, "1.5s"), (90.0, "90s"), (300.0, "5m"), (7200.0, "2h")],
)
def test_durations_are_written_short(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "localhost.example", "", "x"])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_shared_targets_are_pairs() -> None:
    assert shared_targets({"a": "x", "b": "y", "c": "x"}) == [("a", "c", "x")]
    assert shared_targets({"a": "b", "b": "a"}) == []


def test_defaults_are_valid_and_equal() -> None:
    assert Config.model_validate({}) == Config()
    assert Config().server.port == 8080


def test_nothing_can_be_changed() -> None:
    with pytest.raises(ValidationError):
        Config().server.port = 1


def build(model: type[Model], **values: Any) -> Model:
    return model.model_validate(values)


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (Tools, {"rename": {"a": "x", "b": "x"}}),
        (Stdio, {"command": "a\0b"}),
        (Stdio, {"command": "a", "env": {"A=B": "x"}}),
        (Stdio, {"command": "a", "env": {"A": "x\0"}}),
        (Http, {"url": "http://h", "headers": {"A": "x\r\nB: y"}}),
        (Http, {"url": "http://h", "headers": {"Content-Length": "1"}}),
        (Http, {"url": "http://h", "headers": {"A": "\u20ac"}}),
        (Http, {"url": "http://h /x"}),
        (Auth, {"tokens": [""]}),
        (Auth, {"tokens": ["a b"]}),
        (Auth, {"tokens": ["x" * 5000]}),
        (Listener, {"host": ""}),
        (Listener, {"host": "*"}),
        (Listener, {"host": "1.2.3"}),
        (Listener, {"port": True}),
        (Listener, {"allowed_hosts": ["[::zz]"]}),
        (Listener, {"allowed_hosts": ["."]}),
        (Listener, {"allowed_hosts": ["h:65536"]}),
        (Listener, {"allowed_origins": ["https://app.example/"]}),
        (Listener, {"allowed_origins": ["https://[::zz]"]}),
        (Timeouts, {"start": 0}),
        (Server, {"id": "a", "transport": {"url": "http://h"}}),
    ],
)
def test_what_no_value_can_be(model: type[Model], values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        build(model, **values)


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (Listener, {"host": "gateway-1.example."}),
        (Listener, {"host": "fe80::1"}),
        (Listener, {"port": "8080"}),
        (Listener, {"allowed_hosts": ["mcp.example", "mcp.example:8443", "[::1]:80", "10.0.0.1"]}),
        (Listener, {"allowed_origins": ["https://app.example:8443", "vscode-webview://abc"]}),
        (Http, {"url": "https://[::1]:8443/mcp?x=1"}),
        (Http, {"url": "http://h", "headers": {"Authorization": "Bearer x y\tz"}}),
        (Stdio, {"command": "a", "env": {"A.b-c": ""}}),
    ],
)
def test_what_a_value_can_be(model: type[Model], values: dict[str, Any]) -> None:
    assert build(model, **values) == build(model, **values)


def test_ids_are_unique_however_a_config_is_made() -> None:
    server = Server(id="a", transport=Http(url="http://h"))
    with pytest.raises(ValidationError, match="server ids must be unique; repeated: a"):
        Config(servers=(server, server))


def test_errors_do_not_repeat_the_input() -> None:
    with pytest.raises(ValidationError) as caught:
        build(Auth, tokens=["s3cret x"])
    assert "s3cret" not in str(caught.value)
