"""names.py: safe for every client, stable, and found again."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.protocol.names import safe_name, server_of

LEGAL = re.compile(r"[A-Za-z0-9_-]+")


@pytest.mark.parametrize("name", ["files__read", "a", "A-b_9", "x" * 64])
def test_a_legal_name_is_left_alone(name: str) -> None:
    assert safe_name(name, "files", "read", 64) == name


@pytest.mark.parametrize(
    "own", ["read file", "read.file", "läs", "日本", "a/b:c", "\ud800", "x" * 300]
)
def test_an_altered_name_is_legal_and_tagged(own: str) -> None:
    shown = safe_name("files__" + own, "files", own, 64)
    assert LEGAL.fullmatch(shown)
    assert len(shown) <= 64
    assert re.search(r"_[0-9a-f]{8}$", shown)
    assert shown.startswith("files__")


def test_the_tag_is_the_same_for_ever() -> None:
    assert safe_name("files__read file", "files", "read file", 64) == "files__read_file_abc25dfd"


def test_the_tag_tells_apart_what_looks_alike() -> None:
    owns = ["a b", "a.b", "a/b", "a:b", "a\tb"]
    assert len({safe_name(own, "s", own, 64) for own in owns}) == len(owns)
    assert safe_name("a b", "s", "a b", 64) != safe_name("a b", "t", "a b", 64)


@given(st.text(min_size=1, max_size=200), st.integers(24, 128))
def test_any_name_comes_out_fit(own: str, max_length: int) -> None:
    shown = safe_name("server__" + own, "server", own, max_length)
    assert LEGAL.fullmatch(shown)
    assert len(shown) <= max_length


@pytest.mark.parametrize(
    ("shown", "server"),
    [
        ("git__log", "git"),
        ("git-hub__log", "git-hub"),
        ("git__log__x", "git"),
        ("git___log", "git"),
        ("other__log", None),
        ("gitlog", None),
        ("__log", None),
        ("git", None),
    ],
)
def test_the_server_an_unknown_name_points_at(shown: str, server: str | None) -> None:
    assert server_of(shown, "__", {"git", "git-hub"}) == server


def test_the_longest_id_is_meant() -> None:
    assert server_of("git-hub-log", "-", {"git", "git-hub"}) == "git-hub"
