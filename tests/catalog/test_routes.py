"""routes.py: the best guess for a URI that is in no list."""

import pytest

from fakes.listings import listing
from only1mcp.catalog.listing import NOTHING, Listing
from only1mcp.catalog.owners import Owners
from only1mcp.catalog.routes import Routes
from only1mcp.catalog.stock import Stock
from only1mcp.config.servers import Tools


def routes(owners: Owners | None = None, **offers: Listing) -> Routes:
    stocks = [Stock(server, Tools(), offer) for server, offer in offers.items()]
    return Routes(stocks, owners or Owners())


def templates(*texts: str) -> Listing:
    return listing(templates=list(texts))


def resources(*uris: str) -> Listing:
    return listing(resources=list(uris))


def test_the_first_server_with_a_matching_template_is_asked() -> None:
    found = routes(
        one=templates("x://a/{n}"), two=templates("x://{m}/{n}"), three=templates("y:{n}")
    )
    assert found.find("x://a/1") == "one"
    assert found.find("x://b/1") == "two"
    assert found.find("y:1") == "three"


def test_the_order_of_servers_goes_before_a_literal_scheme() -> None:
    found = routes(one=templates("{+any}"), two=templates("x:{n}"))
    assert found.find("x:1") == "one"
    found = routes(two=templates("x:{n}"), one=templates("{+any}"))
    assert found.find("x:1") == "two"
    assert found.find("y:1") == "one"


def test_a_template_goes_before_a_learned_link() -> None:
    owners = Owners()
    owners.learn("x:1", "two")
    assert routes(owners, one=templates("x:{n}"), two=NOTHING).find("x:1") == "one"
    assert routes(owners, one=templates("y:{n}"), two=NOTHING).find("x:1") == "two"


def test_a_link_of_a_server_that_is_gone_does_not_count() -> None:
    owners = Owners()
    owners.learn("x:1", "gone")
    assert routes(owners, one=NOTHING).find("x:1") is None


@pytest.mark.parametrize(
    ("uri", "server"),
    [
        ("git://h/unlisted", "one"),
        ("git://i/unlisted", "two"),
        ("git://j/unlisted", None),
        ("memo:7", "three"),
        ("file:///other", "three"),
        ("plain", None),
        ("", None),
    ],
)
def test_scheme_and_authority_are_hints(uri: str, server: str | None) -> None:
    found = routes(
        one=resources("git://h/1"),
        two=resources("git://i/1"),
        three=resources("memo:1", "file:///x"),
    )
    assert found.find(uri) == server


@pytest.mark.parametrize(
    ("template", "uri", "server"),
    [
        ("git://h/{a}", "git://h/1/2/3", "one"),
        ("git://{h}/x", "git://h/1/2/3", "one"),
        ("git://h{?q}", "git://h/1", "one"),
        ("git:{x}", "git:/1", "one"),
        ("{+x}/y", "git:1", None),
    ],
)
def test_templates_hint_at_their_scheme(template: str, uri: str, server: str | None) -> None:
    other = resources("other:1")
    assert routes(one=templates(template), two=other).find(uri) == server


def test_the_only_server_with_resources_is_asked_last() -> None:
    able = listing(capabilities={"resources": {}})
    assert routes(one=able, two=listing(tools=["t"])).find("x:1") == "one"
    assert routes(one=able, two=able).find("x:1") is None
    assert routes(one=able, two=NOTHING).find("x:1") == "one"
