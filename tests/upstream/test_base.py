"""Both transports, and the scripted twin of the tests, are what the relay expects of a server."""

import inspect

import pytest

from fakes.upstream import FakeUpstream
from only1mcp.upstream.base import Upstream
from only1mcp.upstream.stdio import StdioServer
from only1mcp.upstream.streamable import StreamableHttp

MEMBERS = [name for name in vars(Upstream) if not name.startswith("_")]


@pytest.mark.parametrize("kind", [StdioServer, StreamableHttp, FakeUpstream])
@pytest.mark.parametrize("name", MEMBERS)
def test_every_transport_has_every_member(kind: type, name: str) -> None:
    wanted, found = getattr(Upstream, name), getattr(kind, name, None)
    assert found is not None or isinstance(wanted, property)
    assert inspect.iscoroutinefunction(found) == inspect.iscoroutinefunction(wanted)
    if found is not None and not isinstance(wanted, property) and kind is not FakeUpstream:
        assert list(inspect.signature(found).parameters) == list(
            inspect.signature(wanted).parameters
        )
