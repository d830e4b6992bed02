"""A result file is read as it was written, or refused with its name."""

from pathlib import Path

import pytest

from only1mcp.bench.results import (
    Curve,
    Results,
    Row,
    Suite,
    Unreadable,
    load,
    merged,
    rounded,
    save,
)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    row = Row("added p50", "ms", [0.2, 0.3, 0.1], "less", True, 0.3)
    suite = Suite("overhead", "Overhead", "make bench", 1.5, [row], ["a note"], ["a gap"])
    suite.curves.append(Curve("direct", [(50.0, 0.1)]))
    found = Results("2026-11-26", {"cores": 2}, [suite])
    save(found, tmp_path / "new" / "r.json")
    assert load(tmp_path / "new" / "r.json") == found


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"when":"x","environment":{},"suites":[{}]}'])
def test_something_else_is_refused_by_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "r.json"
    file.write_text(text)
    with pytest.raises(Unreadable, match=r"r\.json is no result file"):
        load(file)


def test_another_format_is_refused(tmp_path: Path) -> None:
    save(Results("x", {}, [], format=2), tmp_path / "r.json")
    with pytest.raises(Unreadable, match="measure anew"):
        load(tmp_path / "r.json")


@pytest.mark.parametrize(
    ("better", "bar", "holds"),
    [("less", 2.0, True), ("less", 1.9, False), ("more", 2.0, True), ("more", 2.1, False)],
)
def test_the_median_is_held_against_the_bar(better: str, bar: float, holds: bool) -> None:
    assert Row("x", "ms", [1, 2, 9], better, bar=bar).holds is holds  # type: ignore[arg-type]
    assert Row("x", "ms", [1.0]).holds is None


def test_five_digits_are_kept() -> None:
    assert rounded([123456.7, 0.000123456]) == [123460.0, 0.00012346]


def of(when: str, *names: str) -> Results:
    """Results of these suites."""
    about = {"python": "3.11", "processor": when}
    return Results(when, about, [Suite(name, when, "make bench") for name in names])


def test_what_is_measured_anew_takes_its_place_and_says_when() -> None:
    found = merged(of("May", "a", "b"), of("June", "b", "c"))
    assert (found.when, [(suite.name, suite.title, suite.measured) for suite in found.suites]) == (
        "May",
        [
            ("a", "May", ""),
            ("b", "June", "June with 3.11 on June"),
            ("c", "June", "June with 3.11 on June"),
        ],
    )


def test_what_is_measured_whole_is_of_one_time() -> None:
    now = of("June", "b", "a")
    assert merged(of("May", "a", "b"), now) is now
