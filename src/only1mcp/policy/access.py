"""Who may talk to us, and in whose name: Host, Origin and bearer token, on every route.

    check      Host ours? ── Origin trusted? ── token known? ──► Grant, or the first Refusal
    preflight  the same without the token, which browsers do not send with OPTIONS

Why     a web page can reach a loopback port: by rebinding its own name to 127.0.0.1 (caught
        by Host) or by a plain cross-origin request (caught by Origin).
Cost    one dict look-up for headers that were granted before. That shows a guesser nothing:
        the dict compares bytes only after their whole 64-bit keyed hash has matched, and only
        good tokens are in it, or what was sent where none is needed; all others are compared
        with every token in constant time.
Source  MCP 2026-07-28 transports "Security & Endpoint"; RFC 9112 3.2; RFC 6750 3;
        https://fetch.spec.whatwg.org/#http-cors-protocol
"""

import hmac
import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from pydantic import SecretStr

from only1mcp.config.model import Auth, Listener
from only1mcp.config.values import ANONYMOUS as ANONYMOUS
from only1mcp.config.values import SCRAPER

METRICS_PATH: Final = "/metrics"
_ADMIN_PATHS: Final = "/api/v1/admin/"
OPEN_PATHS: Final = frozenset({"/livez", "/readyz", "/health"})
"""Say nothing but that we are alive; probes have no token."""

_MAX_GRANTS: Final = 1024  # remembered verdicts; dropped all at once, they are cheap to redo
_MAX_NAME: Final = 300  # a DNS name has 253 characters at most, an origin adds scheme and port
_AUTHORITY: Final = r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::(?P<port>\d{1,5}))?"
_HOST: Final = re.compile(_AUTHORITY, re.ASCII)
_ORIGIN: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://" + _AUTHORITY, re.ASCII)
_DEFAULT_PORT: Final = {"http": "80", "https": "443"}
_BEARER: Final = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([!-~]+)")
_PARAMETER: Final = re.compile(r"mcp-param-[a-z0-9_-]{1,64}", re.ASCII)
_EXPOSED: Final = b"Mcp-Session-Id, MCP-Protocol-Version, Retry-After, WWW-Authenticate"
_ALLOWED: Final = (
    "Authorization, Content-Type, Accept, Last-Event-ID, "
    "Mcp-Session-Id, MCP-Protocol-Version, Mcp-Method, Mcp-Name"
)


@dataclass(frozen=True, slots=True)
class Grant:
    """The request may go on. `cors` is header lines for an answer on an MCP path."""

    principal: str
    cors: bytes = b""
    admin: str = ""
    """The name of an admin who has shown his token; he is `principal` too unless everybody is
    anonymous."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The request ends here: HTTP status, words for a human, prepared header lines."""

    status: int
    message: str
    headers: bytes = b""


class _Host(NamedTuple):
    name: str  # lower case, IP addresses in their one short spelling
    port: str  # "" if none was given


def _authority(match: re.Match[str]) -> _Host | None:
    name = match["v6"] or match["name"].removesuffix(".")
    port = match["port"] or ""
    try:
        name = str(ipaddress.ip_address(name))
    except ValueError:
        if match["v6"] or not name:
            return None
    return _Host(name, port) if int(port or 0) <= 65535 else None


def _host(text: str) -> _Host | None:
    """The parts of a Host header or an `allowed_hosts` entry; None if it is no host."""
    match = _HOST.fullmatch(text.lower()) if len(text) <= _MAX_NAME else None
    return _authority(match) if match else None


def _origin(text: str) -> tuple[str, _Host] | None:
    """Scheme and host of an origin, default port left out; None if it is no web origin."""
    match = _ORIGIN.fullmatch(text.lower()) if len(text) <= _MAX_NAME else None
    host = _authority(match) if match else None
    if match is None or host is None:
        return None
    scheme = match["scheme"]
    return scheme, host._replace(port="") if host.port == _DEFAULT_PORT.get(scheme) else host


def _ip(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def is_loopback(name: str) -> bool:
    """Whether `name` (no brackets, no port) can only mean this machine."""
    address = _ip(name)
    return name == "localhost" if address is None else address.is_loopback


def one_principal(settings: Listener) -> bool:
    """Whether all clients there can be are one and the same: the local user, or one token."""
    auth, admins = settings.auth, settings.admin_tokens
    return auth is None or (auth != "none" and len(auth.tokens) + len(admins) == 1)


class Access:
    """The verdicts of one listener. `check` is for every request, `preflight` for CORS."""

    def __init__(self, settings: Listener) -> None:
        """Raises:
        ValueError: open to other machines without saying so, or a setting is no host or
            origin; the text names it.
        """
        self.epoch = 0
        """Another number whenever a verdict may be another one."""
        self._names: dict[bytes, str] = {}  # of every token there has been, by digest
        self._admin_names: dict[bytes, str] = {}
        self._granted: dict[tuple[bytes | None, ...], Grant] = {}
        self.prepare(settings)()

    def prepare(self, settings: Listener) -> Callable[[], None]:
        """Look whether other settings can be used; what it returns puts them in force, for
        connections that are open already too.

        Raises:
            ValueError: as at the beginning.
        """
        bound = settings.host.strip("[]").lower()
        local = is_loopback(bound)
        if not local and settings.auth is None:
            raise ValueError(
                f"server.host {settings.host} can be reached from other machines: set "
                "server.auth.tokens, or write `auth: none` to let everybody in"
            )
        tokens = _digests(settings.auth.tokens) if isinstance(settings.auth, Auth) else ()
        admins = _digests(settings.admin_tokens)
        scrapers = _digests(settings.metrics_tokens)
        origins = {_wanted_origin(text) for text in settings.allowed_origins}
        hosts = {_wanted_host(text) for text in settings.allowed_hosts}
        guarded = bool(hosts)
        hosts |= {_Host(host.name, "") for _, host in origins}
        hosts.add(_Host(bound, ""))

        def renew() -> None:
            self._tokens, self._origins, self._hosts = tokens, origins, hosts
            self._admins, self._scrapers = admins, scrapers
            self._any_host = not local and bool(tokens) and not guarded
            self._any_address = not local and not tokens
            for digest in tokens:  # a name is never given to another token: see `principals`
                self._names.setdefault(digest, f"token-{len(self._names) + 1}")
            for digest in admins:
                self._admin_names.setdefault(digest, f"admin-{len(self._admin_names) + 1}")
            self._granted.clear()
            self.epoch += 1

        return renew

    @property
    def principals(self) -> frozenset[str]:
        """The names callers can have now. Whoever has one owns what was opened under it, so a
        token keeps its name while others come and go, and takes it along when it goes."""
        if not self._tokens:
            return frozenset({ANONYMOUS})
        admins = (self._admin_names[one] for one in self._admins)
        return frozenset((*(self._names[one] for one in self._tokens), *admins))

    def check(
        self, host: bytes | None, origin: bytes | None, authorization: bytes | None, path: str
    ) -> Grant | Refusal:
        """May this request go on, and as whom? None is a header that was not sent.

        `path` is the raw path, as sent; what is not in OPEN_PATHS letter by letter is guarded.
        """
        asks = self._tokens or self._admins
        key = (host, origin, authorization) if asks else (host, origin)
        scrapes = self._scrapers and path == METRICS_PATH and self._is_scraper(authorization)
        grant = None if scrapes else self._granted.get(key)
        if grant is not None:
            return grant
        if (refusal := self._check_host(host) or self._check_origin(origin)) is not None:
            return refusal
        cors = _cors(origin)
        if scrapes:
            return Grant(SCRAPER, cors)
        admin = _found(authorization, self._admins, self._admin_names) or ""
        principal = self._principal(authorization, admin)
        if principal is None:
            if path in OPEN_PATHS:
                return Grant(ANONYMOUS, cors)
            return _unauthorized(authorization, cors, self._wanted(path))
        grant = Grant(principal, cors, admin)
        if len(self._granted) >= _MAX_GRANTS:
            self._granted.clear()
        self._granted[key] = grant
        return grant

    def preflight(
        self, host: bytes | None, origin: bytes, requested: bytes | None
    ) -> Grant | Refusal:
        """May a page of `origin` send the headers `requested`? For OPTIONS on MCP paths."""
        if (refusal := self._check_host(host) or self._check_origin(origin)) is not None:
            return refusal
        names = (requested or b"").decode("latin-1").lower().split(",")
        extra = [name for name in map(str.strip, names) if _PARAMETER.fullmatch(name)]
        allowed = ", ".join([_ALLOWED, *extra]).encode("ascii")
        lines = (
            _cors(origin) + b"Access-Control-Allow-Methods: GET, POST, DELETE\r\n"
            b"Access-Control-Allow-Headers: " + allowed + b"\r\nAccess-Control-Max-Age: 600\r\n"
        )
        return Grant(ANONYMOUS, lines)

    def _check_host(self, header: bytes | None) -> Refusal | None:
        if header is None:  # HTTP/1.0, so no browser
            return None
        host = _host(header.decode("latin-1"))
        if host is None:
            return Refusal(400, "the Host header is not a host name with an optional port")
        if self._is_ours(host):
            return None
        return Refusal(
            421,
            f"this gateway does not answer for the host '{host.name}'; "
            "if it should, add it to server.allowed_hosts",
        )

    def _is_ours(self, host: _Host) -> bool:
        if self._any_host or is_loopback(host.name):
            return True
        if host in self._hosts or _Host(host.name, "") in self._hosts:
            return True
        return self._any_address and _ip(host.name) is not None

    def _check_origin(self, header: bytes | None) -> Refusal | None:
        if header is None:
            return None
        origin = _origin(header.decode("latin-1"))
        if origin is None:
            return Refusal(403, "the Origin header is not one web origin")
        scheme, host = origin
        if origin in self._origins or (scheme in _DEFAULT_PORT and is_loopback(host.name)):
            return None
        return Refusal(
            403,
            f"pages of {header.decode('ascii')} may not use this gateway; "
            "if they should, add the origin to server.allowed_origins",
        )

    def _wanted(self, path: str) -> str:
        """The settings whose tokens open `path`."""
        if path == METRICS_PATH and (self._scrapers or self._admins):
            return "server.metrics_tokens or server.admin_tokens"
        if self._admins and path.startswith(_ADMIN_PATHS):
            return "server.admin_tokens"
        return "server.auth.tokens"

    def _is_scraper(self, authorization: bytes | None) -> bool:
        names = dict.fromkeys(self._scrapers, SCRAPER)
        return _found(authorization, self._scrapers, names) is not None

    def _principal(self, authorization: bytes | None, admin: str) -> str | None:
        """The caller's name; None if a token is needed and this is none of ours."""
        if not self._tokens:
            return ANONYMOUS
        return admin or _found(authorization, self._tokens, self._names)


def _found(
    authorization: bytes | None, tokens: tuple[bytes, ...], names: dict[bytes, str]
) -> str | None:
    """The name of the one of `tokens` that was sent."""
    match = _BEARER.fullmatch(authorization or b"")
    given = sha256(match[1] if match else b"").digest()
    found = None
    for digest in tokens:  # no early exit: constant time
        if hmac.compare_digest(given, digest):
            found = names[digest]
    return found


def _digests(tokens: Iterable[SecretStr]) -> tuple[bytes, ...]:
    return tuple(sha256(token.get_secret_value().encode()).digest() for token in tokens)


def _wanted_origin(text: str) -> tuple[str, _Host]:
    if (origin := _origin(text)) is None:
        raise ValueError(
            f"server.allowed_origins: '{text}' is not an origin such as https://app.example"
        )
    return origin


def _wanted_host(text: str) -> _Host:
    if (host := _host(text)) is None:
        raise ValueError(f"server.allowed_hosts: '{text}' is not a host such as gateway.example")
    return host


def _cors(origin: bytes | None) -> bytes:
    """Lines that let a trusted page read the answer; `origin` has passed the check."""
    if origin is None:
        return b""
    return (
        b"Access-Control-Allow-Origin: " + origin + b"\r\nVary: Origin\r\n"
        b"Access-Control-Expose-Headers: " + _EXPOSED + b"\r\n"
    )


def _unauthorized(authorization: bytes | None, cors: bytes, wanted: str) -> Refusal:
    if authorization is None:
        challenge = b"WWW-Authenticate: Bearer\r\n"
        message = f"a token is needed: send Authorization: Bearer <one of {wanted}>"
    else:
        challenge = b'WWW-Authenticate: Bearer error="invalid_token"\r\n'
        message = f"the token in the Authorization header is not one of {wanted}"
    return Refusal(401, message, challenge + cors)
