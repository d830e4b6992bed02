"""What a new configuration changes, and what of it has to wait for a restart."""

from typing import Any

import pytest

from only1mcp.config.diff import SAME, Diff, connects, diff, in_force, others
from only1mcp.config.load import load_text
from only1mcp.config.model import Config
from only1mcp.config.servers import Server

PROGRAM = {"type": "stdio", "command": "run", "args": ["a"]}


def server(id: str = "one", **more: Any) -> dict[str, Any]:
    """An entry."""
    return {"id": id, "transport": PROGRAM, **more}


def config(*servers: dict[str, Any], **more: Any) -> Config:
    """A whole configuration."""
    return Config.model_validate({"servers": servers, **more})


def test_the_same_is_no_difference() -> None:
    found = diff(config(server(), server("two")), config(server(), server("two")))
    assert found == SAME
    assert not found
    assert str(found) == ""


def test_servers_come_go_and_change() -> None:
    before = config(server("kept"), server("tuned"), server("moved"), server("gone"))
    now = config(
        server("new"),
        server("moved", transport={**PROGRAM, "args": ["b"]}),
        server("kept"),
        server("tuned", tools={"deny": ["x"]}),
    )
    found = diff(before, now)
    assert found == Diff(("new",), ("gone",), ("moved",), ("tuned",), reordered=True)
    assert str(found) == (
        "added new; removed gone; changed moved; adjusted tuned; reordered servers"
    )


WAYS = [
    {"transport": {**PROGRAM, "args": ["b"]}},
    {"transport": {**PROGRAM, "env": {"A": "b"}}},
    {"transport": {"type": "http", "url": "http://127.0.0.1:1/mcp"}},
    {"enabled": False},
    {"protocol": "legacy"},
    {"isolation": "session"},
]


@pytest.mark.parametrize("more", WAYS, ids=str)
def test_what_needs_other_connections(more: dict[str, Any]) -> None:
    assert diff(config(server()), config(server(**more))).changed == ("one",)


def test_a_replica_that_comes_or_goes_needs_other_connections() -> None:
    both = [{"transport": {"type": "http", "url": f"http://127.0.0.1:{n}/mcp"}} for n in (1, 2)]
    two = {"id": "one", "replicas": both}
    one = {"id": "one", "replicas": both[:1]}
    alone = {"id": "one", **both[0]}
    assert diff(config(two), config(one)).changed == ("one",)
    assert diff(config(one), config(alone)).changed == ("one",)
    heavier = {"id": "one", "replicas": [both[0], {**both[1], "weight": 5}]}
    assert diff(config(two), config(heavier)).adjusted == ("one",)


def test_every_setting_of_a_server_is_either_a_connection_or_adjusted() -> None:
    """A setting that is added one day must be looked at here."""
    assert set(Server.model_fields) == {
        *("id", "transport", "replicas", "enabled", "protocol", "isolation"),  # other connections
        *("tools", "timeouts", "idle_stop", "stale_lists", "cache"),
        *("load_balancing", "health_check", "circuit_breaker", "concurrency", "retry"),
    }
    assert len(connects(config(server()).servers[0])) == 5


def test_settings_act_at_once_or_after_a_restart() -> None:
    now = config(
        server={"port": 9000, "max_connections": 50, "drain_timeout": "1s"},
        naming={"separator": "-"},
        logging={"level": "debug", "format": "json"},
        cache={"max_bytes": 100_000},
        batching={"window": "1s"},
        hot_reload={"enabled": False},
    )
    found = diff(config(), now)
    assert set(found.settings) == {
        *("server.max_connections", "server.drain_timeout", "naming", "logging.level"),
        *("cache", "batching", "hot_reload"),
    }
    assert set(found.restart) == {"server.port", "logging.format"}
    force = in_force(config(), now, found)
    assert (force.server.port, force.logging.format) == (8080, "auto")
    assert (force.server.max_connections, force.logging.level) == (50, "debug")
    assert diff(force, now).restart == found.restart, "it is said until the restart"
    assert diff(force, now).settings == ()


def test_a_certificate_is_changed_but_tls_itself_needs_a_restart(tmp_path: Any) -> None:
    def tls(name: str) -> dict[str, Any]:
        return {"tls": {"cert": str(tmp_path / name), "key": str(tmp_path / name)}}

    assert diff(config(server=tls("a")), config(server=tls("b"))).settings == ("server.tls",)
    assert diff(config(), config(server=tls("a"))).restart == ("server.tls",)
    assert diff(config(server=tls("a")), config()).restart == ("server.tls",)


def test_another_value_of_a_variable_is_a_change() -> None:
    text = "servers: [{id: one, transport: {type: stdio, command: run, env: {KEY: '${KEY}'}}}]"
    one, two = (load_text(text, "f", "yaml", {"KEY": key}).config for key in ("a", "b"))
    assert diff(one, two).changed == ("one",)


def test_what_is_not_the_same_object_is_looked_at_for_secrets() -> None:
    old = config(server(), server("two"), server("three"))
    now = old.model_copy(update={"servers": (*old.servers[:2], *config(server("three")).servers)})
    assert [one.id for one in others(old, now).servers] == ["three"]
    assert others(old, now).server is now.server
