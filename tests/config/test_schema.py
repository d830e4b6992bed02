"""The schema describes what the loader reads."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from ruamel.yaml import YAML

from only1mcp.config.model import Config, Listener
from only1mcp.config.schema import json_schema, models
from only1mcp.config.show import redacted
from only1mcp.config.templates import NAMES, template


def accepts(value: Any) -> bool:
    return bool(Draft202012Validator(json_schema()).is_valid(value))


def test_it_is_a_schema() -> None:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json.loads(json.dumps(schema)) == schema


@pytest.mark.parametrize("name", NAMES)
def test_it_accepts_the_templates(name: str) -> None:
    document = YAML(typ="safe", pure=True).load(template(name))
    document["servers"] = document["servers"] or []
    assert accepts(document)


def test_it_accepts_what_is_shown() -> None:
    assert accepts(redacted(Config()))


HTTP = {"type": "http", "url": "http://h"}


@pytest.mark.parametrize(
    "value",
    [
        {"server": {"port": 8080, "drain_timeout": "30s"}},
        {"server": {"port": "${PORT}", "drain_timeout": 30}},
        {"server": {"auth": "none", "allowed_hosts": ["${HOST}"]}},
        {"servers": [{"id": "a", "transport": HTTP, "enabled": "${ON:-true}"}]},
        {"servers": [{"id": "a", "transport": {"type": "http", "url": "${URL}"}}]},
        {"servers": {"a": {"command": "x"}}},
        {"$schema": "x", "mcpServers": {"a": {"url": "http://h"}}},
    ],
)
def test_what_it_accepts(value: Any) -> None:
    assert accepts(value)


@pytest.mark.parametrize(
    "value",
    [
        {"sever": {}},
        {"server": {"port": 0}},
        {"server": {"port": "x"}},
        {"server": {"drain_timeout": "30 years"}},
        {"server": {"drain_timeout": 3601}},
        {"server": {"auth": "nobody"}},
        {"servers": [{"id": "A_b", "transport": HTTP}]},
        {"servers": [{"id": "a", "transport": {"url": "http://h"}}]},
        {"servers": [{"id": "a", "transport": {"type": "sse", "command": "sh"}}]},
        {"servers": [{"id": "a", "transport": HTTP, "timeouts": {"start": 0}}]},
        {"mcpServers": []},
    ],
)
def test_what_it_refuses(value: Any) -> None:
    assert not accepts(value)


def test_every_key_is_described() -> None:
    for model in models():
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"


def test_defaults_are_written_as_in_the_file() -> None:
    listener = json_schema()["$defs"]["Listener"]["properties"]
    assert listener["drain_timeout"]["default"] == "30s"
    assert listener["port"]["default"] == Listener().port
