"""What a POST must say of itself: each rung of the ladder, in the order of the specification."""

import json
from typing import Any

import pytest
from msgspec import Raw

from only1mcp.protocol import message
from only1mcp.protocol.eras import (
    CAPABILITIES_KEY,
    LOG_LEVEL_KEY,
    LOG_LEVELS,
    VERSION_KEY,
    own_meta,
)
from only1mcp.protocol.errors import (
    HeaderMismatch,
    InvalidParams,
    InvalidRequest,
    McpError,
    MethodNotFound,
    UnsupportedVersion,
)
from only1mcp.protocol.methods import ALL, LEGACY, MODERN, NEWEST_MODERN
from only1mcp.server import dispatch
from only1mcp.server.http import Request
from only1mcp.server.ladder import (
    SelfDescribed,
    accepts,
    check_modern,
    refused,
    unsupported,
    version,
)

JSON = "application/json"
BOTH = "application/json, text/event-stream"


def post(**headers: str) -> Request:
    """A POST with these headers; `_` stands for `-`."""
    named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Request("POST", "/mcp", b"", named)


# --- before the body ---


@pytest.mark.parametrize(
    "kind", [JSON, "application/json; charset=utf-8", "Application/JSON ;x=y", " application/json"]
)
@pytest.mark.parametrize(
    "accept",
    [BOTH, "text/event-stream,application/json;q=0.9", "*/*", "application/*, text/*", None],
)
def test_a_proper_post_passes(kind: str, accept: str | None) -> None:
    headers = {"content_type": kind} | ({"accept": accept} if accept is not None else {})
    assert refused(post(**headers)) is None


@pytest.mark.parametrize("kind", ["", "text/plain", "application/jsonp", "application/x"])
def test_what_is_not_json_is_415(kind: str) -> None:
    headers = {"content_type": kind} if kind else {}
    problem = refused(post(accept=BOTH, **headers))
    assert problem is not None
    assert problem[0] == 415
    assert "Content-Type: application/json" in problem[1].message


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream", "text/html", ""])
def test_a_client_that_takes_not_both_forms_of_answer_is_406(accept: str) -> None:
    problem = refused(post(content_type=JSON, accept=accept))
    assert problem is not None
    assert problem[0] == 406
    assert "Accept: application/json, text/event-stream" in problem[1].message


def test_accept_is_read_by_media_ranges() -> None:
    assert accepts(b"text/event-stream", b"text/event-stream")
    assert accepts(b"TEXT/*;q=0.5", b"text/event-stream")
    assert not accepts(b"text/event", b"text/event-stream")


def test_the_version_header_as_it_is() -> None:
    assert version(post(mcp_protocol_version="2025-06-18")) == "2025-06-18"
    assert version(post()) == ""


def test_a_refused_revision_comes_with_those_we_serve() -> None:
    error = unsupported("1999-01-01")
    assert isinstance(error, UnsupportedVersion)
    assert error.data == {"supported": list(ALL), "requested": "1999-01-01"}


# --- a modern request ---

META = own_meta({})


def climb(method: str = "tools/list", params: Any = None, **headers: str | None) -> str:
    """Check a modern request whose headers are right but for `headers`; None leaves one out."""
    params = {"_meta": META} if params is None else params
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return climb_message(body, **headers)


def climb_message(body: dict[str, Any], **headers: str | None) -> str:
    incoming = message.decode_client(json.dumps(body).encode())
    assert isinstance(incoming, message.Message)
    right: dict[str, str | None] = {
        "mcp_protocol_version": NEWEST_MODERN,
        "mcp_method": body.get("method"),
    }
    said = {name: value for name, value in (right | headers).items() if value is not None}
    return check_modern(post(**said), incoming, dispatch.modern_meta(incoming))


def test_a_request_that_repeats_itself_rightly_passes() -> None:
    assert climb() == NEWEST_MODERN


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("tools/call", {"name": "a__b"}, "a__b"),
        ("prompts/get", {"name": "a b é"}, "=?base64?YSBiIMOp?="),
        ("resources/read", {"uri": "a://b"}, "a://b"),
    ],
)
def test_whose_it_is_must_be_in_a_header(method: str, params: Any, name: str) -> None:
    params |= {"_meta": META}
    assert climb(method, params, mcp_name=name) == NEWEST_MODERN
    with pytest.raises(HeaderMismatch, match="header mcp-name is missing"):
        climb(method, params)
    with pytest.raises(HeaderMismatch, match="header mcp-name contradicts the body"):
        climb(method, params, mcp_name="other")


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"mcp_protocol_version": None}, "header mcp-protocol-version is missing"),
        ({"mcp_protocol_version": "2025-11-25"}, "header mcp-protocol-version contradicts"),
        ({"mcp_method": None}, "header mcp-method is missing"),
        ({"mcp_method": "tools/call"}, "header mcp-method contradicts"),
        ({"mcp_method": "Tools/List"}, "header mcp-method contradicts"),
        ({"mcp_method": "=?base64?dG9vbHMvbGlzdA==?="}, "header mcp-method contradicts"),
    ],
)
def test_headers_must_repeat_the_body(headers: Any, said: str) -> None:
    with pytest.raises(HeaderMismatch, match=said):
        climb(**headers)


def test_a_name_that_is_no_string_is_left_to_the_relay() -> None:
    assert climb("tools/call", {"name": 7, "_meta": META}) == NEWEST_MODERN


@pytest.mark.parametrize(
    "meta",
    [
        {},
        {VERSION_KEY: NEWEST_MODERN},
        {**META, VERSION_KEY: 2026},
        {**META, LOG_LEVEL_KEY: "loud"},
    ],
)
def test_what_does_not_describe_itself_is_invalid(meta: Any) -> None:
    with pytest.raises(InvalidParams):
        climb(params={"_meta": meta})


def test_a_revision_we_do_not_serve_is_named_with_those_we_do() -> None:
    meta = META | {VERSION_KEY: "2099-01-01"}
    with pytest.raises(UnsupportedVersion) as caught:
        climb(params={"_meta": meta}, mcp_protocol_version="2099-01-01")
    assert caught.value.data["requested"] == "2099-01-01"
    assert set(MODERN) <= set(caught.value.data["supported"])


def test_the_revision_is_judged_before_what_depends_on_it() -> None:
    meta = META | {VERSION_KEY: "2099-01-01"}
    with pytest.raises(McpError) as caught:
        climb(params={"_meta": meta}, mcp_protocol_version="2099-01-01", mcp_method="other")
    assert not isinstance(caught.value, InvalidParams)


def test_a_notification_needs_no_more_than_a_revision_we_serve() -> None:
    note = {"jsonrpc": "2.0", "method": "notifications/zzz"}
    assert climb_message(note) == NEWEST_MODERN
    for revision in ("2099-01-01", LEGACY[-1], None):
        with pytest.raises(UnsupportedVersion):
            climb_message(note | {"params": {"_meta": META}}, mcp_protocol_version=revision)


def test_a_response_answers_nobody() -> None:
    with pytest.raises(InvalidRequest, match="a request or a notification"):
        climb_message({"jsonrpc": "2.0", "id": 1, "result": {}})


# --- log messages ---


@pytest.mark.parametrize("least", [None, *LOG_LEVELS])
def test_log_messages_come_only_from_the_level_the_request_asks_for(least: str | None) -> None:
    asked = {} if least is None else {LOG_LEVEL_KEY: Raw(json.dumps(least).encode())}
    wants = SelfDescribed(asked).wants
    passed = [
        level
        for level in LOG_LEVELS
        if wants("notifications/message", Raw(json.dumps({"level": level}).encode()))
    ]
    assert passed == ([] if least is None else list(LOG_LEVELS[LOG_LEVELS.index(least) :]))


def test_other_notifications_are_no_log_messages() -> None:
    assert SelfDescribed(None).wants("notifications/progress", Raw(b"{}"))


async def test_a_modern_client_declares_per_request_and_is_never_asked_by_a_request() -> None:
    meta = {CAPABILITIES_KEY: Raw(b'{"elicitation":{"form":{}}}')}
    described = SelfDescribed(meta)
    assert described.capabilities == {"elicitation": {"form": {}}}
    assert SelfDescribed({CAPABILITIES_KEY: Raw(b"[]")}).capabilities == {}
    assert described.log_level is None
    with pytest.raises(MethodNotFound):
        await described.ask("elicitation/create", b"{}", lambda body: None)
