"""What the settings of balancing, limits, checks, breaker and retries may say."""

from typing import Any

import pytest
from pydantic import ValidationError

from only1mcp.config import resilience
from only1mcp.config.resilience import (
    CircuitBreaker,
    Concurrency,
    HealthCheck,
    Limits,
    LoadBalancing,
    Retry,
)
from only1mcp.config.values import Model

ALL = (LoadBalancing, Concurrency, HealthCheck, CircuitBreaker, Retry, Limits)


@pytest.mark.parametrize("model", ALL)
def test_every_setting_has_a_default_and_says_what_it_is_for(model: type[Model]) -> None:
    model()
    for name, field in model.model_fields.items():
        assert len(field.description or "") > 10, name


def test_every_type_of_the_module_is_looked_at_here() -> None:
    own = {
        one
        for one in vars(resilience).values()
        if getattr(one, "__module__", "") == (resilience.__name__) and isinstance(one, type)
    }
    assert own == set(ALL)


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (LoadBalancing, {"policy": "sticky"}),
        (LoadBalancing, {"hash_key": "argument:"}),
        (LoadBalancing, {"hash_key": "header:x"}),
        (LoadBalancing, {"virtual_nodes": 9}),
        (Concurrency, {"max_in_flight": 0}),
        (Concurrency, {"max_in_flight": True}),
        (Concurrency, {"queue": -1}),
        (Concurrency, {"queue_timeout": "0s"}),
        (HealthCheck, {"interval": "5s", "timeout": "5s"}),
        (HealthCheck, {"healthy_threshold": 0}),
        (HealthCheck, {"path": "health"}),
        (HealthCheck, {"path": "/a b"}),
        (CircuitBreaker, {"failure_rate": 0}),
        (CircuitBreaker, {"failure_rate": True}),
        (CircuitBreaker, {"open": "10m"}),
        (Retry, {"budget": 1.1}),
        (Retry, {"idempotent_tools": [""]}),
        (Limits, {"per_caller": 0}),
        (Limits, {"burst": 1}),
    ],
)
def test_what_is_no_setting(model: type[Model], values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(values)


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (LoadBalancing, {"policy": "consistent_hash", "hash_key": "argument:path"}),
        (Concurrency, {"max_in_flight": 1, "queue": 0, "queue_timeout": "500ms"}),
        (HealthCheck, {"interval": "10s", "timeout": "5s", "path": "/health?deep=1"}),
        (CircuitBreaker, {"open": "300s", "failure_rate": 1}),
        (Retry, {"budget": 0, "idempotent_tools": ["get_*"]}),
    ],
)
def test_what_is_one(model: type[Model], values: dict[str, Any]) -> None:
    read = model.model_validate(values)
    assert model.model_validate(read.model_dump()) == read
