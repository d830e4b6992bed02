"""Whatever comes in, one proper answer goes out, and the gateway goes on.

For each body: 202 without a body, or one JSON-RPC answer that carries the id byte for byte;
the codes of the specification and no other; never a 500, never a traceback.
"""

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx2
import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.gateway import Running
from fakes.json_text import ANY, OBJECT, Number, objects, parse
from fakes.mirror import Asked, Mirror
from fakes.scripted import TOOLS, behind, scripted
from fakes.wire import META, MODERN, Session, Web, as_bytes, last, message, raw, web

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

EXAMPLES: Final = 100
CODES: Final = {-32700, -32600, -32601, -32602, -32603, -32002, -32020, -32021, -32022}
STATUSES: Final = {200, 202, 400, 404}
NO_ID: Final = ("null", "true", "1.0", "1e400", "[]", "{}", "[1]")
METHODS: Final = (
    *("initialize", "ping", "server/discover", "tools/list", "tools/call", "prompts/get"),
    *("resources/read", "completion/complete", "logging/setLevel", "notifications/initialized"),
    *("notifications/cancelled", "notifications/progress", "no/such", "", " ", "tools/call\\u0000"),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mirrors() -> dict[str, Mirror]:
    return {"pipe": scripted("pipe"), "new": scripted("new", modern=True)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    mirrors: dict[str, Mirror], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("fuzz")
    async with behind(mirrors, folder) as running:
        yield running
        assert not [line for line in running.log if "Traceback" in line or "failed inside" in line]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire(running: Running) -> AsyncIterator[Web]:
    async with web(running.mcp) as wire:
        yield wire


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session(wire: Web) -> Session:
    return await wire.open("2025-03-26")


IDS: Final = st.one_of(
    st.sampled_from([None, *NO_ID, "0", "-1", "18446744073709551617", '""', '"1"', '"\\u00e9😀"']),
    st.integers().map(str),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(json.dumps),
)
PARAMS: Final = st.one_of(
    st.none(),
    ANY,
    OBJECT,
    objects(ANY, name='"pipe__echo"', arguments="{}"),
    objects(ANY, name='"new__echo"', _meta='{"progressToken":0}'),
    objects(ANY, cursor='"x"'),
    objects(ANY, uri='"pipe://r"'),
    objects(ANY, ref='{"type":"ref/prompt","name":"pipe__hello"}', argument="{}"),
    objects(ANY, requestId="1"),
    objects(ANY, protocolVersion='"2025-06-18"', capabilities="{}"),
)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, str | None]:
    """A body that is nearly a message, and its id as JSON text."""
    id = draw(IDS)
    method = draw(st.sampled_from(METHODS) | st.none())
    body = draw(
        objects(
            ANY,
            jsonrpc=draw(st.sampled_from(['"2.0"', '"2.0"', '"2.0"', '"1.0"', "2.0", None])),
            id=id,
            method=None if method is None else f'"{method}"',
            params=draw(PARAMS),
            result=draw(st.none() | ANY),
            error=draw(st.none() | OBJECT),
        )
    )
    return body, id


def check(response: httpx2.Response, id: str | None) -> None:
    """One proper answer."""
    assert response.status_code in STATUSES
    assert "Traceback" not in response.text
    if response.status_code == 202:
        assert response.content == b""
        return
    answer = parse(raw(response))
    code = answer.get("error").get("code") if answer.get("error") else None
    assert (answer.get("result") is None) != (code is None)
    assert code is None or int(code.text) in CODES
    assert answer.get("jsonrpc") == "2.0"
    if id is not None and id not in NO_ID and answer.get("id") is not None:
        assert answer.get("id") == parse(id)
        assert isinstance(answer.get("id"), Number | str)


FUZZ = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)


@FUZZ
@given(sent=bodies())
async def test_in_a_session(session: Session, sent: tuple[str, str | None]) -> None:
    body, id = sent
    check(await session.post(body.encode()), id)
    assert last(await session.post(message("ping", id="alive")))["result"] == {}


@FUZZ
@given(sent=bodies())
async def test_without_a_session(wire: Web, sent: tuple[str, str | None]) -> None:
    body, id = sent
    check(await wire.post(body.encode()), id)


@FUZZ
@given(sent=bodies(), method=st.sampled_from(METHODS[:9]))
async def test_modern(wire: Web, sent: tuple[str, str | None], method: str) -> None:
    body, id = sent
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method, "Mcp-Name": "pipe__echo"}
    check(await wire.post(body.encode(), headers), id)


@FUZZ
@given(data=st.binary(max_size=60), kind=st.sampled_from([{}, {"MCP-Protocol-Version": MODERN}]))
async def test_bytes(wire: Web, data: bytes, kind: dict[str, str]) -> None:
    response = await wire.post(data, kind)
    assert response.status_code == 400
    assert last(response)["error"]["code"] in (-32700, -32600, -32602)


PING: Final = as_bytes(message("ping", id=1))
BOMBS: Final[dict[str, bytes]] = {
    "utf-16": PING.decode().encode("utf-16"),
    "utf-32": PING.decode().encode("utf-32"),
    "byte order mark": b"\xef\xbb\xbf" + PING,
    "nul": PING + b"\x00",
    "overlong": PING.replace(b"ping", b"\xc0\xaf"),
    "surrogate in utf-8": PING.replace(b"ping", b"\xed\xa0\x80"),
    "id that is no text": PING.replace(b'"id": 1', b'"id": "\xff"'),
    "two messages": PING + PING,
    "gzip": gzip.compress(PING),
    "deep arrays": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":%b1%b}'
    % (b"[" * 65, b"]" * 65),
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep and cut": b"[" * 1_000_000,
    "long name": b'{"jsonrpc":"2.0","id":1,"method":"%b","x":' % (b"x" * 1_000_000),
}


@pytest.mark.parametrize("name", BOMBS)
async def test_bombs(session: Session, name: str) -> None:
    response = await session.post(BOMBS[name])
    assert response.status_code == 400
    assert len(response.content) < 2000
    assert last(response)["error"]["code"] in (-32700, -32600)


NOT_MCP: Final[dict[str, bytes]] = {
    "no text": b'{"content":[{"type":"text","text":"\xff"}],"resultType":"complete"}',
    "no object": b'"a text"',
    "no json": b"{",
    "null": b"null",
    "deep": b'{"content":[],"x":' + b"[" * 5000 + b"]" * 5000 + b"}",
}


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize(
    ("server", "name"),
    [
        *(("pipe", name) for name in ("no text", "no object", "null")),  # else its line is noise
        *(("new", name) for name in NOT_MCP),
    ],
)
async def test_answers_that_are_none(
    session: Session, mirrors: dict[str, Mirror], name: str, server: str, era: str
) -> None:
    """Nothing that a client cannot parse is passed on, and nobody waits for it for long."""

    async def handler(_: Asked) -> bytes:
        return NOT_MCP[name]

    mirrors[server].on("prompts/get", handler)
    params = {"name": f"{server}__hello"}
    if era == "modern":
        response = await session.web.modern("prompts/get", params)
    else:
        response = await session.post(message("prompts/get", params, id=1))
    answer = last(response)
    assert answer["id"] == 1
    if "error" in answer:
        assert answer["error"]["code"] in (-31010, -31003)
        assert answer["error"]["data"]["server"] == server
    else:
        assert name in ("no object", "null", "deep"), "for the client to judge"
    assert (await session.ask("tools/call", {"name": f"{server}__echo"}))["result"]


async def test_what_is_large_but_fine(session: Session) -> None:
    deep: Any = 1
    for _ in range(59):
        deep = [deep]
    found = await session.ask("tools/call", {"name": "pipe__echo", "arguments": {"deep": deep}})
    assert json.loads(found["result"]["content"][0]["text"]) == {"deep": deep}
    method = last(await session.post(message("x" * 1_000_000, id="i")))
    assert method["error"]["code"] == -32601
    assert len(json.dumps(method)) < 10_000
    long = "i" * 50_000
    assert last(await session.post(message("ping", id=long)))["id"] == long
    assert META not in json.dumps(found)
    assert len((await session.ask("tools/list"))["result"]["tools"]) == 2 * len(TOOLS)
