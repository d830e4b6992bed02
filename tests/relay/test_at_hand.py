"""What is there already is the answer at once: nobody is asked, and nothing of it is read."""

from typing import Any, NoReturn

import pytest

from fakes.upstream import gateway_of, library, request
from only1mcp.policy.cache import Tier
from only1mcp.protocol import message
from only1mcp.protocol.methods import ALL
from only1mcp.relay import targets
from only1mcp.relay.call import at_hand, relay


def _nobody_reads(*_: Any) -> NoReturn:
    raise AssertionError("the list is read")


@pytest.mark.parametrize("revision", ALL)
async def test_a_list_that_is_there_is_given_as_it_is(
    revision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gateway_of(library("lib")) as gateway:
        asked = request(gateway, "tools/list", revision=revision)
        whole = await relay(asked, gateway.snapshot())
        for name in ("members", "objects", "any_value", "text", "encode", "decode"):
            monkeypatch.setattr(message, name, _nobody_reads)
        found = at_hand(asked, gateway.snapshot())
    assert found == whole
    assert b"lib__find" in whole


@pytest.mark.parametrize("params", [{"cursor": "x"}, {"cursor": 7}])
async def test_a_further_page_is_not(params: Any) -> None:
    async with gateway_of(library("lib")) as gateway:
        asked = request(gateway, "tools/list", params)
        assert at_hand(asked, gateway.snapshot()) is None


async def test_nor_is_what_has_to_be_asked_for() -> None:
    async with gateway_of(library("lib")) as gateway:
        gateway._listings.end("lib")
        asked = request(gateway, "tools/list")
        assert at_hand(asked, gateway.snapshot()) is None
        await relay(asked, gateway.snapshot())
        assert at_hand(request(gateway, "tools/list"), gateway.snapshot()) is not None
        assert at_hand(request(gateway, "none/such"), gateway.snapshot()) is None


async def test_what_was_looked_up_is_not_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    find = targets.listed

    def listed(*asked: Any) -> Any:
        looked.append(asked)
        return find(*asked)

    monkeypatch.setattr(targets, "listed", listed)
    async with gateway_of(library("lib")) as gateway:
        asked = request(gateway, "prompts/get", {"name": "lib__greet"})
        assert at_hand(asked, gateway.snapshot()) is None
        first = await relay(asked, gateway.snapshot())
        assert len(looked) == 1
        again = request(gateway, "prompts/get", {"name": "lib__greet"})
        assert at_hand(again, gateway.snapshot()) == first
        assert (asked.wanted, again.wanted) == (None, None), "they would keep each other"
        counts = gateway.snapshot().answers.store.counts[Tier.L3]
        assert (counts.hits, counts.misses) == (1, 1)
