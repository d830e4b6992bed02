"""What pydantic found, in our own words and at its place in the file."""

from dataclasses import dataclass
from typing import Any, Final, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from only1mcp.config import shape
from only1mcp.config.faults import Report
from only1mcp.config.model import Config
from only1mcp.config.show import mask_url
from only1mcp.config.spelling import hint_for_key, hint_for_word
from only1mcp.config.tree import Node, Path, join
from only1mcp.config.values import Model

_SHOWN: Final = 60  # characters of a wrong value that are repeated


@dataclass(slots=True)
class Spot:
    """Where a pydantic location leads, in the file and in the model at once."""

    node: Node
    """The value; the block around it, if it is missing."""
    model: type[Model]
    """The block of keys it belongs to."""
    field: FieldInfo | None = None
    """Its key in that block; None for an unknown key, and for the whole file."""
    name: str = "the file"
    inside: bool = False
    """An element of the key's list or free block, not the value of the key itself."""
    is_key: bool = False
    """The name in a free block such as `env`, not its value."""


def report_errors(root: Node, error: ValidationError, report: Report) -> None:
    """Report each error that is not the echo of a fault already reported."""
    found = error.errors(include_url=False, include_input=False)
    inner = {item["loc"][:depth] for item in found for depth in range(len(item["loc"]))}
    for item in found:
        if item["type"] == "too_short" and item["loc"] in inner:
            continue  # elements that are at fault are not counted
        _report(item["type"], item.get("ctx", {}), locate(root, item["loc"]), report)


def locate(root: Node, loc: Path) -> Spot:
    """Follow `loc` through the file and the model at once."""
    spot = Spot(root, Config)
    models: tuple[type[Model], ...] = (Config,)
    for part in loc:
        child = spot.node.child(part)
        if part == "[key]":
            spot.is_key = True
        elif isinstance(part, int) or not models:
            spot.inside = True
        elif len(models) > 1 or (child is None and part not in models[0].model_fields):
            chosen = shape.pick(models, part)  # pydantic names the member of a union here
            models = (chosen,) if chosen else ()
        else:
            field = models[0].model_fields.get(part)
            spot = Spot(spot.node, models[0], field, part)
            models = shape.blocks(field.annotation) if field else ()
        spot.node = child or spot.node
    return spot


def _report(kind: str, context: dict[str, Any], spot: Spot, report: Report) -> None:
    node, field = spot.node, spot.field
    if kind == "extra_forbidden":
        hint = hint_for_key(spot.model, spot.name)
        report.error(node.spot, f"unknown key {spot.name!r}", hint)
    elif kind == "missing":
        place = node.spot._replace(where=join(node.place.where, spot.name))
        report.error(place, f"key {spot.name!r} is missing", _missing_hint(field))
    elif kind == "union_tag_not_found":
        hint = "write type: stdio for a program, type: http for a URL"
        report.error(node.spot, "key 'type' is missing", hint)
    elif kind == "union_tag_invalid":
        kind_node = node.child("type") or node
        hint = hint_for_word(kind_node.value, ["stdio", "http", "sse"])
        message = f"type: expected stdio, http or sse, got {_shown(kind_node.said())}"
        report.error(kind_node.place, message, hint)
    elif kind == "value_error" and isinstance(node.value, dict):
        _report_rule(str(context["error"]), spot, report)
    elif not node.spoiled:
        _report_value(kind, context, spot, report)


def _report_rule(message: str, spot: Spot, report: Report) -> None:
    """A rule between keys of one block, unless it was reported at the keys themselves."""
    if not report.accuses(spot.node.place.where):
        report.error(spot.node.spot, message)


def _report_value(kind: str, context: dict[str, Any], spot: Spot, report: Report) -> None:
    node, field = spot.node, spot.field
    if kind == "value_error":
        message = str(context["error"])
    elif field is None:
        message = "expected a block of keys"
    elif spot.inside:
        message = f"expected {shape.expected_element(field, spot.is_key)}"
    else:
        message = f"expected {shape.expected(field)}"
    place = node.spot if spot.is_key else node.place
    got = "" if spot.is_key else _got(node, spot)
    report.error(place, f"{_name(spot)}: {message}{got}", _value_hint(kind, spot))


def _name(spot: Spot) -> str:
    """The key for the reader: `port`, `args[1]`, `env.PORT`."""
    where = spot.node.place.where
    return where[where.rfind(spot.name) :] if spot.inside and spot.name in where else spot.name


def _missing_hint(field: FieldInfo | None) -> str | None:
    if field is None or shape.blocks(field.annotation):
        return None
    return f"give it {shape.expected(field)}"


def _got(node: Node, spot: Spot) -> str:
    """`, got ...`, unless it is or may hold a secret."""
    if spot.field is not None and shape.is_secret(spot.field.annotation):
        return ""
    return f", got {_shown(node.said())}"


def _shown(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case dict():
            return "a block"
        case list():
            return "a list"
        case str():
            text = mask_url(value)
            return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
    return str(value)[:_SHOWN]


def _value_hint(kind: str, spot: Spot) -> str | None:
    value = spot.node.value
    if kind == "literal_error" and spot.name != "auth" and spot.field is not None:
        members = shape.alternatives(spot.field.annotation)
        return hint_for_word(value, [word for member in members for word in get_args(member)])
    if spot.name == "auth":
        return 'write auth: {tokens: ["${ONLY1MCP_TOKEN}"]}'
    if spot.name == "transport":
        return "write transport: {type: http, url: ...} or {type: stdio, command: ...}"
    if spot.name == "command" and isinstance(value, list):
        return "put the program into command and the rest into args"
    if kind == "string_type" and isinstance(value, int | float):
        return "put it in quotes"
    if kind == "tuple_type" and isinstance(value, str):
        return "put it in [ ]"
    return None
