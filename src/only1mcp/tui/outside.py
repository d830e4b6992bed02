"""The gateway as the dashboard sees it: from outside, over its admin API."""

from collections.abc import Iterator
from typing import Any, Protocol

ADMIN = "/api/v1/admin"


class Lost(Exception):
    """The gateway does not answer, or not as it should; the text says why and what to do."""


class Outside(Protocol):
    """A way to a running gateway. Every method may block, and may raise Lost."""

    url: str

    def get(self, path: str) -> dict[str, Any] | None:
        """The JSON document below ADMIN; None if this gateway has none such."""

    def metrics(self) -> str | None:
        """The metrics as text; None if they are off."""

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """What an action says."""

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The result of a tool, as the server gave it."""

    def schema(self, tool: str) -> dict[str, Any] | None:
        """A tool as clients see it; None if it is gone."""

    def events(self, kinds: str, after: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """What happens: id, kind and content, until the stream ends."""

    def close(self) -> None:
        """Give the connections back; a stream of events ends."""
