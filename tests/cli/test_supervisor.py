"""What a service manager hears."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.edge import PATIENCE_S
from fakes.gateway import gateway
from only1mcp.cli import supervisor


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket that systemd listens on."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
        wire.bind(path)
        wire.settimeout(PATIENCE_S)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        monkeypatch.delenv("WATCHDOG_USEC", raising=False)
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield wire


def heard(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().split("\n")


async def test_ready_then_stopping(manager: socket.socket) -> None:
    supervisor.ready()
    supervisor.reloading()
    supervisor.stopping()
    assert heard(manager) == ["READY=1", f"MAINPID={os.getpid()}"]
    reloading, at = heard(manager)
    assert reloading == "RELOADING=1"
    assert at.startswith("MONOTONIC_USEC=")
    assert heard(manager) == ["STOPPING=1"]


async def test_a_gateway_that_runs_says_it(manager: socket.socket, tmp_path: Path) -> None:
    env = {"NOTIFY_SOCKET": os.environ["NOTIFY_SOCKET"], "WATCHDOG_USEC": "60000000"}
    async with gateway({"servers": []}, tmp_path, env=env) as running:
        ready = await asyncio.to_thread(heard, manager)
        assert ready == ["READY=1", f"MAINPID={running.process.pid}"]
        assert await asyncio.to_thread(heard, manager) == ["WATCHDOG=1"]
        assert await running.stop() == 0
    assert heard(manager) == ["STOPPING=1"]


async def test_alive_as_long_as_the_loop_runs(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000")
    supervisor.ready()
    assert heard(manager)[0] == "READY=1"
    for _ in range(3):
        assert await asyncio.to_thread(heard, manager) == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    ("microseconds", "pid", "expected"),
    [
        ("30000000", str(os.getpid()), 30.0),
        ("30000000", "1", None),
        ("0", str(os.getpid()), None),
        ("soon", str(os.getpid()), None),
    ],
    ids=["us", "another", "never", "no number"],
)
def test_who_is_watched(
    monkeypatch: pytest.MonkeyPatch, microseconds: str, pid: str, expected: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    monkeypatch.setenv("WATCHDOG_PID", pid)
    assert supervisor.watchdog_s() == expected


@pytest.mark.parametrize("address", [None, "", "relative", "/there/is/none", "@there-is-none"])
def test_without_a_manager_nothing_happens(
    monkeypatch: pytest.MonkeyPatch, address: str | None
) -> None:
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    supervisor.tell("READY=1")
