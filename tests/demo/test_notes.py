"""Notes: line by line in this process, then as a process with the official client."""

import json
import subprocess
import sys
from io import BytesIO
from typing import Any

import mcp_types
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp_types.methods import parse_server_notification, validate_server_result

from only1mcp.demo import notes
from only1mcp.demo.notes import VERSIONS, NotesServer

COMMAND = [sys.executable, "-m", "only1mcp.demo.notes"]
ANSWER_S = 10.0


class Line:
    """A server and the lines it wrote."""

    def __init__(self) -> None:
        self.out = BytesIO()
        self.server = NotesServer(self.out)

    def send(self, message: Any) -> list[Any]:
        """All that is written in return. Bytes go in as they are."""
        self.out.seek(0)
        self.out.truncate()
        self.server.receive(message if isinstance(message, bytes) else json.dumps(message).encode())
        return [json.loads(line) for line in self.out.getvalue().splitlines()]

    def ask(self, method: str, **params: Any) -> Any:
        """The answer to one request; what else is written is dropped."""
        request = {"jsonrpc": "2.0", "id": "q", "method": method, "params": params}
        answer = self.send(request)[-1]
        assert answer["id"] == "q"
        return answer

    def result(self, method: str, **params: Any) -> Any:
        """The result of one request, valid in the agreed revision."""
        result = self.ask(method, **params)["result"]
        validate_server_result(method, self.server.version, result)
        return result

    def call(self, name: str, **arguments: Any) -> Any:
        """The result of one tool."""
        return self.result("tools/call", name=name, arguments=arguments)


@pytest.fixture
def line() -> Line:
    return Line()


def hello(line: Line, version: Any) -> Any:
    """Shake hands, as a client of `version`."""
    info = {"name": "test", "version": "0"}
    result = line.result("initialize", protocolVersion=version, capabilities={}, clientInfo=info)
    assert line.send({"jsonrpc": "2.0", "method": "notifications/initialized"}) == []
    return result


@pytest.mark.parametrize("version", VERSIONS)
def test_every_answer_is_valid_in_every_revision(line: Line, version: str) -> None:
    assert hello(line, version)["protocolVersion"] == version
    assert line.result("ping") == {}
    assert [tool["name"] for tool in line.result("tools/list")["tools"]] == list(notes.TOOLS)
    assert len(line.result("resources/list")["resources"]) == 2
    assert len(line.result("resources/templates/list")["resourceTemplates"]) == 1
    assert line.result("resources/read", uri="note://1")["contents"][0]["uri"] == "note://1"
    assert line.result("prompts/list")["prompts"][0]["name"] == "summarise_notes"
    assert line.result("prompts/get", name="summarise_notes")["messages"]
    assert line.call("list_notes")["structuredContent"]["notes"][0]["id"] == "1"


@pytest.mark.parametrize("version", ["1999-01-01", "2026-07-28", None, [], {}])
def test_an_unknown_revision_is_answered_with_the_newest(line: Line, version: Any) -> None:
    answer = line.ask("initialize", protocolVersion=version, capabilities={})
    assert answer["result"]["protocolVersion"] == "2025-11-25"


def test_a_new_note_is_a_new_resource(line: Line) -> None:
    arguments = {"title": "Größe \ud800", "text": "one\ntwo"}
    request = {"jsonrpc": "2.0", "id": 7, "method": "tools/call"}
    changed, answer = line.send({**request, "params": {"name": "add_note", "arguments": arguments}})
    assert changed == {"jsonrpc": "2.0", "method": "notifications/resources/list_changed"}
    parse_server_notification(changed["method"], "2025-11-25", changed.get("params"))
    assert answer["id"] == 7
    assert answer["result"]["structuredContent"] == {"id": "3", **arguments}
    assert line.result("resources/list")["resources"][-1] == {
        "uri": "note://3",
        "name": "note-3",
        "title": "Größe \ud800",
        "mimeType": "text/plain",
    }
    assert line.result("resources/read", uri="note://3")["contents"] == [
        {"uri": "note://3", "mimeType": "text/plain", "text": "one\ntwo"}
    ]


def test_a_deleted_note_is_gone(line: Line) -> None:
    assert line.call("delete_note", id="1")["content"][0]["text"] == "Deleted note 1, 'Welcome'."
    assert [note["id"] for note in line.call("list_notes")["structuredContent"]["notes"]] == ["2"]
    again = line.call("delete_note", id="1")
    assert again["isError"]
    assert again["content"][0]["text"] == "there is no note '1'; the ids are: 2"
    assert line.call("add_note", title="new", text="")["structuredContent"]["id"] == "3"


def test_deleting_tells_the_client(line: Line) -> None:
    request = {"jsonrpc": "2.0", "id": 7, "method": "tools/call"}
    written = line.send({**request, "params": {"name": "delete_note", "arguments": {"id": "2"}}})
    assert [message.get("method") for message in written] == [
        "notifications/resources/list_changed",
        None,
    ]


@pytest.mark.parametrize(("query", "ids"), [("MILK", ["2"]), ("e", ["1", "2"]), ("zebra", [])])
def test_search(line: Line, query: str, ids: list[str]) -> None:
    found = line.call("search_notes", query=query)
    assert [note["id"] for note in found["structuredContent"]["notes"]] == ids
    assert found["content"][0]["text"]


def test_the_notebook_is_bounded(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "MAX_NOTES", 2)
    full = line.call("add_note", title="one", text="more")
    assert full["isError"]
    assert "delete one first" in full["content"][0]["text"]


def test_the_prompt_about_one_note(line: Line) -> None:
    result = line.result("prompts/get", name="summarise_notes", arguments={"id": "2"})
    text = result["messages"][0]["content"]["text"]
    assert "Shopping" in text
    assert "Welcome" not in text


@pytest.mark.parametrize(
    "ref",
    [
        {"type": "ref/prompt", "name": "summarise_notes", "title": "Summarise my notes"},
        {"type": "ref/resource", "uri": "note://{id}"},
    ],
)
def test_completion_of_note_ids(line: Line, ref: Any) -> None:
    def complete(name: str, value: str) -> Any:
        argument = {"name": name, "value": value}
        return line.result("completion/complete", ref=ref, argument=argument)["completion"]

    assert complete("id", "") == {"values": ["1", "2"], "total": 2, "hasMore": False}
    assert complete("id", "2")["values"] == ["2"]
    assert complete("id", "9")["values"] == []
    assert complete("tone", "")["values"] == []
    for number in range(120):
        line.call("add_note", title=f"note {number}", text="")
    many = complete("id", "")
    assert (len(many["values"]), many["total"], many["hasMore"]) == (100, 122, True)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"nonsense", -32700),
        (b"\xff", -32700),
        (b"[" * 100_000, -32700),
        (b"[]", -32600),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600),
        (b'{"jsonrpc":"2.0","method":1}', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
    ],
)
def test_what_has_no_readable_id_is_refused_without_one(line: Line, text: bytes, code: int) -> None:
    (answer,) = line.send(text)
    assert "id" not in answer
    assert answer["error"]["code"] == code


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("server/discover", {}, -32601),
        ("resources/subscribe", {"uri": "note://1"}, -32601),
        ("tools/list", {"cursor": "x"}, -32602),
        ("tools/call", {}, -32602),
        ("tools/call", {"name": "add"}, -32602),
        ("tools/call", {"name": ["add_note"]}, -32602),
        ("tools/call", {"name": "list_notes", "arguments": []}, -32602),
        ("resources/read", {}, -32602),
        ("resources/read", {"uri": 1}, -32602),
        ("resources/read", {"uri": "note://9"}, -32002),
        ("resources/read", {"uri": "1"}, -32002),
        ("prompts/get", {}, -32602),
        ("prompts/get", {"name": ["summarise_notes"]}, -32602),
        ("prompts/get", {"name": "summarise_notes", "arguments": []}, -32602),
        ("prompts/get", {"name": "summarise_notes", "arguments": {"id": "9"}}, -32602),
        ("prompts/get", {"name": "summarise_notes", "arguments": {"id": ["1"]}}, -32602),
        ("completion/complete", {}, -32602),
        ("completion/complete", {"ref": "id", "argument": {}}, -32602),
        ("completion/complete", {"ref": {"uri": "x://{id}"}, "argument": {}}, -32602),
    ],
)
def test_bad_requests(line: Line, method: str, params: Any, code: int) -> None:
    assert line.ask(method, **params)["error"]["code"] == code


def test_a_missing_resource_is_named(line: Line) -> None:
    error = line.ask("resources/read", uri="note://9")["error"]
    assert error["data"] == {"uri": "note://9"}


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("add_note", {"title": "only"}, "add_note: 'text' is missing"),
        ("add_note", {"title": "", "text": ""}, "'title' does not fit"),
        ("list_notes", {"all": True}, "'all' is no argument; there are: none"),
        ("search_notes", {"query": 5}, "'query' does not fit"),
        ("delete_note", {"id": 1}, "'id' does not fit"),
    ],
)
def test_bad_arguments_are_results(line: Line, name: str, arguments: Any, said: str) -> None:
    result = line.call(name, **arguments)
    assert result["isError"]
    assert said in result["content"][0]["text"]


def test_what_asks_for_nothing_gets_nothing(line: Line) -> None:
    for message in (
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}},
        {"jsonrpc": "2.0", "method": "notifications/unknown"},
        {"jsonrpc": "2.0", "method": "tools/list"},
        {"jsonrpc": "2.0", "id": 5, "result": {}},
        {"jsonrpc": "2.0", "id": 5, "error": {"code": 1, "message": "no"}},
    ):
        assert line.send(message) == []


def test_batches_of_2025_03_26(line: Line) -> None:
    hello(line, "2025-03-26")
    ping = {"jsonrpc": "2.0", "method": "ping"}
    (answers,) = line.send([{**ping, "id": 1}, ping, {**ping, "id": "1"}, 5])
    assert [answer.get("id") for answer in answers] == [1, "1", None]
    assert answers[2]["error"]["code"] == -32600
    assert line.send([ping, ping]) == []
    assert line.send([])[0]["error"]["code"] == -32600


def test_the_process_speaks_lines_and_ends_with_its_input() -> None:
    ping = b'{"jsonrpc":"2.0","id":%d,"method":"ping"}'
    text = ping % 1 + b"\n\n \r\n" + ping % 2 + b"\r\n" + ping % 3
    done = subprocess.run(COMMAND, input=text, capture_output=True, timeout=ANSWER_S)
    assert done.returncode == 0
    assert done.stderr == b""
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [1, 2, 3]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_with_the_official_client(mode: str) -> None:
    heard: list[Any] = []

    async def hear(message: Any) -> None:
        heard.append(message)

    server = StdioServerParameters(command=COMMAND[0], args=COMMAND[1:])
    async with Client(server, mode=mode, message_handler=hear) as client:
        assert client.protocol_version == "2025-11-25"
        assert client.server_info and client.server_info.title == "Notes (demo)"
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(tools) == list(notes.TOOLS)
        assert tools["delete_note"].annotations == mcp_types.ToolAnnotations(
            destructive_hint=True, open_world_hint=False
        )
        added = await client.call_tool("add_note", {"title": "Hello", "text": "World"})
        assert added.structured_content == {"id": "3", "title": "Hello", "text": "World"}
        found = await client.call_tool("search_notes", {"query": "world"})
        assert found.structured_content == {"notes": [added.structured_content]}
        assert not (await client.call_tool("list_notes")).is_error
        uris = [str(resource.uri) for resource in (await client.list_resources()).resources]
        assert uris == ["note://1", "note://2", "note://3"]
        templates = (await client.list_resource_templates()).resource_templates
        assert templates[0].uri_template == "note://{id}"
        (content,) = (await client.read_resource("note://3")).contents
        assert isinstance(content, mcp_types.TextResourceContents)
        assert content.text == "World"
        assert (await client.list_prompts()).prompts[0].name == "summarise_notes"
        assert (await client.get_prompt("summarise_notes", {"id": "3"})).messages
        ref = mcp_types.ResourceTemplateReference(type="ref/resource", uri="note://{id}")
        completed = await client.complete(ref, {"name": "id", "value": ""})
        assert completed.completion.values == ["1", "2", "3"]
        assert not (await client.call_tool("delete_note", {"id": "3"})).is_error
        assert (await client.call_tool("delete_note", {"id": "3"})).is_error
    assert [type(message).__name__ for message in heard] == ["ResourceListChangedNotification"] * 2
