"""Who may do what by the admin API.

    LOOK     see how things are
    OPERATE  restart, enable and disable what the configuration has; read it again; clear caches
    CHANGE   decide what the gateway runs and whom it sends secrets to: an admin alone

An admin has shown one of `server.admin_tokens`. Without them, whoever may use the gateway may look
and operate, nobody may change: a client's token, or none at all on loopback, must not be enough to
have a program started. A gateway that is open to other machines without any token shows nothing.
"""

from collections.abc import Mapping
from enum import IntEnum
from http import HTTPStatus

from only1mcp.admin.problem import Problem
from only1mcp.config.model import Auth, Listener
from only1mcp.config.values import ANONYMOUS, SCRAPER, is_loopback


class Need(IntEnum):
    """What a request asks of who sends it."""

    LOOK = 1
    OPERATE = 2
    CHANGE = 3


def check(admin: str, need: Need, settings: Listener) -> None:
    """Let the request pass; `admin` is empty if it is not from one.

    Raises:
        Problem: not by this caller.
    """
    if admin:
        return
    if settings.admin_tokens:
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "the admin API wants the token of an admin",
            "send Authorization: Bearer <one of server.admin_tokens>",
            headers={"WWW-Authenticate": "Bearer"},
        )
    if not isinstance(settings.auth, Auth) and not is_loopback(settings.host):
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "other machines can reach this gateway without a token, so its admin API is closed",
            "set server.admin_tokens, and send one of them",
        )
    if need is Need.CHANGE:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "only an admin may change which programs and addresses the gateway uses",
            "set server.admin_tokens and send one of them, or edit the configuration file",
        )


def may_look(principal: str, admin: str, settings: Listener) -> bool:
    """Whether a page that is open to all may show this caller what LOOK would."""
    if isinstance(settings.auth, Auth) and principal == ANONYMOUS:
        return False
    try:
        check(admin, Need.LOOK, settings)
    except Problem:
        return False
    return True


def check_scrape(principal: str, admin: str, settings: Listener) -> None:
    """Let the request read /metrics; who may use the gateway has been looked at before.

    Raises:
        Problem: it wants a token of its own, and this caller has shown none.
    """
    guarded = settings.metrics_tokens or settings.admin_tokens
    if guarded and not admin and principal != SCRAPER:
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "the metrics want a token of their own, or that of an admin",
            "send Authorization: Bearer <one of server.metrics_tokens or server.admin_tokens>",
            headers={"WWW-Authenticate": "Bearer"},
        )


def check_page(headers: Mapping[str, str]) -> None:
    """Let a request that changes something pass, unless a web page can have sent it by itself.

    The listener lets pages of loopback through, for /mcp. Without JSON they need not ask first,
    and if they ask here, nobody says yes.

    Raises:
        Problem: it has an Origin and no JSON.
    """
    if "origin" in headers and not is_json(headers):
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "a web page may not operate the gateway",
            "from a program, leave Origin out or send Content-Type: application/json",
            place="Origin",
        )


def is_json(headers: Mapping[str, str]) -> bool:
    """Whether the body is said to be JSON."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in ("application/json", "application/merge-patch+json")
