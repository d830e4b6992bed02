"""Where an HTTP server listens, and how to get there: URL to socket, TLS, addresses in turn.

Errors  ServerUnavailable: nothing was sent; says which step failed and what to try.
Source  RFC 8305 "Happy Eyeballs": one address after the other, HEAD_START_S apart, so that a
        host whose first address is dead costs a moment and not the whole deadline.
"""

import asyncio
import base64
import functools
import socket
import ssl
from collections.abc import Callable, Mapping
from itertools import chain, zip_longest
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote, urlsplit

from only1mcp import __version__
from only1mcp.observe.tasks import Tasks
from only1mcp.protocol.errors import (
    AnswerTooLarge,
    ServerLost,
    ServerProtocolError,
    ServerUnavailable,
)
from only1mcp.upstream import traffic
from only1mcp.upstream.again import Again
from only1mcp.upstream.base import MAX_MESSAGE_BYTES
from only1mcp.upstream.deadline import MAY_HAVE_RUN

HEAD_START_S: Final = 0.25  # RFC 8305 section 8 "Connection Attempt Delay"
KEEP_ALIVE_IDLE_S: Final = 60  # a peer that vanished is noticed within about two minutes
KEEP_ALIVE_EVERY_S: Final = 15
KEEP_ALIVE_COUNT: Final = 4
_PORTS: Final = {"http": 80, "https": 443}

ProtocolT = TypeVar("ProtocolT", bound=asyncio.BaseProtocol)


@functools.cache
def system_tls() -> ssl.SSLContext:
    """The system's CAs, or those of SSL_CERT_FILE. Cost: ~20 ms, so it is shared."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Endpoint:
    """One URL, taken apart once, with the headers every request to it carries.

    `shown` is the URL for people: without user, password and query, which may be secrets.
    """

    __slots__ = (
        "_common",
        "_fault",
        "_headers",
        "_target",
        "again",
        "closing",
        "host",
        "port",
        "server",
        "shown",
        "tls",
        "traffic",
    )

    def __init__(
        self,
        server: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(url)
        self.server = server
        self.traffic = traffic.of(server)
        self.again = Again()
        self.closing = False
        """It is we who close the connections."""
        self.host = _ascii(parts.hostname or "")
        self.port = parts.port or _PORTS[parts.scheme]
        self.tls = (tls or system_tls()) if parts.scheme == "https" else None
        bracketed = f"[{self.host}]" if ":" in self.host else self.host
        netloc = bracketed if self.port == _PORTS[parts.scheme] else f"{bracketed}:{self.port}"
        self.shown = f"{parts.scheme}://{netloc}{parts.path}"
        query = f"?{parts.query}" if parts.query else ""
        self._target = quote((parts.path or "/") + query, safe="/%:=&?~+!$,;'@()*[]").encode()
        lines = {"user-agent": f"only1mcp/{__version__}"}
        if parts.username is not None:
            lines["authorization"] = _basic(parts.username, parts.password)
        lines.update({name.lower(): value.strip() for name, value in (headers or {}).items()})
        lines.update({"host": netloc, "accept-encoding": "identity"})
        self._common = b"".join(
            b"%b: %b\r\n" % (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in lines.items()
        )

    def head(self, method: bytes, lines: bytes = b"") -> bytes:
        """A request up to its last header; `lines` are further headers, each with its CRLF."""
        return b"%b %b HTTP/1.1\r\n%b%b" % (method, self._target, self._common, lines)

    async def connect(self, factory: Callable[[], ProtocolT], timeout_s: float) -> ProtocolT:
        """One new connection.

        Raises:
            ServerUnavailable: no address, refused, no TLS, or not within `timeout_s`.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._connect(factory)
        except TimeoutError as error:
            cause = error.strerror or f"no connection within {timeout_s:g} s"
            raise self.unavailable(cause, self._try_it()) from None
        except (OSError, UnicodeError) as error:
            raise self.unavailable(*self._explain(error)) from None

    async def _connect(self, factory: Callable[[], ProtocolT]) -> ProtocolT:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        connected = await _first([(entry[0], entry[4]) for entry in found])
        name = self.host if self.tls else None
        try:
            _, protocol = await loop.create_connection(
                factory, sock=connected, ssl=self.tls, server_hostname=name
            )
        except BaseException:
            connected.close()
            raise
        return protocol

    # --- what can go wrong here, in one tone ---

    def unavailable(self, cause: str, hint: str) -> ServerUnavailable:
        """A step failed before anything was sent."""
        return ServerUnavailable(self.server, self.say(cause), hint=hint)

    def dropped(self, fault: Exception | None, begun: bool) -> ServerLost:
        """The connection ended before the whole answer was there."""
        if self.closing:
            said = self.say("the gateway has closed the connection")
            return ServerLost(self.server, said, hint=MAY_HAVE_RUN)
        when = "in the middle of its answer" if begun else "before it answered"
        cause = f" ({fault})" if fault is not None and str(fault) else ""
        return ServerLost(
            self.server,
            self.say(f"the connection was closed {when}{cause}"),
            hint="the call may have run; look at the server's log",
        )

    def broken(self, cause: str) -> ServerProtocolError:
        """What came is not HTTP as it should be."""
        hint = f"is this the URL of an MCP server? try: curl -i {self.shown}"
        return ServerProtocolError(
            self.server, self.say(f"no valid HTTP answer: {cause}"), hint=hint
        )

    def too_large(self) -> AnswerTooLarge:
        """The answer exceeds MAX_MESSAGE_BYTES."""
        limit = f"its answer exceeds {MAX_MESSAGE_BYTES >> 20} MiB"
        return AnswerTooLarge(self.server, self.say(limit), hint="ask the server for less at once")

    def say(self, cause: str) -> str:
        """The beginning of every message: which server, and where it is."""
        return f"server '{self.server}' at {self.shown}: {cause}"

    def _try_it(self) -> str:
        return f"is it running? try: curl -i {self.shown}"

    def _explain(self, error: OSError | UnicodeError) -> tuple[str, str]:
        if isinstance(error, socket.gaierror | UnicodeError):
            reason = getattr(error, "strerror", None) or error
            return f"host {self.host!r} is not known: {reason}", "check the host in the URL"
        if isinstance(error, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted: {error.verify_message}",
                "set SSL_CERT_FILE to a PEM file with the CA that signed it",
            )
        if isinstance(error, ssl.SSLError):
            hint = "does it speak plain HTTP? then the URL must begin with http://"
            return f"TLS failed: {error.reason or error}", hint
        if isinstance(error, ConnectionRefusedError):
            return "connection refused", self._try_it()
        return f"cannot connect: {error.strerror or error}", self._try_it()


def _ascii(host: str) -> str:
    """The host as DNS knows it; what cannot be one fails there, as an unknown name."""
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return quote(host)


def _basic(user: str, password: str | None) -> str:
    pair = f"{unquote(user)}:{unquote(password or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


Address = tuple[int, Any]
"""(family, address) as socket.connect takes it."""


async def _first(addresses: list[Address]) -> socket.socket:
    """The first of the addresses that takes a connection.

    Raises:
        OSError: none does; the fault is that of the first.
    """
    if len(addresses) == 1:
        return await _dial(addresses[0])
    waiting = _alternate(addresses)
    tasks = Tasks()
    running: set[asyncio.Task[socket.socket | OSError]] = set()
    faults: list[OSError] = []
    try:
        while waiting or running:
            if waiting:
                running.add(tasks.start(_tried(waiting.pop(0)), "dial"))
            pause_s = HEAD_START_S if waiting else None
            done, running = await asyncio.wait(
                running, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED
            )
            results = [task.result() for task in done]
            won = [result for result in results if isinstance(result, socket.socket)]
            if won:
                _close(won[1:])
                return won[0]
            faults += [result for result in results if isinstance(result, OSError)]
        raise faults[0]
    finally:
        await tasks.close()
        _close([task.result() for task in running if not task.cancelled()])


def _close(results: list[socket.socket] | list[socket.socket | OSError]) -> None:
    """Close those that connected too late to be needed."""
    for result in results:
        if isinstance(result, socket.socket):
            result.close()


def _alternate(addresses: list[Address]) -> list[Address]:
    """IPv6 and IPv4 in turn, beginning with the family the resolver put first."""
    ahead = [address for address in addresses if address[0] == addresses[0][0]]
    other = [address for address in addresses if address[0] != addresses[0][0]]
    return [pick for pick in chain(*zip_longest(ahead, other)) if pick is not None]


async def _tried(address: Address) -> socket.socket | OSError:
    """The fault as a value: the address beside it may work."""
    try:
        return await _dial(address)
    except OSError as error:
        return error


async def _dial(address: Address) -> socket.socket:
    sock = socket.socket(address[0], socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEP_ALIVE:
            sock.setsockopt(socket.IPPROTO_TCP, name, value)
        await asyncio.get_running_loop().sock_connect(sock, address[1])
    except BaseException:
        sock.close()
        raise
    return sock


_KEEP_ALIVE: Final = tuple(
    (getattr(socket, name), value)
    for name, value in (
        ("TCP_KEEPIDLE", KEEP_ALIVE_IDLE_S),
        ("TCP_KEEPINTVL", KEEP_ALIVE_EVERY_S),
        ("TCP_KEEPCNT", KEEP_ALIVE_COUNT),
    )
    if hasattr(socket, name)
)
