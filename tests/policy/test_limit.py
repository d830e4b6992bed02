"""Who gets in, who waits for whom, and that no permit is ever lost."""

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from only1mcp.config.resilience import Concurrency, Limits
from only1mcp.policy.limit import LONGEST_WAIT_S, SOON_S, Bound, Bulkhead, Gate, Ticket


def bulkhead(most: int = 1, queue: int = 8) -> Bulkhead:
    """A bulkhead for so many calls at once and so many that wait."""
    return Bulkhead(Concurrency(max_in_flight=most, queue=queue))


def joined(one: Bulkhead, caller: str) -> Ticket:
    """A place in its queue."""
    ticket = one.join(caller)
    assert ticket is not None
    return ticket


def test_so_many_run_and_the_next_one_waits() -> None:
    one = bulkhead(2)
    assert [one.enter(), one.enter(), one.enter()] == [True, True, False]
    ticket = joined(one, "a")
    assert (one.in_flight, one.waiting) == (2, 1)
    assert one.leave(0.0) is ticket
    assert ticket.granted
    assert (one.in_flight, one.waiting) == (2, 0)
    assert [one.leave(0.0), one.leave(0.0)] == [None, None]
    assert one.in_flight == 0


def test_a_full_queue_takes_nobody() -> None:
    one = bulkhead(1, queue=1)
    one.enter()
    joined(one, "a")
    assert one.join("b") is None
    assert bulkhead(1, queue=0).join("a") is None


def test_a_full_queue_loses_the_last_of_the_longest_line_to_a_caller_who_has_less() -> None:
    one = bulkhead(1, queue=4)
    one.enter()
    assert one.crowd_out("b") is None  # there is room
    first, second, third = [joined(one, "a") for _ in range(3)]
    other = joined(one, "b")
    assert one.crowd_out("a") is None
    assert one.crowd_out("b") is third
    more = joined(one, "b")
    assert one.crowd_out("a") is one.crowd_out("b") is None
    assert one.crowd_out("c") is second
    last = joined(one, "c")
    assert one.crowd_out("d") is more
    assert [one.leave(0.0) for _ in range(3)] == [first, other, last]


def test_callers_take_turns_and_each_ones_calls_keep_their_order() -> None:
    one = bulkhead()
    one.enter()
    tickets = {joined(one, name[0]): name for name in ("a1", "a2", "a3", "b1", "a4", "c1", "b2")}
    order = [tickets[found] for _ in range(7) if (found := one.leave(0.0)) is not None]
    assert order == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]


def test_who_gives_up_leaves_the_queue_or_passes_its_permit_on() -> None:
    one = bulkhead()
    one.enter()
    first, second, third = joined(one, "a"), joined(one, "a"), joined(one, "b")
    assert one.give_up(first, 0.0) is None
    assert one.leave(0.0) is second
    assert one.give_up(second, 0.0) is third
    assert one.give_up(third, 0.0) is None
    assert (one.in_flight, one.waiting) == (0, 0)
    assert one.enter()


def test_when_to_come_again_is_what_the_queue_takes() -> None:
    one = bulkhead(1, queue=100)
    one.enter()
    assert one.retry_after_s() == SOON_S
    for _ in range(20):
        joined(one, "a")
    for second in range(0, 12, 2):
        one.leave(float(second))
    assert one.waiting == 14
    assert one.retry_after_s() == pytest.approx(2.0 * 15)
    for _ in range(80):
        joined(one, "a")
    assert one.retry_after_s() == LONGEST_WAIT_S


def test_a_time_without_a_queue_is_no_pace() -> None:
    one = bulkhead()
    one.enter()
    joined(one, "a")
    one.leave(0.0)
    one.leave(1.0)
    one.enter()
    joined(one, "a")
    one.leave(500.0)
    assert one.retry_after_s() == SOON_S


def test_the_gate_counts_all_and_each() -> None:
    gate = Gate(Limits(max_in_flight=3, per_caller=2))
    assert [gate.enter("a"), gate.enter("a")] == [None, None]
    assert gate.enter("a") is Bound.CALLER
    assert gate.enter("b") is None
    assert [gate.enter("b"), gate.enter(None)] == [Bound.GATEWAY] * 2
    gate.leave("a")
    assert gate.enter("a") is None
    for caller in ("a", "a", "b"):
        gate.leave(caller)
    assert gate.inside == 0
    assert not gate._callers


def test_nobody_in_particular_has_no_limit_of_its_own() -> None:
    gate = Gate(Limits(max_in_flight=3, per_caller=1))
    assert [gate.enter(None) for _ in range(3)] == [None, None, None]
    for _ in range(3):
        gate.leave(None)
    assert gate.inside == 0


class Permits(RuleBasedStateMachine):
    """Calls come, wait, run, give up and end in any order; the books must balance."""

    running: int
    waiting: list[Ticket]

    @initialize(most=st.integers(1, 4), queue=st.integers(0, 6))
    def begin(self, most: int, queue: int) -> None:
        self.most, self.queue = most, queue
        self.one = bulkhead(most, queue)
        self.running, self.waiting, self.now = 0, [], 0.0

    @rule(caller=st.sampled_from("abc"))
    def call(self, caller: str) -> None:
        if self.one.enter():
            assert self.running < self.most
            assert not self.waiting
            self.running += 1
            return
        lines = Counter(one.caller for one in self.waiting)
        if (out := self.one.crowd_out(caller)) is not None:
            assert len(self.waiting) == self.queue
            assert lines[out.caller] == max(lines.values()) > lines[caller] + 1
            self.waiting.remove(out)
        if (ticket := self.one.join(caller)) is not None:
            self.waiting.append(ticket)
        else:
            assert len(self.waiting) == self.queue
            assert not lines or max(lines.values()) <= lines[caller] + 1

    @precondition(lambda self: self.running)
    @rule(took=st.floats(0, 9))
    def end(self, took: float) -> None:
        self.now += took
        self.handed_on(self.one.leave(self.now))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(ticket)
        assert self.one.give_up(ticket, self.now) is None

    @precondition(lambda self: self.running and self.waiting)
    @rule()
    def cancel_as_it_is_granted(self) -> None:
        ticket = self.one.leave(self.now)
        assert ticket is not None
        self.waiting.remove(ticket)
        self.handed_on(self.one.give_up(ticket, self.now))

    def handed_on(self, ticket: Ticket | None) -> None:
        """A permit came back: somebody who waited has it, or nobody."""
        if ticket is None:
            assert not self.waiting
            self.running -= 1
            return
        served = Counter(one.caller for one in self.waiting[: self.waiting.index(ticket)])
        assert ticket.caller not in served  # within a caller, first come is first served
        self.waiting.remove(ticket)

    @invariant()
    def nothing_is_lost(self) -> None:
        assert self.one.in_flight == self.running <= self.most
        assert self.one.waiting == len(self.waiting) <= self.queue
        assert self.running == self.most or not self.waiting
        assert self.one.retry_after_s() >= SOON_S


Permits.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestPermits = Permits.TestCase


def test_with_more_room_those_who_wait_go_in_and_with_less_nobody_is_put_out() -> None:
    one = bulkhead(1)
    one.enter()
    first, second, third = [joined(one, "a") for _ in range(3)]
    assert one.adopt(Concurrency(max_in_flight=3, queue=1)) == [first, second]
    assert (one.in_flight, one.waiting) == (3, 1)
    assert one.join("b") is None, "the queue is shorter now"
    assert one.adopt(Concurrency(max_in_flight=1, queue=8)) == []
    assert [one.leave(0.0), one.leave(0.0)] == [None, None]
    assert (one.in_flight, one.waiting) == (1, 1)
    assert one.leave(0.0) is third
    assert one.leave(0.0) is None
    assert (one.in_flight, one.waiting) == (0, 0)


def test_a_gate_goes_by_other_limits_and_keeps_count() -> None:
    one = Gate(Limits(max_in_flight=1, per_caller=1))
    assert one.enter("a") is None
    one.adopt(Limits(max_in_flight=3, per_caller=2))
    assert [one.enter("a"), one.enter("a"), one.enter("b")] == [None, Bound.CALLER, None]
    one.adopt(Limits(max_in_flight=1, per_caller=1))
    assert one.enter(None) is Bound.GATEWAY
    for caller in ("a", "a", "b"):
        one.leave(caller)
    assert one.inside == 0
