"""Plain numbers: what is counted where, and what a flood of labels becomes."""

from only1mcp.observe.meter import (
    MAX_CELLS,
    MAX_METHODS,
    OTHER,
    Cell,
    Histogram,
    Key,
    Labels,
    Meter,
)


def key(
    method: str = "tools/call",
    server: str = "notes",
    tool: str = "add",
    outcome: str = "ok",
    code: int | None = None,
) -> Key:
    return (method, server, tool, outcome, code, "2025-11-25", False)


def the_cell(meter: Meter) -> tuple[Labels, Cell]:
    ((labels, cell),) = meter.cells.items()
    return Labels(*labels), cell


def test_a_bound_belongs_to_its_range() -> None:
    times = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.11, 1.0, 1.5):
        times.add(value)
    assert (times.counts, times.count) == ([2, 2, 1], 5)
    assert abs(times.sum - 2.76) < 1e-9


def test_histograms_add_up() -> None:
    one, other = Histogram((1.0,)), Histogram((1.0,))
    one.add(0.5)
    other.add(2)
    one += other
    assert (one.counts, one.sum, other.counts) == ([1, 1], 2.5, [0, 1])


def test_what_is_neither_the_server_nor_waiting_is_ours() -> None:
    meter = Meter(10)
    meter.done(key(), 0.5, 0.3, 0.1)
    labels, cell = the_cell(meter)
    assert (labels.method, labels.server, labels.tool) == ("tools/call", "notes", "add")
    assert (cell.front.sum, cell.upstream.sum) == (0.5, 0.3)
    assert abs(cell.overhead.sum - 0.1) < 1e-9
    assert cell.front.count == cell.upstream.count == cell.overhead.count == 1


def test_a_request_that_went_to_no_server_has_no_share_of_one() -> None:
    meter = Meter(10)
    meter.done(key("tools/list", "", ""), 0.001, 0.0, 0.0)
    _, cell = the_cell(meter)
    assert (cell.front.count, cell.upstream.count, cell.overhead.count) == (1, 0, 0)


def test_clocks_that_disagree_give_no_negative_time() -> None:
    meter = Meter(10)
    meter.done(key(), 0.3, 0.3, 0.1)
    assert the_cell(meter)[1].overhead.sum == 0.0


def test_tools_beyond_the_cap_are_counted_together() -> None:
    meter = Meter(2)
    for tool in "abcdc":
        meter.done(key(tool=tool), 0.1, 0.1, 0.0)
    counts = {Labels(*one).tool: cell.front.count for one, cell in meter.cells.items()}
    assert counts == {"a": 1, "b": 1, OTHER: 3}


def test_without_room_for_tools_none_has_a_label() -> None:
    meter = Meter(0)
    meter.done(key(tool="a"), 0.1, 0.1, 0.0)
    meter.done(key("tools/list", "", ""), 0.1, 0.0, 0.0)
    assert [Labels(*one).tool for one in meter.cells] == [OTHER, ""]


def test_nothing_is_lost_however_many_labels_come() -> None:
    meter = Meter(50)
    flood = [key(f"m{n}", f"s{n % 7}", f"t{n}", code=-n) for n in range(3 * MAX_METHODS)]
    flood += [key(server=f"s{n}", tool=f"t{n % 60}", code=n % 90) for n in range(2 * MAX_CELLS)]
    for one in flood:
        meter.done(one, 0.01, 0.01, 0.0)
    assert sum(cell.front.count for cell in meter.cells.values()) == len(flood)
    assert len(meter.cells) <= MAX_CELLS + 2 * MAX_METHODS  # and what shares `_other`
    assert len({Labels(*one).method for one in meter.cells}) <= MAX_METHODS + 1
