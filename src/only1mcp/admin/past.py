"""What has happened: the events that are remembered, at once and not as a stream."""

from typing import Any

from only1mcp.admin.stream import shown
from only1mcp.config.values import Model
from only1mcp.observe.events import Events


class Memory(Model):
    """How far the memory of one kind of event reaches back."""

    kind: str
    """Which."""
    events: int
    """How many are remembered."""
    capacity: int
    """How many can be; the oldest goes first."""
    complete: bool
    """Whether these are all since the gateway was started."""


class Happening(Model):
    """One thing that has happened."""

    id: str
    """For `Last-Event-ID` of GET events."""
    kind: str
    """Of GET events."""
    said: dict[str, Any]
    """What GET events says of it, its time included."""


class Past(Model):
    """What has happened."""

    memory: list[Memory]
    """Each kind that was asked for."""
    events: list[Happening]
    """The oldest first."""


def past(events: Events, kinds: list[str]) -> dict[str, Any]:
    """A Past of these kinds."""
    memory, found = [], []
    for kind in kinds:
        capacity = events.capacity(kind)
        latest = events.latest(kind, capacity)
        known = {"kind": kind, "events": len(latest), "capacity": capacity}
        memory.append({**known, "complete": len(latest) < capacity})
        found += latest
    found.sort(key=lambda one: one.number)
    rows = [{"id": events.id(one), "kind": one.kind, "said": shown(one)} for one in found]
    return {"memory": memory, "events": rows}
