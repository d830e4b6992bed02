"""Starts processes without stopping the loop, and tells when they have ended.

Not by loop.subprocess_exec: uvloop forks, which stops the loop while the kernel copies the
page tables (measured with 200 MB: 25 ms; with vfork, which subprocess uses, 1 to 6 ms), passes our
other descriptors on, and leaves duplicates of the pipes open in the child, so that nobody
sees it close its output. asyncio's own keeps a thread for each child before Python 3.12.
"""

import asyncio
import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

OnExit = Callable[[int], None]
"""Takes the return code, in which a signal is negative."""


def spawn(
    argv: Sequence[str],
    pipes: tuple[int, int, int],
    on_exit: OnExit,
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start `argv` in a session of its own, with `pipes` as stdin, stdout and stderr.

    `on_exit` runs in the loop, once.
    Raises: OSError, ValueError (a NUL in the command or the environment).
    """
    stdin, stdout, stderr = pipes
    process = subprocess.Popen(  # noqa: S603 (no shell: the command is the operator's)
        argv,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        env=env,
        start_new_session=True,
    )
    loop = asyncio.get_running_loop()
    try:
        pidfd = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # another system, or Linux before 5.3
        _wait_in_thread(process, loop, on_exit)
    else:
        loop.add_reader(pidfd, _reap, process, pidfd, loop, on_exit)
    return process


def _reap(
    process: subprocess.Popen[bytes], pidfd: int, loop: asyncio.AbstractEventLoop, on_exit: OnExit
) -> None:
    loop.remove_reader(pidfd)
    os.close(pidfd)
    on_exit(process.wait())  # at once: a pidfd is readable when its process has ended


def _wait_in_thread(
    process: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop, on_exit: OnExit
) -> None:
    def wait() -> None:
        code = process.wait()
        with suppress(RuntimeError):  # the loop is closed: nobody listens
            loop.call_soon_threadsafe(on_exit, code)

    threading.Thread(target=wait, name=f"wait for {process.pid}", daemon=True).start()
