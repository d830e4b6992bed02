"""One server as each client writes it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from only1mcp.config.load import Loaded
from only1mcp.config.servers import Http, Server, Sse, Stdio

Load = Callable[..., Loaded]
Complain = Callable[..., list[str]]
ENVIRON = {"TOKEN": "t0k", "REGION": "eu"}


def file(entry: Any) -> str:
    return json.dumps({"mcpServers": {"a": entry}})


@pytest.fixture
def server(read: Load) -> Callable[[Any], Server]:
    """`server(entry)` is what a client's entry is read as."""
    return lambda entry: read(file(entry), ENVIRON).config.servers[0]


Read = Callable[[Any], Server]


def test_a_program(server: Read) -> None:
    found = server({"type": "stdio", "command": "sh", "args": ["-c"], "env": {"A": "b"}})
    assert isinstance(found.transport, Stdio)
    assert (found.transport.command, found.transport.args) == ("sh", ("-c",))
    assert found.transport.env["A"].get_secret_value() == "b"


@pytest.mark.parametrize("key", ["url", "serverUrl", "httpUrl"])
@pytest.mark.parametrize("kind", [None, "http", "streamable-http", "streamableHttp", "remote"])
def test_a_url(server: Read, key: str, kind: str | None) -> None:
    entry = {key: "http://h/mcp", "headers": {"X-A": "${TOKEN}"}} | ({"type": kind} if kind else {})
    found = server(entry)
    assert isinstance(found.transport, Http)
    assert found.transport.headers["X-A"].get_secret_value() == "t0k"


def test_codex_names_variables(server: Read) -> None:
    found = server(
        {
            "env_http_headers": {"X-Region": "REGION"},
            "bearer_token_env_var": "TOKEN",
            "url": "http://h/mcp",
            "http_headers": {"X-B": "b"},
        }
    )
    assert isinstance(found.transport, Http)
    headers = {name: value.get_secret_value() for name, value in found.transport.headers.items()}
    assert headers == {"X-B": "b", "X-Region": "eu", "Authorization": "Bearer t0k"}


def test_codex_hands_variables_on(server: Read) -> None:
    found = server({"command": "sh", "env_vars": ["REGION", "NOT_SET", 1], "env": {"A": "b"}})
    assert isinstance(found.transport, Stdio)
    assert sorted(found.transport.env) == ["A", "REGION"]


def test_tools_and_deadlines_keep_their_effect(server: Read) -> None:
    found = server(
        {
            "command": "sh",
            "enabled_tools": ["a"],
            "excludeTools": ["b"],
            "startup_timeout_sec": 5,
            "tool_timeout_sec": 90,
        }
    )
    assert (found.tools.allow, found.tools.deny) == (("a",), ("b",))
    assert (found.timeouts.start, found.timeouts.call_idle, found.timeouts.call_max) == (5, 90, 90)
    assert server({"command": "sh", "startup_timeout_ms": 500}).timeouts.start == 0.5
    assert server({"command": "sh", "tools": ["x"]}).tools.allow == ("x",)


def test_our_own_keys_work_there_too(server: Read) -> None:
    found = server(
        {
            "transport": {"type": "http", "url": "http://h/"},
            "protocol": "modern",
            "tools": {"deny": ["x"]},
            "timeouts": {"list": "5s"},
        }
    )
    assert (found.protocol, found.tools.deny, found.timeouts.list) == ("modern", ("x",), 5)


@pytest.mark.parametrize(
    ("entry", "enabled"), [({"disabled": True}, False), ({"disabled": False}, True), ({}, True)]
)
def test_disabled_is_not_enabled(server: Read, entry: dict[str, Any], enabled: bool) -> None:
    assert server({"command": "sh", **entry}).enabled is enabled


def test_keys_that_do_nothing_are_named(warnings: Complain) -> None:
    entry = {"command": "sh", "autoApprove": [], "trust": True, "timeout": 5, "envFile": "x"}
    assert [text.rpartition("warning: ")[2] for text in warnings(file(entry))] == [
        "key 'timeout' of the client does nothing here",
        "key 'envFile' of the client does nothing here",
    ]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (5, "expected a block with command or url"),
        ({}, "expected either command (a program) or url"),
        ({"command": "sh", "url": "http://h"}, "expected either command (a program) or url"),
        ({"type": "streamable", "url": "x"}, "mcpServers.a.type: expected stdio, http or sse"),
        ({"type": "stdio", "command": "sh", "url": "x"}, "unknown key 'url'"),
        ({"url": "http://h", "httpUrl": "http://h"}, "transport.url is given twice"),
        ({"command": "sh", "disabled": "yes"}, "disabled: expected true or false"),
        ({"command": "sh", "tools": {"allow": []}, "includeTools": []}, "tools.allow is given"),
        ({"url": "http://h", "bearer_token_env_var": "NO"}, "variable NO is not set"),
        ({"url": "http://h", "env_http_headers": {"X": 1}}, "variable (no name) is not set"),
        ({"command": ["sh", "-c"]}, "put the program into command and the rest into args"),
    ],
)
def test_faults(complaints: Complain, entry: Any, said: str) -> None:
    (fault,) = complaints(file(entry), ENVIRON)
    assert said in fault


def test_a_server_of_the_older_transport(server: Read) -> None:
    entry = {"type": "sse", "url": "http://h/sse", "headers": {"X": "y"}}
    transport = server(entry).transport
    assert isinstance(transport, Sse)
    assert (transport.type, transport.url) == ("sse", "http://h/sse")
    assert transport.headers["X"].get_secret_value() == "y"


def test_a_url_alone_is_tried_as_the_newer_transport_first(
    server: Read, warnings: Complain
) -> None:
    assert server({"url": "http://h/sse?x=1"}).instances[0].transport.type == "http"
    assert warnings(file({"url": "http://h/sse?x=1"})) == []
