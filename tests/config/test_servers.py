"""What one server of the configuration may say."""

from typing import Any

import pytest
from pydantic import ValidationError

from only1mcp.config.servers import Http, Server, Stdio, Timeouts, Tools, shared_targets
from only1mcp.config.values import Model


def test_shared_targets_are_pairs() -> None:
    assert shared_targets({"a": "x", "b": "y", "c": "x"}) == [("a", "c", "x")]
    assert shared_targets({"a": "b", "b": "a"}) == []


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (Tools, {"rename": {"a": "x", "b": "x"}}),
        (Stdio, {"command": "a\0b"}),
        (Stdio, {"command": "a", "env": {"A=B": "x"}}),
        (Stdio, {"command": "a", "env": {"A": "x\0"}}),
        (Http, {"url": "http://h", "headers": {"A": "x\r\nB: y"}}),
        (Http, {"url": "http://h", "headers": {"Content-Length": "1"}}),
        (Http, {"url": "http://h", "headers": {"A": "\u20ac"}}),
        (Http, {"url": "http://h /x"}),
        (Timeouts, {"start": 0}),
        (Server, {"id": "a", "transport": {"url": "http://h"}}),
    ],
)
def test_what_no_value_can_be(model: type[Model], values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(values)


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (Http, {"url": "https://[::1]:8443/mcp?x=1"}),
        (Http, {"url": "http://h", "headers": {"Authorization": "Bearer x y\tz"}}),
        (Stdio, {"command": "a", "env": {"A.b-c": ""}}),
    ],
)
def test_what_a_value_can_be(model: type[Model], values: dict[str, Any]) -> None:
    assert model.model_validate(values) == model.model_validate(values)
