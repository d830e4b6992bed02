"""Every operation of the admin API, once: routes, OpenAPI document and docs/admin-api.md."""

from dataclasses import dataclass
from typing import Final, Literal

from only1mcp.admin import answers
from only1mcp.admin.cache import Cache, Cleared
from only1mcp.admin.may import Need
from only1mcp.admin.past import Past
from only1mcp.config.values import Model
from only1mcp.observe.events import KEPT

PREFIX: Final = "/api/v1/admin"
Method = Literal["GET", "POST", "PATCH", "DELETE"]
Body = Literal["server", "patch", "filter"]
MAX_REQUESTS: Final = KEPT["request"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a query, or a header."""

    name: str
    does: str
    schema: dict[str, object]
    place: Literal["query", "header"] = "query"
    required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path below PREFIX."""

    method: Method
    path: str
    name: str
    """Its handler, and its operationId."""
    does: str
    answer: type[Model] | str
    """A type, or a media type for what is not JSON."""
    need: Need = Need.LOOK
    body: Body | None = None
    parameters: tuple[Parameter, ...] = ()
    status: int = 200
    errors: tuple[int, ...] = ()
    """Besides what any request may get."""
    tagged: bool = False
    """The answer has the ETag of the configuration file."""


_TEXT: Final[dict[str, object]] = {"type": "string"}
_MATCH: Final = "The ETag the file must have, or `*`."
_MAY_MATCH: Final = Parameter("If-Match", _MATCH, _TEXT, "header")
_MUST_MATCH: Final = Parameter("If-Match", _MATCH, _TEXT, "header", required=True)
_KINDS: Final = Parameter(
    "kinds",
    f"Which kinds, separated by commas, of {', '.join(KEPT)}; all of them by default.",
    {"type": "string", "pattern": f"^({'|'.join(KEPT)})(,({'|'.join(KEPT)}))*$"},
)
_LAST: Final = Parameter(
    "Last-Event-ID", "The last event that was read: those after it come first.", _TEXT, "header"
)
_LIMIT: Final = Parameter(
    "limit", "How many.", {"type": "integer", "minimum": 1, "maximum": MAX_REQUESTS}
)
_EDIT: Final = (404, 409, 412, 422)


def _look(path: str, name: str, does: str, answer: type[Model] | str) -> Operation:
    return Operation("GET", path, name, does, answer)


OPERATIONS: Final = (
    _look("/servers", "servers", "All servers and how they are.", answers.Servers),
    Operation(
        "POST", "/servers", "add_server", "Write one more server into the file and start it.",
        answers.Changes, Need.CHANGE, "server", (_MAY_MATCH,), 201, (409, 412, 415, 422),
        tagged=True,
    ),
    Operation(
        "GET", "/servers/{id}", "server", "One server and its settings.", answers.OneServer,
        errors=(404,), tagged=True,
    ),
    Operation(
        "PATCH", "/servers/{id}", "change_server",
        "Change settings of a server in the file. A transport of another type replaces the old.",
        answers.Changes, Need.CHANGE, "patch", (_MUST_MATCH,), 200, (*_EDIT, 415, 428),
        tagged=True,
    ),
    Operation(
        "DELETE", "/servers/{id}", "remove_server", "Take a server out of the file; its calls end.",
        answers.Changes, Need.CHANGE, None, (_MUST_MATCH,), 200, (*_EDIT, 428), tagged=True,
    ),
    Operation(
        "POST", "/servers/{id}/restart", "restart_server",
        "Start a server anew, also one that was given up; its calls under way are lost.",
        answers.Restarted, Need.OPERATE, status=202, errors=(404, 409),
    ),
    Operation(
        "POST", "/servers/{id}/enable", "enable_server", "Write `enabled: true`, and start it.",
        answers.Changes, Need.OPERATE, None, (_MAY_MATCH,), 200, _EDIT, tagged=True,
    ),
    Operation(
        "POST", "/servers/{id}/disable", "disable_server", "Write `enabled: false`; its calls end.",
        answers.Changes, Need.OPERATE, None, (_MAY_MATCH,), 200, _EDIT, tagged=True,
    ),
    _look("/tools", "tools", "Every tool that is listed, and its fate.", answers.Tools),
    _look("/resources", "resources", "Resources and templates that clients see.", answers.Entries),
    _look("/prompts", "prompts", "Prompts that clients see.", answers.Entries),
    _look("/sessions", "sessions", "Clients with a session.", answers.Sessions),
    Operation(
        "GET", "/requests", "requests", "The latest requests to servers, without arguments.",
        answers.Requests, parameters=(_LIMIT,),
    ),
    Operation(
        "GET", "/events", "events", "What happens, as it happens: server-sent events.",
        "text/event-stream", parameters=(_KINDS, _LAST), errors=(503,),
    ),
    Operation(
        "GET", "/events/past", "past", "What has happened, as far as is remembered.", Past,
        parameters=(_KINDS,),
    ),
    Operation(
        "GET", "/config", "config", "The configuration in force, secrets hidden.",
        answers.Configuration, tagged=True,
    ),
    Operation(
        "POST", "/config/reload", "reload", "Read the configuration file again.",
        answers.Changes, Need.OPERATE, errors=(409, 422, 503),
    ),
    _look("/config/check", "check", "What is wrong with the file or odd, nothing changes.",
          answers.Checked),
    _look("/cache", "cache", "What the answers that are kept have saved.", Cache),
    Operation(
        "POST", "/cache/clear", "clear_cache", "Drop kept answers: all, or those that fit.",
        Cleared, Need.OPERATE, "filter",
    ),
    Operation(
        "GET", "/metrics", "metrics", "Numbers of the work, for Prometheus; also at /metrics.",
        "text/plain", errors=(404,),
    ),
    _look("/health", "health", "The state of the whole.", answers.Health),
    _look("/system", "system", "The process of the gateway.", answers.System),
    _look("/openapi.json", "openapi", "This API as an OpenAPI 3.1 document.", "application/json"),
)  # fmt: skip
