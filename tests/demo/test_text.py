"""Text: the ladder of 2026-07-28 rung by rung, then the tools with the official client."""

from typing import Any

import mcp_types
import pytest
from mcp import Client, MCPError
from mcp_types.methods import validate_server_result

from fakes.demo_web import Reply, Web
from only1mcp.demo.text import CAPABILITIES_KEY, MORSE, SERVER_KEY, TOOLS, VERSION, VERSION_KEY

META = {VERSION_KEY: VERSION, CAPABILITIES_KEY: {}}
HEADERS = {"MCP-Protocol-Version": VERSION, "Mcp-Method": "tools/list"}


def body(method: str, meta: Any = META, /, **params: Any) -> dict[str, Any]:
    """A request as it goes over the wire."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}


def ask(text: Web, method: str, name: str | None = None, /, **params: Any) -> Reply:
    """The reply to a request whose headers are right."""
    headers = {**HEADERS, "Mcp-Method": method, **({"Mcp-Name": name} if name else {})}
    return text.send(body(method, **params), headers)


def result(text: Web, method: str, name: str | None = None, /, **params: Any) -> Any:
    """The valid result of a request."""
    reply = ask(text, method, name, **params)
    assert (reply.status, reply.json["id"]) == (200, 1), reply
    found = reply.json["result"]
    validate_server_result(method, VERSION, found)
    assert found["resultType"] == "complete"
    assert found["_meta"][SERVER_KEY]["name"] == "only1mcp-demo-text"
    return found


def call(text: Web, name: str, /, **arguments: Any) -> Any:
    """The result of one tool."""
    return result(text, "tools/call", name, name=name, arguments=arguments)


def said(found: Any) -> str:
    """The text of a tool result."""
    words = found["content"][0]["text"]
    assert isinstance(words, str)
    return words


@pytest.mark.parametrize(
    ("method", "name", "params"),
    [
        ("server/discover", None, {}),
        ("tools/list", None, {}),
        ("prompts/list", None, {}),
        ("resources/list", None, {}),
        ("resources/templates/list", None, {}),
        ("resources/read", "text://morse", {"uri": "text://morse"}),
    ],
)
def test_what_may_be_cached_says_so(text: Web, method: str, name: str | None, params: Any) -> None:
    found = result(text, method, name, **params)
    assert (found["ttlMs"], found["cacheScope"]) == (300_000, "public")


def test_discover(text: Web) -> None:
    found = result(text, "server/discover")
    assert found["supportedVersions"] == [VERSION]
    assert set(found["capabilities"]) == {"tools", "resources", "prompts"}


@pytest.mark.parametrize("protocol", ["2025-11-25", "2024-11-05", None])
def test_a_handshake_is_refused_and_told_why(text: Web, protocol: Any) -> None:
    params = {} if protocol is None else {"protocolVersion": protocol}
    message = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
    reply = text.send(message)
    assert (reply.status, reply.json["id"], reply.json["error"]["code"]) == (400, 0, -32022)
    data = reply.json["error"]["data"]
    assert data == {"supported": [VERSION], "requested": protocol or ""}
    mcp_types.UnsupportedProtocolVersionErrorData.model_validate(data)


@pytest.mark.parametrize(
    "meta",
    [
        {},
        {VERSION_KEY: VERSION},
        {CAPABILITIES_KEY: {}},
        {VERSION_KEY: 1, CAPABILITIES_KEY: {}},
        {VERSION_KEY: VERSION, CAPABILITIES_KEY: []},
        None,
        5,
    ],
)
def test_the_envelope_must_be_there(text: Web, meta: Any) -> None:
    reply = text.send(body("tools/list", meta), HEADERS)
    assert (reply.status, reply.json["id"], reply.json["error"]["code"]) == (400, 1, -32602)


def test_params_may_not_be_missing(text: Web) -> None:
    reply = text.send({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, HEADERS)
    assert (reply.status, reply.json["error"]["code"]) == (400, -32602)


@pytest.mark.parametrize(
    "headers",
    [
        {"MCP-Protocol-Version": "2025-11-25"},
        {"MCP-Protocol-Version": ""},
        {"Mcp-Method": "tools/List"},
        {"Mcp-Method": "tools/list, tools/list"},
        {"Mcp-Method": ""},
    ],
)
def test_headers_must_say_what_the_body_says(text: Web, headers: dict[str, str]) -> None:
    reply = text.send(body("tools/list"), {**HEADERS, **headers})
    assert (reply.status, reply.json["error"]["code"]) == (400, -32020)


@pytest.mark.parametrize("missing", list(HEADERS))
def test_headers_must_be_there(text: Web, missing: str) -> None:
    headers = {name: value for name, value in HEADERS.items() if name != missing}
    reply = text.send(body("tools/list"), headers)
    assert (reply.status, reply.json["error"]["code"]) == (400, -32020)
    assert missing in reply.json["error"]["message"]


def test_headers_in_any_case_and_with_blanks(text: Web) -> None:
    headers = {"mcp-protocol-version": f"  {VERSION} ", "MCP-METHOD": "tools/list\t"}
    assert text.send(body("tools/list"), headers).status == 200


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 400),
        ("text://Morse", 400),
        ("=?base64?dGV4dDovL21vcnNl?=", 200),
        ("=?base64?dGV4dDovL21vcnN?=", 400),
        ("=?base64?/w==?=", 400),
        ("text://morse", 200),
    ],
)
def test_the_name_header(text: Web, header: str | None, status: int) -> None:
    assert ask(text, "resources/read", header, uri="text://morse").status == status


def test_a_name_beyond_ascii_is_compared_decoded(text: Web) -> None:
    wrapped = "=?base64?R3LDvMOfZQ==?="
    reply = ask(text, "tools/call", wrapped, name="Grüße")
    assert reply.json["error"]["code"] == -32602


def test_another_revision_is_refused_by_name(text: Web) -> None:
    meta = {**META, VERSION_KEY: "2099-01-01"}
    reply = text.send(body("tools/list", meta), {**HEADERS, "MCP-Protocol-Version": "2099-01-01"})
    assert (reply.status, reply.json["error"]["code"]) == (400, -32022)
    assert reply.json["error"]["data"] == {"supported": [VERSION], "requested": "2099-01-01"}
    mixed = text.send(body("tools/list", meta), HEADERS)
    assert mixed.json["error"]["code"] == -32020


@pytest.mark.parametrize(
    "method",
    ["initialize", "ping", "logging/setLevel", "resources/subscribe", "subscriptions/listen", "x"],
)
def test_unknown_methods(text: Web, method: str) -> None:
    reply = ask(text, method)
    assert (reply.status, reply.json["id"], reply.json["error"]["code"]) == (404, 1, -32601)


@pytest.mark.parametrize(
    ("method", "name", "params"),
    [
        ("tools/list", None, {"cursor": "x"}),
        ("tools/call", None, {}),
        ("tools/call", "shout", {"name": "shout"}),
        ("tools/call", "diff", {"name": "diff", "arguments": "x"}),
        ("prompts/get", "nope", {"name": "nope"}),
        ("prompts/get", "polish_text", {"name": "polish_text"}),
        ("prompts/get", "polish_text", {"name": "polish_text", "arguments": {"text": 1}}),
        ("resources/read", None, {}),
        ("resources/read", "text://none", {"uri": "text://none"}),
    ],
)
def test_invalid_params(text: Web, method: str, name: str | None, params: Any) -> None:
    reply = ask(text, method, name, **params)
    assert (reply.status, reply.json["error"]["code"]) == (400, -32602)
    assert reply.json["error"].get("data", {}).get("uri") == params.get("uri")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"{", -32700),
        ([body("tools/list")], -32600),
        ({"jsonrpc": "2.0", "id": 1, "result": {}}, -32600),
        ({"jsonrpc": "2.0", "id": True, "method": "tools/list"}, -32600),
    ],
)
def test_what_is_no_request(text: Web, message: Any, code: int) -> None:
    reply = text.send(message, HEADERS)
    assert (reply.status, reply.json["error"]["code"]) == (400, code)


def test_notifications(text: Web) -> None:
    message = {"jsonrpc": "2.0", "method": "notifications/anything"}
    assert text.send(message, HEADERS).status == 202
    assert text.send(message).json["error"]["code"] == -32020
    other = text.send(message, {"MCP-Protocol-Version": "2025-11-25"})
    assert (other.status, other.json["error"]["code"]) == (400, -32022)
    assert "id" not in other.json


def test_a_stray_session_id_is_ignored(text: Web) -> None:
    reply = text.send(body("tools/list"), {**HEADERS, "Mcp-Session-Id": "stray"})
    assert reply.status == 200
    assert "Mcp-Session-Id" not in reply.headers


def test_word_count(text: Web) -> None:
    found = call(text, "word_count", text="one two\nthree")
    assert found["structuredContent"] == {"words": 3, "characters": 13, "lines": 2}
    assert said(found) == "3 words, 13 characters, 2 lines"


@pytest.mark.parametrize(
    ("title", "slug"), [("Hello, World!", "hello-world"), ("  Straße 7 ", "strasse-7"), ("!", "")]
)
def test_slugify(text: Web, title: str, slug: str) -> None:
    assert call(text, "slugify", text=title)["structuredContent"] == slug


def test_diff(text: Web) -> None:
    found = call(text, "diff", before="a\nb", after="a\nc")
    assert said(found) == "--- before\n+++ after\n@@ -1,2 +1,2 @@\n a\n-b\n+c"
    assert said(call(text, "diff", before="a", after="a")) == "No difference."


@pytest.mark.parametrize(
    ("given", "translated"),
    [
        ("SOS", "... --- ..."),
        ("hello 73", ".... . .-.. .-.. --- / --... ...--"),
        ("... --- ...", "SOS"),
        (".... . .-.. .-.. --- / --... ...--", "HELLO 73"),
        ("", ""),
    ],
)
def test_translate_morse(text: Web, given: str, translated: str) -> None:
    assert said(call(text, "translate_morse", text=given)) == translated


@pytest.mark.parametrize(("given", "sign"), [("Oh no!", "!"), (".......", ".......")])
def test_what_morse_code_does_not_have(text: Web, given: str, sign: str) -> None:
    found = call(text, "translate_morse", text=given)
    assert found["isError"]
    assert said(found) == f"Morse code has no {sign}"


def test_bad_arguments_are_results(text: Web) -> None:
    found = call(text, "word_count", txt="x")
    assert found["isError"]
    assert "'text' is missing; 'txt' is no argument; there are: text" in said(found)


def test_the_story_takes_a_client_that_can_ask(text: Web) -> None:
    reply = ask(text, "tools/call", "tell_story", name="tell_story")
    assert (reply.status, reply.json["id"], reply.json["error"]["code"]) == (400, 1, -32021)
    data = reply.json["error"]["data"]
    mcp_types.MissingRequiredClientCapabilityErrorData.model_validate(data)


@pytest.mark.parametrize("mode", ["auto", VERSION])
async def test_with_the_official_client(text: Web, mode: str) -> None:
    async def fill_in(context: Any, params: Any) -> mcp_types.ElicitResult:
        words = {"adjective": "shy", "animal": "yak", "food": "soup"}
        assert set(params.requested_schema["properties"]) == set(words)
        return mcp_types.ElicitResult(action="accept", content={**words})

    async with Client(text.url, mode=mode, elicitation_callback=fill_in) as client:
        assert client.protocol_version == VERSION
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == list(TOOLS)
        count = await client.call_tool("word_count", {"text": "a b"})
        assert count.structured_content == {"words": 2, "characters": 3, "lines": 1}
        assert (await client.call_tool("slugify", {"text": "A b"})).structured_content == "a-b"
        assert not (await client.call_tool("diff", {"before": "a", "after": "b"})).is_error
        assert not (await client.call_tool("translate_morse", {"text": "SOS"})).is_error
        story = await client.call_tool("tell_story")
        assert isinstance(story.content[0], mcp_types.TextContent)
        assert "shy yak" in story.content[0].text
        prompt = (await client.list_prompts()).prompts[0]
        assert (await client.get_prompt(prompt.name, {"text": "hi"})).messages
        resource = (await client.list_resources()).resources[0]
        (content,) = (await client.read_resource(str(resource.uri))).contents
        assert isinstance(content, mcp_types.TextResourceContents)
        assert len(content.text.splitlines()) == len(MORSE) == 36
        assert (await client.list_resource_templates()).resource_templates == []


async def test_the_official_client_cannot_shake_hands(text: Web) -> None:
    refused = pytest.RaisesExc(MCPError, check=lambda error: error.error.code == -32022)
    with pytest.RaisesGroup(refused, flatten_subgroups=True):
        async with Client(text.url, mode="legacy"):
            pass
