"""Which requests may have one answer, and which have nothing to do with the cache.

What comes of it, through the relay: test_answers.py.
"""

from typing import Any

import pytest

from fakes.answers import READ, A, client
from fakes.upstream import Heard, gateway_of, library, request
from only1mcp.gateway import Gateway
from only1mcp.protocol.methods import METHODS, NEWEST_LEGACY, NEWEST_MODERN
from only1mcp.relay import targets
from only1mcp.relay.wanted import MAX_METAS, Fetch, Wanted

FIND = {"name": "lib__find", "arguments": {"q": 1, "r": 2}}


async def unused(caller: Any, fetch: Fetch | None) -> bytes:
    """No call is made here."""
    raise AssertionError


def wanted(
    gateway: Gateway,
    params: Any,
    method: str = READ,
    caller: Heard | None = None,
    revision: str = NEWEST_LEGACY,
) -> Wanted | None:
    """What such a request asks for."""
    one = request(gateway, method, params, revision=revision)
    one.caller = caller or client()
    target = targets.listed(one, METHODS[method], gateway.snapshot())
    assert target is not None
    live = gateway.roster.servers[target.server]
    return gateway._answers.reader.read(one, METHODS[method], live, target, unused)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"q": 1, "r": 2}, {"r": 2, "q": 1}, True),
        ({"q": {"a": 1, "b": 2}}, {"q": {"b": 2, "a": 1}}, True),
        ({"q": [1, 2]}, {"q": [2, 1]}, False),
        ({"q": 1}, {"q": 1.0}, False),
        ({"q": 1}, {"q": "1"}, False),
        ({"q": 1}, {"q": True}, False),
        ({"q": None}, {}, False),
    ],
)
async def test_arguments_that_mean_the_same_have_one_key(one: Any, other: Any, same: bool) -> None:
    async with gateway_of(library(), cache={"tools": [{"match": "*"}]}) as gateway:
        keys = []
        for arguments in (one, other):
            found = wanted(gateway, {"name": "lib__find", "arguments": arguments}, "tools/call")
            assert found is not None
            keys.append(found.key)
    assert (keys[0] == keys[1]) is same


async def test_server_method_and_name_are_part_of_the_key() -> None:
    async with gateway_of(library("one"), library("two")) as gateway:
        asked = [(READ, {"uri": "one://a"}), (READ, {"uri": "two://a"})]
        asked += [("prompts/get", {"name": f"{id}__greet"}) for id in ("one", "two")]
        found = [wanted(gateway, params, method) for method, params in asked]
        keys = {one.key for one in found if one is not None}
    assert len(keys) == 4


@pytest.mark.parametrize(
    ("more", "alone"),
    [
        ({}, False),
        ({"_meta": {"progressToken": 0}}, True),
        ({"_meta": {"progressToken": None}}, False),
    ],
)
async def test_who_wants_to_hear_of_the_call_makes_its_own(more: Any, alone: bool) -> None:
    async with gateway_of(library()) as gateway:
        found = wanted(gateway, {**A, **more})
    assert found is not None
    assert found.alone is alone


@pytest.mark.parametrize("more", [{"_meta": []}, {"requestState": "s"}, {"inputResponses": {}}])
async def test_what_is_none_of_its_business(more: Any) -> None:
    async with gateway_of(library()) as gateway:
        assert wanted(gateway, {**A, **more}) is None


async def test_a_task_is_begun_anew_by_each_who_asks_for_one() -> None:
    async with gateway_of(library(), cache={"tools": [{"match": "*"}]}) as gateway:
        assert wanted(gateway, FIND, "tools/call") is not None
        assert wanted(gateway, {**FIND, "task": {"ttl": 60_000}}, "tools/call") is None


async def test_a_tool_is_only_if_it_is_listed() -> None:
    async with gateway_of(library()) as gateway:
        assert wanted(gateway, FIND, "tools/call") is None
    rules = [{"match": "lib__f*", "ttl": "7s"}, {"match": "*", "ttl": "9s"}]
    async with gateway_of(library(), cache={"tools": rules}) as gateway:
        found = wanted(gateway, FIND, "tools/call")
    assert found is not None
    assert found.ttl_s == 7


async def test_clients_that_read_results_differently_have_keys_of_their_own() -> None:
    async with gateway_of(library(), cache={"tools": [{"match": "*"}]}) as gateway:
        revisions = ("2024-11-05", NEWEST_LEGACY, NEWEST_MODERN)
        calls = {_key(gateway, FIND, "tools/call", one) for one in revisions}
        gets = {_key(gateway, {"name": "lib__greet"}, "prompts/get", one) for one in revisions}
        reads = {_key(gateway, A, READ, one) for one in revisions}
    assert (len(calls), len(gets), len(reads)) == (3, 3, 2)


def _key(gateway: Gateway, params: Any, method: str, revision: str) -> Any:
    found = wanted(gateway, params, method, revision=revision)
    assert found is not None
    return found.key


async def test_what_is_remembered_of_meta_is_bounded() -> None:
    async with gateway_of(library()) as gateway:
        for number in range(MAX_METAS + 10):
            wanted(gateway, {**A, "_meta": {"x.example/n": number}})
        assert len(gateway._answers.reader._metas) <= MAX_METAS
