"""The operations that change something: servers started anew, the file edited and put in force.

    body, If-Match ──► config/store.py writes the file, or nothing ──► Reloads ──► what has changed

Nothing of a request is run as it comes: it is a server of the configuration file first.
"""

import asyncio
import json
import logging
import re
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from only1mcp.admin import may
from only1mcp.admin.cache import BadFilter, read_filter
from only1mcp.admin.desk import Desk
from only1mcp.admin.problem import Json, Problem, no_server, of_faults, wrong_parameter
from only1mcp.admin.reload import Outcome
from only1mcp.config.faults import ConfigError
from only1mcp.config.show import HIDDEN
from only1mcp.config.store import ANY, Changed, NoServer, NotEditable, Store, Written
from only1mcp.config.tree import MAX_DEPTH
from only1mcp.observe.tasks import Tasks
from only1mcp.relay import kept

log = logging.getLogger("only1mcp.admin")

_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
_TAG: Final = re.compile(r'"([^"]*)"')
_BY_HAND: Final = "GET /api/v1/admin/config has the ETag it has now; read, then try again"


class Act:
    """One method for each operation."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._tasks = Tasks()

    async def add_server(self, request: Request) -> Response:
        """Write one more into the file."""
        server = _without_null(await _body(request))
        id = server.get("id")
        if not isinstance(id, str) or not _ID.fullmatch(id):
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "id is not 1 to 32 lower case letters, digits and hyphens",
                "choose another id",
                place="id",
            )
        if id in self._desk.snapshot().servers:
            raise Problem(
                HTTPStatus.CONFLICT, f"there is a server {id!r} already", "PATCH it", place="id"
            )
        return await self._edit(
            request, f"add {id}", lambda store, tag: store.add(tag, server), 201
        )

    async def change_server(self, request: Request) -> Response:
        """Change settings of one."""
        id, patch = _id(request), await _body(request)
        if patch.get("id", id) != id:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "an id stays as it is: clients know tools by it",
                "add a server with the other id and remove this one",
                place="id",
            )
        _must_match(request)
        change = {key: value for key, value in patch.items() if key != "id"}
        return await self._edit(
            request, f"change {id}", lambda store, tag: store.change(tag, id, change)
        )

    async def remove_server(self, request: Request) -> Response:
        """Take one out."""
        id = _id(request)
        _must_match(request)
        return await self._edit(request, f"remove {id}", lambda store, tag: store.remove(tag, id))

    async def enable_server(self, request: Request) -> Response:
        """Start one and say so in the file."""
        return await self._switch(request, enabled=True)

    async def disable_server(self, request: Request) -> Response:
        """Stop one and say so in the file."""
        return await self._switch(request, enabled=False)

    async def restart_server(self, request: Request) -> Response:
        """Start one anew."""
        id = _id(request)
        live = self._desk.snapshot().servers.get(id)
        if live is None:
            raise no_server(id)
        if not live.config.enabled:
            raise Problem(
                HTTPStatus.CONFLICT,
                f"server {id!r} is disabled",
                f"POST /api/v1/admin/servers/{id}/enable",
                place="enabled",
            )
        log.info("server %s: restart asked for by %s", id, _who(request))
        self._desk.restart(id)
        return Json({"id": id}, HTTPStatus.ACCEPTED)

    async def reload(self, _: Request) -> Response:
        """Read the file again."""
        self._not_draining()
        self._store("nothing to read again")
        outcome = await self._desk.reloads.reload()
        if outcome.faults:
            raise of_faults(outcome.faults, "mend the file; what was in force stays")
        return Json(_changes(outcome))

    async def clear_cache(self, request: Request) -> Response:
        """Drop answers that are kept."""
        try:
            wanted = read_filter(await request.body())
        except BadFilter as fault:
            raise Problem(
                HTTPStatus.BAD_REQUEST, str(fault), 'send {"tier": "l1"}, or nothing', place="body"
            ) from None
        gone = kept.clear(self._desk.snapshot(), wanted.tier, wanted.server, wanted.method)
        return Json({"cleared": gone})

    async def close(self) -> None:
        """Begin nothing more."""
        await self._tasks.close()

    async def _switch(self, request: Request, *, enabled: bool) -> Response:
        id = _id(request)
        word = "enable" if enabled else "disable"
        patch = {"enabled": enabled}
        return await self._edit(
            request, f"{word} {id}", lambda store, tag: store.change(tag, id, patch)
        )

    async def _edit(
        self, request: Request, what: str, work: Callable[[Store, str], Written], status: int = 200
    ) -> Response:
        """Write, then put in force. Whoever asked may leave, it goes on."""
        self._not_draining()
        store, tag = self._store("nothing to write to"), _expected(request)
        log.info("configuration: %s asked for by %s", what, _who(request))
        doing = self._carried_out(store, lambda: work(store, tag), status)
        return await asyncio.shield(self._tasks.start(doing, what))

    async def _carried_out(
        self, store: Store, work: Callable[[], Written], status: int
    ) -> Response:
        try:
            written = await asyncio.to_thread(_written, store, work)
            outcome = await self._desk.reloads.reload()
            if outcome.faults:
                raise of_faults(
                    outcome.faults, "it is in the file, but not in force: mend the file"
                )
            tag = {"ETag": f'"{written.tag}"'}
            return Json(_changes(outcome), status, tag)
        except Problem as problem:
            return problem.response()

    def _store(self, otherwise: str) -> Store:
        """The file; where there is none there is `otherwise`."""
        if self._desk.store is None:
            raise Problem(
                HTTPStatus.CONFLICT,
                f"this gateway was not started from a file, so there is {otherwise}",
                "start it with `only1mcp run --config FILE`",
            )
        return self._desk.store

    def _not_draining(self) -> None:
        if not self._desk.ready():
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "the gateway is draining",
                "try again when it has been started anew",
            )


def _id(request: Request) -> str:
    """The id in the path; it may go into a log line."""
    id: str = request.path_params["id"]
    if not _ID.fullmatch(id):
        raise no_server(id)
    return id


def _who(request: Request) -> str:
    return getattr(request.state, "admin", "") or getattr(request.state, "principal", "anonymous")


def _written(store: Store, work: Callable[[], Written]) -> Written:
    """What `work` has written.

    Raises:
        Problem: nothing; says why.
    """
    try:
        return work()
    except Changed as error:
        raise Problem(
            HTTPStatus.PRECONDITION_FAILED,
            "the configuration file is not what it was when it was read",
            _BY_HAND,
            place="If-Match",
            headers={"ETag": f'"{error.tag}"'},
        ) from None
    except NoServer:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            f"the file {store.file} has no such server",
            "GET /api/v1/admin/servers lists those in force",
            place="id",
        ) from None
    except ConfigError as error:
        raise of_faults(error.faults, "nothing was written; send another value") from None
    except (NotEditable, OSError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise Problem(
            HTTPStatus.CONFLICT,
            f"nothing was written: {said}",
            "edit the file by hand, or mend what is said",
            place=str(store.file),
        ) from None


def _changes(outcome: Outcome) -> dict[str, Any]:
    return {
        **asdict(outcome.changes),
        "warnings": [asdict(fault) for fault in outcome.warnings],
    }


def _must_match(request: Request) -> None:
    if "if-match" not in request.headers:
        raise Problem(
            HTTPStatus.PRECONDITION_REQUIRED,
            "If-Match is missing: somebody else may have changed the file meanwhile",
            "send the ETag that GET /api/v1/admin/config gives, or `*` for whatever it is",
            place="If-Match",
        )


def _expected(request: Request) -> str:
    """The tag that the file must have."""
    said = request.headers.get("if-match", ANY).strip()
    match = _TAG.fullmatch(said)
    if said != ANY and match is None:
        raise wrong_parameter("If-Match", "one ETag in quotes, or *")
    return match[1] if match else ANY


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object that was sent."""
    if not may.is_json(request.headers):
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body is not said to be JSON",
            "send Content-Type: application/json", place="Content-Type",
        )  # fmt: skip
    text = await request.body()
    try:
        value = json.loads(text, parse_constant=_no_number)
        again = json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair, 1e999
    except (ValueError, RecursionError):
        value, again = None, b""
    if not isinstance(value, dict) or _is_deep(value):
        raise Problem(
            HTTPStatus.BAD_REQUEST, "the body is not a JSON object, or nests too deep",
            'send {"enabled": false}', place="body",
        )  # fmt: skip
    if HIDDEN.encode() in again:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"{HIDDEN} stands for a secret that is not shown; it cannot be written",
            "leave the key out to keep what is there, or send ${VARIABLE}",
            place="body",
        )
    return value


def _is_deep(value: Any, left: int = MAX_DEPTH) -> bool:
    """Whether it nests deeper than a configuration may."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return not left or any(_is_deep(one, left - 1) for one in inner)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(one) for key, one in value.items() if one is not None}
    return value
