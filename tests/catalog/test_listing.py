"""listing.py: four kinds, four lists."""

from fakes.listings import listing
from only1mcp.catalog.listing import NOTHING, Kind


def test_each_kind_has_its_list_and_its_key() -> None:
    all_four = listing(tools=["t"], prompts=["p"], resources=["r:1"], templates=["t:{x}"])
    named = {kind: bytes(all_four.entries(kind)[0][kind.key]) for kind in Kind}
    assert named == {
        Kind.TOOLS: b'"t"',
        Kind.PROMPTS: b'"p"',
        Kind.RESOURCES: b'"r:1"',
        Kind.TEMPLATES: b'"t:{x}"',
    }


def test_listings_of_equal_content_are_equal() -> None:
    assert listing(tools=["t"]) == listing(tools=["t"])
    assert listing(tools=["t"]) != listing(tools=["u"])


def test_nothing_lists_nothing() -> None:
    assert [NOTHING.entries(kind) for kind in Kind] == [(), (), (), ()]
