"""The error tree: codes outside the reserved range, and what a fault tells the client."""

from only1mcp.protocol import errors
from only1mcp.protocol.errors import McpError, Outcome, ServerFault, ServerLost, ServerUnavailable


def tree(root: type[McpError]) -> list[type[McpError]]:
    return [root, *(one for child in root.__subclasses__() for one in tree(child))]


def test_own_codes_stay_out_of_the_reserved_range() -> None:
    own = {error.code for error in tree(ServerFault)} - {errors.InternalError.code}
    assert own
    assert all(not -32768 <= code <= -32000 for code in own)


def test_codes_are_distinct() -> None:
    faults = [error.code for error in ServerFault.__subclasses__()]
    assert len(faults) == len(set(faults))


def test_a_fault_says_who_and_whether_it_may_have_run() -> None:
    fault = ServerLost("memory", "it died", hint="look at its log")
    assert fault.data == {"server": "memory", "outcome": "unknown", "hint": "look at its log"}
    assert fault.may_have_run
    assert not ServerUnavailable("memory", "not there").may_have_run


def test_the_outcome_can_be_known_better() -> None:
    fault = ServerLost("memory", "it died", outcome=Outcome.NOT_SENT, retry_after_ms=500)
    assert fault.data == {"server": "memory", "outcome": "not_sent", "retryAfterMs": 500}


def test_a_message_is_bounded() -> None:
    assert len(errors.InvalidParams("x" * 1_000_000).message) <= errors.MAX_MESSAGE + 1
    assert errors.InvalidParams("short").message == "short"
