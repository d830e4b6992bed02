"""The configuration file as something that programs may change: one at a time, all or nothing.

    ETag the same? ──► text changed ──► loaded: valid, only this server other? ──► temporary
    file beside it, flushed ──► ETag still the same? ──► renamed over the file

A crash at any point leaves the old file or the new one. Mode and, if we may, owner stay; of a
symbolic link the file it points to is replaced.
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

from only1mcp.config import edit
from only1mcp.config.edit import NoServer, NotEditable
from only1mcp.config.faults import ConfigError
from only1mcp.config.load import MAX_FILE_BYTES, Format, Loaded, format_of
from only1mcp.config.model import Config

__all__ = ["Changed", "NoServer", "NotEditable", "Store", "Written"]

ANY: Final = "*"
"""Stands for whatever tag the file has."""


class Changed(Exception):
    """The file is not what the caller has seen; `tag` is what it is now."""

    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.tag = tag


@dataclass(frozen=True, slots=True)
class Written:
    """A change that is in the file."""

    loaded: Loaded
    """What the file says now."""
    tag: str


class Store:
    """One configuration file. All of it may block: not for the loop."""

    def __init__(self, file: Path, check: Callable[[str], Loaded]) -> None:
        """`check` loads a text as the file would be loaded; it raises ConfigError."""
        self.file = file
        self._check = check
        self._turn = Lock()

    def tag(self) -> str:
        """Another one for each content.

        Raises:
            OSError: it cannot be read.
        """
        return _tag(self.file.read_bytes())

    def add(self, tag: str, server: dict[str, object]) -> Written:
        """One more server, as the file would have it."""
        return self._write(
            tag, str(server["id"]), lambda text, format: edit.add(text, format, server)
        )

    def change(self, tag: str, id: str, patch: edit.Patch) -> Written:
        """Change a server by a merge patch.

        Raises:
            Changed: the file has not this `tag` any more.
            NoServer: the file has none of this id.
            NotEditable: not by a program.
            ConfigError: it would not be valid.
            OSError: it cannot be read or written.
        """
        return self._write(tag, id, lambda text, format: edit.change(text, format, id, patch))

    def remove(self, tag: str, id: str) -> Written:
        """Take a server out."""
        return self._write(tag, id, lambda text, format: edit.remove(text, format, id))

    def _write(self, tag: str, id: str, edited: Callable[[str, Format], str]) -> Written:
        with self._turn:
            content = self.file.read_bytes()
            _expect(tag, content)
            text, before = self._read(content)
            bom = content[: len(content) - len(text.encode())]
            new = edited(text, format_of(self.file, text))
            after = self._check(new)
            _only(id, before.config, after.config)
            written = bom + new.encode()
            if len(written) > MAX_FILE_BYTES:
                raise NotEditable(f"the file would be longer than {MAX_FILE_BYTES} bytes")
            if written != content:
                self._replace(written, lambda: _expect(_tag(content), self.file.read_bytes()))
            return Written(after, _tag(written))

    def _read(self, content: bytes) -> tuple[str, Loaded]:
        """What is there now.

        Raises:
            NotEditable: it is not a configuration.
        """
        try:
            text = content.decode("utf-8-sig")
            return text, self._check(text)
        except UnicodeDecodeError:
            raise NotEditable("the file is not UTF-8 text; mend it first") from None
        except ConfigError as error:
            faults = [fault for fault in error.faults if fault.severity == "error"]
            raise NotEditable(f"the file has faults already: {faults[0]}; mend it first") from None

    def _replace(self, content: bytes, last_look: Callable[[], None]) -> None:
        target = self.file.resolve()
        was = target.stat()
        if not os.access(target, os.W_OK):  # renaming would get round what its owner has said
            raise PermissionError(13, os.strerror(13), str(target))
        number, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".new", dir=target.parent)
        try:
            with os.fdopen(number, "wb") as file:
                os.fchmod(number, was.st_mode & 0o7777)
                with contextlib.suppress(PermissionError):
                    os.fchown(number, was.st_uid, was.st_gid)
                file.write(content)
                file.flush()
                os.fsync(number)
            last_look()
            Path(name).replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
        _settle(target.parent)


def _settle(folder: Path) -> None:
    """Have the new name survive a power cut, where the file system can do that."""
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _tag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _expect(tag: str, content: bytes) -> None:
    if tag not in (ANY, now := _tag(content)):
        raise Changed(now)


def _only(id: str, before: Config, after: Config) -> None:
    """Only this server may be another.

    Raises:
        NotEditable: something else is, too.
    """
    if _others(before, id) != _others(after, id):
        raise NotEditable(
            f"what belongs to server '{id}' counts elsewhere too (an alias?); edit the file by hand"
        )


def _others(config: Config, id: str) -> Config:
    kept = tuple(server for server in config.servers if server.id != id)
    return config.model_copy(update={"servers": kept})
