"""What the settings of the cache and of batching may say."""

from typing import Any

import pytest
from pydantic import ValidationError

from only1mcp.config.cache import Batching, Cache, CachedTool, Sharing
from only1mcp.config.model import Config
from only1mcp.config.values import Model


def test_the_tiers_as_they_come() -> None:
    cache = Cache()
    assert [(one.ttl, one.capacity) for one in (cache.l1, cache.l2, cache.l3)] == [
        (300, 1000),
        (1800, 500),
        (7200, 200),
    ]
    assert not Sharing().shared
    assert Batching().window == 0


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (Cache, {"max_bytes": 1000}),
        (Cache, {"l1": {"ttl": "0s"}}),
        (Cache, {"l2": {"capacity": 0}}),
        (Cache, {"l3": {"capacity": True}}),
        (Cache, {"tools": [{}]}),
        (Cache, {"tools": [{"match": "a", "ttl": 0}]}),
        (Cache, {"stale": "-1s"}),
        (Batching, {"window": "11s"}),
        (Batching, {"max_size": 0}),
        (Sharing, {"shared": "for all"}),
    ],
)
def test_what_is_no_setting(model: type[Model], values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(values)


def test_what_is_one() -> None:
    read = Config.model_validate(
        {
            "cache": {"l1": {"ttl": "10m"}, "tools": [{"match": "search__*"}], "stale": 0},
            "batching": {"window": "100ms", "max_size": 10},
        }
    )
    assert read.cache.l1.ttl == 600
    assert read.cache.l1.capacity == 1000
    assert read.cache.tools == (CachedTool(match="search__*", ttl=60),)
    assert read.batching.window == 0.1
