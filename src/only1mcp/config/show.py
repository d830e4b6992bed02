"""What may be shown of a configuration: everything but secrets.

Besides the secrets that are declared as such, passwords hide in URLs and on command lines.
"""

import re
from typing import Any, Final

from pydantic import SecretStr

from only1mcp.config import shape
from only1mcp.config.model import Config, Model, format_duration

HIDDEN: Final = "***"
_SECRET_NAME: Final = re.compile(
    r"authorization|cookie|token|secret|passw|pwd|credential|api[-_]?key|private[-_]?key"
    r"|access[-_]?key|(^|[-_])(key|auth|pat|sig)$",
    re.IGNORECASE,
)
_USERINFO: Final = re.compile(r"(://)[^/@\s]*@")
_QUERY_VALUE: Final = re.compile(r"([?&;]([^=&#\s]+)=)[^&#\s]*")
_FLAG: Final = re.compile(r"(--?([A-Za-z][\w.-]*))(=?)", re.ASCII)


def names_secret(name: str) -> bool:
    """Whether a header, variable or flag of this name usually holds a secret."""
    return _SECRET_NAME.search(name) is not None


def mask_url(text: str) -> str:
    """The text with the passwords of URLs in it hidden."""
    text = _USERINFO.sub(rf"\1{HIDDEN}@", text)
    return _QUERY_VALUE.sub(
        lambda match: f"{match[1]}{HIDDEN}" if names_secret(match[2]) else match[0], text
    )


def mask_arguments(arguments: tuple[str, ...]) -> list[str]:
    """A command line with the values of flags such as `--api-key` hidden."""
    shown: list[str] = []
    hide_next = False
    for argument in arguments:
        flag = _FLAG.match(argument)
        secret = flag is not None and names_secret(flag[2])
        if flag is not None and secret and flag[3]:
            shown.append(f"{flag[1]}={HIDDEN}")
        elif hide_next and flag is None:
            shown.append(HIDDEN)
        else:
            shown.append(mask_url(argument))
        hide_next = secret and flag is not None and not flag[3]
    return shown


def redacted(config: Config) -> dict[str, Any]:
    """The configuration as plain data to print: secrets hidden, durations as `30s`."""
    return _block(config)


def _block(block: Model) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, field in type(block).model_fields.items():
        value = getattr(block, name)
        if shape.is_duration(field):
            shown[name] = format_duration(value)
        elif name == "args":
            shown[name] = mask_arguments(value)
        else:
            shown[name] = _value(value)
    return shown


def _value(value: Any) -> Any:
    match value:
        case Model():
            return _block(value)
        case SecretStr():
            return HIDDEN
        case tuple():
            return [_value(item) for item in value]
        case dict():
            return {key: _value(item) for key, item in value.items()}
        case str():
            return mask_url(value)
    return value
