"""`servers`, `tools`, `call`: clients of a running gateway, over the same HTTP as any other.

They speak 2026-07-28: one POST per question, no session.
"""

import json
import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from math import isfinite
from typing import Any, Final

import httpx2
from rich.console import Console
from rich.table import Table

from only1mcp.cli.say import Exit, Failure, fail, note
from only1mcp.config.load import ConfigError, find, load_address
from only1mcp.protocol.eras import own_meta
from only1mcp.protocol.headers import encode
from only1mcp.protocol.methods import NEWEST_MODERN

TIMEOUT: Final = httpx2.Timeout(10.0, read=660.0)
"""Connect quickly or not at all; a call may take as long as the gateway lets it."""
_NOT_SENT: Final = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.InvalidURL,
    httpx2.UnsupportedProtocol,
)


def show_servers(url: str | None, token: str | None, *, as_json: bool) -> int:
    """`only1mcp servers`."""
    try:
        with _Gateway(url, token) as gateway:
            found = gateway.get("/api/v1/admin/servers", "servers")
    except Failure as error:
        return fail(error)
    if as_json:
        print(json.dumps(found, indent=2))
        return Exit.OK
    table = _table("server", "state", "transport", "revision", "tools", "prompts", "resources", "")
    for row in found["servers"]:
        table.add_row(
            row["id"], row["state"], row["transport"], row["revision"] or "-",
            str(row["tools"]), str(row["prompts"]), str(row["resources"]), row["reason"],
        )  # fmt: skip
    _print(table)
    for clash in found["clashes"]:
        note(
            f"warning: {clash['kind']} '{clash['name']}' of server '{clash['hidden']}' is hidden "
            f"by the one of '{clash['kept']}'"
        )
    for one in found["dropped"]:
        note(
            f"warning: {one['kind']} '{one['name']}' of '{one['server']}' left out: {one['reason']}"
        )
    return Exit.OK


def show_tools(server: str | None, url: str | None, token: str | None, *, as_json: bool) -> int:
    """`only1mcp tools`."""
    try:
        with _Gateway(url, token) as gateway:
            tools = list(gateway.tools(server))
    except Failure as error:
        return fail(error)
    if as_json:
        print(json.dumps(tools, indent=2, ensure_ascii=False))
        return Exit.OK
    table = _table("tool", "arguments", "description")
    for tool in tools:
        description = str(tool.get("description") or tool.get("title") or "").strip()
        table.add_row(tool["name"], _arguments(tool), description.partition("\n")[0])
    _print(table)
    return Exit.OK


def call_tool(
    name: str,
    arguments: str,
    server: str | None,
    url: str | None,
    token: str | None,
    *,
    as_json: bool,
) -> int:
    """`only1mcp call`: exit 1 when the tool says it failed."""
    try:
        with _Gateway(url, token) as gateway:
            params = {"name": name, "arguments": _parse(arguments)}
            result = gateway.ask("tools/call", params, server, name=name, progress=not as_json)
    except Failure as error:
        return fail(error)
    if as_json:
        print(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        for block in result.get("content") or ():
            print(_readable(block))
    if result.get("resultType") == "input_required":
        note("the tool asks for input; use a client that can answer questions")
        return Exit.FAILURE
    return Exit.FAILURE if result.get("isError") else Exit.OK


class _Gateway:
    """A connection to the running gateway; every fault becomes a Failure with a next step."""

    def __init__(self, url: str | None, token: str | None) -> None:
        if token and not (token.isascii() and token.isprintable()):
            raise Failure("the token has characters that no header can carry", Exit.USAGE)
        trusted = ssl.create_default_context()  # heeds SSL_CERT_FILE
        trusted.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a leaf may be all there is
        url = url or _configured_url(trusted)
        self.url = (url if "://" in url else f"http://{url}").rstrip("/").removesuffix("/mcp")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx2.Client(
            timeout=TIMEOUT, headers=headers, trust_env=False, verify=trusted
        )

    def __enter__(self) -> "_Gateway":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, member: str) -> dict[str, Any]:
        """The JSON document at `path`, which has this member."""
        with self._reaching():
            response = self._http.get(self.url + path)
        found = self._document(response)
        if response.status_code != HTTPStatus.OK or member not in found:
            raise self._not_ours(response)
        return found

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
        if response.status_code in (401, 403):
            raise Failure(
                f"the gateway at {self.url} refuses: {response.status_code}; give a token with "
                "--token or ONLY1MCP_TOKEN",
                Exit.UNAUTHORISED,
            )
        try:
            found = response.json()
        except ValueError:
            raise self._not_ours(response) from None
        if not isinstance(found, dict):
            raise self._not_ours(response)
        if isinstance(error := found.get("error"), str):  # of the listener, before MCP
            raise Failure(f"the gateway at {self.url} refuses: {error}")
        return found

    def _not_ours(self, response: httpx2.Response) -> Failure:
        return Failure(f"{response.url} answered {response.status_code}; is it only1mcp?")

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except _NOT_SENT as error:
            raise Failure(
                f"no gateway at {self.url} ({error}); start one with `only1mcp run` or name it "
                "with --url",
                Exit.UNREACHABLE,
            ) from None
        except httpx2.HTTPError as error:
            cause = str(error) or type(error).__name__
            raise Failure(f"{self.url} broke off: {cause}; a call may have run") from None


def _configured_url(trusted: ssl.SSLContext) -> str:
    """Where the configuration says the gateway listens, its certificate added to those that are
    `trusted`; the default without one."""
    path = find(dict(os.environ))
    try:
        server = load_address(path, dict(os.environ))
    except ConfigError:
        text = f"{path or 'the environment'} has faults; see `only1mcp validate`, or give --url"
        raise Failure(text, Exit.USAGE) from None
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)  # noqa: S104
    scheme = "https" if server.tls else "http"
    if server.tls is not None:
        with suppress(OSError):  # of another user, or gone: then it must be trusted already
            trusted.load_verify_locations(server.tls.cert)
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{server.port}"


def _object(text: str) -> dict[str, Any] | None:
    """The JSON object in `text`, or None."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _parse(arguments: str) -> dict[str, Any]:
    try:
        value = json.loads(arguments, parse_constant=_finite, parse_float=_finite)
    except ValueError as error:
        raise Failure(f"the arguments are not JSON: {error}", Exit.USAGE) from None
    if not isinstance(value, dict):
        raise Failure("the arguments must be a JSON object such as '{\"a\": 1}'", Exit.USAGE)
    return value


def _finite(text: str) -> float:
    """A number that can be written again: Python also reads NaN, and 1e400 as infinity."""
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text} is no number that can be sent")
    return number


def _explain(error: dict[str, Any]) -> str:
    data = error.get("data")
    hint = data.get("hint") if isinstance(data, dict) else None
    return f"{error.get('message')} ({error.get('code')})" + (f"; {hint}" if hint else "")


def _progress(params: dict[str, Any]) -> str:
    total = f"/{params['total']}" if "total" in params else ""
    return f"  {params.get('progress')}{total} {params.get('message', '')}".rstrip()


def _readable(block: Any) -> str:
    if isinstance(block, dict) and block.get("type") == "text":
        return str(block.get("text", ""))
    return json.dumps(block, ensure_ascii=False)


def _arguments(tool: dict[str, Any]) -> str:
    schema = tool.get("inputSchema", {})
    needed = schema.get("required") or ()
    names = schema.get("properties") or ()
    return ", ".join(name if name in needed else f"[{name}]" for name in names)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _print(table: Table) -> None:
    width = None if sys.stdout.isatty() else 200
    Console(width=width, highlight=False, markup=False).print(table)
