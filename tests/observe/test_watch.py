"""Nobody watches: there is no Watch."""

from only1mcp.observe.access import Finished
from only1mcp.observe.meter import Meter
from only1mcp.observe.watch import watch


def hears(_: Finished) -> None:
    """Of a request."""


def test_nobody_is_no_watch() -> None:
    assert watch(None, None) is None
    assert watch(None, None, None) is None


def test_whoever_is_there_is_in_it() -> None:
    meter = Meter(1)
    for there in (watch(meter, None), watch(None, None, None, hears), watch(meter, None, hears)):
        assert there is not None
    found = watch(meter, None, None, hears)
    assert found is not None
    assert (found.meter, found.tell) == (meter, (hears,))


def test_who_only_remembers_is_there_too() -> None:
    told: list[object] = []
    found = watch(None, None, remember=lambda *said: told.append(said))
    assert found is not None
    assert found.remember is not None
    found.remember("request", 1.0, ())
    assert told == [("request", 1.0, ())]
