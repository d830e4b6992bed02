"""An MCP endpoint as a benchmark uses it: handshake, single questions, requests as ready bytes.

It speaks plain HTTP/1.1 with nothing in between, and both eras: `legacy` shakes hands and has a
session (2025-11-25), `modern` describes each request in itself (2026-07-28).
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

LEGACY: Final = "2025-11-25"
MODERN: Final = "2026-07-28"
FIRST_ID: Final = 1_000_000_000
"""Ids have ten digits, so that all requests of a kind are of one length."""
_META: Final = "io.modelcontextprotocol/"
_NAMED: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_TIMEOUT_S: Final = 60.0


class Refused(Exception):
    """The endpoint does not do what was asked of it."""


class Request(NamedTuple):
    """A request but for its id, which has ten digits and stands between the two."""

    before: bytes
    after: bytes


class Endpoint:
    """One endpoint, and the one session with it."""

    def __init__(self, url: str, era: str = "legacy", headers: Mapping[str, str] = {}) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port or 80
        except ValueError as error:
            raise Refused(f"{url} is no address: {error}") from None
        if parts.scheme != "http" or parts.hostname is None:
            raise Refused(f"{url}: only http:// can be measured")
        self.url = url
        self.host = parts.hostname
        self.port = port
        self.path = parts.path + (f"?{parts.query}" if parts.query else "")
        self.era = era
        self.headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            **headers,
        }
        self._id = 0

    def open(self) -> "Endpoint":
        """Shake hands, if the era has it."""
        if self.era == "modern":
            self.ask("server/discover", {})
            return self
        hello = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": _INFO}
        text, answer = self._post("initialize", hello)
        result = _result("initialize", answer.status, text, self._id)
        self.headers["MCP-Protocol-Version"] = str(result.get("protocolVersion", LEGACY))
        if session := answer.getheader("Mcp-Session-Id"):
            self.headers["Mcp-Session-Id"] = session
        self._send(self._body("notifications/initialized", {}, None), self.headers)
        return self

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """One question on a connection of its own; the result.

        Raises:
            Refused: there is an error instead, or nothing that is MCP.
        """
        text, answer = self._post(method, params)
        return _result(method, answer.status, text, self._id)

    def say(self, method: str, params: dict[str, Any]) -> bytes:
        """One question; the bytes that came back, whatever they are."""
        return self._post(method, params)[0]

    def request(self, method: str, params: dict[str, Any]) -> Request:
        """The same as bytes that can be sent again and again with another id."""
        body = self._body(method, params, FIRST_ID)
        lines = {"Host": f"{self.host}:{self.port}", **self._headers(method, params)}
        lines["Content-Length"] = str(len(body))
        head = f"POST {self.path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items())
        before, after = body.split(str(FIRST_ID).encode(), 1)
        return Request(head.encode() + b"\r\n" + before, after)

    def _body(self, method: str, params: dict[str, Any], id: int | None) -> bytes:
        if self.era == "modern":
            about = {"protocolVersion": MODERN, "clientCapabilities": {}, "clientInfo": _INFO}
            meta = {**{_META + key: value for key, value in about.items()}}
            params = {**params, "_meta": {**params.get("_meta", {}), **meta}}
        numbered = {} if id is None else {"id": id}
        body = {"jsonrpc": "2.0", **numbered, "method": method, "params": params}
        return json.dumps(body, separators=(",", ":")).encode()

    def _headers(self, method: str, params: dict[str, Any]) -> dict[str, str]:
        if self.era != "modern":
            return self.headers
        more = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
        if method in _NAMED:
            more["Mcp-Name"] = params[_NAMED[method]]
        return {**self.headers, **more}

    def _post(self, method: str, params: dict[str, Any]) -> tuple[bytes, HTTPResponse]:
        self._id += 1
        return self._send(self._body(method, params, self._id), self._headers(method, params))

    def _send(self, body: bytes, headers: dict[str, str]) -> tuple[bytes, HTTPResponse]:
        http = HTTPConnection(self.host, self.port, timeout=_TIMEOUT_S)
        try:
            http.request("POST", self.path, body, headers)
            answer = http.getresponse()
            return answer.read(), answer
        except HTTPException as error:
            raise Refused(f"{self.url} does not answer as HTTP does: {error!r}") from None
        finally:
            http.close()


def _result(method: str, status: int, text: bytes, id: int) -> dict[str, Any]:
    """The result in an answer that is JSON or an event stream."""
    for message in map(_message, text.splitlines()):
        if message.get("id") == id:
            if isinstance(result := message.get("result"), dict):
                return result
            break
    raise Refused(f"{method} is answered with {status}: {text[:300].decode(errors='replace')}")


def _message(line: bytes) -> dict[str, Any]:
    """The JSON object in a line, which may be one of an event; empty if there is none."""
    with suppress(ValueError):
        found = json.loads(line.removeprefix(b"data:"))
        return found if isinstance(found, dict) else {}
    return {}


_INFO: Final = {"name": "only1mcp-bench", "version": "1"}
