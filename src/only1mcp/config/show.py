"""What may be shown of a configuration: everything but secrets.

Besides the secrets that are declared as such, passwords hide in URLs and on command lines.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from pydantic import SecretStr

from only1mcp.config import shape
from only1mcp.config.model import Config
from only1mcp.config.values import Model, format_duration

HIDDEN: Final = "***"
_SECRET_NAME: Final = re.compile(
    r"authorization|bearer|cookie|token|secret|passw|pwd|credential|api[-_]?key|private[-_]?key"
    r"|access[-_]?key|(^|[-_])(key|auth|pat|sig)$",
    re.IGNORECASE,
)
_TOKEN: Final = re.compile(
    r"(Bearer +)?(gh[oprsu]_|github_pat_|glpat-|sk[-_]|xox[abeprs]-|AKIA|AIza|hf_|npm_|pypi-|eyJ)"
    r"[\w.=-]{12,}",
    re.ASCII,
)
"""How tokens of well-known services begin."""
_USERINFO: Final = re.compile(
    r"(://)((?:[^\s@/?#:\[]*:(?!\d*(?:[,/?#\s]|$))(?:[^?#\s]*|\S*)|[^/?#\s]*))@"
)
"""Up to the last @ of the authority. What follows `name:` and is no port is a password, with the
slashes it should not have: rather too much is hidden than too little."""
_WORD: Final = re.compile(r"\S+")
_QUERY_VALUE: Final = re.compile(r"([?&;#]([^=?&;#\s]+)=)([^&#\s]*)")
_FLAG: Final = re.compile(r"--?([A-Za-z][\w.-]*)", re.ASCII)
_NAMED: Final = re.compile(r"""(?<![\w./?&-])-*([A-Za-z_][\w.-]*)["']?\s*[=:]\s*""", re.ASCII)
"""`NAME=`, `Name: `, `--name=`, `"name": `; not in a path, nor in a query, which has an end."""


def names_secret(name: str) -> bool:
    """Whether a header, variable or flag of this name usually holds a secret."""
    return _SECRET_NAME.search(name) is not None


def is_token(value: str) -> bool:
    """Whether this is a secret by its form, whatever it is called."""
    return _TOKEN.fullmatch(value) is not None


def mask_url(text: str) -> str:
    """The text with the passwords of URLs in it hidden."""
    text = _WORD.sub(_hide_userinfo, text)
    return _QUERY_VALUE.sub(
        lambda match: f"{match[1]}{HIDDEN}" if names_secret(match[2]) else match[0], text
    )


def _hide_userinfo(word: re.Match[str]) -> str:
    """A word with the userinfo of its URLs hidden.

    Cost    linear: only what an @ ends is looked at, for the pattern tries every `://`.
    """
    end = word[0].rfind("@") + 1
    return _USERINFO.sub(rf"\1{HIDDEN}@", word[0][:end]) + word[0][end:]


def find_secret(argument: str, before: str = "") -> tuple[str, int] | None:
    """The secret that fills an argument to its end: its name, and where its value begins.

    It stands after its name, as in `--token=…`, `TOKEN=…` or `Authorization: …`, or its name is
    the flag `before` it, or it is one by its form.
    """
    flag = _FLAG.fullmatch(before)
    if argument and flag and names_secret(flag[1]) and not _FLAG.match(argument):
        return flag[1], 0
    for match in _NAMED.finditer(argument):
        value = argument[match.end() :]
        if value and (names_secret(match[1]) or is_token(value)):
            return match[1], match.end()
    return ("a token", 0) if is_token(argument) else None


def mask_arguments(arguments: Sequence[str]) -> list[str]:
    """A command line with its secrets hidden."""
    shown: list[str] = []
    for before, argument in pairwise(("", *arguments)):
        text = mask_url(argument)
        found = find_secret(text, before)
        shown.append(text if found is None else text[: found[1]] + HIDDEN)
    return shown


def secret_values(arguments: Sequence[str]) -> list[str]:
    """What `mask_arguments` hides: values as a whole, and what they say after `Bearer`."""
    values: list[str] = []
    for before, argument in pairwise(("", *arguments)):
        if (found := find_secret(argument, before)) is not None:
            value = argument[found[1] :]
            values += [value, value.split()[-1]] if value.strip() else []
        for word in _WORD.findall(argument):
            found_in = _USERINFO.finditer(word[: word.rfind("@") + 1])
            values += [match[2].partition(":")[2] or match[2] for match in found_in]
        queries = _QUERY_VALUE.finditer(argument)
        values += [match[3] for match in queries if names_secret(match[2])]
    return values


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
