"""Servers and what they list, in one line each."""

import json
from typing import Any

from only1mcp.catalog.listing import Listing
from only1mcp.config.servers import Server, Stdio, Tools
from only1mcp.protocol.message import objects


def server(id: str, *, enabled: bool = True, **rules: Any) -> Server:
    """A server of the configuration; `rules` are those of `tools`."""
    return Server(id=id, enabled=enabled, transport=Stdio(command="true"), tools=Tools(**rules))


def tool(name: str, **members: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, **members}


def resource(uri: str, **members: Any) -> dict[str, Any]:
    return {"uri": uri, "name": "a resource", **members}


def template(uri_template: str, **members: Any) -> dict[str, Any]:
    return {"uriTemplate": uri_template, "name": "a template", **members}


def listing(
    *,
    tools: list[Any] | None = None,
    prompts: list[Any] | None = None,
    resources: list[Any] | None = None,
    templates: list[Any] | None = None,
    capabilities: dict[str, object] | None = None,
) -> Listing:
    """A listing; a bare string stands for the simplest entry of that name."""

    def entries(kind: Any, items: list[Any] | None) -> Any:
        full = [kind(item) if isinstance(item, str) else item for item in items or []]
        return tuple(objects(json.dumps(full).encode()))

    return Listing(
        tools=entries(tool, tools),
        prompts=entries(lambda name: {"name": name}, prompts),
        resources=entries(resource, resources),
        templates=entries(template, templates),
        capabilities=capabilities or {},
    )
