"""The whole file as types: defaults, and that they cannot be changed or misused."""

from typing import Any

import pytest
from pydantic import ValidationError

from only1mcp.config.model import Auth, Config, Listener
from only1mcp.config.servers import Http, Server
from only1mcp.config.values import Model


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
