"""docs/admin-api.md, made from the table of operations: what to send, what comes back."""

from collections.abc import Iterator
from typing import Final

from only1mcp.admin import answers, cache, past
from only1mcp.admin.may import Need
from only1mcp.admin.table import OPERATIONS, PREFIX, Operation
from only1mcp.config.values import Model
from only1mcp.observe.events import KEPT

_HEAD: Final = """\
# Admin API

Look into a running gateway and change it, over the listener that clients use. The tables below
are made from the table that the gateway itself goes by; `GET /api/v1/admin/openapi.json` is the
same as an OpenAPI 3.1 document.

```sh
export A=http://127.0.0.1:8080/api/v1/admin
curl $A/servers
curl -X POST $A/servers/memory/restart
curl -N "$A/events?kinds=request,health"
```

## Who may do what

- *look* and *operate*: whoever may use the gateway, with a token if `server.auth` asks for one.
- *change*: an admin, who shows one of `server.admin_tokens` as bearer token. Without such tokens
  nobody may: a token for MCP, or none at all on loopback, must not be enough to have a program
  started or a secret sent elsewhere.
- Once there are admin tokens, all of the admin API is for admins alone.
- A gateway that other machines reach without any token (`auth: none`) keeps its admin API closed,
  but for admins.

Host and Origin are checked as on every route. What changes something and comes from a web page
needs `Content-Type: application/json`, for which a browser asks first, and is not allowed.

## Changes

A change is written into the configuration file and put in force like any reload. Only what was
named is rewritten: comments, order and `${VARIABLES}` stay. A file that would not be valid is not
written, nor one in which the change would reach another server (a YAML alias), nor JSON that has
comments, which would be lost. The file is replaced as a whole, so a crash leaves the old one or the
new one.

`PATCH` takes a JSON merge patch: `{"tools": {"deny": ["delete_*"]}, "retry": null}` sets one key
and drops another. `***` is never written: leave a secret out to keep it, or send `${VARIABLE}`.

`ETag` stands for the content of the file. `PATCH` and `DELETE` must say with `If-Match` which
content they mean (`*`: whatever it is), or are answered 428; if it is another by now, 412.
Elsewhere it may be left out: to add a server or to switch one cannot undo what somebody else did.

```sh
curl -H "Authorization: Bearer $ADMIN" -H 'Content-Type: application/json' $A/servers -d '
  {"id": "memory", "transport": {"type": "stdio", "command": "npx",
   "args": ["-y", "@modelcontextprotocol/server-memory"]}}'
curl -H "Authorization: Bearer $ADMIN" -H 'If-Match: *' -X DELETE $A/servers/memory
```

## Errors

`application/problem+json` (RFC 9457): `detail` is the cause, `place` where it is, `next` what to
do, `faults` all that is wrong with a configuration. What the listener refuses before that (Host,
Origin, token, size) is JSON with one member, `error`.

## Events

`GET /events` is a stream of server-sent events. Each has an `id`, its kind as `event` and JSON as
`data`. With `Last-Event-ID` (0: all there is) those after it that are still remembered come
first. An event `gap` stands where some are missing because they were forgotten or the reader was
too slow: `missed` is how many, or null. A comment every 15 s shows that the stream is alive; it
ends when the gateway drains.

| Kind | When | Members besides `at` | Remembered |
|---|---|---|---|
"""
_EVENTS: Final = {
    "request": ("a request to a server is over", "as in [RequestRow](#answers)"),
    "server": ("a server is in another state", "server, state, reason"),
    "health": ("the health of a replica is another", "server, replica, health, was, reason"),
    "breaker": ("the breaker of a replica has switched", "server, replica, breaker, was, reason"),
    "restart": ("a replica was started again", "server, replica, restarts"),
    "reload": ("the configuration was read again", "ok, changed, restart, faults"),
    "lists": ("clients see other lists", "lists"),
    "log": ("something was logged", "level, logger, message"),
}
"""Of each kind: when there is one, and what it says."""


def admin_page() -> str:
    """The whole page, as Markdown."""
    rows = "\n".join(_event(kind) for kind in KEPT)
    table = "\n".join(
        ["", "## Operations", "", "| Operation | Who | Does | Answer |", "|---|---|---|---|"]
        + [_operation(one) for one in OPERATIONS]
    )
    parameters = "\n".join(_parameters())
    types = "\n".join(_type(model) for model in _models())
    return f"{_HEAD}{rows}\n{table}\n\n{parameters}\n\n## Answers\n\n{types}"


def _event(kind: str) -> str:
    when, says = _EVENTS[kind]
    return f"| `{kind}` | {when} | {says} | {KEPT[kind]} |"


def _operation(one: Operation) -> str:
    who = {Need.LOOK: "look", Need.OPERATE: "operate", Need.CHANGE: "change"}[one.need]
    answer = one.answer if isinstance(one.answer, str) else f"[{one.answer.__name__}](#answers)"
    return f"| `{one.method} {one.path}` | {who} | {one.does} | {one.status}, {answer} |"


def _parameters() -> Iterator[str]:
    yield f"Paths begin with `{PREFIX}`. Parameters:"
    yield ""
    for one in OPERATIONS:
        for parameter in one.parameters:
            needed = "required" if parameter.required else "optional"
            yield (
                f"- `{one.method} {one.path}` {parameter.place} `{parameter.name}`, {needed}: "
                f"{parameter.does}"
            )


def _models() -> list[type[Model]]:
    """Every type of an answer, in the order of the operations."""
    found = [one.answer for one in OPERATIONS if not isinstance(one.answer, str)]
    every = (one for module in (answers, cache, past) for one in vars(module).values())
    inner = [one for one in every if isinstance(one, type) and _is_answer(one)]
    return list(dict.fromkeys((*found, *inner)))


def _is_answer(one: type) -> bool:
    return issubclass(one, Model) and one is not Model


def _type(model: type[Model]) -> str:
    rows = [
        f"- `{name}`: {' '.join((field.description or '').split())}"
        for name, field in model.model_fields.items()
    ]
    return "\n".join([f"**{model.__name__}**: {model.__doc__ or ''}", "", *rows, ""])
