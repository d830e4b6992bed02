"""What a new configuration changes: which servers, which settings, and what needs a restart.

A server is *changed* if what decides about its connections is another; whatever else is other
about it is *adjusted* while it runs.
Rule    a setting that nobody has taught to change while the gateway runs needs a restart, and
        is named: nothing is ignored in silence.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from only1mcp.config.model import Config
from only1mcp.config.servers import Server

_LIVE: Final = frozenset(
    {
        "server.max_connections",
        "server.max_body_bytes",
        "server.limits",
        "server.drain_timeout",
        "server.drain_delay",
        "server.allowed_origins",
        "server.allowed_hosts",
        "server.auth",
        "server.admin_tokens",
        "server.metrics_tokens",
        "naming",
        "cache",
        "batching",
        "logging.level",
        "hot_reload",
        "tui",
    }
)
"""Settings that act as soon as they are read."""
_NESTED: Final = ("server", "logging")


@dataclass(frozen=True, slots=True)
class Diff:
    """Ids of servers and keys of settings, in the order of the new configuration."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """Need other connections."""
    adjusted: tuple[str, ...] = ()
    """Keep their connections."""
    reordered: bool = False
    settings: tuple[str, ...] = ()
    """Act at once."""
    restart: tuple[str, ...] = ()
    """Act when the gateway is started anew."""

    def __bool__(self) -> bool:
        """Whether there is any difference."""
        return self != SAME

    def __str__(self) -> str:
        """For people: `added a, b; changed c`; empty if nothing is other."""
        parts = {
            "added": self.added,
            "removed": self.removed,
            "changed": self.changed,
            "adjusted": self.adjusted,
            "reordered": ("servers",) if self.reordered else (),
            "set": self.settings,
        }
        return "; ".join(f"{word} {', '.join(ids)}" for word, ids in parts.items() if ids)


SAME: Final = Diff()


def diff(old: Config, new: Config) -> Diff:
    """How `new` differs from `old`."""
    before = {server.id: server for server in old.servers}
    now = {server.id: server for server in new.servers}
    both = [id for id in now if id in before]
    other = [id for id in both if is_other(before[id], now[id])]
    changed = tuple(id for id in other if connects(before[id]) != connects(now[id]))
    settings = tuple(_settings(old, new))
    return Diff(
        added=tuple(id for id in now if id not in before),
        removed=tuple(id for id in before if id not in now),
        changed=changed,
        adjusted=tuple(id for id in other if id not in changed),
        reordered=both != [id for id in before if id in now],
        settings=tuple(key for key, live in settings if live),
        restart=tuple(key for key, live in settings if not live),
    )


def is_other(was: Any, is_: Any) -> bool:
    """Whether two parts of configurations differ. Most are the same object: config/checked.py."""
    return was is not is_ and bool(was != is_)


def in_force(old: Config, new: Config, changes: Diff) -> Config:
    """`new`, but for what needs a restart: that stays as it is in `old`."""
    update: dict[str, Any] = {}
    for key in changes.restart:
        section, _, name = key.partition(".")
        was = getattr(old, section)
        if name:
            now = update.get(section, getattr(new, section))
            was = now.model_copy(update={name: getattr(was, name)})
        update[section] = was
    return new.model_copy(update=update)


def others(old: Config, new: Config) -> Config:
    """`new` without the servers that are as they were, as far as that costs nothing to see."""
    before = {server.id: server for server in old.servers}
    servers = tuple(one for one in new.servers if before.get(one.id) is not one)
    return new.model_copy(update={"servers": servers})


def connects(server: Server) -> tuple[Any, ...]:
    """All that decides about the connections of a server."""
    return (
        server.enabled,
        tuple(one.transport for one in server.instances),
        bool(server.replicas),  # alone, or the only one of a group: it has another name
        server.protocol,
        server.isolation,
    )


def _settings(old: Config, new: Config) -> Iterator[tuple[str, bool]]:
    """Every other setting that differs, and whether it acts at once."""
    for section in Config.model_fields:
        was, is_ = getattr(old, section), getattr(new, section)
        if section == "servers" or was == is_:
            continue
        if section not in _NESTED:
            yield section, section in _LIVE
            continue
        for name in type(is_).model_fields:
            if getattr(was, name) != getattr(is_, name):
                key = f"{section}.{name}"
                yield key, key in _LIVE or (key == "server.tls" and bool(was.tls) is bool(is_.tls))
