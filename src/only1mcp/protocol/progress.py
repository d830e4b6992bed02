"""Progress tokens: ours on every hop, the asker's own again where it is told.

Pure functions over `params`. A token keeps value and type: 1 is not "1".
Source  MCP basic/utilities/progress of each revision.
"""

from typing import Final

from msgspec import Raw

from only1mcp.protocol import message
from only1mcp.protocol.message import NO_RAW, Params, as_raw

PROGRESS: Final = "notifications/progress"
_DIGITS: Final = 18  # none of ours is longer


def own_token(params: Params | None, id: int) -> tuple[Params | None, Raw]:
    """`params` with our id as progress token, and the asker's token; falsy if it gave none.

    The dict stays as it is: the same request may go elsewhere too.
    """
    if params is None or "_meta" not in params:
        return params, NO_RAW
    meta = bytes(params["_meta"])
    # an escape may spell it, too; find: see dispatch.modern_meta
    if meta.find(b"progressToken") < 0 and meta.find(b"\\") < 0:
        return params, NO_RAW
    members = message.members(meta)
    token = members.get("progressToken", NO_RAW)
    if not token or bytes(token) == b"null":  # some clients write out what they leave out
        return params, NO_RAW
    members["progressToken"] = as_raw(id)
    return {**params, "_meta": as_raw(members)}, token


def own_token_in(params: bytes, id: int) -> tuple[bytes, Raw]:
    """The same for params as JSON text, empty for none."""
    if b"progressToken" not in params and b"\\" not in params:
        return params, NO_RAW
    own, token = own_token(message.members(params), id)
    return (message.encode(own) if token else params), token


def number(params: Params) -> int | None:
    """The token of progress that came under one of ours; None if it is none."""
    text = token(params)
    return int(text) if text.isdigit() and len(text) <= _DIGITS else None


def token(params: Params) -> bytes:
    """The token that progress comes under, as JSON text; empty if it has none."""
    return bytes(params.get("progressToken", NO_RAW))


def restored(params: Params, token: Raw) -> Raw:
    """The params of progress under another token."""
    return as_raw({**params, "progressToken": token})
