"""Translation between the eras touches what it must and nothing else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from only1mcp.protocol import eras, message
from only1mcp.protocol.errors import InvalidParams, MissingCapability, UpstreamError

VERSION, CAPABILITIES, INFO = eras.VERSION_KEY, eras.CAPABILITIES_KEY, eras.CLIENT_INFO_KEY
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def params(value: dict[str, Any]) -> dict[str, Raw]:
    return message.members(message.encode(value))


def test_a_legacy_call_gets_the_required_meta() -> None:
    sent = eras.params_to_modern(
        params({"name": "x", "_meta": {"progressToken": "t"}}), {"roots": {}}
    )
    meta = json.loads(bytes(sent["_meta"]))
    assert meta["progressToken"] == "t"
    assert meta[VERSION] == "2026-07-28"
    assert meta[CAPABILITIES] == {"roots": {}}
    assert meta[INFO]["name"] == "only1mcp"


def test_a_modern_call_loses_the_reserved_meta_only() -> None:
    meta = {VERSION: "2026-07-28", CAPABILITIES: {}, "traceparent": "00-1", "progressToken": 7}
    sent = eras.params_to_legacy(params({"name": "x", "_meta": meta}))
    assert json.loads(bytes(sent["_meta"])) == {"traceparent": "00-1", "progressToken": 7}
    assert "_meta" not in eras.params_to_legacy(params({"_meta": {VERSION: "2026-07-28"}}))


def test_a_legacy_result_becomes_modern() -> None:
    result = json.loads(eras.result_to_modern(b' {"content":[]}', cacheable=True))
    assert result["resultType"] == "complete"
    assert (result["ttlMs"], result["cacheScope"]) == (0, "private")
    assert result["_meta"][eras.SERVER_INFO_KEY]["name"] == "only1mcp"
    assert json.loads(eras.result_to_modern(b"{ }"))["resultType"] == "complete"


def test_a_result_that_mentions_a_modern_key_is_not_spoilt() -> None:
    result = json.loads(eras.result_to_modern(b'{"content":[{"resultType":"x"}]}'))
    assert result.pop("_meta")[eras.SERVER_INFO_KEY]["name"] == "only1mcp"
    assert result == {"content": [{"resultType": "x"}], "resultType": "complete"}


def test_members_that_are_spelt_with_escapes_are_seen() -> None:
    result = eras.result_to_modern(rb'{"\u005fmeta":{"a":1},"\u0072esultType":"complete"}')
    assert json.loads(result) == {"_meta": {"a": 1}, "resultType": "complete"}
    assert result.count(b":") == 3


def test_a_modern_result_becomes_legacy() -> None:
    raw = {"resultType": "complete", "ttlMs": 1, "cacheScope": "public", "contents": [],
           "_meta": {eras.SERVER_INFO_KEY: {}, "own": 1}}  # fmt: skip
    assert json.loads(eras.result_to_legacy(message.encode(raw))) == {
        "contents": [],
        "_meta": {"own": 1},
    }


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_legacy_to_modern_and_back_is_the_identity(value: dict[str, Any]) -> None:
    for key in ("resultType", "ttlMs", "cacheScope", "_meta"):
        value.pop(key, None)
    there = eras.result_to_modern(message.encode(value), cacheable=True)
    assert json.loads(eras.result_to_legacy(there)) == value


@pytest.mark.parametrize(
    "meta",
    [
        {},
        {VERSION: 5, CAPABILITIES: {}},
        {VERSION: "2026-07-28"},
        {VERSION: "2026-07-28", CAPABILITIES: []},
        {VERSION: "2026-07-28", CAPABILITIES: {}, eras.LOG_LEVEL_KEY: "loud"},
    ],
)
def test_incomplete_meta_is_refused(meta: dict[str, Any]) -> None:
    with pytest.raises(InvalidParams):
        eras.check_meta(params(meta))


def test_client_info_is_optional() -> None:
    eras.check_meta(params({VERSION: "2026-07-28", CAPABILITIES: {}}))


@pytest.mark.parametrize("data", [None, {"elicitations": [{"url": "https://x/"}]}])
def test_a_wish_for_urls_is_an_error_of_2025_alone(data: Any) -> None:
    raw = json.dumps({"code": -32042, "message": "visit", "data": data}).encode()
    error = UpstreamError(raw, -32042, "visit")
    assert eras.error_across(error, "completion/complete", modern=False) is error
    found = eras.error_across(error, "completion/complete", modern=True)
    assert isinstance(found, MissingCapability)
    assert found.data == {"requiredCapabilities": {"elicitation": {"url": {}}}}
