"""Bytes of connections that have ended are not forgotten."""

from only1mcp.server.tally import Tally


def test_they_add_up() -> None:
    tally = Tally()
    tally.ended(10, 100)
    tally.ended(1, 2)
    tally.refused[413] += 1
    assert (tally.received, tally.sent, tally.refused[413], tally.refused[400]) == (11, 102, 1, 0)
