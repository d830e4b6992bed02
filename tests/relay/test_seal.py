"""requestState: opaque to the client, worthless in other hands, for other calls, too late."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.protocol.errors import InvalidParams
from only1mcp.protocol.message import Params, as_raw
from only1mcp.relay.seal import STATE_TTL_S, Claims, Seal, digest

SEAL = Seal()


def params(**members: object) -> Params:
    return {name: as_raw(value) for name, value in members.items()}


CALL = params(name="t", arguments={"a": 1, "b": 2})


def state(now: float = 0.0, inner: str | None = "theirs") -> str:
    claims = Claims("s", "token-1", "tools/call", digest(CALL), now + STATE_TTL_S, inner)
    return SEAL.seal(claims)


def test_the_inner_state_comes_back_byte_for_byte() -> None:
    assert SEAL.open(state(inner="ü\n\x00"), "token-1", "tools/call", CALL, 1.0).inner == "ü\n\x00"


def test_a_retry_may_spell_its_arguments_otherwise() -> None:
    retry = params(arguments={"b": 2, "a": 1}, name="t", inputResponses={}, _meta={"x": 1})
    assert SEAL.open(state(), "token-1", "tools/call", retry, 1.0).server == "s"


@pytest.mark.parametrize(
    ("principal", "method", "call", "now"),
    [
        ("token-2", "tools/call", CALL, 1.0),
        ("token-1", "prompts/get", CALL, 1.0),
        ("token-1", "tools/call", params(name="other", arguments={"a": 1, "b": 2}), 1.0),
        ("token-1", "tools/call", params(name="t", arguments={"a": 2, "b": 2}), 1.0),
        ("token-1", "tools/call", CALL, STATE_TTL_S + 1),
    ],
)
def test_it_opens_for_nobody_and_nothing_else(
    principal: str, method: str, call: Params, now: float
) -> None:
    with pytest.raises(InvalidParams):
        SEAL.open(state(), principal, method, call, now)


@given(st.integers(0, 300), st.integers(1, 255))
def test_any_changed_bit_is_noticed(place: int, flip: int) -> None:
    good = bytearray(state().encode())
    good[place % len(good)] ^= flip
    with pytest.raises(InvalidParams):
        SEAL.open(good.decode("latin-1"), "token-1", "tools/call", CALL, 1.0)


@pytest.mark.parametrize("tail", ["-TAMPERED", "=", "A", " "])
def test_nothing_may_be_appended(tail: str) -> None:
    with pytest.raises(InvalidParams):
        SEAL.open(state() + tail, "token-1", "tools/call", CALL, 1.0)


def test_another_gateway_opens_nothing() -> None:
    with pytest.raises(InvalidParams):
        Seal().open(state(), "token-1", "tools/call", CALL, 1.0)
