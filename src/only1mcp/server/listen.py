"""Listening sockets: bind, accept on either event loop, TLS.

We accept ourselves because of what happens when file descriptors run out: uvloop then takes
and drops waiting clients without a word, asyncio logs each time. Here they wait in the
kernel's queue, and one line per 10 s says why.

Errors  ListenError: the text names the address or file, the cause and the next step.
"""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from only1mcp.config.model import Tls
from only1mcp.observe.tasks import Tasks

log = logging.getLogger("only1mcp.http")

BACKLOG: Final = 1024  # clients that reconnect all at once after a restart wait here
ACCEPT_BURST: Final = 64  # connections per turn of the loop: requests get their turn as well
RETRY_S: Final = 1.0  # after a failed accept
COMPLAIN_S: Final = 10.0  # between two log lines about it
HANDSHAKE_S: Final = 10.0  # TLS; the same as for a request head
_MAX_OPENING: Final = 1024  # handshakes at once; more are dropped

_ADVICE: Final = {
    errno.EADDRINUSE: "the address is in use; stop the program that has it, or choose another "
    "server.port (--port)",
    errno.EACCES: "permission denied; ports below 1024 need privileges, choose another "
    "server.port (--port)",
    errno.EADDRNOTAVAIL: "this machine has no such address; check server.host (--host)",
}


class ListenError(Exception):
    """We cannot listen; the text is for the user."""


def netloc(host: str, port: int) -> str:
    """`host:port` as in a URL, IPv6 in brackets."""
    host = host.strip("[]")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on every address of `host`; port 0 takes a free one.

    Raises:
        ListenError
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise ListenError(
            f"cannot listen on {netloc(host, port)}: server.host does not resolve ({error})"
        ) from None
    sockets: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((entry[0], entry[4]) for entry in found):
            if sockets and not port:  # a second address gets the port that the first was given
                address = (address[0], sockets[0].getsockname()[1], *address[2:])
            sockets.append(_listener(family, address))
    except OSError as error:
        for one in sockets:
            one.close()
        cause = _ADVICE.get(error.errno or 0) or error.strerror or str(error)
        raise ListenError(f"cannot listen on {netloc(host, port)}: {cause}") from None
    return sockets


def _listener(family: int, address: tuple[object, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # 0.0.0.0 is its own address, not part of ::
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setblocking(False)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def tls_context(tls: Tls) -> ssl.SSLContext:
    """A server context, TLS 1.2 and later.

    Raises:
        ListenError: names the file that is missing, not readable, or does not fit.
    """
    for key, name in (("cert", tls.cert), ("key", tls.key)):
        try:
            Path(name).read_bytes()
        except OSError as error:
            raise ListenError(f"server.tls.{key}: cannot read {name}: {error.strerror}") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(tls.cert, tls.key, password=_no_password)
    except ssl.SSLError as error:
        raise ListenError(_tls_fault(tls, error)) from None
    return context


def _no_password() -> str:
    """Without this, OpenSSL would ask for a password on the terminal."""
    return ""


def _tls_fault(tls: Tls, error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"server.tls: the key in {tls.key} does not belong to the certificate in {tls.cert}"
    return (
        f"server.tls: {tls.cert} and {tls.key} are not a PEM certificate and an unencrypted "
        f"PEM key ({error.reason or error})"
    )


class Acceptor:
    """Takes connections from listening sockets and gives each a protocol."""

    __slots__ = ("_complained", "_factory", "_listeners", "_loop", "_opening", "_retry", "_tls")

    def __init__(
        self,
        listeners: list[socket.socket],
        factory: Callable[[], asyncio.Protocol],
        tls: ssl.SSLContext | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listeners = listeners
        self._factory = factory
        self._tls = tls
        self._opening = Tasks()
        self._complained = -COMPLAIN_S
        self._retry: asyncio.TimerHandle | None = None

    def certify(self, tls: ssl.SSLContext) -> None:
        """Show new connections another certificate."""
        self._tls = tls

    def start(self) -> None:
        """Begin, or begin again after a pause."""
        self._retry = None
        for listener in self._listeners:
            self._loop.add_reader(listener, self._accept, listener)

    def stop(self) -> None:
        """Take no more, and give up the addresses."""
        self._pause()
        for listener in self._listeners:
            listener.close()
        self._listeners = []

    async def close(self) -> None:
        """Stop, and end handshakes that are under way."""
        self.stop()
        await self._opening.close()

    def _pause(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        for listener in self._listeners:
            self._loop.remove_reader(listener)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPT_BURST):
            try:
                client, _ = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._wait(error)
                return
            if len(self._opening) >= _MAX_OPENING:
                client.close()
                continue
            client.setblocking(False)
            self._opening.start(self._open(client), "accept")

    def _wait(self, error: OSError) -> None:
        """No descriptor left, most likely: leave clients in the queue for a moment."""
        now = self._loop.time()
        if now - self._complained >= COMPLAIN_S:
            self._complained = now
            log.error(
                "cannot take connections: %s; if it stays so, raise the limit of open files "
                "(ulimit -n) or lower server.max_connections",
                error.strerror,
            )
        self._pause()
        self._retry = self._loop.call_later(RETRY_S, self.start)

    async def _open(self, client: socket.socket) -> None:
        timeout = HANDSHAKE_S if self._tls else None
        try:
            await self._loop.connect_accepted_socket(
                self._factory, client, ssl=self._tls, ssl_handshake_timeout=timeout
            )
        except (OSError, asyncio.CancelledError) as error:  # SSLError is an OSError
            client.close()
            log.debug("a connection ended before it began: %r", error)
