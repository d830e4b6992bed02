"""The HTML page: well-formed, complete, and nothing in it from elsewhere."""

from html.parser import HTMLParser

from only1mcp.bench.page import bars, curve_plot, html
from only1mcp.bench.results import Curve, Results, Row, Suite


def test_it_needs_nothing_else_and_escapes_what_it_shows() -> None:
    suite = Suite("s", "a < b & c", "make bench", rows=[Row("<script>", "ms", [1.0, 2.0], bar=1.5)])
    suite.curves.append(Curve("direct", [(50.0, 0.1), (99.0, 2.0)]))
    text = html(Results("2026-11-26", {}, [suite]))
    assert "a &lt; b &amp; c" in text
    assert "<script" not in text
    assert "src=" not in text
    assert "href=" not in text
    assert unclosed(text) == []


def unclosed(text: str) -> list[str]:
    """Elements without their end."""
    still_open: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag != "meta":
                still_open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert still_open.pop() == tag

    Reader().feed(text)
    return still_open


def test_bars_are_in_proportion_and_show_the_spread() -> None:
    text = bars([Row("a", "ms", [5.0]), Row("b", "ms", [8.0, 10.0, 9.0])], "ms")
    assert 'width="215.0"' in text  # half of the widest, which is 10
    assert 'width="387.0"' in text
    assert 'x2="810.0"' in text


def test_nothing_and_below_nothing_can_be_drawn() -> None:
    assert "svg" in bars([Row("a", "ms", [0.0]), Row("b", "ms", [-3.0])], "ms")
    assert curve_plot([]) == ""
    assert curve_plot([Curve("flat", [(50.0, 1.0)])]).count("polyline") == 1
