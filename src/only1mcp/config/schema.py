"""JSON Schema of the configuration file, for editors and CI; made from the model.

It describes the file as it is written: durations as `30s`, `${VARIABLE}` wherever a value that
is not text may stand, and the servers of clients under their own keys.
"""

from typing import Any, Final

from pydantic.fields import FieldInfo

from only1mcp.config import shape
from only1mcp.config.foreign import CLIENT_KEYS
from only1mcp.config.model import Config
from only1mcp.config.values import Model, format_duration

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_VARIABLE: Final = {
    "type": "string",
    "pattern": r"\$\{[^{}]+\}",
    "description": "Taken from the environment.",
}
_CLIENT_SERVERS: Final = {
    "type": "object",
    "description": "Servers by name, as clients write them.",
    "additionalProperties": {
        "type": "object",
        "description": "A program (command, args, env) or a URL (url, headers).",
    },
}


def json_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of a whole file."""
    schema = Config.model_json_schema()
    definitions: dict[str, Any] = schema.pop("$defs")
    for model in models():
        block = schema if model is Config else definitions[model.__name__]
        if shape.block_type(model):
            block["required"] = ["type", *block["required"]]
        properties = block["properties"]
        for name, field in model.model_fields.items():
            properties[name] = _property(properties[name], field)
    properties = schema["properties"]
    properties["servers"] = _either(properties["servers"], "ClientServers")
    properties["$schema"] = {"type": "string", "description": "This schema, for editors."}
    properties.update({key: {"$ref": "#/$defs/ClientServers"} for key in CLIENT_KEYS})
    definitions.update(Variable=_VARIABLE, ClientServers=_CLIENT_SERVERS)
    return {"$schema": _DIALECT, **schema, "title": "Only1MCP", "$defs": definitions}


def models() -> list[type[Model]]:
    """Every block of keys, in the order in which they are met in the file."""
    found: list[type[Model]] = [Config]
    for model in found:
        for field in model.model_fields.values():
            found += [block for block in shape.blocks(field.annotation) if block not in found]
    return found


def _property(value: dict[str, Any], field: FieldInfo) -> dict[str, Any]:
    value.pop("title", None)
    if shape.is_duration(field):
        value["default"] = format_duration(field.default)
        text, number = value.pop("anyOf")
        value["anyOf"] = [text, number | _bounds(field), {"$ref": "#/$defs/Variable"}]
        return value
    if isinstance(field.default, Model):
        value.pop("default", None)  # the block itself tells
    return _open(value)


def _bounds(field: FieldInfo) -> dict[str, Any]:
    names = {"gt": "exclusiveMinimum", "ge": "minimum", "le": "maximum"}
    return {
        word: getattr(item, name)
        for item in field.metadata
        for name, word in names.items()
        if hasattr(item, name)
    }


def _open(value: dict[str, Any]) -> dict[str, Any]:
    """Allow a variable wherever a value is bound to a range, a pattern or certain words."""
    for inner in ("items", "additionalProperties"):
        if isinstance(value.get(inner), dict):
            value[inner] = _open(value[inner])
    if value.keys() & {"enum", "minimum", "pattern"} or value.get("type") == "boolean":
        return _either(value, "Variable")
    return value


def _either(value: dict[str, Any], definition: str) -> dict[str, Any]:
    about: dict[str, Any] = {
        key: value.pop(key) for key in ("default", "description") if key in value
    }
    return {"anyOf": [value, {"$ref": f"#/$defs/{definition}"}], **about}
