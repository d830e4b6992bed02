"""Tokens that are more, or less, than a client's: those of admins and of scrapers."""

from typing import Any

import pytest

from only1mcp.config.model import Listener
from only1mcp.policy.access import Access, Grant, Refusal

TOKENS = {"tokens": ["alpha-secret", "beta-secret"]}
SCRAPE = "Bearer scrape-secret"


def access(**settings: Any) -> Access:
    return Access(Listener(**settings))


def ask(
    one: Access, token: str | None = None, path: str = "/mcp", host: str = "localhost"
) -> Grant | Refusal:
    return one.check(host.encode(), None, token.encode() if token else None, path)


def test_an_admin_of_an_open_gateway_is_as_anonymous_as_all_for_mcp() -> None:
    one = access(admin_tokens=["root-secret"])
    for _ in range(2):  # judged, then remembered
        assert ask(one, "Bearer root-secret") == Grant("anonymous", b"", "admin-1")
        assert ask(one, "Bearer wrong") == Grant("anonymous")
        assert ask(one) == Grant("anonymous")
    assert one.principals == {"anonymous"}


def test_an_admin_has_a_name_where_everybody_has_one() -> None:
    one = access(auth=TOKENS, admin_tokens=["root-secret", "beta-secret"])
    assert ask(one, "Bearer root-secret") == Grant("admin-1", b"", "admin-1")
    assert ask(one, "Bearer beta-secret") == Grant("admin-2", b"", "admin-2")
    assert ask(one, "Bearer alpha-secret") == Grant("token-1")
    assert isinstance(ask(one, "Bearer wrong"), Refusal)
    assert one.principals == {"token-1", "token-2", "admin-1", "admin-2"}


# scrapers


@pytest.mark.parametrize("auth", [{}, {"auth": TOKENS}, {"admin_tokens": ["root-secret"]}])
def test_a_scraper_is_one_on_the_page_of_metrics_alone(auth: dict[str, Any]) -> None:
    one = access(metrics_tokens=["scrape-secret"], **auth)
    for _ in range(2):
        for path in ("/mcp", "/%6Detrics", "/metrics/", "/api/v1/admin/metrics"):
            other = ask(one, SCRAPE, path)
            assert isinstance(other, Refusal) if "auth" in auth else other == Grant("anonymous")
        assert ask(one, SCRAPE, "/metrics") == Grant("scraper")
    assert isinstance(ask(one, SCRAPE, "/metrics", host="evil.example"), Refusal)
    assert "scraper" not in one.principals


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({}, "one of server.auth.tokens"),
        ({"metrics_tokens": ["m"]}, "one of server.metrics_tokens or server.admin_tokens"),
        ({"admin_tokens": ["a"]}, "one of server.metrics_tokens or server.admin_tokens"),
    ],
)
def test_whoever_asks_for_the_metrics_is_told_what_opens_them(
    more: dict[str, Any], wanted: str
) -> None:
    one = access(auth={"tokens": ["t"]}, **more)
    for token in (None, "Bearer wrong"):
        found = ask(one, token, "/metrics")
        assert isinstance(found, Refusal)
        assert wanted in found.message
        mcp = ask(one, token, "/mcp")
        assert isinstance(mcp, Refusal)
        assert "one of server.auth.tokens" in mcp.message
        api = ask(one, token, "/api/v1/admin/servers")
        assert isinstance(api, Refusal)
        assert (
            f"one of server.{'admin_tokens' if 'admin_tokens' in more else 'auth'}" in api.message
        )
