"""The admin API as an OpenAPI 3.1 document, made from the table of its operations."""

import json
import re
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel

from only1mcp import __version__
from only1mcp.admin import answers
from only1mcp.admin.cache import Filter
from only1mcp.admin.may import Need
from only1mcp.admin.table import OPERATIONS, PREFIX, Operation, Parameter
from only1mcp.config.schema import json_schema

_REF: Final = "#/components/schemas/"
_DEFINED: Final = re.compile(r"#/\$defs/(\w+)")
_SUFFIX: Final = "Settings"
"""Tells the settings of the file from answers of the same name."""
_BODIES: Final = {"server": "ServerSettings", "patch": "ServerPatch", "filter": "Filter"}
_ID: Final = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The id of a server in the configuration.",
    "schema": {"type": "string"},
}
_BY_ALL: Final = (400, 401, 403)
_ABOUT: Final = """\
Look into a running gateway and change it. A change is written to the configuration file, comments
kept, and then put in force. Errors are `application/problem+json`; what the listener refuses before
(Host, Origin, token, size) has one member, `error`."""


def document() -> dict[str, Any]:
    """The whole document."""
    schemas: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        block = paths.setdefault(PREFIX + operation.path, {})
        if "{id}" in operation.path:
            block["parameters"] = [_ID]
        block[operation.method.lower()] = _operation(operation, schemas)
    for model in (answers.Problem, answers.Refusal, Filter):
        _schema(model, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Only1MCP admin API", "version": __version__, "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": schemas | _settings(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _operation(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.does,
        "description": _needs(operation.need),
        "responses": {str(operation.status): _answer(operation, schemas)},
    }
    for status in sorted({*_BY_ALL, *operation.errors}):
        found["responses"][str(status)] = _error(status)
    if operation.parameters:
        found["parameters"] = [_parameter(one) for one in operation.parameters]
    if operation.body is not None:
        content = {"application/json": {"schema": {"$ref": _REF + _BODIES[operation.body]}}}
        found["requestBody"] = {"required": operation.body != "filter", "content": content}
    if operation.need is Need.CHANGE:
        found["security"] = [{"token": []}]
    return found


def _needs(need: Need) -> str:
    match need:
        case Need.LOOK:
            return "For whoever may use the gateway; once there are admin tokens, for admins."
        case Need.OPERATE:
            return "For whoever may look."
        case Need.CHANGE:
            return "For admins: `server.admin_tokens`."


def _answer(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    kind = "application/json"
    if isinstance(operation.answer, str):
        kind = operation.answer
        schema = {"type": "object" if kind == "application/json" else "string"}
    else:
        _schema(operation.answer, schemas)
        schema = {"$ref": _REF + operation.answer.__name__}
    found: dict[str, Any] = {
        "description": HTTPStatus(operation.status).phrase,
        "content": {kind: {"schema": schema}},
    }
    if operation.tagged:
        about = "Of the configuration file, for If-Match."
        found["headers"] = {"ETag": {"description": about, "schema": {"type": "string"}}}
    return found


def _error(status: int) -> dict[str, Any]:
    content: dict[str, Any] = {
        "application/problem+json": {"schema": {"$ref": _REF + answers.Problem.__name__}}
    }
    if status in _BY_ALL:
        content["application/json"] = {"schema": {"$ref": _REF + answers.Refusal.__name__}}
    return {"description": HTTPStatus(status).phrase, "content": content}


def _parameter(one: Parameter) -> dict[str, Any]:
    return {
        "name": one.name,
        "in": one.place,
        "required": one.required,
        "description": one.does,
        "schema": one.schema,
    }


def _schema(model: type[BaseModel], schemas: dict[str, Any]) -> None:
    found = model.model_json_schema(ref_template=_REF + "{model}", mode="serialization")
    schemas |= found.pop("$defs", {})
    schemas[model.__name__] = found


def _settings() -> dict[str, Any]:
    """The schemas of what a request may say of a server, as the file would."""
    definitions: dict[str, Any] = json_schema()["$defs"]
    found: dict[str, Any] = {}
    wanted = ["Server"]
    for name in wanted:
        text = json.dumps(definitions[name])
        wanted += [one for one in _DEFINED.findall(text) if one not in wanted]
        found[name + _SUFFIX] = json.loads(_DEFINED.sub(rf"{_REF}\1{_SUFFIX}", text))
    server = found["Server" + _SUFFIX]
    patch = {key: value for key, value in server.items() if key != "required"} | {
        "description": "A JSON merge patch (RFC 7396) of a server: null drops a key.",
        "properties": dict.fromkeys(server["properties"], True),
    }
    return {**found, "ServerPatch": patch}
