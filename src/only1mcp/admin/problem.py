"""What went wrong, for a program that asked: application/problem+json, with place and next step.

Source  RFC 9457; `place`, `next` and `faults` are ours.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

from only1mcp.config.faults import Fault


class Json(JSONResponse):
    """JSON for any text: a configuration may have half a surrogate pair in it."""

    def render(self, content: Any) -> bytes:
        """In ASCII."""
        return json.dumps(content, separators=(",", ":")).encode()


class Problem(Exception):
    """Ends a request: `detail` is the cause, `place` where it is, `next` what to do about it."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        next: str,
        *,
        place: str = "",
        faults: Iterable[Fault] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.next = next
        self.place = place
        self.faults = tuple(faults)
        self.headers = headers

    def response(self) -> Json:
        """The answer."""
        said: dict[str, Any] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            "place": self.place,
            "next": self.next,
            "faults": [asdict(fault) for fault in self.faults],
        }
        return Json(said, self.status, self.headers, "application/problem+json")


def of_faults(faults: tuple[Fault, ...], next: str) -> Problem:
    """A configuration that cannot be used."""
    errors = [fault for fault in faults if fault.severity == "error"]
    first = errors[0]
    place = f"{first.path}:{first.line}:{first.column}" if first.line else first.path
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    said = f"{first.where}: {first.message}" if first.where else first.message
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    return Problem(status, said + more, first.hint or next, place=place, faults=faults)


def no_server(id: str) -> Problem:
    """There is no such server."""
    return Problem(
        HTTPStatus.NOT_FOUND,
        f"there is no server {id[:100]!r}",
        "GET /api/v1/admin/servers lists them",
        place="id",
    )


def wrong_parameter(name: str, expected: str) -> Problem:
    """A parameter that is not what it must be."""
    return Problem(
        HTTPStatus.BAD_REQUEST, f"{name} is not {expected}", f"send {expected}", place=name
    )
