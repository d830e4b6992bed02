"""What the stub answers: both eras, sizes, streams, counts."""

import json

from only1mcp.bench import started
from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.stub import Stub


def asked(stub: Stub, method: str, params: dict[str, object] | None = None) -> dict[str, object]:
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params or {}}
    found: dict[str, object] = json.loads(stub.answer(json.dumps(body).encode()) or b"{}")
    return found


def test_each_era_is_shaken_hands_with_in_its_way() -> None:
    legacy, modern = Stub("legacy", 1, 1), Stub("modern", 1, 1)
    assert "result" in asked(legacy, "initialize")
    assert "error" in asked(legacy, "server/discover")
    assert "result" in asked(modern, "server/discover")
    assert "error" in asked(modern, "initialize")


def test_an_older_revision_is_agreed_to() -> None:
    answer = asked(Stub("legacy", 1, 1), "initialize", {"protocolVersion": "2024-11-05"})
    assert "2024-11-05" in json.dumps(answer)


def test_a_call_is_answered_with_the_size_that_was_asked_for() -> None:
    stub = Stub("legacy", 3, 10)
    assert '"xxxxxxxxxx"' in json.dumps(asked(stub, "tools/call"))
    assert '"xxx"' in json.dumps(asked(stub, "tools/call", {"arguments": {"size": 3}}))
    assert stub.counts == {"tools/call": 2}
    assert json.dumps(asked(stub, "tools/list")).count('"name"') == 3


def test_a_notification_has_no_answer() -> None:
    note = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'
    assert Stub("legacy", 1, 1).answer(note) is None


def test_over_http_it_streams_waits_and_counts() -> None:
    with started.stub(0) as stub:
        end = Endpoint(stub.url).open()
        params = {"name": "echo", "arguments": {"steps": 2}, "_meta": {"progressToken": 5}}
        said = end.say("tools/call", params)
        assert said.count(b'"progressToken":5') == 2
        assert b'"result"' in said
        end.ask("tools/call", {"name": "echo", "arguments": {"delay_ms": 1}})
        assert started.told(stub.url) == {"initialize": 1, "tools/call": 2}
