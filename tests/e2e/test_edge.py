"""The front door itself: who may come in, on which address, in which form.

Source  MCP 2026-07-28 transports "Security Warning"; a web page must not reach the gateway
        through a browser, whatever the route.
"""

import asyncio
import json
import socket
import ssl
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
import pytest_asyncio
import trustme
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from fakes.gateway import Running, gateway
from fakes.mirror import Mirror
from fakes.scripted import behind, scripted
from fakes.wire import Web, as_bytes, headers_of, last, message, modern, post_headers, web

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPEN: Final = ("/livez", "/readyz", "/health")
GUARDED: Final = ("/mcp", "/mcp/site", "/mcp/nobody", "/api/v1/admin/servers", "/", "/nowhere")
ROUTES: Final = (*OPEN, *GUARDED)
TOKENS: Final = ("first-token-of-the-test", "second-token-of-the-test")
LIMIT: Final = 4096
EVIL_ORIGINS: Final = (
    "http://evil.example",
    "null",
    "http://localhost.evil.example",
    "http://127.0.0.1.evil.example",
    "http://localhost:1, http://evil.example",
    "file://",
    "http://",
)
EVIL_HOSTS: Final = (
    "evil.example",
    "evil.example:8080",
    "localhost.evil.example",
    "127.0.0.1.nip.io",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """Without tokens, as on anybody's own machine."""
    folder = tmp_path_factory.mktemp("open")
    settings = {"max_body_bytes": LIMIT, "allowed_origins": ["https://app.example"]}
    async with behind({"site": scripted("site")}, folder, server=settings) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def locked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """With two tokens."""
    folder = tmp_path_factory.mktemp("locked")
    settings = {"auth": {"tokens": [*TOKENS]}}
    async with behind({"site": scripted("site")}, folder, server=settings) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(trust_env=False) as http:
        yield http


async def ask(
    http: httpx2.AsyncClient, running: Running, path: str, headers: dict[str, str]
) -> httpx2.Response:
    """A well-formed request to any route, with these headers besides."""
    if not path.startswith("/mcp"):
        return await http.get(running.url + path, headers=headers)
    body = modern("tools/list")
    sent = {**post_headers(headers_of(body)), **headers}
    return await http.post(running.url + path, content=as_bytes(body), headers=sent)


# --- Host and Origin ---


@pytest.mark.parametrize("path", ROUTES)
async def test_no_page_of_others_gets_in(
    http: httpx2.AsyncClient, running: Running, path: str
) -> None:
    for origin in EVIL_ORIGINS:
        response = await ask(http, running, path, {"Origin": origin})
        assert response.status_code == 403, origin
        assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("path", ROUTES)
async def test_no_name_of_others_gets_in(
    http: httpx2.AsyncClient, running: Running, path: str
) -> None:
    for host in EVIL_HOSTS:
        response = await ask(http, running, path, {"Host": host})
        assert response.status_code == 421, host
    for host in ("", "a b", "x/y", "127.0.0.1:x"):
        response = await ask(http, running, path, {"Host": host})
        assert response.status_code in (400, 421), host


@pytest.mark.parametrize("path", (*OPEN, "/mcp", "/mcp/site", "/api/v1/admin/servers"))
async def test_our_own_names_and_pages_get_in(
    http: httpx2.AsyncClient, running: Running, path: str
) -> None:
    port = running.url.rpartition(":")[2]
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", "LOCALHOST", f"[::1]:{port}"):
        assert (await ask(http, running, path, {"Host": host})).status_code == 200, host
    for origin in ("http://localhost:3000", "http://127.0.0.1", "https://app.example"):
        response = await ask(http, running, path, {"Origin": origin})
        assert response.status_code == 200, origin
        if path.startswith("/mcp"):
            assert response.headers["access-control-allow-origin"] == origin
            assert "origin" in response.headers["vary"].lower()


async def test_preflight(http: httpx2.AsyncClient, running: Running) -> None:
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, mcp-method, mcp-param-region",
    }
    good = await http.options(running.mcp, headers={**asked, "Origin": "https://app.example"})
    assert good.is_success
    assert good.headers["access-control-allow-origin"] == "https://app.example"
    allowed = good.headers["access-control-allow-headers"].lower()
    assert all(name in allowed for name in ("content-type", "mcp-method", "mcp-param-region"))
    bad = await http.options(running.mcp, headers={**asked, "Origin": "http://evil.example"})
    assert bad.status_code == 403
    assert not [name for name in bad.headers if name.startswith("access-control")]


async def test_a_plain_form_of_a_page_is_no_message(
    http: httpx2.AsyncClient, running: Running
) -> None:
    """What a browser sends without asking first: no Origin check could help a lax parser."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        response = await http.post(
            running.mcp, content=as_bytes(modern("tools/list")), headers={"Content-Type": kind}
        )
        assert response.status_code == 415


# --- tokens ---


@pytest.mark.parametrize("path", GUARDED)
async def test_a_token_is_asked_for_everywhere(
    http: httpx2.AsyncClient, locked: Running, path: str
) -> None:
    for value in (None, "", "Bearer", "Bearer wrong", f"Basic {TOKENS[0]}", TOKENS[0],
                  f"Bearer {TOKENS[0]}x", f"Bearer {TOKENS[0][:-1]}"):  # fmt: skip
        headers = {} if value is None else {"Authorization": value}
        response = await ask(http, locked, path, headers)
        assert response.status_code == 401, value
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert TOKENS[0] not in response.text
    for token in TOKENS:
        response = await ask(http, locked, path, {"Authorization": f"bearer {token}"})
        assert response.status_code in (200, 404)


@pytest.mark.parametrize("path", OPEN)
async def test_probes_need_no_token(http: httpx2.AsyncClient, locked: Running, path: str) -> None:
    assert (await http.get(locked.url + path)).status_code == 200


async def test_a_token_in_the_address_is_none(http: httpx2.AsyncClient, locked: Running) -> None:
    response = await http.get(f"{locked.url}/api/v1/admin/servers?access_token={TOKENS[0]}")
    assert response.status_code == 401


async def test_a_session_belongs_to_its_token(locked: Running) -> None:
    mine, theirs = ({"Authorization": f"Bearer {token}"} for token in TOKENS)
    async with web(locked.mcp, headers=mine) as wire, web(locked.mcp, headers=theirs) as other:
        session = await wire.open()
        ping = message("ping", id=1)
        assert (await session.post(ping)).status_code == 200
        assert (await other.post(ping, session.headers)).status_code == 404
        assert (await other.http.delete(other.url, headers=session.headers)).status_code == 404
        assert (await session.post(ping)).status_code == 200


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_official_client_with_a_token(locked: Running, mode: str) -> None:
    headers = {"Authorization": f"Bearer {TOKENS[1]}"}
    async with httpx2.AsyncClient(headers=headers, trust_env=False) as http:
        transport = streamable_http_client(locked.mcp, http_client=http)
        async with Client(transport, mode=mode) as client:
            assert (await client.list_tools()).tools


# --- limits and pages ---


async def test_a_body_beyond_the_limit(http: httpx2.AsyncClient, running: Running) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * (LIMIT // 2)

    for content in (b" " * (LIMIT + 1), pieces()):
        response = await http.post(running.mcp, content=content, headers=post_headers(None))
        assert response.status_code == 413
        assert "max_body_bytes" in response.text
    body = modern("tools/list", clientInfo={"name": "x" * (LIMIT - 600), "version": "1"})
    assert (await Web(http, running.mcp).post(body, headers_of(body))).status_code == 200


async def test_health(http: httpx2.AsyncClient, running: Running) -> None:
    assert (await http.get(f"{running.url}/livez")).text.strip() == "ok"
    assert (await http.get(f"{running.url}/readyz")).status_code == 200
    found = (await http.get(f"{running.url}/health")).json()
    assert found["status"] == "ok"
    assert (found["servers"], found["servers_ready"]) == (1, 1)
    assert (await http.head(f"{running.url}/health")).status_code == 200
    assert (await http.post(f"{running.url}/health")).status_code == 405
    assert (await http.get(f"{running.url}/nowhere")).status_code == 404
    assert (await http.get(f"{running.url}/mcpx")).status_code == 404


# --- addresses and certificates ---


async def refused(folder: Path, *arguments: str, **server: Any) -> str:
    """`only1mcp run` must end by itself with 1 or 2; what it says."""
    file = folder / "config.json"
    file.write_text(json.dumps({"server": server}))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "only1mcp", "run", "-c", str(file), "--port", "0", *arguments),
        stderr=PIPE,
    )
    async with asyncio.timeout(20):
        _, said = await process.communicate()
    assert process.returncode in (1, 2)
    assert b"Traceback" not in said
    return said.decode()


async def test_other_machines_only_with_a_token(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        for said in (
            await refused(tmp_path, host=host),
            await refused(tmp_path, "--host", host),
        ):
            assert "auth" in said


async def test_certificates_that_do_not_fit(tmp_path: Path) -> None:
    ours, other = trustme.CA(), trustme.CA()
    cert, key, wrong = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "wrong.pem"
    issued = ours.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    other.issue_cert("localhost").private_key_pem.write_to_path(wrong)
    for other_key in (wrong, cert):
        said = await refused(tmp_path, tls={"cert": str(cert), "key": str(other_key)})
        assert "config.json:1:" in said
        assert "cert and key do not load" in said
    assert "gone.pem" in await refused(tmp_path, tls={"cert": str(cert), "key": "gone.pem"})


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_https(tmp_path: Path, mode: str) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    server = {"tls": {"cert": str(cert), "key": str(key)}}
    mirrors: dict[str, Mirror] = {"site": scripted("site")}
    async with behind(mirrors, tmp_path, server=server) as running:
        assert running.url.startswith("https://")
        async with httpx2.AsyncClient(verify=trust, trust_env=False) as http:
            transport = streamable_http_client(running.mcp, http_client=http)
            async with Client(transport, mode=mode) as client:
                result = await client.call_tool("site__echo", {"a": 1})
                assert not result.is_error
        async with httpx2.AsyncClient(trust_env=False) as stranger:
            with pytest.raises(httpx2.ConnectError):
                await stranger.get(running.url + "/livez")
            with pytest.raises(httpx2.TransportError):
                await stranger.get(running.url.replace("https", "http") + "/livez")


def has_ipv6() -> bool:
    """Whether this machine has a loopback for IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on this machine")
@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_ipv6(tmp_path: Path, mode: str) -> None:
    async with gateway({"server": {"host": "::1"}}, tmp_path) as running:
        assert running.url.startswith("http://[::1]:")
        async with web(running.mcp) as wire:
            assert last(await wire.modern("tools/list"))["result"]["tools"] == []
        async with Client(running.mcp, mode=mode) as client:
            assert (await client.list_tools()).tools == []
