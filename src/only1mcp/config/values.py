"""The kinds of value a configuration holds, each with what it must be in words.

Units   durations are seconds (float) after reading; written `500ms`, `30s`, `5m`, `1h` or a
        number of seconds. Sizes are bytes.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import ip_address
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    WithJsonSchema,
)

_DURATION: Final = re.compile(r"^\s*(\d{1,15}(?:\.\d{1,30})?)\s*(ms|s|m|h)?\s*$", re.ASCII)
_UNIT_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
_ENDLESS_S: Final = 1e15  # keeps infinity, NaN and what no float holds away from arithmetic
_HOST_NAME: Final = re.compile(r"^(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?$", re.ASCII)
GATEWAY_HEADERS: Final = frozenset(
    ("accept", "connection", "content-length", "content-type", "host", "mcp-method", "mcp-name",
     "mcp-protocol-version", "mcp-session-id", "te", "trailer", "transfer-encoding", "upgrade")
)  # fmt: skip
"""Request headers that belong to the connection or the protocol; nobody else may set them."""


@dataclass(frozen=True, slots=True)
class Reads:
    """What a value must be, in words: for faults and the reference page."""

    words: str


def parse_duration(value: Any) -> float:
    """Seconds from `500ms`, `30s`, `5m`, `1h` or a number of seconds.

    Raises:
        ValueError: anything else, said in the words of the file.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _ENDLESS_S:
        return float(value)
    if isinstance(value, str) and (match := _DURATION.match(value)):
        # Decimal keeps 1.1m at 66 s exactly, so that writing and reading agree
        return float(Decimal(match[1]) * Decimal(repr(_UNIT_S[match[2]])))
    raise ValueError("expected a duration such as 500ms, 30s, 5m or 1h")


def format_duration(seconds: float) -> str:
    """The shortest spelling that `parse_duration` reads back: 300 is `5m`, 0.5 is `500ms`."""
    exact = Decimal(repr(seconds))
    for unit, size in (("h", 3600), ("m", 60), ("s", 1)):
        if exact and exact % size == 0:
            return f"{int(exact / size)}{unit}"
    if exact and exact < 1:
        return f"{(exact * 1000).normalize():f}ms"
    return f"{exact.normalize():f}s"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener bound to `host`."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def not_bool(value: Any) -> Any:
    """Refuse true and false where a number belongs."""
    if isinstance(value, bool):
        raise ValueError("expected a whole number")
    return value


def host_name(value: str) -> str:
    """An address or a name to bind to, without brackets."""
    try:
        ip_address(value.strip("[]"))
    except ValueError:
        numeric = value.replace(".", "").isdigit()
        if numeric or len(value) > 253 or not _HOST_NAME.match(value):
            raise ValueError("expected an IP address or a host name") from None
    return value.strip("[]")


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = bool(parts.hostname) and parts.port != 0 and not parts.fragment
    except ValueError:  # its text may repeat a password of the URL
        usable = False
    if not usable:
        raise ValueError("expected an http or https URL such as http://127.0.0.1:9001/mcp")
    return value


def _authority(value: str) -> str:
    """An origin or a host with optional port, as a Host or Origin header may name it."""
    parts = urlsplit(value if "://" in value else f"//{value}")
    if parts.netloc.startswith("["):
        ip_address(parts.hostname or "")
    if not (parts.hostname or "").removesuffix(".") or (parts.port or 0) > 65535:
        raise ValueError("expected a host name or an IP address")
    return value


def _bearer_token(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[\x21-\x7e]{1,4096}", secret.get_secret_value()):
        raise ValueError("expected 1 to 4096 visible ASCII characters, without spaces")
    return secret


def _header_name(name: str) -> str:
    if name.lower() in GATEWAY_HEADERS:
        raise ValueError("the gateway sets this header itself")
    return name


def _header_value(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[\t\x20-\x7e\x80-\xff]{0,16384}", secret.get_secret_value()):
        raise ValueError("expected one line of at most 16384 Latin-1 characters")
    return secret


def no_nul(value: str) -> str:
    """Refuse what no operating system takes in a name, an argument or a variable."""
    if "\0" in value:
        raise ValueError("expected text without NUL characters")
    return value


def _secret_no_nul(secret: SecretStr) -> SecretStr:
    no_nul(secret.get_secret_value())
    return secret


def _auth_form(value: Any) -> str:
    return "a word" if isinstance(value, str) else "a block"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": _DURATION.pattern}, {"type": "number"}]}
    ),
]
ServerId = Annotated[
    str,
    Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$"),
    Reads("1 to 32 lower case letters, digits and hyphens, not starting with a hyphen"),
]
Argument = Annotated[str, AfterValidator(no_nul)]
Pattern = Annotated[str, Field(min_length=1, max_length=256), Reads("a shell pattern")]
ToolName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_./-]{1,128}$"),
    Reads("1 to 128 letters, digits and _ - . /"),
]
EnvName = Annotated[str, Field(pattern=r"^[^=\x00]+$"), Reads("a variable name without =")]
EnvValue = Annotated[SecretStr, AfterValidator(_secret_no_nul)]
HeaderName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}$"),
    AfterValidator(_header_name),
    Reads("a header name"),
]
HeaderValue = Annotated[SecretStr, AfterValidator(_header_value)]
ANONYMOUS: Final = "anonymous"
"""What a caller is called of whom no token is asked, or who has none where none is needed."""
SCRAPER: Final = "scraper"
"""What a caller with one of `server.metrics_tokens` is called, on /metrics alone."""

Token = Annotated[SecretStr, AfterValidator(_bearer_token)]
Origin = Annotated[
    str,
    Field(
        max_length=300,
        pattern=r"^[A-Za-z][A-Za-z0-9+.-]*://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$",
    ),
    AfterValidator(_authority),
    Reads("an origin such as https://app.example, without a path"),
]
HostName = Annotated[
    str,
    Field(max_length=300, pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$"),
    AfterValidator(_authority),
    Reads("a host name such as mcp.example, without scheme or path"),
]
Url = Annotated[
    str, Field(pattern=r"^https?://[^\s/]+[^\s]*$", max_length=8192), AfterValidator(_url),
    Reads("an http or https URL such as http://127.0.0.1:9001/mcp"),
]  # fmt: skip
FilePath = Annotated[str, Field(min_length=1), AfterValidator(no_nul), Reads("a file name")]


class Model(BaseModel):
    """House settings: immutable, a misspelt key is a fault, texts come from the docstrings."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # an input may be a secret
    )
