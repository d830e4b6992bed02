"""What a child writes on stdout, as messages: lines are cut out, told from noise, decoded.

In      bytes as they are read, cut anywhere.
Out     one Message for each line; several for a batch of 2025-03-26.
Errors  ParseError, InvalidRequest: the line is no MCP.
Source  MCP basic/transports "stdio"; 2025-03-26 basic "Batching".
"""

from only1mcp.protocol import message
from only1mcp.protocol.message import Message


class Lines:
    """Splits what is read into lines; `held` bytes wait for the end of theirs."""

    __slots__ = ("_parts", "held")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.held = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their newline.

        Cost    each byte is copied twice at most, however many reads a line takes.
        """
        *lines, rest = data.split(b"\n")
        if lines:
            if self._parts:
                lines[0] = b"".join((*self._parts, lines[0]))
                self._parts.clear()
            self.held = 0
        if rest:
            self._parts.append(rest)
            self.held += len(rest)
        return lines


def messages(line: bytes) -> list[Message]:
    """The messages in `line`: none if it is blank, several if it is a batch."""
    if not line or line.isspace():
        return []
    if line.lstrip()[:1] != b"[":
        return [message.decode(line)]
    found = message.decode_client(line)
    return found if isinstance(found, list) else [found]


def is_text(line: bytes) -> bool:
    """Whether it is UTF-8: the parser leaves alone what it does not decode."""
    if line.isascii():
        return True
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
