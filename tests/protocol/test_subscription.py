"""What a client wants to hear of: filters, tags, and which URIs cover which."""

import json

import pytest
from msgspec import Raw

from only1mcp.protocol import subscription
from only1mcp.protocol.errors import InvalidParams
from only1mcp.protocol.subscription import FLAGS, MAX_TASKS, MAX_URIS, TAG_KEY, Filter, wanted

TOOLS, PROMPTS, RESOURCES = FLAGS.values()


def read(notifications: object) -> Filter:
    return wanted({"notifications": Raw(json.dumps(notifications).encode())})


def test_a_filter_holds_what_is_true() -> None:
    found = read({"toolsListChanged": True, "promptsListChanged": False, "zzz": 1})
    assert found == Filter(frozenset({TOOLS}))
    assert found.encoded() == {"toolsListChanged": True}


def test_a_filter_is_written_as_it_was_read() -> None:
    lists = {"resourceSubscriptions": ["a://b", "a://c"], "taskIds": ["t", "1"]}
    all_of_it = dict.fromkeys(FLAGS, True) | lists
    assert read(all_of_it).encoded() == all_of_it


def test_a_uri_counts_once() -> None:
    assert read({"resourceSubscriptions": ["a://b", "a://c", "a://b"]}).uris == ("a://b", "a://c")


@pytest.mark.parametrize("nothing", [{}, {"resourceSubscriptions": None}, {"x": True}])
def test_a_filter_may_want_nothing(nothing: object) -> None:
    assert not read(nothing)


@pytest.mark.parametrize(
    ("notifications", "words"),
    [
        (None, "must be an object"),
        ([], "must be an object"),
        ({"toolsListChanged": 1}, "toolsListChanged must be true or false"),
        ({"resourceSubscriptions": "a://b"}, "must be an array"),
        ({"resourceSubscriptions": [1]}, "array of strings"),
        ({"resourceSubscriptions": ["a://b"] * (MAX_URIS + 1)}, f"at most {MAX_URIS}"),
        ({"taskIds": {"t": 1}}, "taskIds must be an array"),
        ({"taskIds": ["t"] * (MAX_TASKS + 1)}, f"at most {MAX_TASKS}"),
    ],
)
def test_what_is_no_filter_is_invalid(notifications: object, words: str) -> None:
    with pytest.raises(InvalidParams, match=words):
        read(notifications)


def test_without_a_filter_params_are_invalid() -> None:
    with pytest.raises(InvalidParams):
        wanted({})


@pytest.mark.parametrize("id", [b"7", b'"7"', b'"a b"'])
def test_a_tag_keeps_value_and_type_of_the_id(id: bytes) -> None:
    tagged = subscription.tagged(Raw(b'{"uri":"a://b","_meta":{"x":1}}'), Raw(id))
    assert json.loads(bytes(tagged)) == {"uri": "a://b", "_meta": {"x": 1, TAG_KEY: json.loads(id)}}
    assert bytes(subscription.tag(tagged)) == id
    assert json.loads(bytes(subscription.untagged(tagged))) == {"uri": "a://b", "_meta": {"x": 1}}


def test_nothing_can_be_tagged() -> None:
    tagged = subscription.tagged(b"", Raw(b"1"))
    assert json.loads(bytes(tagged)) == {"_meta": {TAG_KEY: 1}}
    assert bytes(subscription.untagged(tagged)) == b"{}"


def test_params_without_a_tag_stay_as_they_are() -> None:
    params = Raw(b'{ "uri" : "a://b" }')
    assert subscription.untagged(params) is params
    assert not subscription.tag(params)
    assert not subscription.tag(Raw(b"[1]"))


@pytest.mark.parametrize(
    ("subscribed", "updated", "covers"),
    [
        ("file:///a", "file:///a", True),
        ("file:///a", "file:///a/b/c", True),
        ("file:///a/", "file:///a/b", True),
        ("db://t", "db://t?row=1", True),
        ("db://t", "db://t#1", True),
        ("file:///a", "file:///ab", False),
        ("file:///a/b", "file:///a", False),
        ("file:///a/", "file:///a", False),
    ],
)
def test_a_resource_covers_its_sub_resources(subscribed: str, updated: str, covers: bool) -> None:
    assert (subscribed in subscription.covering(updated)) is covers


def test_covering_is_bounded() -> None:
    assert len(list(subscription.covering("a:" + "/" * 10_000))) < 200


def test_an_acknowledgement_may_be_as_long_as_what_it_answers() -> None:
    """Ours is for all clients together; only theirs are bounded."""
    ids = [str(number) for number in range(subscription.MAX_TASKS + 1)]
    params = {"notifications": Raw(json.dumps({"taskIds": ids}).encode())}
    assert subscription.acknowledged(params).tasks == tuple(ids)
    with pytest.raises(InvalidParams, match="at most 1000"):
        subscription.wanted(params)
