"""`run`: the gateway in the foreground, from bind to drain."""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from only1mcp.cli import supervisor
from only1mcp.cli.say import Exit, Failure, fail, load_config, note, source_of, start_logs
from only1mcp.config.checked import Checked
from only1mcp.config.model import Config
from only1mcp.config.watch import Source
from only1mcp.gateway import Gateway, Kind, ListenError, Live, State
from only1mcp.observe import logs
from only1mcp.observe.tasks import Tasks

log = logging.getLogger("only1mcp.run")

AT_ONCE_S: Final = 1.5
"""The longest that the end may take once it is to come at once."""
_SHOWN: Final = (Kind.TOOLS, Kind.PROMPTS, Kind.RESOURCES)
GC_THRESHOLDS: Final = (5_000, 20, 20)
"""A request makes no cycles, so the default (700, 10, 10) only looks for them in vain: 3 % of its
instructions."""
SWITCH_S: Final = 0.001
"""The longest that a thread at work, such as one that reads the configuration, keeps calls waiting
each time they come to the loop; the default is 5 ms. Costs nothing while no other thread works."""
_DOWN: Final = (State.WAITING, State.FAILED)


def run_gateway(file: Path | None, host: str | None, port: int | None) -> int:
    """`only1mcp run`."""
    try:
        environ, options, checked = dict(os.environ), overrides(host, port), Checked()
        source = source_of(file, environ, options, checked)
        config = load_config(file, environ, options, checked).config
        start_logs(config)
        greet = _hint_empty if not config.servers else None
        return in_loop(serve(config, port, greet, source=source))
    except Failure as error:
        return fail(error)


def in_loop(main: Coroutine[Any, Any, int]) -> int:
    """Run on the fast loop where there is one.

    What is there by now, modules above all, stays to the end. Left to the garbage collector it
    would be walked through again and again, and each time every call would wait for tens of
    milliseconds.
    """
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    sys.setswitchinterval(SWITCH_S)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    import uvloop

    return uvloop.new_event_loop


def overrides(host: str | None, port: int | None) -> dict[str, object]:
    """What --host and --port say; port 0 is no setting but a wish of the moment."""
    given = {"server.host": host, "server.port": port or None}
    return {key: value for key, value in given.items() if value is not None}


async def serve(
    config: Config,
    port: int | None,
    greet: Callable[[str], None] | None = None,
    *,
    people: bool | None = None,
    source: Source | None = None,
    ending: Callable[[], None] = lambda: None,
) -> int:
    """Bind, start the servers, wait for a signal, drain.

    `people`: tell plain lines, not log lines; by default when stderr is a terminal. `source`: where
    `config` has been read. `ending` is called when it is to end.
    """
    announce = Announcer(sys.stderr.isatty() if people is None else people)
    gateway = Gateway(config, announce.server, source)
    try:
        edge = await gateway.listen(0 if port == 0 else None)
    except (ListenError, ValueError) as error:
        await gateway.close()
        raise Failure(str(error)) from None
    announce.gateway = gateway
    announce.listening(f"{edge.url}/mcp")
    stop, hurry = asyncio.Event(), asyncio.Event()
    on_signals(lambda: (hurry if stop.is_set() else stop).set())
    on_log_signals()
    tasks = Tasks()
    on_hangup(lambda: tasks.start(_reload(gateway, stop), "reload"), stop.set)
    gateway.start()
    try:
        if greet is not None:
            greet(edge.url)
        supervisor.ready()
        await stop.wait()
        supervisor.stopping()
        ending()
        announce.say("stopping: calls under way may finish; again to stop at once")
        await first(gateway.drain(), hurry.wait())
    finally:
        await tasks.close()
        await _close(gateway, hurry)
    return Exit.OK


async def _close(gateway: Gateway, hurry: asyncio.Event) -> None:
    """End all there is; at once when told so."""
    tasks = Tasks()
    closing = tasks.start(gateway.close(), "close")
    hurrying = tasks.start(hurry.wait(), "wait")
    await asyncio.wait([closing, hurrying], return_when=asyncio.FIRST_COMPLETED)
    if not closing.done():
        gateway.hurry()
        await asyncio.wait([closing], timeout=AT_ONCE_S)
    await tasks.close()


async def _reload(gateway: Gateway, stop: asyncio.Event) -> None:
    """Read the configuration again, and let the service manager know; too late once it stops."""
    if stop.is_set():
        return
    supervisor.reloading()
    await gateway.reload()
    if not stop.is_set():
        supervisor.tell("READY=1")


def on_signals(act: Callable[[], None]) -> None:
    """Call `act` when the user or the system wants us to end."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, act)


def on_hangup(reload: Callable[[], object], stop: Callable[[], object]) -> None:
    """SIGHUP means to read the configuration again, unless our terminal is what has hung up."""
    on_terminal = sys.stderr.isatty()

    def act() -> None:
        (stop if on_terminal and not sys.stderr.isatty() else reload)()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, act)


def on_log_signals() -> None:
    """SIGUSR1 opens the log files anew, SIGUSR2 goes to debug and back."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, logs.reopen)
    loop.add_signal_handler(signal.SIGUSR2, logs.toggle_debug)


async def first(*waits: Coroutine[Any, Any, Any]) -> None:
    """Wait until one of them has ended; the others are cancelled."""
    tasks = Tasks()
    try:
        running = [tasks.start(wait, "wait") for wait in waits]
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await tasks.close()


class Announcer:
    """Tells how the servers come up: plain lines on a terminal, log lines otherwise."""

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal
        self._failed: dict[str, str] = {}  # what was said of a server, not to be repeated
        self.gateway: Gateway | None = None

    def listening(self, url: str) -> None:
        """The endpoint is open."""
        self.say(f"only1mcp listens on {url}")

    def say(self, text: str) -> None:
        """One line."""
        if self._terminal:
            note(text)
        else:
            log.info(text)

    def server(self, live: Live) -> None:
        """A server changed its state."""
        if live.state is State.READY and self.gateway is not None:
            self._failed.pop(live.id, None)
            self._tell("ready", live.id, self._offers(live), logging.INFO)
        elif live.state in _DOWN and self._failed.get(live.id) != live.reason:
            self._failed[live.id] = live.reason
            asked = all(one.asked for one in live.replicas if one.state in _DOWN)
            word, level = ("restart", logging.INFO) if asked else ("failed", logging.WARNING)
            self._tell(word, live.id, live.reason, level)

    def _tell(self, word: str, server: str, text: str, level: int) -> None:
        if self._terminal:
            note(f"  {word:<8} {server:<20} {text}")
        else:
            log.log(level, "%s %s %s", word, server, text)

    def _offers(self, live: Live) -> str:
        assert self.gateway is not None
        revision = live.upstream.greeting.revision if live.upstream else ""
        return f"{offers(self.gateway, live.id) or 'nothing'} ({revision})"


def offers(gateway: Gateway, server: str) -> str:
    """What clients see of a server: `4 tools, 1 prompt`."""
    view = gateway.snapshot().catalog.view(server)
    counts = {kind: view.count(kind) for kind in _SHOWN} if view is not None else {}
    return ", ".join(
        f"{count} {kind if count > 1 else kind[:-1]}" for kind, count in counts.items() if count
    )


def _hint_empty(url: str) -> None:
    note("no servers are configured: add some to the file, or try `only1mcp demo`")
