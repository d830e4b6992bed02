"""What a server offers, as it said it, and how the catalogue points at one piece of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from msgspec import Raw

from only1mcp.catalog.header_params import HeaderParam
from only1mcp.protocol.message import Params


class Kind(StrEnum):
    """The four lists of MCP; the value is the member of the list result."""

    TOOLS = "tools"
    PROMPTS = "prompts"
    RESOURCES = "resources"
    TEMPLATES = "resourceTemplates"

    @property
    def key(self) -> str:
        """The member that names an entry of this kind."""
        return _KEYS[self]


_KEYS = {
    Kind.TOOLS: "name",
    Kind.PROMPTS: "name",
    Kind.RESOURCES: "uri",
    Kind.TEMPLATES: "uriTemplate",
}


@dataclass(frozen=True, slots=True)
class Listing:
    """All lists of one server, every page of them; unknown members kept.

    A rebuild asks only whether it is the same object: keep the old one when nothing changed.
    """

    tools: tuple[Params, ...] = ()
    prompts: tuple[Params, ...] = ()
    resources: tuple[Params, ...] = ()
    templates: tuple[Params, ...] = ()
    capabilities: Mapping[str, object] = field(default_factory=dict)
    instructions: str | None = None
    server_info: Mapping[str, object] = field(default_factory=dict)
    gateways: tuple[str, ...] = ()

    def entries(self, kind: Kind) -> tuple[Params, ...]:
        """The entries of one kind, in the server's order."""
        match kind:
            case Kind.TOOLS:
                return self.tools
            case Kind.PROMPTS:
                return self.prompts
            case Kind.RESOURCES:
                return self.resources
            case Kind.TEMPLATES:
                return self.templates


NOTHING = Listing()
"""The listing of a server that has not told us yet."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whose it is, and what the server calls it.

    `name` is the server's own tool or prompt name, the URI or the URI template; `raw_name` the
    same as JSON text, ready for params. `entry` is what was listed, None if it was not.
    `header_params` are the arguments a 2026-07-28 server wants mirrored in HTTP headers.
    `place` is the one replica that has it, if only one can (protocol/tasks.py).
    `needs_task`: a tool that works only as a task of 2025-11-25.
    """

    server: str
    name: str
    raw_name: Raw
    entry: Params | None = None
    header_params: tuple[HeaderParam, ...] = ()
    place: str = ""
    needs_task: bool = False
