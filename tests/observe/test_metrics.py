"""From the numbers of a room to the text of a scrape."""

import pytest

from only1mcp.observe.meter import Histogram
from only1mcp.observe.metrics import Family, Metrics, Room, Samples

ACCEPT_OPEN = "application/openmetrics-text; version=1.0.0"


class Shop:
    """What is counted."""

    def __init__(self) -> None:
        self.sold = {"tea": 2, 'a "quoted"\nname': 1}
        self.times = Histogram((0.1, 1.0))
        self.times.add(0.1)
        self.times.add(3)


def _sold(shop: Shop) -> Samples:
    return [((what,), count) for what, count in shop.sold.items()]


FAMILIES: tuple[Family[Shop], ...] = (
    Family("shop_sold", "counter", "What  was\nsold.", ("what",), _sold),
    Family("shop_open", "gauge", "Whether it is open.", (), lambda _: [((), True)]),
    Family("shop_wait_seconds", "histogram", "Waits.", (), lambda shop: [((), shop.times)]),
)


async def text(*rooms: Room[Shop], accept: str = "") -> str:
    page, _ = await Metrics(*rooms).page(accept)
    return page.decode()


async def test_the_text_of_all_kinds() -> None:
    shop = Shop()
    assert await text(Room(FAMILIES, lambda: shop)) == (
        "# HELP shop_sold_total What was sold.\n"
        "# TYPE shop_sold_total counter\n"
        'shop_sold_total{what="tea"} 2.0\n'
        'shop_sold_total{what="a \\"quoted\\"\\nname"} 1.0\n'
        "# HELP shop_open Whether it is open.\n"
        "# TYPE shop_open gauge\n"
        "shop_open 1.0\n"
        "# HELP shop_wait_seconds Waits.\n"
        "# TYPE shop_wait_seconds histogram\n"
        'shop_wait_seconds_bucket{le="0.1"} 1.0\n'
        'shop_wait_seconds_bucket{le="1.0"} 1.0\n'
        'shop_wait_seconds_bucket{le="+Inf"} 2.0\n'
        "shop_wait_seconds_count 2.0\n"
        "shop_wait_seconds_sum 3.1\n"
    )


async def test_open_metrics_if_asked_for() -> None:
    page, kind = await Metrics(Room(FAMILIES, Shop)).page(ACCEPT_OPEN)
    assert kind.startswith("application/openmetrics-text")
    assert page.endswith(b"# EOF\n")


async def test_a_room_that_is_not_there_has_no_lines() -> None:
    assert await text(Room(FAMILIES, lambda: None)) == ""


def test_what_is_counted_while_it_is_written_down_comes_with_the_next_scrape() -> None:
    shop = Shop()
    ((_, samples),) = Metrics(Room(FAMILIES[2:], lambda: shop)).collect()
    shop.times.add(0.5)
    ((_, value),) = samples
    assert isinstance(value, Histogram)
    assert value.count == 2


@pytest.mark.parametrize(
    ("name", "type", "shown", "unit"),
    [
        ("a_sent_bytes", "counter", "a_sent_bytes_total", "bytes"),
        ("a_wait_seconds", "gauge", "a_wait_seconds", "seconds"),
        ("a_state", "gauge", "a_state", ""),
    ],
)
def test_names_and_units(name: str, type: str, shown: str, unit: str) -> None:
    family: Family[Shop] = Family(name, type, "", (), _sold)  # type: ignore[arg-type]
    assert (family.shown, family.unit, family.source) == (shown, unit, __name__)
