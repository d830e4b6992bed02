"""One document in three forms."""

import json
from html.parser import HTMLParser

from fakes.project import NOON
from only1mcp.report.document import Document
from only1mcp.report.evidence import Source
from only1mcp.report.forms import as_html, as_json, as_markdown


def tea() -> Document:
    """A document with every kind of block, and text that is markup elsewhere."""
    document = Document("Tea & <b>milk</b>", NOON, facts={"cups": 3})
    section = document.section("Cups")
    section.text(f"There are {document.cite(3, Source('count cups', NOON))} of `cup|mug`.")
    section.items(["<script>alert(1)</script>"])
    section.table("kind | of", [["a|b", "c\nd"]])
    section.bars("cups", {"Ann": 1000.0, "Bob": 500.0})
    section.timeline("pauses", "noon", "two", {"Ann": [0.0, 1.0]})
    document.section("More", 3).text("odd ` tick")
    return document


def test_markdown() -> None:
    assert as_markdown(tea()).splitlines() == [
        "# Tea & <b>milk</b>",
        "",
        "## Cups",
        "",
        "There are 3 [1] of `cup|mug`.",
        "",
        "- <script>alert(1)</script>",
        "",
        "| kind | of |",
        "| --- | --- |",
        "| a\\|b | c d |",
        "",
        "|  | cups |",
        "| --- | --- |",
        "| Ann | 1 000 |",
        "| Bob | 500 |",
        "",
        "|  | pauses, noon to two |",
        "| --- | --- |",
        "| Ann | 2 |",
        "",
        "### More",
        "",
        "odd ` tick",
        "",
        "## Where the numbers are from",
        "",
        "1. `count cups`, 2026-01-15 12:00 UTC",
    ]


class Tags(HTMLParser):
    """Checks that every tag that opens also closes, and keeps the names."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag != "meta":
            self.open.append(tag)
        links = [to for name, to in attrs if name in ("src", "href")]
        assert all(to is not None and to.startswith("#s") for to in links), "nothing is fetched"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html() -> None:
    page = as_html(tea())
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert "script" not in tags.seen
    assert tags.seen.count("rect") == 4
    assert "<code>cup|mug</code>" in page
    assert "odd ` tick" in page
    assert 'There are 3 <sup><a href="#s1">1</a></sup> of' in page
    assert '<li id="s1"><code>count cups</code>' in page


def test_a_table_of_facts_has_no_head_and_numbers_stand_right() -> None:
    document = Document("Tea", NOON)
    document.section("Cups").table("|", [["Cups", "1 200 [1]"], ["Of", "tin 3"]])
    page = as_html(document)
    assert "<thead>" not in page
    assert '<th>Cups</th><td class="number">1 200 <sup>' in page
    assert "<th>Of</th><td>tin 3</td>" in page


def test_json() -> None:
    document = json.loads(as_json(tea()))
    assert document["facts"] == {"cups": 3}
    assert document["sources"] == [{"how": "count cups", "at": "2026-01-15T12:00:00Z"}]
    assert [block["type"] for block in document["sections"][0]["blocks"]] == [
        "text",
        "items",
        "table",
        "bars",
        "timeline",
    ]


def test_a_long_label_does_not_run_into_its_plot() -> None:
    document = Document("Tea", NOON)
    document.section("Cups").bars("cups", {"a" * 40: 1.0})
    assert f">{'a' * 31}…<" in as_html(document)
