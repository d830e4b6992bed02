"""The counters of the cache, and emptying it. Over HTTP, with every filter: tests/admin."""

from fakes.answers import READ, A
from fakes.upstream import ask, gateway_of, library
from only1mcp.relay import kept


async def test_what_was_asked_for_and_what_came_of_it() -> None:
    async with gateway_of(library()) as gateway:
        assert kept.describe(gateway.snapshot())["hit_rate"] is None
        for _ in range(4):
            await ask(gateway, READ, A)
        found = kept.describe(gateway.snapshot())
    assert (found["hit_rate"], found["calls"], found["tiers"]["l2"]["hits"]) == (0.75, 1, 3)


async def test_what_is_dropped_is_asked_for_again() -> None:
    fake = library()
    async with gateway_of(fake) as gateway:
        await ask(gateway, READ, A)
        assert kept.clear(gateway.snapshot(), tier="l1") == 0
        assert kept.clear(gateway.snapshot(), server="lib", method=READ) == 1
        await ask(gateway, READ, A)
    assert len(fake.asked(READ)) == 2
