"""The way of a command to a running gateway: over the same HTTP as any other client.

Commands speak 2026-07-28: one POST per question, no session.
"""

import json
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx2

from only1mcp.cli.instance import Place, elsewhere, name_of, only
from only1mcp.cli.say import Exit, Failure, note
from only1mcp.config.load import ConfigError, find, load_address
from only1mcp.config.model import Listener
from only1mcp.protocol.eras import own_meta
from only1mcp.protocol.headers import encode
from only1mcp.protocol.methods import NEWEST_MODERN

TIMEOUT: Final = httpx2.Timeout(10.0, read=660.0)
"""Connect quickly or not at all; a call may take as long as the gateway lets it."""
PAGE_S: Final = 2.0
STREAM: Final = httpx2.Timeout(10.0, read=60.0)
"""A stream that is silent for longer than its comments are apart is dead."""
_NOT_SENT: Final = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.InvalidURL,
    httpx2.UnsupportedProtocol,
)


class Remote:
    """A connection to the running gateway; every fault becomes a Failure with a next step."""

    def __init__(
        self, url: str | None, token: str | None, trusted: ssl.SSLContext | None = None
    ) -> None:
        headers = bearer(token)
        if trusted is None:
            trusted = ssl.create_default_context()  # heeds SSL_CERT_FILE
            trusted.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a leaf may be all there is
        self.url = whole(url or configured_url(trusted)).removesuffix("/mcp")
        self._token, self._trusted, self._chosen = token, trusted, bool(url)
        self._wire: socket.socket | None = None
        self._http = httpx2.Client(
            timeout=TIMEOUT, headers=headers, trust_env=False, verify=trusted
        )

    def __enter__(self) -> "Remote":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def another(self) -> "Remote":
        """A second connection to the same gateway."""
        return Remote(self.url, self._token, self._trusted)

    def get(self, path: str, member: str) -> dict[str, Any]:
        """The JSON document at `path`, which has this member."""
        response = self._send("GET", path, TIMEOUT)
        found = self._document(response)
        if response.status_code != HTTPStatus.OK or member not in found:
            raise self._not_ours(response)
        return found

    def look(self, path: str) -> dict[str, Any] | None:
        """The JSON document at `path`, soon; None if this gateway has no such page."""
        response = self._send("GET", path, PAGE_S)
        return None if response.status_code == HTTPStatus.NOT_FOUND else self._document(response)

    def text(self, path: str) -> str | None:
        """The text at `path`, soon; None if this gateway has no such page."""
        response = self._send("GET", path, PAGE_S)
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        if response.status_code != HTTPStatus.OK:
            raise self._not_ours(response)
        return response.text

    def post(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        """What an action answers; a problem becomes a Failure with what to do."""
        response = self._send("POST", path, TIMEOUT, body)
        found = self._document(response)
        if response.is_success:
            return found
        said = [found.get(name) for name in ("detail", "place", "next") if found.get(name)]
        raise Failure("; ".join(map(str, said)) or f"it answered {response.status_code}")

    def stream(self, path: str, headers: dict[str, str]) -> Iterator[str]:
        """The lines at `path`, as they come."""
        url = self.url + path
        with (
            self._reaching(),
            self._http.stream("GET", url, headers=headers, timeout=STREAM) as response,
        ):
            if response.status_code != HTTPStatus.OK:
                response.read()
                raise self._not_ours(response)
            self._wire = response.extensions["network_stream"].get_extra_info("socket")
            yield from response.iter_lines()

    def close(self) -> None:
        """Give the connections back; a stream that another thread reads ends at once."""
        if self._wire is not None:
            with suppress(OSError):  # it has ended already
                self._wire.shutdown(socket.SHUT_RDWR)
        self._http.close()

    def reload(self) -> dict[str, Any]:
        """Let it read its configuration again; what has changed, or `faults`."""
        response = self._send("POST", "/api/v1/admin/config/reload", TIMEOUT)
        found = self._document(response)
        done = response.status_code == HTTPStatus.OK and "restart" in found
        if done or (response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY and "faults" in found):
            return found
        raise self._not_ours(response)

    def tools(self, server: str | None) -> Iterator[dict[str, Any]]:
        """Every tool, all pages."""
        params: dict[str, Any] = {}
        while True:
            page = self.ask("tools/list", params, server)
            yield from (tool for tool in page.get("tools") or () if isinstance(tool, dict))
            if "nextCursor" not in page:
                return
            params = {"cursor": page["nextCursor"]}

    def ask(
        self,
        method: str,
        params: dict[str, Any],
        server: str | None,
        *,
        name: str | None = None,
        progress: bool = False,
    ) -> dict[str, Any]:
        """One request, one result; progress goes to stderr."""
        meta = own_meta({}) | ({"progressToken": 1} if progress else {})
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params | {"_meta": meta}}
        headers = {
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": NEWEST_MODERN,
            "Mcp-Method": method,
        }
        if name is not None:
            headers["Mcp-Name"] = encode(name).decode("ascii")
        url = f"{self.url}/mcp/{server}" if server else f"{self.url}/mcp"
        with (
            self._reaching(),
            self._http.stream("POST", url, json=body, headers=headers) as response,
        ):
            answer = self._answer(response)
        if isinstance(error := answer.get("error"), dict):
            raise Failure(_explain(error))
        result = answer.get("result")
        if not isinstance(result, dict):
            raise self._not_ours(response)
        return result

    def _send(
        self,
        method: str,
        path: str,
        timeout: httpx2.Timeout | float,
        body: dict[str, Any] | None = None,
    ) -> httpx2.Response:
        with self._reaching():
            return self._http.request(method, self.url + path, json=body, timeout=timeout)

    def _answer(self, response: httpx2.Response) -> dict[str, Any]:
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            response.read()
            return self._document(response)
        for line in response.iter_lines():
            if not line.startswith("data:"):
                continue
            said = _object(line[5:])
            if said is None:
                raise self._not_ours(response)
            if "id" in said:
                return dict(said)
            if said.get("method") == "notifications/progress":
                note(_progress(said.get("params") or {}))
        raise Failure("the gateway ended the answer early; the call may have run")

    def _document(self, response: httpx2.Response) -> dict[str, Any]:
        found = _object(response.text)
        if response.status_code in (401, 403):
            said = found or {}  # `detail` of the admin API, `error` of the listener
            why = said.get("detail") or said.get("error") or response.status_code
            raise Failure(
                f"the gateway at {self.url} refuses: {why}; give a token with --token or "
                "ONLY1MCP_TOKEN",
                Exit.UNAUTHORISED,
            )
        if found is None:
            raise self._not_ours(response)
        if isinstance(error := found.get("error"), str):  # before MCP
            raise Failure(f"the gateway at {self.url} refuses: {error}")
        if "detail" in found and "next" in found and not found.get("faults"):  # of the admin API
            raise Failure(f"the gateway at {self.url} refuses: {found['detail']}; {found['next']}")
        return found

    def _not_ours(self, response: httpx2.Response) -> Failure:
        return Failure(f"{response.url} answered {response.status_code}; is it only1mcp?")

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except _NOT_SENT as error:
            chosen = self._chosen or os.environ.get("ONLY1MCP_CONFIG")
            hint = "" if chosen else elsewhere(dict(os.environ))
            hint = hint or "start one with `only1mcp start` or name it with --url"
            text = f"no gateway at {self.url} ({error}); {hint}"
            raise Failure(text, Exit.UNREACHABLE) from None
        except httpx2.HTTPError as error:
            cause = str(error) or type(error).__name__
            raise Failure(f"{self.url} broke off: {cause}; a call may have run") from None


def configured_url(trusted: ssl.SSLContext) -> str:
    """Where the gateway of the usual configuration is: as it runs in the background, else as the
    configuration says; the default without one. If nobody answers there, and nobody has chosen
    that configuration, it is where the only gateway in the background is. The certificate is added
    to those `trusted`."""
    environ = dict(os.environ)
    path = find(environ)
    running = Place(name_of(path, environ), environ).look() if path else None
    if running is None or not running.url:
        server = address(path)
        _trust(server, trusted)
        usual = reachable(url_of(server))
        if environ.get("ONLY1MCP_CONFIG") or ask_page(usual, "/livez") is not None:
            return usual
        if (running := only(environ, listening=True)) is None:
            return usual
    with suppress(Failure):  # its file has changed: then it must be trusted already
        _trust(address(Path(running.config)), trusted)
    return reachable(running.url)


def _trust(server: Listener, trusted: ssl.SSLContext) -> None:
    if server.tls is not None:
        with suppress(OSError):  # of another user, or gone: then it must be trusted already
            trusted.load_verify_locations(server.tls.cert)


def address(path: Path | None) -> Listener:
    """Where the gateway of this file listens.

    Raises:
        Failure: the file does not say it.
    """
    try:
        return load_address(path, dict(os.environ))
    except ConfigError:
        text = f"{path or 'the environment'} has faults; see `only1mcp validate`, or give --url"
        raise Failure(text, Exit.USAGE) from None


def bearer(token: str | None) -> dict[str, str]:
    """The header that shows a token, if there is one.

    Raises:
        Failure: it cannot stand in a header.
    """
    if token and not (token.isascii() and token.isprintable()):
        raise Failure("the token has characters that no header can carry", Exit.USAGE)
    return {"Authorization": f"Bearer {token}"} if token else {}


def whole(url: str) -> str:
    """A URL as a user gives it, with its scheme."""
    return (url if "://" in url else f"http://{url}").rstrip("/")


def url_of(server: Listener) -> str:
    """The URL of a listener."""
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"{'https' if server.tls else 'http'}://{host}:{server.port}"


def reachable(url: str) -> str:
    """The address of a listener as a client on this machine uses it."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def _object(text: str) -> dict[str, Any] | None:
    """The JSON object in `text`, or None."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _explain(error: dict[str, Any]) -> str:
    data = error.get("data")
    hint = data.get("hint") if isinstance(data, dict) else None
    said = f"{error.get('message')} ({error.get('code')})" + (f"; {hint}" if hint else "")
    lines = data.get("stderr") if isinstance(data, dict) else None
    if isinstance(lines, list) and lines:
        said += "\nits stderr since the call began:" + "".join(f"\n  {line}" for line in lines)
    return said


def _progress(params: dict[str, Any]) -> str:
    total = f"/{params['total']}" if "total" in params else ""
    return f"  {params.get('progress')}{total} {params.get('message', '')}".rstrip()


def ask_page(url: str, path: str) -> Any:
    """What a page that is open to all says: JSON or text; None if the answer is not 200.

    No secret is sent, so the certificate need not be one that we trust.
    """
    try:
        with httpx2.Client(verify=False, trust_env=False, timeout=PAGE_S) as http:
            answer = http.get(reachable(url) + path)
            is_json = answer.headers.get("content-type", "").startswith("application/json")
            said = answer.json() if is_json else answer.text
            return said if answer.status_code == HTTPStatus.OK else None
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
        return None
