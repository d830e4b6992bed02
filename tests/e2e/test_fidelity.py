"""Nothing is lost, retyped or reordered on the way, between any two eras and over any transport.

Random params and results, as JSON *texts*, so that the spelling of numbers and strings varies,
go through a real gateway to servers that record and answer bytes. What arrives is compared
member by member, in order, numbers by their spelling. Allowed are only these changes:

    request  the prefix of a name, id and progress token (ours), and from one era to the other
             the reserved keys of `_meta`: added for a modern server, taken for a legacy one
    result   between the eras resultType, ttlMs, cacheScope and the reserved keys of `_meta`
"""

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.gateway import Running
from fakes.json_text import (
    ANY,
    NUMBERS,
    OBJECT,
    TEXTS,
    UNKNOWN,
    Members,
    Number,
    Pairs,
    objects,
    parse,
)
from fakes.mirror import Asked, Mirror, tool
from fakes.scripted import behind
from fakes.wire import LEGACY, META, MODERN, datas, post_headers, web
from only1mcp.protocol import headers

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

EXAMPLES: Final = 30
"""For each of the eight pairs; a derandomized run tries the same ones each time."""
SERVERS: Final = ("old-pipe", "new-pipe", "old-web", "new-web")
NAMED: Final = {"tools/call": "echo", "prompts/get": "hello"}

META_KEYS: Final = st.one_of(UNKNOWN, st.sampled_from(['"traceparent"', '"com.example/k"']))


@st.composite
def metas(draw: Any, modern: bool) -> str | None:
    """`_meta` of a request: a modern one must have it."""
    token = draw(st.sampled_from([None, "7", '"7"', '"ü"', "9007199254740993"]))
    fixed: dict[str, Any] = {"progressToken": token}
    if modern:
        info = draw(st.none() | objects(ANY, UNKNOWN, name='"c"', version='"1"'))
        fixed |= {
            META + "protocolVersion": f'"{MODERN}"',
            META + "clientCapabilities": draw(objects(OBJECT, UNKNOWN)),
            META + "clientInfo": info,
        }
    elif draw(st.booleans()):
        return None
    return str(draw(objects(ANY, META_KEYS, **fixed)))


CONTENT: Final = st.one_of(
    objects(ANY, UNKNOWN, type='"text"', text='"\\u00e9 😀\\n"'),
    objects(ANY, UNKNOWN, type='"image"', data='"AAAA"', mimeType='"image/png"'),
    objects(ANY, UNKNOWN, type='"audio"', data='"AAAA"', mimeType='"audio/wav"', _meta="{}"),
    objects(ANY, UNKNOWN, type='"resource_link"', uri='"x://1"', name='"x"', annotations="{}"),
    objects(ANY, UNKNOWN, type='"resource"', resource='{"uri":"x://2","text":"t"}'),
)


@st.composite
def results(draw: Any, method: str, modern: bool) -> str:
    """A valid result of `method` from a server of that era."""
    contents = f"[{','.join(draw(st.lists(CONTENT, max_size=5)))}]"
    fixed: dict[str, Any] = {"_meta": draw(st.none() | objects(ANY, META_KEYS))}
    match method:
        case "tools/call":
            fixed["content"] = contents
            fixed["structuredContent"] = draw(st.none() | OBJECT)
            fixed["isError"] = draw(st.sampled_from([None, "true", "false"]))
        case "prompts/get":
            fixed["messages"] = draw(st.just("[]") | objects(ANY, UNKNOWN).map(lambda m: f"[{m}]"))
        case "resources/read":
            fixed["contents"] = draw(st.just("[]") | objects(ANY, UNKNOWN).map(lambda m: f"[{m}]"))
        case "completion/complete":
            fixed["completion"] = draw(objects(ANY, UNKNOWN, values='["a"]', total="1"))
    if modern:
        fixed["resultType"] = '"complete"'
        if method == "resources/read":
            fixed |= {"ttlMs": "1000", "cacheScope": '"private"'}
    return str(draw(objects(ANY, UNKNOWN, **fixed)))


@dataclass
class Example:
    """One request and the answer to it, as JSON texts; `name` is what the server calls it."""

    method: str
    on_mount: bool
    params: str
    result: str
    report: str
    name: str


@st.composite
def examples(draw: Any, server: str, client_modern: bool) -> Example:
    """A request of a client to `server` and what that answers."""
    method = draw(
        st.sampled_from(["tools/call", "prompts/get", "resources/read", "completion/complete"])
    )
    on_mount = draw(st.booleans())
    prefix = "" if on_mount else f"{server}__"
    fixed: dict[str, Any] = {"_meta": draw(metas(client_modern))}
    name = NAMED.get(method, "")
    if name:
        fixed["name"] = json.dumps(prefix + name)
        fixed["arguments"] = draw(st.none() | OBJECT)
    elif method == "resources/read":
        name = f"{server}://" + draw(TEXTS)
        fixed["uri"] = json.dumps(name, ensure_ascii=draw(st.booleans()))
    else:
        fixed["ref"] = draw(
            objects(ANY, UNKNOWN, type='"ref/prompt"', name=json.dumps(f"{prefix}hello"))
        )
        fixed["argument"] = draw(objects(ANY, UNKNOWN, name='"x"', value='""'))
    params = draw(objects(ANY, UNKNOWN, **fixed))
    result = draw(results(method, server.startswith("new")))
    report = draw(objects(ANY, UNKNOWN, progress=draw(NUMBERS)))
    return Example(method, on_mount, params, result, report, name)


# --- what may change ---


def reserved(key: str) -> bool:
    return key.startswith(META)


def expected_params(sent: Members, to_modern: bool, from_modern: bool, id: str) -> Members:
    """What the server must see of the params that the client has sent."""
    found: Pairs = []
    for key, value in sent.pairs:
        if key == "name":
            value = value.rpartition("__")[2]
        elif key == "ref":
            bare = [(k, v.rpartition("__")[2] if k == "name" else v) for k, v in value.pairs]
            value = Members(bare)
        elif key == "_meta" and isinstance(value, Members):
            pairs = [(k, Number(id) if k == "progressToken" else v) for k, v in value.pairs]
            if from_modern and not to_modern:
                pairs = [(k, v) for k, v in pairs if not reserved(k)]
                if not pairs:
                    continue
            value = Members(pairs)
        found.append((key, value))
    return Members(found)


def without_stamp(seen: Members, sent: Members) -> Members:
    """Params that a legacy client's request has at a modern server, without the reserved keys."""
    found: Pairs = []
    for key, value in seen.pairs:
        if key == "_meta":
            assert value.get(META + "protocolVersion") == MODERN
            assert isinstance(value.get(META + "clientCapabilities"), Members)
            value = Members([(k, v) for k, v in value.pairs if not reserved(k)])
            if not value.pairs and sent.get("_meta") in (None, Members([])):
                value = sent.get("_meta")
                if value is None:
                    continue
        found.append((key, value))
    return Members(found)


ERA_KEYS: Final = ("resultType", "ttlMs", "cacheScope")


def expected_result(said: Members, from_modern: bool, to_modern: bool) -> Members:
    """What the client must get of the result that the server has given."""
    if not from_modern or to_modern:
        return said
    found = [(k, without_reserved(k, v)) for k, v in said.pairs if k not in ERA_KEYS]
    return Members([(k, v) for k, v in found if k != "_meta" or v != Members([])])


def without_reserved(key: str, value: Any) -> Any:
    if key != "_meta":
        return value
    return Members([(k, v) for k, v in value.pairs if not reserved(k)])


def without_hints(got: Members, said: Members, method: str) -> Members:
    """A legacy server's result at a modern client, without what had to be added."""
    assert got.get("resultType") == "complete"
    assert (got.get("cacheScope") is not None) == (method == "resources/read")
    had = dict(said.pairs)
    return Members([(k, v) for k, v in got.pairs if k in had or k not in (*ERA_KEYS, "_meta")])


# --- the bench ---


class Bench:
    """A gateway with one server of each kind behind it, and a client of each era before it."""

    def __init__(self, running: Running, mirrors: dict[str, Mirror], stack: AsyncExitStack) -> None:
        self.running = running
        self.mirrors = mirrors
        self._stack = stack
        self._sessions: dict[str, dict[str, str]] = {}
        self.ids = itertools.count()

    async def start(self) -> None:
        """Connect."""
        self.web = await self._stack.enter_async_context(web(self.running.mcp))
        for url in (self.running.mcp, *map(self.running.server, SERVERS)):
            self.web.url = url
            self._sessions[url] = (await self.web.open(LEGACY)).headers

    async def carry(
        self, example: Example, server: str, modern: bool, id: int
    ) -> tuple[Asked, list[bytes]]:
        """Send it; what the server saw and the messages that the client got."""
        mirror = self.mirrors[server]

        async def handler(asked: Asked) -> bytes:
            token = (asked.json.get("_meta") or {}).get("progressToken")
            if token is not None:
                report = b'{"progressToken":%d,%b' % (token, example.report.encode()[1:])
                head = b'{"jsonrpc":"2.0","method":"notifications/progress","params":%b}'
                await asked.tell(head % report)
            return example.result.encode()

        mirror.on(example.method, handler)
        url = self.running.server(server) if example.on_mount else self.running.mcp
        body = (
            f'{{"jsonrpc":"2.0","id":{id},"method":"{example.method}","params":{example.params}}}'
        )
        response = await self.web.http.post(
            url, content=body.encode(), headers=self._headers(example, url, modern)
        )
        assert response.status_code == 200, response.text
        if response.headers["content-type"].startswith("application/json"):
            return mirror.asked[-1], [response.content]
        return mirror.asked[-1], datas(response.content)

    def _headers(self, example: Example, url: str, modern: bool) -> dict[str, str]:
        if not modern:
            return post_headers(self._sessions[url])
        found = {"MCP-Protocol-Version": MODERN, "Mcp-Method": example.method}
        params = json.loads(example.params)
        if example.method != "completion/complete":
            name = params.get("uri") or params.get("name")
            found["Mcp-Name"] = headers.encode(name).decode()
        return post_headers(found)


def mirror(name: str) -> Mirror:
    """A server that has one of each; what it answers comes with each example."""
    found = Mirror(name, modern=name.startswith("new"))
    found.lists["tools"] = [tool("echo")]
    found.lists["prompts"] = [{"name": "hello"}]
    found.lists["resourceTemplates"] = [{"name": "any", "uriTemplate": name + "://{+rest}"}]
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    mirrors = {name: mirror(name) for name in SERVERS}
    async with AsyncExitStack() as stack:
        folder = tmp_path_factory.mktemp("gateway")
        every_one: dict[str, Any] = {
            "cache": {"enabled": False}
        }  # an example may come twice with another answer
        running = await stack.enter_async_context(behind(mirrors, folder, **every_one))
        bench = Bench(running, mirrors, stack)
        await bench.start()
        yield bench


@pytest.mark.parametrize(("server", "client"), [*itertools.product(SERVERS, ("old", "new"))])
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
@given(data=st.data())
async def test_what_goes_in_comes_out(
    bench: Bench, server: str, client: str, data: st.DataObject
) -> None:
    from_new, to_new = client == "new", server.startswith("new")
    example = data.draw(examples(server, from_new))
    id = next(bench.ids)
    asked, messages = await bench.carry(example, server, from_new, id)

    sent, seen = parse(example.params), parse(asked.params)
    if to_new and not from_new:
        seen = without_stamp(seen, sent)
    assert seen == expected_params(sent, to_new, from_new, asked.id.decode())
    if server == "new-web" and example.name:
        assert headers.decode(asked.headers["mcp-name"].encode()) == example.name

    *reports, answer = map(parse, messages)
    said, got = parse(example.result), answer.get("result")
    if from_new and not to_new:
        got = without_hints(got, said, example.method)
    assert got == expected_result(said, to_new, from_new)
    assert answer.get("id") == Number(str(id))

    token = sent.get("_meta").get("progressToken") if sent.get("_meta") else None
    assert len(reports) == (token is not None)
    for report in reports:
        pairs = [("progressToken", token), *parse(example.report).pairs]
        assert report.get("params") == Members(pairs)
