"""What doctor checks without starting a server."""

import asyncio
import datetime
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import trustme

from fakes.http_server import HttpServer, Request, Wire
from fakes.upstream import library, served
from only1mcp.cli import checks
from only1mcp.cli.checks import Check, Verdict, configuration, listener, machine, state
from only1mcp.cli.instance import Place, hold, name_of
from only1mcp.config.load import Loaded, load
from only1mcp.config.model import Config, Tls

OK, WARN, FAIL = Verdict


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path)}


@pytest.fixture
def taken() -> Iterator[int]:
    """A port where somebody listens who says nothing."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def config(**server: Any) -> Config:
    return Config.model_validate({"server": {"max_connections": 10} | server})


def by_name(found: list[Check]) -> dict[str, Check]:
    return {one.name: one for one in found}


def test_which_program_runs_where() -> None:
    assert machine().text.startswith("only1mcp ")


def test_the_state_folder(environ: dict[str, str], tmp_path: Path) -> None:
    assert state(environ).verdict is OK
    folder = tmp_path / ".local" / "state" / "only1mcp"
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o722)
    assert (state(environ).verdict, state(environ).fix) == (WARN, f"chmod 700 {folder}")
    folder.rmdir()
    folder.write_text("")
    assert state(environ).verdict is FAIL


@pytest.mark.parametrize(
    ("mode", "token", "verdict", "fix"),
    [
        (0o600, "token-of-ann", OK, None),
        (0o644, "${TOKEN}", OK, None),
        (0o644, "token-of-ann", WARN, "chmod 600 "),
        (0o666, "${TOKEN}", FAIL, "chmod go-w "),
    ],
)
def test_who_may_read_the_file(
    tmp_path: Path, mode: int, token: str, verdict: Verdict, fix: str | None
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f'server: {{auth: {{tokens: ["{token}"]}}}}\n')
    path.chmod(mode)
    found = configuration(path, load(path, {"TOKEN": "token-of-bob"}))
    (one,) = (check for check in found if check.name == "permissions")
    assert (one.verdict, one.fix) == (verdict, f"{fix}{path}" if fix else None)


def test_warnings_of_the_file_are_passed_on(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("servers: []\n")
    loaded: Loaded = load(path, {})
    warnings = [one for one in configuration(path, loaded) if one.verdict is WARN]
    assert [one.name for one in warnings] == ["config"]
    assert warnings[0].text.startswith(f"{path}:1:1: no server is enabled")


async def test_a_gateway_that_has_the_port_is_ours(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(library("one")) as (_, url):
        port = int(url.split(":")[2].split("/")[0])
        found = await in_thread(tmp_path, config(port=port), environ)
        monkeypatch.setattr(checks, "__version__", "9.9")
        newer = await in_thread(tmp_path, config(port=port), environ)
    assert found["gateway"].verdict is OK
    assert "in the foreground or as a service), ok, 1 of 1 servers up" in found["gateway"].text
    assert (newer["gateway"].verdict, newer["gateway"].fix) == (WARN, "restart it")


async def in_thread(path: Path, config: Config, environ: dict[str, str]) -> dict[str, Check]:
    """The checks beside the gateway of this loop."""
    return by_name(await asyncio.to_thread(listener, path / "c.yaml", config, environ))


def test_a_gateway_in_the_background_that_does_not_answer(
    environ: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "c.yaml"
    place = Place(name_of(path, environ), environ)
    with hold(place, config="", log="", folder="") as held:
        silent = by_name(listener(path, config(), environ))["gateway"]
        held.tell(url="http://127.0.0.1:1")
        refused = by_name(listener(path, config(), environ))["gateway"]
    assert (silent.verdict, refused.verdict) == (FAIL, FAIL)
    assert "does not answer at any address yet" in silent.text
    assert (refused.fix, "http://127.0.0.1:1" in refused.text) == ("only1mcp restart", True)


def test_a_gateway_of_another_configuration_has_the_port(
    environ: dict[str, str], tmp_path: Path, taken: int
) -> None:
    with hold(Place("work", environ), config="work.yaml", log="") as held:
        held.tell(url=f"http://127.0.0.1:{taken}")
        found = by_name(listener(tmp_path / "c.yaml", config(port=taken), environ))
    assert found["port"].verdict is FAIL
    assert found["port"].text.endswith("is taken by our 'work', of work.yaml")


async def test_a_port_that_another_program_has(environ: dict[str, str], tmp_path: Path) -> None:
    async def script(request: Request, wire: Wire) -> None:
        await wire.json({"status": "mine"})

    async with HttpServer(script) as server:
        port = int(server.url.split(":")[2].split("/")[0])
        found = await in_thread(tmp_path, config(port=port), environ)
    assert found["port"].verdict is FAIL
    assert "python" in found["port"].text
    assert "gateway" not in found


def test_whose_port_it_is_may_be_hidden(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(kind: str) -> Any:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", denied)
    assert f"`ss -ltnp 'sport = :{taken}'`" in checks._owner(taken)


def test_an_address_that_is_not_of_this_machine(environ: dict[str, str], tmp_path: Path) -> None:
    strange = config(host="192.0.2.1", auth="none")
    found = by_name(listener(tmp_path / "c.yaml", strange, environ))
    assert found["port"].verdict is FAIL
    assert "cannot bind 192.0.2.1:8080" in found["port"].text


@pytest.mark.parametrize(
    ("limits", "verdict", "fix"),
    [
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), OK, None),
        ((2000, 2000), OK, None),
        ((256, 4096), WARN, "ulimit -n 1064"),
        ((256, 256), WARN, "set server.max_connections: 128"),
    ],
)
def test_open_files(
    monkeypatch: pytest.MonkeyPatch, limits: Any, verdict: Verdict, fix: str | None
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: limits)
    found = checks._files(config(max_connections=1000))
    assert (found.verdict, found.fix) == (verdict, fix)


def certificate(folder: Path, days: int) -> Tls:
    """One that ends in so many days."""
    ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    begins = ends - datetime.timedelta(days=365)
    made = trustme.CA().issue_cert("localhost", not_before=begins, not_after=ends)
    pem = folder / "both.pem"
    made.private_key_and_cert_chain_pem.write_to_path(str(pem))
    return Tls(cert=str(pem), key=str(pem))


@pytest.mark.parametrize(("days", "verdict"), [(100, OK), (5, WARN), (-5, FAIL)])
def test_the_time_of_a_certificate(tmp_path: Path, days: int, verdict: Verdict) -> None:
    found = checks._certificate(certificate(tmp_path, days))
    assert found.verdict is verdict
    assert days > 0 or "expired" in found.text


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no PEM")
    tls = Tls(cert=str(tmp_path / "x"), key=str(tmp_path / "y"))
    assert checks._certificate(tls).verdict is FAIL


def test_how_a_check_is_shown() -> None:
    assert str(Check.ok("port", "free")) == "OK    port                 free"
    lines = str(Check.fail("server x", "one\ntwo", "mend")).splitlines()
    assert lines == [f"FAIL  {'server x':<20} one", " " * 27 + "two", " " * 27 + "-> mend"]
