"""`servers`, `tools`, `call`, `reload`: what a running gateway says, as tables, JSON or text."""

import dataclasses
import json
import sys
from math import isfinite
from typing import Any

from rich.console import Console
from rich.table import Table

from only1mcp.cli.reach import Remote
from only1mcp.cli.say import Exit, Failure, fail, note
from only1mcp.config.diff import Diff
from only1mcp.config.faults import Fault


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
    table = _table(
        "server", "state", "health", "transport", "revision", "tools", "prompts", "resources", ""
    )
    for row in found["servers"]:
        table.add_row(
            row["id"], row["state"], row["health"], row["transport"],
            ", ".join(row["revisions"]) or "-",
            str(row["tools"]), str(row["prompts"]), str(row["resources"]), _why(row),
        )  # fmt: skip
        for one in row["replicas"] if len(row["replicas"]) > 1 else ():
            said = f"{one['id']} {_why(one)}".rstrip()
            table.add_row("", one["state"], one["health"], *[""] * 5, said)
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


def reload_config(url: str | None, token: str | None, *, as_json: bool) -> int:
    """`only1mcp reload`: exit 2 when the configuration has faults."""
    try:
        with Remote(url, token) as gateway:
            found = gateway.reload()
    except Failure as error:
        return fail(error)
    faults = [Fault(**one) for one in found.get("faults", ())]
    if as_json:
        print(json.dumps(found, indent=2))
        return Exit.USAGE if faults else Exit.OK
    for one in (*faults, *(Fault(**one) for one in found.get("warnings", ()))):
        note(str(one))
    if faults:
        text = "the configuration is refused; the former one stays in force"
        return fail(Failure(text, Exit.USAGE))
    changes = _diff(found)
    if not changes or str(changes):
        print(str(changes) or "nothing to change")
    if changes.restart:
        note(f"in force after a restart: {', '.join(changes.restart)}")
    return Exit.OK


def _diff(found: dict[str, Any]) -> Diff:
    """The difference as it was before it was JSON."""
    names = [one.name for one in dataclasses.fields(Diff) if one.name in found]
    fields: dict[str, Any] = {
        name: tuple(found[name]) if isinstance(found[name], list) else found[name] for name in names
    }
    return Diff(**fields)


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
            params = {"name": name, "arguments": parsed(arguments)}
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


def _why(row: dict[str, Any]) -> str:
    """What is wrong with a server or a replica, and since when; nothing if it is well."""
    one = row["replicas"][0] if len(row.get("replicas", ())) == 1 else row
    if one.get("breaker", "closed") != "closed":
        return f"left alone since {one['since']}: {_first_line(one['reason'])}"
    if one["health"] in ("healthy", "unknown"):
        return _first_line(row["reason"])
    return f"{_first_line(one['reason'])} (since {one['since']})" if one["reason"] else ""


def _first_line(reason: str) -> str:
    """What a table has room for; `why` has the rest."""
    first, _, rest = reason.partition("\n")
    return f"{first.removesuffix(':')} …" if rest else first


def parsed(arguments: str) -> dict[str, Any]:
    """The arguments of a tool, as they were typed.

    Raises:
        Failure: they are no JSON object.
    """
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
