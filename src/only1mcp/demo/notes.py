"""Notes: a demo MCP server over stdin and stdout, for the revisions that begin with a handshake.

In      one JSON-RPC message per line of stdin; the end of stdin ends the server.
Out     one message per line of stdout, nothing else. Notes live in memory.
Run     python -m only1mcp.demo.notes
Source  MCP 2025-11-25: basic/lifecycle, basic/transports "stdio", server/*.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, Final

from only1mcp.demo import rpc
from only1mcp.demo.rpc import INVALID_PARAMS, METHOD_NOT_FOUND, Fault, Json, ToolFailure, told

VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
BATCH_VERSION: Final = "2025-03-26"  # the one revision in which a line may hold an array
RESOURCE_NOT_FOUND: Final = -32002
MAX_NOTES: Final = 1000  # they live in memory
MAX_COMPLETIONS: Final = 100  # server/utilities/completion: no answer may hold more

INFO: Final = {"name": "only1mcp-demo-notes", "title": "Notes (demo)", "version": "1.0.0"}
CAPABILITIES: Final = {
    "tools": {},
    "resources": {"listChanged": True},
    "prompts": {},
    "completions": {},
}
STRING: Final = {"type": "string"}
NOTE: Final = rpc.schema(["id", "title", "text"], id=STRING, title=STRING, text=STRING)
NOTES: Final = rpc.schema(["notes"], notes={"type": "array", "items": NOTE})
TOOLS: Final = rpc.by_name(
    {
        "name": "add_note",
        "title": "Add a note",
        "description": "Write down a note and get its id.",
        "inputSchema": rpc.schema(
            ["title", "text"],
            title={"type": "string", "minLength": 1, "maxLength": 100},
            text={"type": "string", "maxLength": 10_000},
        ),
        "outputSchema": NOTE,
        "annotations": {"destructiveHint": False, "openWorldHint": False},
    },
    {
        "name": "list_notes",
        "title": "List all notes",
        "description": "Every note, oldest first.",
        "inputSchema": rpc.schema([]),
        "outputSchema": NOTES,
        "annotations": {"readOnlyHint": True, "openWorldHint": False},
    },
    {
        "name": "search_notes",
        "title": "Search the notes",
        "description": "The notes with these words in title or text, upper and lower case alike.",
        "inputSchema": rpc.schema(["query"], query={"type": "string", "minLength": 1}),
        "outputSchema": NOTES,
        "annotations": {"readOnlyHint": True, "openWorldHint": False},
    },
    {
        "name": "delete_note",
        "title": "Delete a note",
        "description": "Delete one note for good.",
        "inputSchema": rpc.schema(["id"], id=STRING),
        "annotations": {"destructiveHint": True, "openWorldHint": False},
    },
)
TEMPLATE: Final = {"uriTemplate": "note://{id}", "name": "note", "mimeType": "text/plain"}
PROMPT: Final = {
    "name": "summarise_notes",
    "title": "Summarise my notes",
    "description": "Ask for a summary of one note, or of all of them.",
    "arguments": [{"name": "id", "description": "Only this note", "required": False}],
}


class NotesServer:
    """The notes of one client, and what each MCP method does with them."""

    def __init__(self, out: BinaryIO) -> None:
        self.out = out
        self.version = VERSIONS[-1]
        self.notes: dict[str, Json] = {}
        self.last_id = 0
        self.methods: dict[str, Callable[[Json], Json]] = {
            "initialize": self._initialize,
            "ping": lambda params: {},
            "tools/list": lambda params: {"tools": list(TOOLS.values())},
            "tools/call": self._call_tool,
            "resources/list": self._list_resources,
            "resources/templates/list": lambda params: {"resourceTemplates": [TEMPLATE]},
            "resources/read": self._read_resource,
            "prompts/list": lambda params: {"prompts": [PROMPT]},
            "prompts/get": self._get_prompt,
            "completion/complete": self._complete,
        }
        self.tools: dict[str, Callable[..., Json]] = {
            "add_note": self._add_note,
            "list_notes": self._list_notes,
            "search_notes": self._search_notes,
            "delete_note": self._delete_note,
        }
        self._keep("Welcome", "Notes live in memory: they are gone when the server stops.")
        self._keep("Shopping", "Milk, bread, a present for Ada.")

    def receive(self, line: bytes) -> None:
        """Answer one line of input, if it asks for an answer."""
        try:
            message = rpc.decode(line)
        except Fault as fault:
            self._send(rpc.failure(None, fault))
            return
        if isinstance(message, list) and message and self.version == BATCH_VERSION:
            replies: Any = [reply for part in message if (reply := self._reply_to(part))]
        else:
            replies = self._reply_to(message)
        if replies:
            self._send(replies)

    def _reply_to(self, message: Any) -> Json | None:
        """The answer to one message; None for notifications and responses."""
        try:
            request = rpc.check_message(message)
            if "id" not in request or "method" not in request:
                return None
            return rpc.answer(request["id"], self._dispatch(request))
        except Fault as fault:
            return rpc.failure(rpc.id_of(message), fault)

    def _dispatch(self, request: Json) -> Json:
        method, params = request["method"], request.get("params", {})
        if method not in self.methods:
            raise Fault(METHOD_NOT_FOUND, f"unknown method {method!r}")
        if method.endswith("/list"):
            rpc.one_page(params)
        return self.methods[method](params)

    def _send(self, message: Any) -> None:
        self.out.write(rpc.encode(message) + b"\n")
        self.out.flush()

    def _initialize(self, params: Json) -> Json:
        wanted = params.get("protocolVersion")
        self.version = wanted if wanted in VERSIONS else VERSIONS[-1]
        return {
            "protocolVersion": self.version,
            "capabilities": CAPABILITIES,
            "serverInfo": INFO,
            "instructions": "A notebook in memory. Each note is also a resource, note://{id}.",
        }

    def _call_tool(self, params: Json) -> Json:
        try:
            arguments = rpc.tool_arguments(params, TOOLS)
            return self.tools[params["name"]](**arguments)
        except ToolFailure as failure:
            return rpc.failed(failure)

    def _add_note(self, title: str, text: str) -> Json:
        if len(self.notes) >= MAX_NOTES:
            raise ToolFailure(f"the notebook is full ({MAX_NOTES} notes); delete one first")
        note = self._keep(title, text)
        self._send(rpc.notification("notifications/resources/list_changed"))
        return told(f"Kept as note {note['id']}.", note)

    def _list_notes(self) -> Json:
        return _told_notes(list(self.notes.values()))

    def _search_notes(self, query: str) -> Json:
        words = query.casefold()
        found = [n for n in self.notes.values() if words in f"{n['title']}\n{n['text']}".casefold()]
        return _told_notes(found)

    def _delete_note(self, id: str) -> Json:
        if id not in self.notes:
            known = ", ".join(self.notes) or "none"
            raise ToolFailure(f"there is no note {id!r}; the ids are: {known}")
        title = self.notes.pop(id)["title"]
        self._send(rpc.notification("notifications/resources/list_changed"))
        return told(f"Deleted note {id}, {title!r}.")

    def _keep(self, title: str, text: str) -> Json:
        self.last_id += 1
        note = {"id": str(self.last_id), "title": title, "text": text}
        self.notes[note["id"]] = note
        return note

    def _list_resources(self, params: Json) -> Json:
        return {"resources": [_resource(note) for note in self.notes.values()]}

    def _read_resource(self, params: Json) -> Json:
        uri = params.get("uri")
        if not isinstance(uri, str):
            raise Fault(INVALID_PARAMS, "uri must be a string")
        note = self.notes.get(uri.removeprefix("note://")) if uri.startswith("note://") else None
        if note is None:
            raise Fault(RESOURCE_NOT_FOUND, "resource not found", {"uri": uri})
        return {"contents": [{"uri": uri, "mimeType": "text/plain", "text": note["text"]}]}

    def _get_prompt(self, params: Json) -> Json:
        name, arguments = params.get("name"), params.get("arguments", {})
        if name != PROMPT["name"]:
            raise Fault(INVALID_PARAMS, f"unknown prompt {name!r}; there is {PROMPT['name']}")
        if not isinstance(arguments, dict):
            raise Fault(INVALID_PARAMS, "arguments must be an object")
        wanted = arguments.get("id")
        notes = [note for note in self.notes.values() if wanted in (None, note["id"])]
        if wanted is not None and not notes:
            raise Fault(INVALID_PARAMS, f"there is no note {wanted!r}")
        text = "\n\n".join(f"# {note['title']}\n{note['text']}" for note in notes)
        ask = f"Summarise these notes in at most three sentences.\n\n{text}"
        message = {"role": "user", "content": {"type": "text", "text": ask}}
        return {"description": PROMPT["description"], "messages": [message]}

    def _complete(self, params: Json) -> Json:
        """Note ids that begin as typed, for the template's id and for the prompt's."""
        ref, argument = params.get("ref"), params.get("argument")
        if not isinstance(ref, dict) or not isinstance(argument, dict):
            raise Fault(INVALID_PARAMS, "ref and argument must be objects")
        if ref.get("name", ref.get("uri")) not in (PROMPT["name"], TEMPLATE["uriTemplate"]):
            raise Fault(INVALID_PARAMS, f"nothing to complete for {ref}")
        typed = str(argument.get("value", ""))
        ids = [id for id in self.notes if argument.get("name") == "id" and id.startswith(typed)]
        values = ids[:MAX_COMPLETIONS]
        return {"completion": {"values": values, "total": len(ids), "hasMore": values != ids}}


def _resource(note: Json) -> Json:
    names = {"uri": f"note://{note['id']}", "name": f"note-{note['id']}", "title": note["title"]}
    return {**names, "mimeType": "text/plain"}


def _told_notes(notes: list[Json]) -> Json:
    lines = [f"{note['id']}. {note['title']}: {note['text']}" for note in notes]
    return told("\n".join(lines) or "No notes.", {"notes": notes})


def main() -> None:
    """Serve stdin until it ends."""
    server = NotesServer(sys.stdout.buffer)
    with suppress(KeyboardInterrupt, BrokenPipeError):
        for line in sys.stdin.buffer:
            if line.strip():
                server.receive(line)


if __name__ == "__main__":
    main()
