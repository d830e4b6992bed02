"""What is shown of a configuration holds no secret."""

import json
from collections.abc import Callable

import pytest

from only1mcp.config.load import Loaded
from only1mcp.config.show import (
    HIDDEN,
    mask_arguments,
    mask_url,
    names_secret,
    redacted,
    secret_values,
)

Load = Callable[..., Loaded]

TEXT = """
server:
  drain_timeout: 90s
  auth: {tokens: ["${CANARY}"]}
servers:
  - id: a
    transport:
      type: stdio
      command: sh
      args: [--api-key, "${CANARY}", "--token=${CANARY}", "https://u:${CANARY}@h/", plain]
      env: {A: "${CANARY}"}
  - id: b
    transport: {type: http, url: "http://h/?token=${CANARY}&x=1", headers: {X: "${CANARY}"}}
    timeouts: {list: 1500ms}
"""


def test_no_secret_is_shown(read: Load) -> None:
    config = read(TEXT, {"CANARY": "c4nary"}).config
    shown = redacted(config)
    assert "c4nary" not in json.dumps(shown)
    assert shown["server"]["auth"] == {"tokens": ["***"]}
    first, second = shown["servers"]
    assert first["transport"]["env"] == {"A": "***"}
    assert first["transport"]["args"] == [
        *("--api-key", "***", "--token=***", "https://***@h/", "plain")
    ]
    assert second["transport"]["url"] == "http://h/?token=***&x=1"


def test_declared_secrets_are_in_no_repr(read: Load) -> None:
    text = "server: {auth: {tokens: ['${CANARY}']}}"
    loaded = read(text, {"CANARY": "c4nary"})
    assert "c4nary" not in repr(loaded) + str(loaded) + repr(loaded.config)


def test_the_rest_is_shown_as_it_is_written(read: Load) -> None:
    shown = redacted(read(TEXT, {"CANARY": "x"}).config)
    assert shown["server"]["drain_timeout"] == "90s"
    assert shown["servers"][1]["timeouts"] == {
        "start": "1m",
        "call_idle": "1m",
        "call_max": "10m",
        "list": "1.5s",
    }
    assert (shown["server"]["tls"], shown["server"]["port"]) == (None, 8080)
    assert shown["servers"][0]["tools"]["allow"] == ["*"]


def test_what_is_shown_can_be_read_again(read: Load) -> None:
    config = read("server: {drain_timeout: 90s, allowed_hosts: [a.example]}").config
    assert read(json.dumps(redacted(config))).config == config


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *((name, True) for name in ("Authorization", "X-Api-Key", "GITHUB_TOKEN", "DB_PASSWORD")),
        *((name, True) for name in ("key", "AWS_SECRET_ACCESS_KEY", "Cookie", "SENTRY_AUTH")),
        *((name, False) for name in ("X-Team", "PATH", "KEYBOARD", "monkey", "author")),
    ],
)
def test_names_of_secrets(name: str, secret: bool) -> None:
    assert names_secret(name) is secret


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("http://h/x?a=b", "http://h/x?a=b"),
        ("postgres://u:p@h/db", "postgres://***@h/db"),
        ("http://h/?api_key=x&b=c#f", "http://h/?api_key=***&b=c#f"),
        ("user@example", "user@example"),
        ("postgres://u:p@ss@host/db", "postgres://***@host/db"),
        ("postgres://u:p/ss@host/db", "postgres://***@host/db"),
        ("postgres://u:p@s/s@host/db", "postgres://***@host/db"),
        ("postgres://u:p?s#s@host/db", "postgres://***@host/db"),
        ("postgres://u:p@host/db?mail=a@b", "postgres://***@host/db?mail=a@b"),
        ("postgres://u:12@host/db", "postgres://***@host/db"),
        ("redis://:p@host", "redis://***@host"),
        ("https://t0ken@host", "https://***@host"),
        ("http://h/@scope/pkg", "http://h/@scope/pkg"),
        ("http://h:80/@scope/pkg", "http://h:80/@scope/pkg"),
        ("http://[::1]:80/@scope/pkg", "http://[::1]:80/@scope/pkg"),
        ("http://h:80?mail=a@b", "http://h:80?mail=a@b"),
        ("db://a:1,b:2/?mail=a@b", "db://a:1,b:2/?mail=a@b"),
        ("http://h/#access_token=x&b=c", "http://h/#access_token=***&b=c"),
    ],
)
def test_masked_urls(text: str, masked: str) -> None:
    assert mask_url(text) == masked


def test_masked_arguments() -> None:
    arguments = ("-y", "pkg", "--password", "p", "--token", "--verbose", "--secret=s", "-p", "1")
    assert mask_arguments(arguments) == [
        *("-y", "pkg", "--password", "***", "--token", "--verbose", "--secret=***", "-p", "1")
    ]


@pytest.mark.parametrize(
    ("arguments", "masked"),
    [
        (["--header", "Authorization: Bearer s3cr3t"], ["--header", "Authorization: ***"]),
        (["--header=Authorization:Bearer s3cr3t"], ["--header=Authorization:***"]),
        (["-e", "GITHUB_TOKEN=ghp_1", "image"], ["-e", "GITHUB_TOKEN=***", "image"]),
        (["-e", "GITHUB_TOKEN", "image"], ["-e", "GITHUB_TOKEN", "image"]),
        (["--env=DB_PASSWORD=a b"], ["--env=DB_PASSWORD=***"]),
        (["-eGITHUB_TOKEN=ghp_1"], ["-eGITHUB_TOKEN=***"]),
        (["-H", "X-Api-Key:foo"], ["-H", "X-Api-Key:***"]),
        (['{"token": "abc"}'], ['{"token": ***']),
        (["Server=h;Password=a b;Port=1"], ["Server=h;Password=***"]),
        (["--token=", "TOKEN=", "x"], ["--token=", "TOKEN=", "x"]),
        (["--auth", "-1"], ["--auth", "***"]),
        (["X-Team: red", "LEVEL=debug", "a:b"], ["X-Team: red", "LEVEL=debug", "a:b"]),
        (["org/token-server:1", "https://h/token:x"], ["org/token-server:1", "https://h/token:x"]),
        (["https://h/?token=x&b=1"], ["https://h/?token=***&b=1"]),
        (["--db", "postgres://u:my-token=p@h/db"], ["--db", "postgres://***@h/db"]),
    ],
)
def test_masked_values_that_follow_their_names(arguments: list[str], masked: list[str]) -> None:
    assert mask_arguments(arguments) == masked


@pytest.mark.parametrize(
    "text", ["://a:b" * 20_000, "@" + "://a:b" * 20_000, "://a:b" * 20_000 + " @"]
)
def test_nothing_takes_long_to_mask(text: str) -> None:
    assert mask_arguments([text]) == [text]  # quadratic: minutes, and the test's time is up
    assert secret_values([text]) == []


def test_secret_values_are_what_is_masked() -> None:
    arguments = ["--password", "p", "--header", "Authorization: Bearer b", "-e", "LEVEL=debug"]
    urls = ["db://u:w@h/?api_key=k&x=1", "https://o@h", "plain"]
    found = secret_values([*arguments, *urls])
    assert sorted(set(found)) == ["Bearer b", "b", "k", "o", "p", "w"]
    assert HIDDEN not in found
    assert secret_values(["-H", "token:  "]) == []
