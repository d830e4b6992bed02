"""JSON-RPC envelopes: decoded once, `params` and `result` kept as the bytes they came in.

In      one JSON text (bytes).
Out     Message, whose Raw fields are views of those bytes; or a list of them for an array.
Errors  ParseError (not JSON, not UTF-8, nested too deep), InvalidRequest (not JSON-RPC 2.0).
Cost    ~1 us for a 1 KiB call: the parser checks the payload but builds no objects for it.
"""

import re
from typing import Any, Final

import msgspec
from msgspec import Raw

from only1mcp.protocol.errors import InvalidParams, InvalidRequest, McpError, ParseError

MAX_DEPTH: Final = 64  # brackets within brackets; JSON libraries recurse, so depth is memory
_SURE_BYTES: Final = 2 * MAX_DEPTH  # so few nest no deeper, or are no JSON
_SURE_DIGITS: Final = 16  # fewer are an integer to every JSON library
NO_RAW: Final = Raw()  # an absent member; falsy

_UNREADABLE: Final = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
"""What the parser raises over bytes that are not JSON, or that are no text where it decodes."""

Params = dict[str, Raw]
"""The members of `params`, each still in its own bytes: order and unknown keys survive."""


class Message(msgspec.Struct, gc=False):
    """One JSON-RPC message of any kind. A missing member is falsy."""

    jsonrpc: str = ""
    id: Raw = NO_RAW
    method: str = ""
    params: Raw = NO_RAW
    result: Raw = NO_RAW
    error: Raw = NO_RAW

    @property
    def is_request(self) -> bool:
        """Whether it wants an answer."""
        return bool(self.method and self.id)

    @property
    def is_notification(self) -> bool:
        """Whether it wants none."""
        return bool(self.method and not self.id)


_decode_message = msgspec.json.Decoder(Message).decode
_decode_array = msgspec.json.Decoder(list[Raw]).decode
_decode_params = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_objects = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_decode_any = msgspec.json.Decoder(float_hook=float).decode  # 1e400 is JSON, and infinity here
encode = msgspec.json.Encoder().encode
"""Any JSON-able value, Raw included, to bytes."""


def decode(body: bytes) -> Message:
    """The one JSON-RPC message in `body`, from a peer we have accepted (a server)."""
    try:
        return _decode_message(body)
    except _UNREADABLE as error:
        if (mended := _mended(body)) != body:
            return decode(mended)
        raise ParseError(f"not a JSON-RPC message: {error}") from None


def decode_client(body: bytes) -> Message | list[Message]:
    """The message, or the array of messages, a client sent; everything is checked."""
    if len(body) > _SURE_BYTES or not body.isascii():
        check_text(body)
    try:
        found = _decode_message(body)
    except _UNREADABLE:
        return _others(body)
    if found.jsonrpc == "2.0" and found.method:  # what nearly all are, without another call
        id = bytes(found.id)
        if id.isdigit() and len(id) < _SURE_DIGITS:
            return found
    return _valid(found)


def _others(body: bytes) -> Message | list[Message]:
    """What is no message at first sight: an array, one that can be mended, or a fault."""
    try:
        return _messages(body)
    except ParseError:
        if (mended := _mended(body)) == body:
            raise
        return _messages(mended)


def _messages(body: bytes) -> Message | list[Message]:
    if body[:1] != b"{" and body.lstrip()[:1] == b"[":
        return [_checked(bytes(item)) for item in _array(body)]
    return _checked(body)


_SURROGATES: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
"""An escape in a JSON text; group 1 is half of a surrogate pair without its other half."""


def _mended(body: bytes) -> bytes:
    """`body` with U+FFFD for each lone surrogate: half a character, which no UTF-8 can hold.

    They come from programs that cut a text in the middle of an emoji and then write it in
    JavaScript's way; one such text must not cost the whole answer.
    """
    if b"\\ud" not in body.lower():
        return body
    return _SURROGATES.sub(lambda found: rb"\ufffd" if found[1] else found[0], body)


def _array(body: bytes) -> list[Raw]:
    try:
        items = _decode_array(body)
    except _UNREADABLE as error:
        raise ParseError(f"not JSON: {error}") from None
    if not items:
        raise InvalidRequest("an empty array is not a JSON-RPC batch")
    return items


def _checked(body: bytes) -> Message:
    try:
        return _valid(_decode_message(body))
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"not a JSON-RPC message: {error}") from None
    except _UNREADABLE as error:
        raise ParseError(f"not JSON: {error}") from None


def _valid(message: Message) -> Message:
    """`message`, if it is one.

    Raises: InvalidRequest, ParseError.
    """
    if message.jsonrpc != "2.0":
        raise InvalidRequest('member "jsonrpc" must be "2.0"')
    if message.id:
        id_value(message.id)
    if not message.method and not message.result and not message.error:
        raise InvalidRequest("neither a method, a result nor an error")
    return message


def readable_id(body: bytes) -> Raw:
    """The id of a message that was refused, so that the refusal can carry it; else falsy."""
    try:
        message = _decode_message(body)
        id_value(message.id)
    except (*_UNREADABLE, McpError):
        return NO_RAW
    return message.id


def one_line(body: bytes) -> bytes:
    """JSON text without line breaks: inside strings they are escaped, so these are blanks."""
    if b"\n" in body or b"\r" in body:
        return body.replace(b"\n", b" ").replace(b"\r", b" ")
    return body


def id_value(raw: Raw) -> str | int:
    """The id as a Python value: "1" and 1 stay different keys.

    Raises:
        InvalidRequest: null, boolean, fraction or structure (MCP basic "Requests").
    """
    text = bytes(raw)
    if text.isdigit() and len(text) < _SURE_DIGITS:
        return int(text)
    value = any_value(raw)
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise InvalidRequest("id must be a string or an integer")


def any_value(raw: Raw | bytes) -> Any:
    """Decode into plain Python objects; None for an absent member."""
    if not raw:
        return None
    try:
        return _decode_any(raw)
    except _UNREADABLE as error:
        raise ParseError(f"not JSON: {error}") from None


def members(raw: Raw | bytes) -> Params:
    """The members of a JSON object, values untouched; {} when absent or null.

    Raises:
        InvalidParams: it is not an object.
    """
    if not raw:
        return {}
    try:
        return _decode_params(raw)
    except _UNREADABLE:
        if bytes(raw).strip() == b"null":
            return {}
        raise InvalidParams("params must be an object") from None


def objects(raw: Raw | bytes) -> list[Params]:
    """The objects in a JSON array, members untouched; an entry that is no object becomes {}."""
    if not raw:
        return []
    try:
        return _decode_objects(raw)
    except _UNREADABLE:
        return [_object(item) for item in _array(bytes(raw))]


def _object(raw: Raw) -> Params:
    try:
        return members(raw)
    except InvalidParams:
        return {}


def text(raw: Raw | None) -> str | None:
    """The string in `raw`, or None when it is absent or no string."""
    value = any_value(raw) if raw else None
    return value if isinstance(value, str) else None


def request(id: int, method: str, params: Params | None) -> bytes:
    """A request of ours. `id` is unique on its connection."""
    if params is None:
        return b'{"jsonrpc":"2.0","id":%d,"method":"%b"}' % (id, method.encode())
    return b'{"jsonrpc":"2.0","id":%d,"method":"%b","params":%b}' % (
        id,
        method.encode(),
        encode(params),
    )


def question(id: int, method: str, params: bytes) -> bytes:
    """A request to a client; `params` is JSON text, empty for none."""
    if not params:
        return b'{"jsonrpc":"2.0","id":%d,"method":"%b"}' % (id, method.encode())
    return b'{"jsonrpc":"2.0","id":%d,"method":"%b","params":%b}' % (id, method.encode(), params)


def notification(method: str, params: Raw | bytes | None = None) -> bytes:
    """A notification; `params` is JSON text."""
    if not params:
        return b'{"jsonrpc":"2.0","method":"%b"}' % method.encode()
    return b'{"jsonrpc":"2.0","method":"%b","params":%b}' % (method.encode(), bytes(params))


def result(id: Raw | bytes, payload: bytes) -> bytes:
    """The answer to request `id`: `payload` is the result as JSON text, carried untouched."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (bytes(id), payload)


def error(id: Raw | bytes, payload: bytes) -> bytes:
    """The error answer; without a readable id the member is left out (schema 2025-11-25)."""
    if not id:
        return b'{"jsonrpc":"2.0","error":%b}' % payload
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (bytes(id), payload)


def check_text(body: bytes) -> None:
    """Refuse what no JSON-RPC text may be: other encodings and bottomless nesting.

    The bracket count bounds the depth from above, so the exact scan runs only for
    texts that could be too deep.
    """
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise ParseError(f"not UTF-8: {error.reason} at byte {error.start}") from None
    # not count, which looks at each byte by itself
    size, without = len(body), len(body.replace(b"{", b"")) + len(body.replace(b"[", b""))
    if 2 * size - without > MAX_DEPTH and _too_deep(body):
        raise ParseError(f"nested deeper than {MAX_DEPTH} levels")


_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""A string, or the rest of the text if it is never closed: each byte is looked at once."""
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def _too_deep(body: bytes) -> bool:
    """Whether brackets nest deeper than MAX_DEPTH: each round strips the innermost level."""
    brackets = _STRINGS.sub(b"", body).translate(_BRACKETS, _NO_BRACKETS)
    if b"[" * (MAX_DEPTH + 1) in brackets:
        return True
    for _ in range(MAX_DEPTH):
        if not brackets:
            return False
        stripped = brackets.replace(b"[]", b"")
        if len(stripped) == len(brackets):
            return False  # not balanced: the parser will say so
        brackets = stripped
    return bool(brackets)


def as_raw(value: Any) -> Raw:
    """A Python value as a member for `Params`."""
    return Raw(encode(value))
