"""The heads of requests: made once, and made anew when what they say has changed."""

from fakes.http_upstream import tool_call
from only1mcp.protocol.methods import NEWEST_LEGACY, NEWEST_MODERN
from only1mcp.upstream.base import Call
from only1mcp.upstream.dial import Endpoint
from only1mcp.upstream.heads import Heads


def heads(**secrets: str) -> Heads:
    return Heads(Endpoint("search", "http://127.0.0.1:1/mcp", secrets))


def said(head: bytes) -> dict[str, str]:
    """The headers of an unfinished head, which still lacks its last line."""
    first, *lines = head.decode().split("\r\n")
    assert first.endswith(" /mcp HTTP/1.1")
    assert lines.pop() == ""
    return dict(line.split(": ", 1) for line in lines)


def test_before_the_handshake_they_say_nothing_of_it() -> None:
    one = said(heads(Authorization="Bearer x").post)
    assert (one["authorization" if "authorization" in one else "Authorization"]) == "Bearer x"
    assert not {"mcp-protocol-version", "mcp-session-id"} & {name.lower() for name in one}


def test_a_session_and_a_revision_are_on_all_of_them_from_then_on() -> None:
    one = heads()
    one.revision, one.session = NEWEST_LEGACY, b"s1"
    for head in (one.post, one.get, one.delete, one.of(tool_call()), one.resume(b"")):
        found = {name.lower(): value for name, value in said(head).items()}
        assert (found["mcp-protocol-version"], found["mcp-session-id"]) == (NEWEST_LEGACY, "s1")
        assert "mcp-method" not in found
    one.session = None
    assert b"s1" not in one.post + one.get + one.delete


def test_a_modern_request_repeats_its_body_and_has_no_session() -> None:
    one = heads()
    one.session, one.revision = b"s1", NEWEST_MODERN
    call = Call("tools/call", {}, "grün", mirrored=(("Mcp-Param-Region", "eu"),))
    found = {name.lower(): value for name, value in said(one.of(call)).items()}
    assert one.modern
    assert found["mcp-method"] == "tools/call"
    assert found["mcp-name"].startswith("=?base64?")
    assert found["mcp-param-region"] == "eu"
    assert "mcp-session-id" not in found
    assert b"mcp-method" not in one.post.lower(), "what is shared stays as it is"


def test_a_trace_goes_with_its_call_alone() -> None:
    one = heads()
    one.revision = NEWEST_LEGACY
    traced = one.of(tool_call(trace=b"traceparent: 00-1-2-01\r\n"))
    assert said(traced)["traceparent"] == "00-1-2-01"
    assert one.of(tool_call()) == one.post


def test_a_stream_is_resumed_after_its_last_event() -> None:
    one = heads()
    assert one.resume(b"") == one.get
    found = {name.lower(): value for name, value in said(one.resume(b"7")).items()}
    assert found["last-event-id"] == "7"
