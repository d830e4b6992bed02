"""One look at a gateway."""

import pytest

from fakes.outside import Fake
from only1mcp.tui.feed import Feed
from only1mcp.tui.figures import NOTHING
from only1mcp.tui.outside import Lost


def test_a_look() -> None:
    gateway = Fake()
    shot = Feed(gateway).look(1.0)
    assert [row["id"] for row in shot.servers] == ["a", "b"]
    assert len(shot.requests) == 2
    assert (shot.cache, shot.figures.total) == (None, 10.0)


def test_what_is_not_offered_is_not_known() -> None:
    gateway = Fake()
    gateway.text = None
    gateway.pages = dict.fromkeys(gateway.pages)
    shot = Feed(gateway).look(1.0)
    assert (shot.system, shot.servers, shot.tools, shot.figures) == ({}, [], [], NOTHING)


def test_a_gateway_that_is_gone() -> None:
    gateway = Fake()
    gateway.lost = "no gateway"
    with pytest.raises(Lost, match="no gateway"):
        Feed(gateway).look(1.0)
