"""Text: a demo MCP server over HTTP in the stateless revision 2026-07-28, and in no other.

Every request stands alone: it brings its revision and its client's capabilities, and is answered
from nothing else. story.py has the tool that asks the user back in mid-call.
Run     python -m only1mcp.demo.text --port 0
Source  MCP 2026-07-28: basic/index "_meta", basic/transports/streamable-http "Request Metadata",
        server/utilities/caching.
"""

from base64 import b64decode
from collections.abc import Callable
from difflib import unified_diff
from typing import Any, Final

from only1mcp.demo import listener, rpc, story
from only1mcp.demo.rpc import INVALID_PARAMS, INVALID_REQUEST, Fault, Json, ToolFailure, told

VERSION: Final = "2026-07-28"
HEADER_MISMATCH: Final = -32020
UNSUPPORTED_VERSION: Final = -32022
VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY: Final = "io.modelcontextprotocol/clientCapabilities"
SERVER_KEY: Final = "io.modelcontextprotocol/serverInfo"
MIRRORED: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
CACHEABLE: Final = {"ttlMs": 300_000, "cacheScope": "public"}  # the same for all until a restart

INFO: Final = {"name": "only1mcp-demo-text", "title": "Text (demo)", "version": "1.0.0"}
STRING: Final = {"type": "string"}
INT: Final = {"type": "integer"}
COUNTS: Final = rpc.schema(["words", "characters", "lines"], words=INT, characters=INT, lines=INT)
TEXT: Final = {"type": "string", "maxLength": 10_000}
READ_ONLY: Final = {"readOnlyHint": True, "openWorldHint": False}
TOOLS: Final = rpc.by_name(
    {
        "name": "word_count",
        "title": "Count words",
        "description": "Count the words, characters and lines of a text.",
        "inputSchema": rpc.schema(["text"], text=TEXT),
        "outputSchema": COUNTS,
        "annotations": READ_ONLY,
    },
    {
        "name": "slugify",
        "title": "Make a slug",
        "description": "Turn a title into the last part of a URL.",
        "inputSchema": rpc.schema(["text"], text=TEXT),
        "outputSchema": STRING,  # any JSON value may be structured content in this revision
        "annotations": READ_ONLY,
    },
    {
        "name": "diff",
        "title": "Compare two texts",
        "description": "Show line by line what changed, as a unified diff.",
        "inputSchema": rpc.schema(["before", "after"], before=TEXT, after=TEXT),
        "annotations": READ_ONLY,
    },
    {
        "name": "translate_morse",
        "title": "Translate Morse code",
        "description": "Turn letters and digits into Morse code; dots and dashes into letters.",
        "inputSchema": rpc.schema(["text"], text=TEXT),
        "annotations": READ_ONLY,
    },
    story.TOOL,
)
LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
CODES: Final = (
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .--"
    " -..- -.-- --.. ----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----."
)
MORSE: Final = dict(zip(LETTERS, CODES.split(), strict=True))
UNMORSE: Final = {code: letter for letter, code in MORSE.items()}
TABLE: Final = {"uri": "text://morse", "name": "morse-table", "mimeType": "text/plain"}
PROMPT: Final = {
    "name": "polish_text",
    "title": "Polish a text",
    "description": "Ask for a better version of a text.",
    "arguments": [{"name": "text", "required": True}],
}


class TextHandler(listener.Handler):
    """Check that body and headers agree, then answer from the body alone."""

    def serve_message(self, message: Json) -> None:
        """Every message stands alone; there is no session to find."""
        if rpc.is_response(message):
            raise Fault(INVALID_REQUEST, f"{VERSION} has no responses from clients")
        if "id" not in message:
            self._serve_notification()
            return
        method, params = message["method"], message.get("params", {})
        self._check_envelope(method, params)
        if method not in METHODS:
            raise Fault(rpc.METHOD_NOT_FOUND, f"unknown method {method!r}", status=404)
        if method.endswith("/list"):
            rpc.one_page(params)
        result = {"resultType": "complete", **METHODS[method](params)}
        self.send_json(200, rpc.answer(message["id"], {**result, "_meta": {SERVER_KEY: INFO}}))

    def _serve_notification(self) -> None:
        """Accept and drop it; all that it tells of its revision is the header."""
        version = self.headers.get("MCP-Protocol-Version", "")
        if version != VERSION:
            raise _unsupported(version) if version else _mismatch("MCP-Protocol-Version", VERSION)
        self.send(202, {})

    def _check_envelope(self, method: str, params: Json) -> None:
        """The order of these checks is the order in which a client can mend its request."""
        meta = params.get("_meta", {})
        if method == "initialize" and VERSION_KEY not in meta:
            raise _unsupported(params.get("protocolVersion", ""))
        version, capabilities = meta.get(VERSION_KEY), meta.get(CAPABILITIES_KEY)
        if not isinstance(version, str) or not isinstance(capabilities, dict):
            raise Fault(INVALID_PARAMS, f"params._meta needs {VERSION_KEY} and {CAPABILITIES_KEY}")
        self._check_header("MCP-Protocol-Version", version)
        self._check_header("Mcp-Method", method)
        name = params.get(MIRRORED.get(method, ""))
        if isinstance(name, str):
            self._check_header("Mcp-Name", name)
        if version != VERSION:
            raise _unsupported(version)

    def _check_header(self, header: str, wanted: str) -> None:
        """One header, saying what the body says; a name may be wrapped in base64."""
        said = [value.strip() for value in self.headers.get_all(header, [])]
        if header == "Mcp-Name":
            said = [_unwrapped(value) for value in said]
        if said != [wanted]:
            raise _mismatch(header, wanted)


def _mismatch(header: str, wanted: str) -> Fault:
    return Fault(HEADER_MISMATCH, f"header {header} must be there once and say {wanted!r}")


def _unsupported(requested: Any) -> Fault:
    data = {"supported": [VERSION], "requested": str(requested)}
    return Fault(UNSUPPORTED_VERSION, f"only {VERSION} is served here, without a handshake", data)


def _unwrapped(value: str) -> str:
    """`=?base64?...?=` decoded; anything else, broken base64 included, as it stands."""
    if not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    try:
        return b64decode(value[9:-2], validate=True).decode()
    except ValueError:
        return value


def _discover(params: Json) -> Json:
    return {
        "supportedVersions": [VERSION],
        "capabilities": {"tools": {}, "resources": {}, "prompts": {}},
        "instructions": "Small tools for texts. tell_story asks the user for words.",
        **CACHEABLE,
    }


def _read_resource(params: Json) -> Json:
    uri = params.get("uri")
    if uri != TABLE["uri"]:
        raise Fault(INVALID_PARAMS, "resource not found", {"uri": uri})
    text = "\n".join(f"{letter}  {code}" for letter, code in MORSE.items())
    return {"contents": [{"uri": uri, "mimeType": "text/plain", "text": text}], **CACHEABLE}


def _get_prompt(params: Json) -> Json:
    arguments = params.get("arguments")
    if params.get("name") != PROMPT["name"]:
        raise Fault(INVALID_PARAMS, f"unknown prompt; there is {PROMPT['name']}")
    if not isinstance(arguments, dict) or not isinstance(arguments.get("text"), str):
        raise Fault(INVALID_PARAMS, "the argument text is missing")
    ask = f"Rewrite this text so that it reads well:\n\n{arguments['text']}"
    return {"messages": [{"role": "user", "content": {"type": "text", "text": ask}}]}


def _call_tool(params: Json) -> Json:
    try:
        arguments = rpc.tool_arguments(params, TOOLS)
        if params["name"] == "tell_story":
            return story.tell(params, params["_meta"][CAPABILITIES_KEY])
        return RUN[params["name"]](**arguments)
    except ToolFailure as failure:
        return rpc.failed(failure)


def _word_count(text: str) -> Json:
    counts = {"words": len(text.split()), "characters": len(text), "lines": len(text.splitlines())}
    return told("{words} words, {characters} characters, {lines} lines".format(**counts), counts)


def _slugify(text: str) -> Json:
    words = "".join(c if c.isalnum() else " " for c in text.casefold()).split()
    return told("-".join(words), "-".join(words))


def _diff(before: str, after: str) -> Json:
    lines = unified_diff(before.splitlines(), after.splitlines(), "before", "after", lineterm="")
    return told("\n".join(lines) or "No difference.")


def _translate_morse(text: str) -> Json:
    """To Morse; or back, when there are only dots, dashes, blanks and slashes."""
    if set(text) <= set(".-/ "):
        letters = ["".join(_looked_up(word.split(), UNMORSE)) for word in text.split("/")]
        return told(" ".join(letters))
    codes = [" ".join(_looked_up(list(word), MORSE)) for word in text.upper().split()]
    return told(" / ".join(codes))


def _looked_up(signs: list[str], table: dict[str, str]) -> list[str]:
    if unknown := sorted({sign for sign in signs if sign not in table}):
        raise ToolFailure(f"Morse code has no {' '.join(unknown)}")
    return [table[sign] for sign in signs]


METHODS: Final[dict[str, Callable[[Json], Json]]] = {
    "server/discover": _discover,
    "tools/list": lambda params: {"tools": list(TOOLS.values()), **CACHEABLE},
    "tools/call": _call_tool,
    "resources/list": lambda params: {"resources": [TABLE], **CACHEABLE},
    "resources/templates/list": lambda params: {"resourceTemplates": [], **CACHEABLE},
    "resources/read": _read_resource,
    "prompts/list": lambda params: {"prompts": [PROMPT], **CACHEABLE},
    "prompts/get": _get_prompt,
}
RUN: Final[dict[str, Callable[..., Json]]] = {
    "word_count": _word_count,
    "slugify": _slugify,
    "diff": _diff,
    "translate_morse": _translate_morse,
}

if __name__ == "__main__":
    listener.serve(TextHandler)
