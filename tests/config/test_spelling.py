"""Other spellings: read with a warning, or refused with a hint that names our key."""

from collections.abc import Callable

import pytest

from only1mcp.config.cache import Batching, Cache
from only1mcp.config.load import Loaded
from only1mcp.config.model import Auth, Config, Listener, Tls
from only1mcp.config.servers import Http, Server
from only1mcp.config.spelling import hint_for_key, hint_for_word
from only1mcp.config.values import Model

Load = Callable[..., Loaded]
Complain = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("key", "value", "seconds"),
    [
        ("start_seconds", 30, 30.0),
        ("start_seconds", "'1.5'", 1.5),
        ("start_ms", 500, 0.5),
        ("start_sec", 7, 7.0),
        ("start_ms", "30s", 30.0),
        ("start", 45, 45.0),
    ],
)
def test_older_duration_keys_are_read(read: Load, key: str, value: object, seconds: float) -> None:
    server = f"{{id: a, transport: {{type: http, url: http://h}}, timeouts: {{{key}: {value}}}}}"
    assert read(f"servers: [{server}]").config.servers[0].timeouts.start == seconds


def test_an_older_spelling_is_warned_of(warnings: Complain) -> None:
    assert warnings("server: {drain_timeout_seconds: 30}") == [
        "f:1:10: warning: drain_timeout_seconds is an older spelling;"
        " write drain_timeout with a unit: 30s"
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "server: {drain_timeout: 1s, drain_timeout_ms: 5}",
            "f:1:29: drain_timeout_ms is given beside drain_timeout; keep drain_timeout alone",
        ),
        ("server: {drain_timeout_ms: [1]}", "f:1:28: drain_timeout: expected a duration such as"),
        ("server: {port_ms: 5}", "f:1:10: unknown key 'port_ms'"),
    ],
)
def test_an_older_spelling_can_be_wrong_too(complaints: Complain, text: str, said: str) -> None:
    assert complaints(text)[0].startswith(said)


def test_blocks_left_blank_are_defaults(read: Load) -> None:
    text = "server:\nservers:\nnaming:\nlogging:\n"
    assert read(text).config == Config()
    server = "{id: a, transport: {type: stdio, command: sh, env: null, args: ~}, tools: ~}"
    assert read(f"servers: [{server}]").config.servers[0].instances[0].transport.type == "stdio"


def test_a_blank_value_is_a_fault(complaints: Complain) -> None:
    assert complaints("server:\n  port:\n") == [
        "f:2:3: port: expected a whole number between 1 and 65535, got nothing"
    ]


@pytest.mark.parametrize(
    ("model", "key", "hint"),
    [
        (Config, "sever", "did you mean 'server'?"),
        (Config, "backends", "write servers"),
        (Config, "context_optimization", "this version has no such setting; remove it"),
        (Config, "circuit_breaker", "it belongs into each server"),
        (Server, "retries", "write retry"),
        (Cache, "max_entries", "write capacity in l1, l2 and l3"),
        (Batching, "max_batch_size", "write max_size"),
        (Listener, "Port", "did you mean 'port'?"),
        (Listener, "worker_threads", "this version has no such setting; remove it"),
        (Tls, "cert_path", "write cert"),
        (Tls, "key_file", "write key"),
        (Auth, "token", "write tokens, a list"),
        (Server, "name", "write id"),
        (Server, "url", "it belongs under transport: {type: http, url: ...}"),
        (Http, "endpoint", "write url"),
        (Http, "zzz", None),
    ],
)
def test_hints_for_keys(model: type[Model], key: str, hint: str | None) -> None:
    assert hint_for_key(model, key) == hint


@pytest.mark.parametrize("model", [Config, Listener, Server, Cache, Batching, Http, Tls, Auth])
def test_no_setting_is_called_missing(model: type[Model]) -> None:
    for key in model.model_fields:
        assert hint_for_key(model, key) == f"did you mean {key!r}?"


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("streamable_http", ["stdio", "http"], "did you mean 'http'?"),
        ("HTTP", ["stdio", "http"], "did you mean 'http'?"),
        ("warn", ["info", "warning"], "did you mean 'warning'?"),
        (None, ["stdio", "http"], None),
        ("zzz", ["stdio"], None),
    ],
)
def test_hints_for_words(word: object, known: list[str], hint: str | None) -> None:
    said = hint_for_word(word, known)
    assert said == hint or (said and hint and said.startswith(hint))
