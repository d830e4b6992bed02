"""Durations and hosts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.config.values import format_duration, is_loopback, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("500ms", 0.5), ("30s", 30.0), ("5m", 300.0), ("1h", 3600.0), ("1.5h", 5400.0)),
        *(("7", 7.0), (" 7 s ", 7.0), (7, 7.0), (0.25, 0.25), ("0ms", 0.0), ("1.1m", 66.0)),
    ],
)
def test_durations(text: Any, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "s", "5x", "-1s", "1e3", "1h30m", "1,5s", "٣s", True, None, [], float("inf"), 10**400],
)
def test_no_durations(text: Any) -> None:
    with pytest.raises(ValueError, match="expected a duration such as"):
        parse_duration(text)


@given(st.integers(0, 10**12))
def test_durations_survive_writing_and_reading(microseconds: int) -> None:
    seconds = microseconds / 1_000_000
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0s"), (0.5, "500ms"), (1.5, "1.5s"), (90.0, "90s"), (300.0, "5m"), (7200.0, "2h")],
)
def test_durations_are_written_short(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "localhost.example", "", "x"])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)
