"""Numbers of a server that outlive its connections."""

from only1mcp.upstream import traffic


def test_one_for_each_id_whoever_asks() -> None:
    one = traffic.of("traffic-one")
    one.sent += 5
    assert traffic.of("traffic-one").sent == 5
    assert traffic.of("traffic-other").sent == 0
