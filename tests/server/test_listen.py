"""Binding, TLS files, and what happens when the system has no descriptor left."""

import asyncio
import errno
import logging
import socket
import ssl
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest
import trustme

from fakes.edge import PATIENCE_S, until
from only1mcp.config.model import Tls
from only1mcp.server import listen
from only1mcp.server.listen import Acceptor, ListenError, bind, netloc, tls_context


class Echo(asyncio.Protocol):
    """Says hello and closes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.Transport, transport)  # uvloop's is none by type
        stream.write(b"hello")
        stream.close()


async def greeting(port: int) -> bytes:
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        data = await reader.read()
        writer.close()
    return data


def test_netloc() -> None:
    assert netloc("127.0.0.1", 1) == "127.0.0.1:1"
    assert netloc("::1", 1) == netloc("[::1]", 1) == "[::1]:1"


# bind


async def test_a_taken_port_is_named_with_the_next_step() -> None:
    (first,) = await bind("127.0.0.1", 0)
    port = first.getsockname()[1]
    with first, pytest.raises(ListenError, match=rf"127\.0\.0\.1:{port}: .*in use.*server\.port"):
        await bind("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("no-such-host.invalid", "does not resolve"),
        ("192.0.2.1", "no such address"),
        ("a" * 70, "does not resolve"),
    ],
)
async def test_a_wrong_host_is_named(host: str, why: str) -> None:
    with pytest.raises(ListenError, match=f"{host}.*{why}"):
        await bind(host, 0)


async def test_a_forbidden_port_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(family: int, address: object) -> socket.socket:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(listen, "_listener", refuse)
    with pytest.raises(ListenError, match="permission denied; ports below 1024"):
        await bind("127.0.0.1", 80)


async def test_all_addresses_of_a_name_share_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    async def two(*args: object, **kwargs: object) -> list[tuple[object, ...]]:
        stream = socket.SOCK_STREAM
        return [
            (socket.AF_INET, stream, 6, "", ("127.0.0.1", 0)),
            (socket.AF_INET, stream, 6, "", ("127.0.0.2", 0)),
            (socket.AF_INET, stream, 6, "", ("127.0.0.1", 0)),
        ]

    class Loop:
        getaddrinfo = staticmethod(two)

    monkeypatch.setattr("only1mcp.server.listen.asyncio.get_running_loop", lambda: Loop)
    first, second = await bind("localhost", 0)
    with first, second:
        assert first.getsockname()[1] == second.getsockname()[1]
        assert second.getsockname()[0] == "127.0.0.2"


# TLS


def files(tmp_path: Path, cert: bytes | None, key: bytes | None) -> Tls:
    for name, data in (("cert.pem", cert), ("key.pem", key)):
        if data is not None:
            (tmp_path / name).write_bytes(data)
    return Tls(cert=str(tmp_path / "cert.pem"), key=str(tmp_path / "key.pem"))


def test_a_good_certificate_gives_tls_1_2_and_later(tmp_path: Path) -> None:
    one = trustme.CA().issue_cert("localhost")
    tls = files(tmp_path, one.cert_chain_pems[0].bytes(), one.private_key_pem.bytes())
    assert tls_context(tls).minimum_version == ssl.TLSVersion.TLSv1_2


def test_faults_of_certificate_and_key_name_the_file(tmp_path: Path) -> None:
    ca = trustme.CA()
    one, other = ca.issue_cert("localhost"), ca.issue_cert("localhost")
    cert, key = one.cert_chain_pems[0].bytes(), one.private_key_pem.bytes()
    with pytest.raises(ListenError, match=r"server\.tls\.cert: cannot read .*cert\.pem: No such"):
        tls_context(files(tmp_path, None, key))
    with pytest.raises(ListenError, match=r"server\.tls: .*cert\.pem and .*key\.pem are not a PEM"):
        tls_context(files(tmp_path, b"garbage", key))
    with pytest.raises(ListenError, match=r"key\.pem does not belong to .*cert\.pem"):
        tls_context(files(tmp_path, cert, other.private_key_pem.bytes()))
    (tmp_path / "key.pem").unlink()
    (tmp_path / "key.pem").mkdir()
    with pytest.raises(ListenError, match=r"server\.tls\.key: cannot read .*key\.pem"):
        tls_context(files(tmp_path, cert, None))


# accept


class Starved(socket.socket):
    """A listening socket that has no descriptor to give for the first `failures` times."""

    failures = 0

    def accept(self) -> tuple[socket.socket, object]:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


async def test_without_descriptors_clients_wait_and_the_log_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listen, "RETRY_S", 0.01)
    (plain,) = await bind("127.0.0.1", 0)
    listener = Starved(fileno=plain.detach())
    listener.failures = 5
    acceptor = Acceptor([listener], Echo, None)
    acceptor.start()
    greeted = await greeting(listener.getsockname()[1])
    await acceptor.close()
    assert (greeted, listener.failures) == (b"hello", 0)
    assert [record.message for record in caplog.records if "ulimit" in record.message] == [
        "cannot take connections: Too many open files; if it stays so, raise the limit of "
        "open files (ulimit -n) or lower server.max_connections"
    ]


async def test_stop_during_the_pause_is_final(monkeypatch: pytest.MonkeyPatch) -> None:
    (plain,) = await bind("127.0.0.1", 0)
    port = plain.getsockname()[1]
    listener = Starved(fileno=plain.detach())
    listener.failures = 1
    acceptor = Acceptor([listener], Echo, None)
    acceptor.start()
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    await until(lambda: acceptor._retry is not None)
    acceptor.stop()
    assert acceptor._retry is None
    writer.close()
    with pytest.raises(ConnectionError):
        await greeting(port)
    await acceptor.close()


async def test_too_many_handshakes_at_once_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "_MAX_OPENING", 0)
    listeners = await bind("127.0.0.1", 0)
    acceptor = Acceptor(listeners, Echo, None)
    acceptor.start()
    with suppress(ConnectionError):
        assert await greeting(listeners[0].getsockname()[1]) == b""
    await acceptor.close()


async def test_a_failed_handshake_is_nobody_elses_matter(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = trustme.CA().issue_cert("localhost")
    tls = files(tmp_path, one.cert_chain_pems[0].bytes(), one.private_key_pem.bytes())
    listeners = await bind("127.0.0.1", 0)
    acceptor = Acceptor(listeners, Echo, tls_context(tls))
    acceptor.start()
    port = listeners[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(PATIENCE_S):
        assert b"hello" not in await reader.read()
    writer.close()
    _, hanging = await asyncio.open_connection("127.0.0.1", port)
    await until(lambda: len(acceptor._opening) == 1)
    await acceptor.close()
    hanging.close()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
