"""What a service manager wants to hear: ready, still alive, stopping.

Source  sd_notify(3): datagrams of VARIABLE=value lines to the socket in $NOTIFY_SOCKET.
"""

import asyncio
import os
import socket
import time
from contextlib import suppress
from typing import Final

_BEATS: Final = 3  # in the time after which we would be taken for dead


def ready() -> None:
    """The endpoint is open; from now on also say that the loop runs, if somebody watches."""
    tell("READY=1", f"MAINPID={os.getpid()}")
    if (every_s := watchdog_s()) is not None:
        _beat(every_s / _BEATS)


def reloading() -> None:
    """The configuration is being read again; `ready` says when it is in force."""
    tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def stopping() -> None:
    """No new requests; those under way may finish."""
    tell("STOPPING=1")


def watchdog_s() -> float | None:
    """How long we may be silent; None: nobody watches this process."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    with suppress(ValueError):
        return int(os.environ.get("WATCHDOG_USEC", "")) / 1e6 or None
    return None


def tell(*lines: str) -> None:
    """Send lines to the service manager, if there is one; it is not our fault if it is deaf."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address[0] == "@":
        address = "\0" + address[1:]  # the abstract name space of Linux
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
        wire.setblocking(False)
        wire.sendto("\n".join(lines).encode(), address)


def _beat(every_s: float) -> None:
    tell("WATCHDOG=1")
    asyncio.get_running_loop().call_later(every_s, _beat, every_s)
