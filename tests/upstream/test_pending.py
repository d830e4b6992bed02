"""One waiting call: its token, its clock, its one answer."""

import asyncio
from time import monotonic
from typing import Any

import pytest

from fakes.at_once import Waiting
from only1mcp.protocol import message
from only1mcp.protocol.errors import ServerLost, UpstreamError
from only1mcp.protocol.message import Params, as_raw
from only1mcp.upstream.base import Call
from only1mcp.upstream.pending import Pending


def pending(meta: Any = None, **more: Any) -> Pending:
    """A call with id 7."""
    params: Params = {"name": as_raw("x")} if meta is None else {"_meta": as_raw(meta)}
    return Pending(
        7, Call("tools/call", params, **more), lambda one: one.fail(ServerLost("s", "!"))
    )


def waited(one: Pending) -> asyncio.Future[bytes]:
    """What its caller awaits."""
    assert isinstance(one.answer, asyncio.Future)
    return one.answer


def answered(json: bytes) -> message.Message:
    """An answer with these members."""
    return message.decode(b'{"jsonrpc":"2.0","id":7,' + json + b"}")


async def test_progress_keeps_every_other_member() -> None:
    notes: list[tuple[str, bytes]] = []
    one = pending({"progressToken": "t"}, on_notification=lambda m, p: notes.append((m, bytes(p))))
    one.progress("notifications/progress", message.members(b'{"x":1.50,"progressToken":7}'))
    assert notes == [("notifications/progress", b'{"x":1.50,"progressToken":"t"}')]


async def test_progress_moves_the_deadline_up_to_the_hard_limit() -> None:
    one = pending(idle_s=10, max_s=15)
    assert one.due == pytest.approx(monotonic() + 10, abs=1)
    one.due -= 5
    one.progress("notifications/progress", {})
    assert one.due == pytest.approx(monotonic() + 10, abs=1)
    one.ends = monotonic() + 3
    one.progress("notifications/progress", {})
    assert one.due == one.ends


async def test_it_ends_once() -> None:
    one = pending()
    one.settle(answered(b'"result":{"a": 1}'))
    one.settle(answered(b'"result":{}'))
    one.fail(ServerLost("s", "late"))
    one.expire()
    assert await waited(one) == b'{"a": 1}'


async def test_the_servers_error_is_its_own() -> None:
    one = pending()
    one.settle(answered(b'"error":{"code":-1,"message":"no","x":2}'))
    with pytest.raises(UpstreamError) as caught:
        await waited(one)
    assert caught.value.raw == b'{"code":-1,"message":"no","x":2}'


async def test_who_left_hears_nothing() -> None:
    one = pending()
    waited(one).cancel()
    one.settle(answered(b'"result":{}'))
    one.expire()
    with pytest.raises(asyncio.CancelledError):
        await waited(one)


async def test_expiry_is_the_owners_affair() -> None:
    one = pending()
    one.expire()
    with pytest.raises(ServerLost):
        await waited(one)


async def test_who_waits_without_a_task_hears_the_answer_at_once() -> None:
    waiter = Waiting()
    one = Pending(7, Call("tools/call"), lambda one: one.fail(ServerLost("s", "!")), waiter)
    one.settle(answered(b'"result":{"a": 1}'))
    one.expire()
    assert waiter.heard == [b'{"a": 1}']


async def test_and_that_there_will_be_none() -> None:
    waiter = Waiting()
    one = Pending(7, Call("tools/call"), lambda one: one.fail(ServerLost("s", "!")), waiter)
    one.expire()
    one.settle(answered(b'"result":{}'))
    assert waiter.heard == [ServerLost]
