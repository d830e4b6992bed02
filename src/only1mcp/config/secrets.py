"""Every secret that a configuration holds, in each way it may be written in a log line.

Besides what the model declares as secret, passwords stand in URLs and on command lines.
"""

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

from pydantic import SecretStr

from only1mcp.config.model import Config
from only1mcp.config.show import names_secret, secret_values
from only1mcp.config.values import Model

MIN_LENGTH: Final = 8
"""Characters; a shorter value of an innocent name is a word such as `debug`, and hiding it would
hide the text."""
_TOKENS: Final = ("tokens", "admin_tokens", "metrics_tokens")
MIN_NAMED_LENGTH: Final = 4
"""Characters; a shorter value is guessed sooner than found in a log."""


def secrets(config: Config) -> frozenset[str]:
    """What must not be shown of `config`, to be replaced wherever it stands."""
    return frozenset(form for name, value in _found("", config) for form in _forms(name, value))


def _found(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Pairs of the name a secret has and the secret."""
    match value:
        case SecretStr():
            yield name, value.get_secret_value()
        case Model():
            for key in value.model_fields_set:  # a default is no secret
                yield from _found("token" if key in _TOKENS else key, getattr(value, key))
        case dict():
            for key, one in value.items():
                yield from _found(key, one)
        case tuple() if all(isinstance(one, str) for one in value):
            yield from (("secret", one) for one in secret_values(value))
        case tuple():
            for one in value:
                yield from _found(name, one)
        case str():
            yield from (("secret", one) for one in secret_values((value,)))


def _forms(name: str, value: str) -> Iterator[str]:
    """The value, its lines, what follows `Bearer`; each as it is, quoted and encoded."""
    least = MIN_NAMED_LENGTH if names_secret(name) else MIN_LENGTH
    words = value.split()
    for part in {value, *value.splitlines(), *(words[1:] if len(words) == 2 else ())}:
        if len(part.strip()) < least:
            continue
        yield part
        yield json.dumps(part)[1:-1]
        yield json.dumps(part, ensure_ascii=False)[1:-1]
        yield repr(part)[1:-1]
        yield quote(part, safe="")
        yield b64encode(part.encode("utf-8", "surrogateescape")).decode()
