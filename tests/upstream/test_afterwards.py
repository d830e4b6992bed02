"""Progress that comes after the answer, because that was a task."""

import json
from typing import Any

import pytest
from msgspec import Raw

from only1mcp.protocol.message import NO_RAW, as_raw
from only1mcp.upstream import afterwards
from only1mcp.upstream.afterwards import Afterwards
from only1mcp.upstream.base import Call

MADE = b'{"task":{"taskId":"x"}}'


class Ears:
    """A call that makes a task, and what is heard of it afterwards."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.call = Call("tools/call", afterwards=self._hear)

    def _hear(self, method: str, params: Raw) -> None:
        self.heard.append((method, json.loads(bytes(params))))


def test_it_comes_under_the_clients_token_with_its_type() -> None:
    kept, ears, other = Afterwards(), Ears(), Ears()
    kept.keep(1, Raw(b'"1"'), ears.call, MADE)
    kept.keep(2, Raw(b"1"), other.call, MADE)
    assert kept.progress({"progressToken": as_raw(1), "progress": Raw(b"2")})
    assert ears.heard == [("notifications/progress", {"progressToken": "1", "progress": 2})]
    assert other.heard == []


@pytest.mark.parametrize("token", [2, "1", 1.0, True, None])
def test_a_token_that_is_none_is_nobodys(token: Any) -> None:
    kept, ears = Afterwards(), Ears()
    kept.keep(1, Raw(b"5"), ears.call, MADE)
    assert not kept.progress({"progressToken": as_raw(token)})
    assert not kept.progress({})
    assert ears.heard == []


def test_only_tasks_are_kept() -> None:
    kept, ears = Afterwards(), Ears()
    kept.keep(1, Raw(b"5"), ears.call, b'{"content":[]}')
    kept.keep(2, NO_RAW, ears.call, MADE)
    kept.keep(3, Raw(b"5"), Call("tools/call"), MADE)
    kept.keep(4, Raw(b"5"), ears.call, NO_RAW)
    assert len(kept) == 0


def test_the_longest_unheard_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(afterwards, "MAX_KEPT", 2)
    kept, ears = Afterwards(), Ears()
    for id in (1, 2):
        kept.keep(id, Raw(b"5"), ears.call, MADE)
    kept.progress({"progressToken": as_raw(1)})
    kept.keep(3, Raw(b"5"), ears.call, MADE)
    assert len(kept) == 2
    assert not kept.progress({"progressToken": as_raw(2)})
