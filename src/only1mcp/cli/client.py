"""`servers`, `tools`, `call`: what a running gateway says, as tables, JSON or plain text."""

import json
import sys
from math import isfinite
from typing import Any

from rich.console import Console
from rich.table import Table

from only1mcp.cli.reach import Remote
from only1mcp.cli.say import Exit, Failure, fail, note


def show_servers(url: str | None, token: str | None, *, as_json: bool) -> int:
    """`only1mcp servers`."""
    try:
        with Remote(url, token) as gateway:
            found = gateway.get("/api/v1/admin/servers", "servers")
    except Failure as error:
        return fail(error)
    if as_json:
        print(json.dumps(found, indent=2))
        return Exit.OK
    table = _table("server", "state", "transport", "revision", "tools", "prompts", "resources", "")
    for row in found["servers"]:
        table.add_row(
            row["id"], row["state"], row["transport"], ", ".join(row["revisions"]) or "-",
            str(row["tools"]), str(row["prompts"]), str(row["resources"]),
            _first_line(row["reason"]),
        )  # fmt: skip
    _print(table)
    for clash in found["clashes"]:
        note(
            f"warning: {clash['kind']} '{clash['name']}' of server '{clash['hidden']}' is hidden "
            f"by the one of '{clash['kept']}'"
        )
    for one in found["dropped"]:
        note(
            f"warning: {one['kind']} '{one['name']}' of '{one['server']}' left out: {one['reason']}"
        )
    return Exit.OK


def _first_line(reason: str) -> str:
    """What a table has room for; `why` has the rest."""
    first, _, rest = reason.partition("\n")
    return f"{first.removesuffix(':')} …" if rest else first


def show_tools(server: str | None, url: str | None, token: str | None, *, as_json: bool) -> int:
    """`only1mcp tools`."""
    try:
        with Remote(url, token) as gateway:
            tools = list(gateway.tools(server))
    except Failure as error:
        return fail(error)
    if as_json:
        print(json.dumps(tools, indent=2, ensure_ascii=False))
        return Exit.OK
    table = _table("tool", "arguments", "description")
    for tool in tools:
        description = str(tool.get("description") or tool.get("title") or "").strip()
        table.add_row(tool["name"], _arguments(tool), description.partition("\n")[0])
    _print(table)
    return Exit.OK


def call_tool(
    name: str,
    arguments: str,
    server: str | None,
    url: str | None,
    token: str | None,
    *,
    as_json: bool,
) -> int:
    """`only1mcp call`: exit 1 when the tool says it failed."""
    try:
        with Remote(url, token) as gateway:
            params = {"name": name, "arguments": _parse(arguments)}
            result = gateway.ask("tools/call", params, server, name=name, progress=not as_json)
    except Failure as error:
        return fail(error)
    if as_json:
        print(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        for block in result.get("content") or ():
            print(_readable(block))
    if result.get("resultType") == "input_required":
        note("the tool asks for input; use a client that can answer questions")
        return Exit.FAILURE
    return Exit.FAILURE if result.get("isError") else Exit.OK


def _parse(arguments: str) -> dict[str, Any]:
    try:
        value = json.loads(arguments, parse_constant=_finite, parse_float=_finite)
    except ValueError as error:
        raise Failure(f"the arguments are not JSON: {error}", Exit.USAGE) from None
    if not isinstance(value, dict):
        raise Failure("the arguments must be a JSON object such as '{\"a\": 1}'", Exit.USAGE)
    return value


def _finite(text: str) -> float:
    """A number that can be written again: Python also reads NaN, and 1e400 as infinity."""
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text} is no number that can be sent")
    return number


def _readable(block: Any) -> str:
    if isinstance(block, dict) and block.get("type") == "text":
        return str(block.get("text", ""))
    return json.dumps(block, ensure_ascii=False)


def _arguments(tool: dict[str, Any]) -> str:
    schema = tool.get("inputSchema", {})
    needed = schema.get("required") or ()
    names = schema.get("properties") or ()
    return ", ".join(name if name in needed else f"[{name}]" for name in names)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _print(table: Table) -> None:
    width = None if sys.stdout.isatty() else 200
    Console(width=width, highlight=False, markup=False).print(table)
