"""The first tab says what is known, and what is not."""

from fakes.outside import Fake
from only1mcp.tui.feed import Feed, Shot
from only1mcp.tui.overview import cache, text


def test_what_is_known() -> None:
    lines = "\n".join(text(Feed(Fake()).look(1.0)))
    for said in (
        "    status  ok",
        "    uptime  1h 1m",
        "  requests  no data   10 in all",
        " in flight  3",
        "    errors  no data   2 in all",
        "    memory  50.0 MiB",
        "   servers  1 ready   1 failed",
        "     cache  no data",
    ):
        assert said in lines


def test_nothing_is_invented() -> None:
    lines = text(Shot({}, {}, [], [], [], None))
    said = [line for line in lines if line.strip() and "none" not in line]
    assert all("no data" in line for line in said)


def test_the_cache() -> None:
    assert cache({"enabled": False}) == "off"
    document = {"enabled": True, "hit_rate": 0.25, "bytes": 1 << 20, "max_bytes": 64 << 20}
    assert cache(document) == "hits █████░░░░░░░░░░░░░░░ 25%   1.0 MiB of 64.0 MiB"
    assert cache({"enabled": True}) == "hits no data   no data of no data"
