"""suggest.py: the name that was meant."""

import pytest

from only1mcp.catalog.suggest import MAX_LENGTH, Suggester

NAMES = ["github__create_issue", "github__search", "files__read", "files__write", "zeit__now"]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("search", "github__search"),
        ("GitHub.search", "github__search"),
        ("github/create-issue", "github__create_issue"),
        ("mcp__github__search", "github__search"),
        ("github__serch", "github__search"),
        ("files__reed", "files__read"),
        ("zeit__now", "zeit__now"),
        ("files__nix", None),
        ("file__read", "files__read"),
        ("nothing like it", None),
        ("", None),
        ("x" * (MAX_LENGTH + 1), None),
    ],
)
def test_what_was_meant(said: str, meant: str | None) -> None:
    assert Suggester(NAMES, "__").suggest(said) == meant


def test_a_full_name_goes_before_one_without_prefix() -> None:
    assert Suggester(["x__ab", "ab"], "__").suggest("AB") == "ab"


def test_nothing_to_choose_from() -> None:
    assert Suggester([], "__").suggest("a") is None
