"""What the gateway answers itself: the handshake and the discovery."""

import json
from typing import Any

import pytest
from msgspec import Raw

from fakes.listings import listing, server
from only1mcp.catalog.catalog import Catalog
from only1mcp.catalog.view import View
from only1mcp.config.model import Naming
from only1mcp.protocol.eras import IMPLEMENTATION, SERVER_INFO_KEY
from only1mcp.protocol.errors import InvalidParams
from only1mcp.protocol.methods import LEGACY, MODERN, NEWEST_LEGACY
from only1mcp.relay import behind, local

CHANGES = {"listChanged": True}


def view(mount: str | None = None, **listings: Any) -> View:
    """The view of `mount` of these servers."""
    servers = [server(id) for id in listings]
    found = Catalog.build(servers, listings, Naming()).view(mount)
    assert found is not None
    return found


@pytest.mark.parametrize("revision", LEGACY)
def test_a_revision_we_serve_is_taken(revision: str) -> None:
    assert local.negotiate({"protocolVersion": Raw(f'"{revision}"'.encode())}) == revision


@pytest.mark.parametrize("revision", ["1999-01-01", "", *MODERN])
def test_for_any_other_ours_is_offered(revision: str) -> None:
    found = local.negotiate({"protocolVersion": Raw(f'"{revision}"'.encode())})
    assert found == NEWEST_LEGACY


@pytest.mark.parametrize("params", [{}, {"protocolVersion": Raw(b"1")}])
def test_a_handshake_that_names_none_is_invalid(params: Any) -> None:
    with pytest.raises(InvalidParams, match="protocolVersion"):
        local.negotiate(params)


def test_all_servers_together_offer_everything_for_others_may_come() -> None:
    one = listing(tools=["t"], capabilities={"tools": {}})
    found = json.loads(local.initialize(view(one=one), "2025-06-18"))
    assert found == {
        "protocolVersion": "2025-06-18",
        "serverInfo": IMPLEMENTATION,
        "_meta": behind.told(view()),
        "capabilities": {
            "tools": CHANGES,
            "prompts": CHANGES,
            "resources": CHANGES | {"subscribe": True},
            "completions": {},
            "logging": {},
        },
    }


def test_one_server_offers_what_it_declares_or_lists() -> None:
    one = listing(prompts=["p"], capabilities={"tools": {}, "experimental": {}})
    found = json.loads(local.initialize(view("one", one=one), "2025-11-25"))
    assert found["capabilities"] == {"tools": CHANGES, "prompts": CHANGES}


def test_one_server_that_has_said_nothing_yet_may_offer_anything() -> None:
    found = json.loads(local.initialize(view("one", one=listing()), "2025-11-25"))
    assert set(found["capabilities"]) == {"tools", "prompts", "resources", "completions", "logging"}


@pytest.mark.parametrize(
    ("declared", "expected"), [({"subscribe": True}, {"subscribe": True}), ({"subscribe": 1}, {})]
)
@pytest.mark.parametrize("modern", [False, True])
def test_one_server_announces_resources_if_it_says_so(
    modern: bool, declared: Any, expected: Any
) -> None:
    one = listing(capabilities={"resources": declared})
    found = local.capabilities(view("one", one=one), modern=modern)
    assert found == {"resources": CHANGES | expected}


def test_discovery_is_never_cached_and_promises_announcements() -> None:
    found = json.loads(local.discover(view()))
    assert found == {
        "resultType": "complete",
        "supportedVersions": list(MODERN),
        "capabilities": {
            "tools": CHANGES,
            "prompts": CHANGES,
            "resources": CHANGES | {"subscribe": True},
            "completions": {},
        },
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": {SERVER_INFO_KEY: IMPLEMENTATION} | behind.told(view()),
    }


@pytest.mark.parametrize("modern", [False, True])
def test_instructions_of_all_servers_stand_under_their_names(modern: bool) -> None:
    listings = {"one": listing(), "two": listing(), "three": listing()}
    for id, text in (("one", "Use me."), ("three", "Me too.")):
        object.__setattr__(listings[id], "instructions", text)

    def said(mount: str | None) -> Any:
        seen = view(mount, **listings)
        answer = local.discover(seen) if modern else local.initialize(seen, NEWEST_LEGACY)
        return json.loads(answer).get("instructions")

    assert said(None) == "## one\nUse me.\n\n## three\nMe too."
    assert said("one") == "Use me."
    assert said("two") is None


TASKS = "io.modelcontextprotocol/tasks"
BEYOND: Any = {
    "tools": {},
    "extensions": {TASKS: {}},
    "experimental": {"x": {}},
    "tasks": {"list": {}},
}


@pytest.mark.parametrize(
    ("revision", "mount", "found"),
    [
        ("2025-06-18", None, {"experimental": {"x": {}}}),
        ("2025-06-18", "one", {"experimental": {"x": {}}}),
        ("2025-11-25", None, {"tasks": {"list": {}}, "experimental": {"x": {}}}),
        ("2025-11-25", "one", {"tasks": {"list": {}}, "experimental": {"x": {}}}),
    ],
)
def test_what_is_beyond_the_core_is_offered_where_it_can_be_routed(
    revision: str, mount: str | None, found: Any
) -> None:
    one = view(mount, one=listing(capabilities=BEYOND))
    offered = json.loads(local.initialize(one, revision))["capabilities"]
    core = {"tools", "prompts", "resources", "completions", "logging"}
    assert {name: what for name, what in offered.items() if name not in core} == found


@pytest.mark.parametrize("mount", [None, "one"])
def test_extensions_are_for_modern_clients(mount: str | None) -> None:
    found = json.loads(local.discover(view(mount, one=listing(capabilities=BEYOND))))
    assert found["capabilities"]["extensions"] == {TASKS: {}}
    assert not {"tasks", "experimental"} & set(found["capabilities"])
