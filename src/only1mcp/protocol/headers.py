"""The HTTP headers of MCP, and the codec for values that no header can carry.

Names are lower case: HTTP compares them so, and they are written as they stand here.
Source  MCP 2026-07-28 basic/transports/streamable-http "Request Metadata"; RFC 9110 5.5.
"""

import base64
import binascii
import re
from typing import Final

from only1mcp.protocol.errors import HeaderMismatch

PROTOCOL_VERSION: Final = b"mcp-protocol-version"
METHOD: Final = b"mcp-method"
NAME: Final = b"mcp-name"
SESSION_ID: Final = b"mcp-session-id"
LAST_EVENT_ID: Final = b"last-event-id"

_PLAIN: Final = re.compile(r"(?:[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?")
_SENTINEL: Final = re.compile(rb"=\?base64\?(.*)\?=", re.DOTALL)


def encode(value: str) -> bytes:
    """The value for Mcp-Name or Mcp-Param-*: as it is, or as `=?base64?…?=`.

    Encoded are values with other than printable ASCII, with blanks at an end, and those
    that look encoded already, so that `decode` always gives `value` back.
    """
    if _PLAIN.fullmatch(value) and not (value.startswith("=?base64?") and value.endswith("?=")):
        return value.encode("ascii")
    return b"=?base64?%b?=" % base64.b64encode(value.encode())


def decode(value: bytes) -> str:
    """What a peer meant by a header value; blanks at its ends do not count (RFC 9110 5.5).

    Raises:
        HeaderMismatch: not printable ASCII, or an encoded part that is no base64 of UTF-8.
    """
    value = value.strip(b" \t")
    match = _SENTINEL.fullmatch(value)
    try:
        text = (base64.b64decode(match[1], validate=True) if match else value).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise HeaderMismatch("a header value is not valid base64 of UTF-8 text") from None
    if match is None and not _PLAIN.fullmatch(text):
        raise HeaderMismatch("a header value has characters that must be sent as =?base64?…?=")
    return text
