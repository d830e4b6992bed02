"""requestState: what the gateway asks a client to keep for it, sealed so that it cannot lie.

    seal ──► base64url(nonce, AES-256-GCM(claims)) ──► client ──► open ──► claims

The claims bind the state to the principal, the method, the target and the arguments it was
given for, and to a time. A server's own requestState travels inside, byte for byte.
The key is made at start: a state does not survive the gateway, and is refused then.
Source  MCP 2026-07-28 basic/patterns/mrtr "requestState": treat it as attacker-controlled.
"""

import base64
import binascii
import hashlib
import secrets
from functools import cached_property
from typing import TYPE_CHECKING, Final

import msgspec

from only1mcp.protocol.errors import InvalidParams
from only1mcp.protocol.message import Params, any_value

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

STATE_TTL_S: Final = 600.0
"""How long a question may wait for its answer."""
_NONCE_BYTES: Final = 12
_CONTEXT: Final = b"only1mcp requestState 1"
_UNBOUND: Final = frozenset(("_meta", "inputResponses", "requestState"))
"""Members of params that differ between a call and its retry."""


class Claims(msgspec.Struct, frozen=True, array_like=True):
    """What a sealed state says. `inner` is the server's own state, `parked` a call that waits.

    `place` is the replica that asked: it may remember more than its state says.
    """

    server: str
    principal: str
    method: str
    digest: str
    expires_at: float  # s, monotonic clock of this process
    inner: str | None = None
    parked: int | None = None
    place: str = ""


class Seal:
    """One key, made at start."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Claims).decode

    @cached_property
    def _key(self) -> "AESGCM":
        """Loaded with the first question: 8 MB, which many gateways never need."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self._secret)

    def seal(self, claims: Claims) -> str:
        """The state for the client: opaque, URL-safe ASCII."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._key.encrypt(nonce, self._encode(claims), _CONTEXT)
        return base64.urlsafe_b64encode(sealed).decode("ascii")

    def open(self, state: str, principal: str, method: str, params: Params, now: float) -> Claims:
        """The claims of a state that this client got for this very call.

        Raises:
            InvalidParams: forged, expired, or somebody else's.
        """
        claims = self.read(state)
        mine = (claims.principal, claims.method, claims.digest)
        if mine != (principal, method, digest(params)):
            raise InvalidParams("requestState belongs to another call")
        if now > claims.expires_at:
            raise InvalidParams("requestState has expired", {"hint": "make the call anew"})
        return claims

    def read(self, state: str) -> Claims:
        """What a state says, whoever brings it.

        Raises:
            InvalidParams: forged.
        """
        try:
            sealed = base64.urlsafe_b64decode(state.encode("ascii"))
            if base64.urlsafe_b64encode(sealed) != state.encode("ascii"):
                raise ValueError("not as it was given out")  # the decoder forgives much
            return self._decode(self._decrypt(sealed))
        except (UnicodeEncodeError, binascii.Error, ValueError, msgspec.MsgspecError):
            raise InvalidParams("invalid requestState", {"hint": "make the call anew"}) from None

    def _decrypt(self, sealed: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag

        try:
            return self._key.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _CONTEXT)
        except InvalidTag:
            raise ValueError("not sealed with this key") from None


def digest(params: Params) -> str:
    """Names a call: the same for a call and its retries however they are spelt, else different."""
    bound = {name: any_value(value) for name, value in params.items() if name not in _UNBOUND}
    return hashlib.sha256(msgspec.json.encode(bound, order="sorted")).hexdigest()
