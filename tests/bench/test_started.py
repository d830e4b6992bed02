"""Gateways and stub servers as a user starts them."""

import pytest

from only1mcp.bench import started
from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.processes import NotStarted


def test_a_gateway_is_there_when_its_servers_are() -> None:
    with (
        started.stub(0) as stub,
        started.gateway(0, {"servers": [started.http_server("web", stub.url)]}) as gateway,
    ):
        (tool,) = Endpoint(gateway.url).open().ask("tools/list", {})["tools"]
        assert tool["name"] == "web__echo"


def test_a_child_can_be_its_server() -> None:
    with started.gateway(0, {"servers": [started.stdio_server("pipe")]}) as gateway:
        call = {"name": "pipe__echo", "arguments": {"size": 3}}
        result = Endpoint(gateway.url).open().ask("tools/call", call)
        assert result["content"][0]["text"] == "xxx"


def test_what_is_wrong_with_a_configuration_is_told() -> None:
    with pytest.raises(NotStarted, match="prot"), started.gateway(0, {"server": {"prot": 1}}):
        pass


def test_servers_that_are_ready_are_counted_once() -> None:
    said = '  ready    a   1 tool\n{"message": "ready b 1 tool"}\n  ready    a   1 tool\n'
    assert started.ready(said) == 2
    assert started.url_in("listens on http://127.0.0.1:80/mcp now") == "http://127.0.0.1:80/mcp"
    assert started.url_in("nothing yet") == ""
