"""`doctor`: everything that can be checked from here, and the command that mends it.

this machine ──► the configuration ──► its listener ──► a running gateway ──► its servers
                                                   all started at once, always ended again
"""

import json
import os
import time
from pathlib import Path
from typing import Final

from only1mcp.cli import checks
from only1mcp.cli.checks import Check, Verdict
from only1mcp.cli.run import in_loop, offers
from only1mcp.cli.say import Exit, note
from only1mcp.config.load import ConfigError, Loaded, find, load
from only1mcp.config.secrets import secrets
from only1mcp.config.servers import Stdio
from only1mcp.gateway import Gateway, Kind, Live, State
from only1mcp.observe import logs

LONGEST_NAME: Final = 64
"""Many clients refuse a list over one longer name of a tool."""
SLOW: Final = 0.5
"""Of timeouts.start: a server that needs more will one day need too much."""
MAX_ROWS: Final = 20
"""Clashes or dropped entries that are listed one by one."""


def examine(file: Path | None, *, as_json: bool) -> int:
    """`only1mcp doctor`: 0 when nothing failed, 1 otherwise."""
    found = list(_all(file, quiet=as_json))
    bad = sum(one.verdict is Verdict.FAIL for one in found)
    if as_json:
        rows = [one.as_row() for one in found]
        print(json.dumps({"ok": not bad, "checks": rows}, indent=2))
        return Exit.FAILURE if bad else Exit.OK
    for one in found:
        print(one)
    odd = sum(one.verdict is Verdict.WARN for one in found)
    note(f"{len(found)} checks: {bad} failed, {odd} warning{'s' * (odd != 1)}")
    return Exit.FAILURE if bad else Exit.OK


def _all(file: Path | None, *, quiet: bool) -> list[Check]:
    environ = dict(os.environ)
    found = [checks.machine(), checks.state(environ)]
    path = file or find(environ)
    if path is None:
        fix = "only1mcp config init"
        return [*found, Check.fail("config", "there is no configuration file", fix)]
    try:
        loaded = load(path, environ)
    except ConfigError as error:
        return [*found, *checks.faults(path, error.faults)]
    config = loaded.config
    logs.hide(secrets(config))
    logs.configure("error", "text")
    found += [*checks.configuration(path, loaded), *checks.listener(path, config, environ)]
    enabled = [server for server in config.servers if server.enabled]
    if enabled and not quiet:
        slowest = max(server.timeouts.start for server in enabled)
        count = f"{len(enabled)} server{'s' * (len(enabled) != 1)}"
        note(f"starting {count}, for {slowest:.0f} s at most")
    return [*found, *_servers(loaded)]


def _servers(loaded: Loaded) -> list[Check]:
    """Start them all, as the gateway would, and look at what they say."""
    found: list[Check] = []

    async def look() -> int:
        clock = _Clock()
        gateway = Gateway(loaded.config, clock)
        enabled = [one for one in gateway.roster.servers.values() if one.config.enabled]
        try:
            clock.began = time.monotonic()
            gateway.start()
            patience = max((live.config.timeouts.start for live in enabled), default=0.0)
            await gateway.roster.settle([live.id for live in enabled], patience)
            servers = gateway.roster.servers.values()
            found.extend(_server(live, gateway, clock.took.get(live.id)) for live in servers)
            found.extend(_names(gateway))
        finally:
            await gateway.close()
        return Exit.OK

    in_loop(look())
    return found


class _Clock:
    """How long each server took to its first success or failure, in seconds."""

    def __init__(self) -> None:
        self.began = 0.0
        self.took: dict[str, float] = {}

    def __call__(self, live: Live) -> None:
        if live.state in (State.READY, State.WAITING, State.FAILED):
            self.took.setdefault(live.id, time.monotonic() - self.began)


def _server(live: Live, gateway: Gateway, took: float | None) -> Check:
    name = f"server {live.id}"
    if not live.config.enabled:
        return Check.ok(name, "disabled by enabled: false")
    if live.upstream is None or live.state is not State.READY:
        reason = live.reason or f"did not answer within {live.config.timeouts.start:.0f} s"
        return Check.fail(name, reason, _by_hand(live))
    greeting, took = live.upstream.greeting, took or 0.0
    offered = offers(gateway, live.id)
    era = "modern" if greeting.modern else "legacy"
    text = f"ready in {took:.2f} s, {era} {greeting.revision}, {offered or 'offers nothing'}"
    if noise := getattr(live.upstream, "noise", 0):
        text += f"; {noise} lines on stdout are not MCP"
        return Check.warn(name, text, "make its log go to stderr: stdout belongs to the protocol")
    if took > SLOW * live.config.timeouts.start:
        limit = f"timeouts.start is {live.config.timeouts.start:.0f} s"
        return Check.warn(name, f"{text}; {limit}", "raise timeouts.start for this server")
    if not offered:
        return Check.warn(name, text, f"only1mcp why {live.id}")
    return Check.ok(name, text)


def _by_hand(live: Live) -> str | None:
    """The command of a program, to see what it says; else the reason names the next step."""
    transport = live.config.instances[0].transport
    if not isinstance(transport, Stdio) or "cannot start" in live.reason:
        return None
    return checks.command_line(transport)


def _names(gateway: Gateway) -> list[Check]:
    """What of the offer clients will not see, or refuse."""
    catalog = gateway.snapshot().catalog
    found = [
        Check.warn(
            "names",
            f"{clash.kind} '{clash.name}' of {clash.hidden} is hidden by that of {clash.kept}",
            clash.hint,
        )
        for clash in catalog.clashes[:MAX_ROWS]
    ]
    for drop in catalog.dropped[:MAX_ROWS]:
        text = f"{drop.kind} '{drop.name}' of {drop.server} is left out: {drop.reason}"
        found.append(Check.warn("names", text, f"only1mcp why {drop.server}"))
    more = len(catalog.clashes) + len(catalog.dropped) - len(found)
    if more:
        found.append(Check.warn("names", f"and {more} more", "only1mcp validate --connect"))
    names = catalog.all.section(Kind.TOOLS).index
    if long := [name for name in names if len(name) > LONGEST_NAME]:
        text = f"{len(long)} tools have names above {LONGEST_NAME} characters, such as {long[0]}"
        found.append(Check.warn("names", text, f"set naming.max_length: {LONGEST_NAME}"))
    return found or [Check.ok("names", f"{len(names)} tools, no two of one name")]
