"""Servers that have been checked before: a reload checks only those that are written otherwise.

    entry, variables put in ──► its exact text ──known──► the same Server, the object
                                               └────────► checked by the model

The model sees nothing of a server but this text, so there is nothing that could become out of
date. What needs another entry, the machine or a place in the file is looked at in each load:
rules.py. An entry with a fault is never known, and is found at fault again.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from only1mcp.config.model import Config
from only1mcp.config.servers import Server

_NOTHING: Final[Mapping[str, Server]] = MappingProxyType({})


class Checked:
    """The servers of the latest valid load, by the text of their entries."""

    def __init__(self) -> None:
        self._servers = _NOTHING

    def validate(self, plain: dict[str, Any]) -> Config:
        """The configuration that `plain` is.

        Raises:
            ValidationError: it is none; what is known stays known.
        """
        entries = plain.get("servers")
        if not isinstance(entries, list):
            return Config.model_validate(plain)
        texts = [repr(entry) for entry in entries]  # in which 1, 1.0 and true are not equal
        config = self._validated(plain, entries, texts)
        self._servers = dict(zip(texts, config.servers, strict=True))
        return config

    def _validated(self, plain: dict[str, Any], entries: list[Any], texts: list[str]) -> Config:
        known = [self._servers.get(text) for text in texts]
        others = [entry for entry, server in zip(entries, known, strict=True) if server is None]
        try:
            config = Config.model_validate({**plain, "servers": others})
        except ValidationError:
            return Config.model_validate(plain)  # the same fault, where it stands among all
        checked = iter(config.servers)
        servers = tuple(server or next(checked) for server in known)
        if len({server.id for server in servers}) < len(servers):
            return Config.model_validate(plain)  # says which ids are repeated
        return config.model_copy(update={"servers": servers})
