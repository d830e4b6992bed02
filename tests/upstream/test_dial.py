"""URLs, headers, addresses, TLS: everything before the first byte is sent."""

import asyncio
import base64
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from fakes.http_server import HttpServer, Request, Wire
from only1mcp.protocol.errors import ServerUnavailable
from only1mcp.upstream import dial
from only1mcp.upstream.dial import Endpoint


async def silence(request: Request, wire: Wire) -> None:
    await wire.gone()


async def reached(endpoint: Endpoint, timeout_s: float = 5) -> None:
    protocol = await endpoint.connect(Greeted, timeout_s)
    protocol.transport.close()
    async with asyncio.timeout(5):
        await protocol.ended.wait()


class Greeted(asyncio.Protocol):
    """Knows when it was connected and when it ended."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ended = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()


@pytest.mark.parametrize(
    ("url", "host", "port", "target", "netloc"),
    [
        ("http://a.example/mcp", "a.example", 80, b"/mcp", "a.example"),
        ("https://a.example", "a.example", 443, b"/", "a.example"),
        ("http://a.example:8080/mcp?k=v", "a.example", 8080, b"/mcp?k=v", "a.example:8080"),
        ("http://[::1]:9001/mcp", "::1", 9001, b"/mcp", "[::1]:9001"),
        ("http://bücher.example/ü x", "xn--bcher-kva.example", 80, b"/%C3%BC%20x", None),
        ("http://a.example/a%20b", "a.example", 80, b"/a%20b", "a.example"),
    ],
)
def test_a_url_is_taken_apart(
    url: str, host: str, port: int, target: bytes, netloc: str | None
) -> None:
    endpoint = Endpoint("s", url)
    assert (endpoint.host, endpoint.port) == (host, port)
    head = endpoint.head(b"POST", b"x: y\r\n")
    assert head.startswith(b"POST " + target + b" HTTP/1.1\r\n")
    assert head.endswith(b"\r\nx: y\r\n")
    assert f"host: {netloc or host}\r\n".encode() in head


def test_configured_headers_are_sent_and_ours_come_first() -> None:
    wanted = {"Authorization": "Bearer x", "User-Agent": "mine", "Accept-Encoding": "gzip"}
    head = Endpoint("s", "http://a.example/", wanted).head(b"GET")
    assert b"authorization: Bearer x\r\n" in head
    assert b"user-agent: mine\r\n" in head
    assert head.count(b"user-agent") == 1
    assert b"accept-encoding: identity\r\n" in head


def test_secrets_in_the_url_are_used_and_never_shown() -> None:
    endpoint = Endpoint("s", "https://me:p%40ss@a.example/mcp?api_key=secret")
    assert endpoint.shown == "https://a.example/mcp"
    pair = base64.b64encode(b"me:p@ss")
    assert b"authorization: Basic " + pair in endpoint.head(b"GET")
    assert b"GET /mcp?api_key=secret HTTP/1.1" in endpoint.head(b"GET")


async def test_a_closed_port_is_told_with_the_next_step() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        endpoint = Endpoint("search", f"http://127.0.0.1:{taken.getsockname()[1]}/mcp")
        with pytest.raises(ServerUnavailable) as caught:
            await endpoint.connect(asyncio.Protocol, 5)
    assert caught.value.message == f"server 'search' at {endpoint.shown}: connection refused"
    assert caught.value.data["outcome"] == "not_sent"
    assert f"curl -i {endpoint.shown}" in caught.value.data["hint"]


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 80 + ".example"])
async def test_an_unknown_host_is_told(host: str) -> None:
    with pytest.raises(ServerUnavailable, match="is not known"):
        await Endpoint("s", f"http://{host}/").connect(asyncio.Protocol, 5)


async def test_a_host_that_never_answers_ends_at_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hang(address: object) -> socket.socket:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(dial, "_dial", hang)
    with pytest.raises(ServerUnavailable, match=r"no connection within 0.01 s"):
        await Endpoint("s", "http://127.0.0.1:1/").connect(asyncio.Protocol, 0.01)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def server_tls(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_tls_with_the_authority_of_ssl_cert_file(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    dial.system_tls.cache_clear()
    try:
        async with HttpServer(silence, tls=server_tls(authority, "127.0.0.1")) as server:
            await reached(Endpoint("s", server.url))
    finally:
        dial.system_tls.cache_clear()


async def test_an_unknown_authority_is_told(authority: trustme.CA) -> None:
    async with HttpServer(silence, tls=server_tls(authority, "127.0.0.1")) as server:
        with pytest.raises(ServerUnavailable, match="certificate is not trusted") as caught:
            await reached(Endpoint("s", server.url))
    assert "SSL_CERT_FILE" in caught.value.data["hint"]


async def test_a_certificate_for_another_name_is_refused(authority: trustme.CA) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with HttpServer(silence, tls=server_tls(authority, "other.example")) as server:
        with pytest.raises(ServerUnavailable, match="certificate is not trusted"):
            await reached(Endpoint("s", server.url, tls=trusting))


async def test_https_to_a_plain_port_is_told() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server:
        endpoint = Endpoint("s", f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        with pytest.raises(ServerUnavailable, match="TLS failed") as caught:
            await reached(endpoint)
    assert "http://" in caught.value.data["hint"]


async def test_a_dead_first_address_costs_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with HttpServer(silence) as server:
        real = dial._dial
        order: list[str] = []

        async def first_hangs(address: tuple[int, Any]) -> socket.socket:
            order.append(address[1][0])
            if address[1][0] == "192.0.2.1":
                await asyncio.Event().wait()
            return await real(address)

        monkeypatch.setattr(dial, "_dial", first_hangs)
        monkeypatch.setattr(dial, "HEAD_START_S", 0.01)
        dead, alive = (
            (socket.AF_INET, ("192.0.2.1", 1)),
            (socket.AF_INET, ("127.0.0.1", server.port)),
        )
        async with asyncio.timeout(5):
            sock = await dial._first([dead, alive])
        sock.close()
        assert order == ["192.0.2.1", "127.0.0.1"]


async def test_a_refused_first_address_costs_nothing() -> None:
    async with HttpServer(silence) as server:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            closed = (socket.AF_INET, taken.getsockname())
            sock = await dial._first([closed, (socket.AF_INET, ("127.0.0.1", server.port))])
            sock.close()
            with pytest.raises(ConnectionRefusedError):
                await dial._first([closed, closed])


def test_families_take_turns() -> None:
    six, four = socket.AF_INET6, socket.AF_INET
    addresses = [(six, 1), (six, 2), (six, 3), (four, 4)]
    assert dial._alternate([(f, n) for f, n in addresses]) == [
        (six, 1),
        (four, 4),
        (six, 2),
        (six, 3),
    ]
