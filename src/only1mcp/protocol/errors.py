"""The one error tree. What each class becomes on the wire is decided in `server/reply.py`.

    McpError                code, message, data of a JSON-RPC error
    ├── ParseError … UnsupportedVersion    the client's fault, standard codes
    ├── UpstreamError       a server's own error: passed on unchanged
    │   └── ClientRefused   a client's, to a server's question
    └── ServerFault         a server failed us: names server, outcome and next step
        ├── ServerUnavailable (-31001)  not_sent   ├── ServerTimeout (-31002)  unknown
        │   ├── ServerBusy    it says: later       │
        │   └── ServerRefused it says: no          │
        ├── ServerLost        (-31003)  unknown    ├── CircuitOpen   (-31004)  not_sent
        ├── Overloaded        (-31005)  not_sent   ├── Draining      (-31006)  not_sent
        ├── AnswerTooLarge    (-31007)  executed   └── ServerProtocolError (-31010)  unknown

Source  JSON-RPC 2.0 section 5.1; MCP 2026-07-28 basic/index "Error Codes": private codes
        live outside -32768..-32000, hence the -310xx block.
"""

from enum import StrEnum
from typing import Any, ClassVar, Final

MAX_MESSAGE: Final = 8000
"""Characters: room for the last words of a child, not for a name of a megabyte."""


class Outcome(StrEnum):
    """Whether the call may have run on the server."""

    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"
    EXECUTED = "executed"


class McpError(Exception):
    """A JSON-RPC error: `code`, `message` and optional JSON-able `data`."""

    code: ClassVar[int] = -32603

    def __init__(self, message: str, data: Any = None) -> None:
        if len(message) > MAX_MESSAGE:
            message = message[:MAX_MESSAGE] + "…"
        super().__init__(message)
        self.message = message
        self.data = data


class ParseError(McpError):
    """The bytes are not JSON, or nest deeper than we follow."""

    code = -32700


class InvalidRequest(McpError):
    """JSON, but not a JSON-RPC message that is allowed here."""

    code = -32600


class MethodNotFound(McpError):
    """The revision has no such method, or nobody here answers it."""

    code = -32601


class InvalidParams(McpError):
    """params are not what the method needs, or name what nobody has."""

    code = -32602


class InternalError(McpError):
    """A fault of the gateway itself; its log says more."""

    code = -32603


class ResourceNotFound(McpError):
    """-32002 to handshake clients, -32602 from 2026-07-28 on; `server/reply.py` chooses."""

    code = -32002


class HeaderMismatch(McpError):
    """An HTTP header contradicts the body (2026-07-28 transports, "Server Validation")."""

    code = -32020


class MissingCapability(McpError):
    """The client did not declare what the call needs; data.requiredCapabilities is an object."""

    code = -32021


class UnsupportedVersion(McpError):
    """data = {supported: [...], requested}; every version in it is one we serve."""

    code = -32022


class UpstreamError(McpError):
    """A server's own JSON-RPC error. `raw` is its error object, byte for byte.

    `status` is the HTTP status it came with, or None (stdio). `retry_after_ms` is for how long
    it wants no calls, if it said so.
    """

    def __init__(
        self,
        raw: bytes,
        own_code: int,
        message: str,
        status: int | None = None,
        *,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(message)
        self.raw = raw
        self.own_code = own_code
        self.status = status
        self.retry_after_ms = retry_after_ms


class ClientRefused(UpstreamError):
    """A client's own JSON-RPC error to a server's question: handed to the server unchanged."""


class ServerFault(McpError):
    """A server failed us. `data` tells who, whether the call may have run, and what to do."""

    outcome: ClassVar[Outcome] = Outcome.UNKNOWN

    def __init__(
        self,
        server: str,
        message: str,
        *,
        hint: str | None = None,
        outcome: Outcome | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        data: dict[str, Any] = {"server": server, "outcome": str(outcome or self.outcome)}
        if retry_after_ms is not None:
            data["retryAfterMs"] = retry_after_ms
        if hint is not None:
            data["hint"] = hint
        super().__init__(message, data)
        self.server = server
        self.retry_after_ms = retry_after_ms
        self.may_have_run = (outcome or self.outcome) is not Outcome.NOT_SENT
        self.in_part = False

    def after_a_part(self) -> None:
        """It ends a call that the server has answered in part before: so that may have run."""
        self.may_have_run = self.in_part = True
        self.data["outcome"] = str(Outcome.UNKNOWN)


class ServerUnavailable(ServerFault):
    """No connection, no process, not ready: the call never left the gateway."""

    code = -31001
    outcome = Outcome.NOT_SENT


class ServerBusy(ServerUnavailable):
    """It answered that it has no time (HTTP 429, 503), and perhaps when to come again."""


class ServerRefused(ServerUnavailable):
    """It answered that it will not (credentials, a redirect): no fault of its health."""


class ServerTimeout(ServerFault):
    """Sent, and no answer within the deadline."""

    code = -31002


class ServerLost(ServerFault):
    """Sent, then the connection or the process died before the answer."""

    code = -31003


class CircuitOpen(ServerFault):
    """The server has failed of late and is left alone for a while."""

    code = -31004
    outcome = Outcome.NOT_SENT


class Overloaded(ServerFault):
    """Too many calls at once: for this server, for this caller, or for the gateway."""

    code = -31005
    outcome = Outcome.NOT_SENT


class OverLimit(Overloaded):
    """It is this caller who has too many calls under way."""


class Draining(ServerFault):
    """The gateway is stopping."""

    code = -31006
    outcome = Outcome.NOT_SENT


class AnswerTooLarge(ServerFault):
    """The answer exceeds the bound on messages from servers."""

    code = -31007
    outcome = Outcome.EXECUTED


class ServerProtocolError(ServerFault):
    """The server's answer is not MCP."""

    code = -31010
