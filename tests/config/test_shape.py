"""The model as a tree of keys."""

import pytest

from only1mcp.config import shape
from only1mcp.config.model import Auth, Config, Listener, Naming
from only1mcp.config.servers import Http, Server, Sse, Stdio, Timeouts, Tools
from only1mcp.config.values import Model


@pytest.mark.parametrize(
    ("model", "key", "words"),
    [
        (Listener, "port", "a whole number between 1 and 65535"),
        (Listener, "drain_timeout", "a duration from 0s up to 1h, such as 30s"),
        (Timeouts, "start", "a duration above 0s up to 1h, such as 30s"),
        (Listener, "auth", "a block of keys or the word none"),
        (Listener, "allowed_origins", "a list"),
        (Naming, "mode", "prefix, bare or on_conflict"),
        (Server, "enabled", "true or false"),
        (Server, "transport", "a block of keys"),
        (Stdio, "cwd", "a file name"),
        (Stdio, "env", "a block of names and values"),
    ],
)
def test_what_a_value_must_be(model: type[Model], key: str, words: str) -> None:
    assert shape.expected(model.model_fields[key]) == words


def test_what_an_element_must_be() -> None:
    assert shape.expected_element(Stdio.model_fields["args"]) == "text"
    assert shape.expected_element(Tools.model_fields["allow"]) == "a shell pattern"
    assert shape.expected_element(Http.model_fields["headers"]) == "text"
    assert shape.expected_element(Http.model_fields["headers"], key=True) == "a header name"


def test_which_blocks_may_stand_where() -> None:
    assert shape.blocks(Config.model_fields["servers"].annotation) == (Server,)
    assert shape.blocks(Listener.model_fields["auth"].annotation) == (Auth,)
    both = shape.blocks(Server.model_fields["transport"].annotation)
    assert both == (Stdio, Http, Sse)
    assert (shape.pick(both, "http"), shape.pick(both, "x")) == (Http, None)
    assert shape.pick((Auth,), None) is Auth


@pytest.mark.parametrize(
    ("model", "key", "secret"),
    [
        (Auth, "tokens", True),
        (Listener, "auth", True),
        (Stdio, "env", True),
        (Config, "servers", True),
        (Stdio, "args", False),
        (Listener, "port", False),
    ],
)
def test_where_secrets_are(model: type[Model], key: str, secret: bool) -> None:
    assert shape.is_secret(model.model_fields[key].annotation) is secret


def test_kinds_of_keys() -> None:
    assert shape.is_duration(Timeouts.model_fields["list"])
    assert not shape.is_duration(Listener.model_fields["port"])
    assert shape.is_list(Config.model_fields["servers"])
    assert shape.is_container(Stdio.model_fields["env"])
    assert shape.is_container(Listener.model_fields["tls"])
    assert not shape.is_container(Listener.model_fields["host"])
