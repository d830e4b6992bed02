"""One call on its way, without a network: ids, tokens, deadlines, what its stream brings."""

import asyncio
import json
from typing import Any

import pytest
from msgspec import Raw

from only1mcp.observe.tasks import Tasks
from only1mcp.protocol.errors import ServerProtocolError, ServerTimeout, ServerUnavailable
from only1mcp.protocol.message import Message, Params, as_raw
from only1mcp.protocol.sse import Event, Parser
from only1mcp.upstream.afterwards import Afterwards
from only1mcp.upstream.base import Call
from only1mcp.upstream.deadline import MAY_HAVE_RUN
from only1mcp.upstream.dial import Endpoint
from only1mcp.upstream.running import Running, run, stray_progress


class Rig:
    """A call with id 7 at time 100, and all that comes of it."""

    def __init__(self, params: Params | None = None, *, sink: bool = True) -> None:
        self.now = 100.0
        self.notified: list[tuple[str, Any]] = []
        self.stray: list[Message] = []
        keep = self.keep if sink else None
        self.call = Call("tools/call", params, "echo", keep, idle_s=10, max_s=25)
        self.endpoint = Endpoint("search", "http://a.example/mcp")
        self.running = run(self, self.call, 7)

    def clock(self) -> float:
        return self.now

    def on_stray(self, found: Message) -> None:
        self.stray.append(found)

    def on_request(self, found: Message, of: Running) -> None:
        self.stray.append(found)

    def keep(self, method: str, params: Raw) -> None:
        self.notified.append((method, json.loads(bytes(params))))

    def event(self, name: bytes = b"", **members: Any) -> bool:
        return self.running.on_event(
            Event(json.dumps({"jsonrpc": "2.0", **members}).encode(), name)
        )


async def test_it_has_an_id_of_its_own_and_its_params_unchanged() -> None:
    params = {"name": as_raw("echo"), "arguments": Raw(b'{"n" : 1.50}')}
    body = Rig(params).running.body
    assert b'"arguments":{"n" : 1.50}' in body
    assert json.loads(body)["id"] == 7
    assert "params" not in json.loads(Rig(None).running.body)


@pytest.mark.parametrize("token", ["abc", 0, 7, "7"])
async def test_its_progress_token_is_ours_on_the_way_and_the_clients_on_the_way_back(
    token: str | int,
) -> None:
    meta = {"progressToken": token, "x": {"y": 1}}
    params = {"_meta": as_raw(meta)}
    rig = Rig(params)
    assert json.loads(rig.running.body)["params"]["_meta"] == {"progressToken": 7, "x": {"y": 1}}
    assert json.loads(bytes(params["_meta"])) == meta  # the caller's own is untouched
    progress = {"progressToken": 7, "progress": 1, "message": "m"}
    assert not rig.event(method="notifications/progress", params=progress)
    assert rig.notified == [("notifications/progress", {**progress, "progressToken": token})]


@pytest.mark.parametrize("meta", [{"x": 1}, {"x": {"progressToken": 1}}])
async def test_without_a_token_meta_is_carried_as_it_is(meta: dict[str, Any]) -> None:
    rig = Rig({"_meta": Raw(json.dumps(meta, indent=1).encode())})
    assert json.dumps(meta, indent=1).encode() in rig.running.body
    rig.event(method="notifications/progress", params={"progressToken": 7, "progress": 1})
    assert rig.notified == []


@pytest.mark.parametrize("params", [{"progressToken": 8}, {"progressToken": "7"}, {}, [1], None])
async def test_progress_of_another_call_is_not_this_ones(params: Any) -> None:
    rig = Rig({"_meta": as_raw({"progressToken": "a"})})
    assert not rig.event(method="notifications/progress", params=params)
    assert rig.notified == []


async def test_progress_outside_its_call_finds_it_or_its_task() -> None:
    rig, late = Rig({"_meta": as_raw({"progressToken": "a"})}), Afterwards()
    told: list[Any] = []
    made = Call("tools/call", afterwards=lambda method, params: told.append(params))
    late.keep(8, as_raw("b"), made, b'{"task":{"taskId":"x"}}')
    for token in (7, 8, 9, "7", True, None, -7):
        stray_progress(as_raw({"progressToken": token}), {7: rig.running, 1: rig.running}, late)
    stray_progress(as_raw([7]), {7: rig.running}, late)
    assert rig.notified == [("notifications/progress", {"progressToken": "a"})]
    assert [json.loads(bytes(one)) for one in told] == [{"progressToken": "b"}]


async def test_what_belongs_to_the_call_goes_to_its_caller() -> None:
    rig = Rig()
    assert not rig.event(method="notifications/message", params={"level": "info", "data": 1})
    assert rig.notified == [("notifications/message", {"level": "info", "data": 1})]
    assert rig.stray == []
    assert not rig.event(method="notifications/cancelled", params={"requestId": "a question"})
    assert len(rig.notified) == len(rig.stray) == 1
    Rig(sink=False).event(method="notifications/message", params={})


async def test_requests_and_changes_of_the_server_are_not_the_calls() -> None:
    rig = Rig()
    rig.event(method="ping", id=1)
    rig.event(method="notifications/tools/list_changed")
    assert [found.method for found in rig.stray] == ["ping", "notifications/tools/list_changed"]
    assert rig.notified == []


async def test_the_answer_is_the_one_with_its_id() -> None:
    rig = Rig()
    assert not rig.event(id=8, result={})
    assert not rig.event(id="7", result={})
    assert not rig.event(b"endpoint", id=7, result={})
    assert not rig.running.on_event(Event(b"", id=b"1"))  # priming
    assert rig.event(b"message", id=7, result={"a": 1})
    found = rig.running.answer
    assert found is not None
    assert bytes(found.result) == b'{"a": 1}'


async def test_an_error_without_an_id_is_the_answer() -> None:
    assert Rig().event(error={"code": 1, "message": ""})
    assert Rig().event(id=None, error={"code": 1, "message": ""})
    assert not Rig().event(id=6, error={"code": 1, "message": ""})


async def test_an_event_may_be_a_batch() -> None:
    rig = Rig()
    batch = b'[{"method":"notifications/message","params":{}},{"id":7,"result":{}}]'
    assert rig.running.on_event(Event(batch))
    assert rig.notified == [("notifications/message", {})]


async def test_an_event_that_is_no_message_ends_the_call() -> None:
    with pytest.raises(ServerProtocolError, match="no message"):
        Rig().running.on_event(Event(b"{oops"))


async def test_each_message_restarts_the_idle_clock_up_to_the_maximum() -> None:
    rig = Rig()
    assert rig.running.due == 110
    rig.now = 108
    rig.event(method="notifications/message", params={})
    assert rig.running.due == 118
    rig.now = 117
    rig.event(method="notifications/progress", params={})
    assert rig.running.due == 125  # begun at 100, at most 25 s


@pytest.mark.parametrize(
    ("sent", "now", "kind", "words"),
    [
        (True, 111.0, ServerTimeout, ("it sent nothing for 10 s during tools/call", MAY_HAVE_RUN)),
        (True, 125.0, ServerTimeout, ("it took longer than 25 s for tools/call", MAY_HAVE_RUN)),
        (False, 111.0, ServerUnavailable, ("no connection was free", "call_idle")),
    ],
)
async def test_an_expired_call_says_which_limit_it_met(
    sent: bool, now: float, kind: type[Exception], words: tuple[str, str]
) -> None:
    rig = Rig()
    rig.running.sent = sent
    rig.now = now
    error = rig.running.overdue()
    assert isinstance(error, kind)
    assert words[0] in error.message
    assert words[1] in error.data["hint"]


async def wait_in(running: list[Running]) -> bool:
    """A task that a call waits in; whether its cancellation was the deadline's."""
    running.append(Rig().running)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return running[0].has_expired()
    return False


@pytest.mark.parametrize(("expire", "cancel"), [(1, 0), (2, 0), (0, 1), (1, 1)])
async def test_expiry_is_told_from_cancellation(expire: int, cancel: int) -> None:
    running: list[Running] = []
    task = Tasks().start(wait_in(running), "call")
    await asyncio.sleep(0)
    for _ in range(expire):
        running[0].expire()
    for _ in range(cancel):
        task.cancel()
    assert await task is (cancel == 0)


# --- a stream that can be resumed ---


@pytest.mark.parametrize(
    ("modern", "event", "told"),
    [
        (False, Event(b"", id=b"e1"), [None]),
        (False, Event(b""), []),
        (False, Event(b'{"jsonrpc":"2.0","method":"notifications/x","params":{}}', id=b"e1"), []),
        (True, Event(b"", id=b"e1"), []),
    ],
)
async def test_an_id_alone_says_that_its_stream_can_be_resumed(
    modern: bool, event: Event, told: list[Any]
) -> None:
    rig = Rig()
    rig.running.modern = modern
    heard: list[float | None] = []
    rig.call.on_resumable = heard.append
    assert not rig.running.on_event(event)
    assert heard == told


async def test_a_server_that_hangs_up_says_when_it_wants_to_be_asked() -> None:
    rig = Rig()
    heard: list[float | None] = []
    rig.call.on_resumable = heard.append
    rig.running.hung_up()
    assert heard == []  # without an id there is nothing to ask for
    rig.running.events = Parser(1000)
    rig.running.events.feed(b"id: e1\nretry: 250\ndata:\n\n")
    rig.running.hung_up()
    assert heard == [0.25]
