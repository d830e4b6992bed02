"""A configuration file and the ways in which people and programs change it."""

import json
import os
from pathlib import Path
from typing import Any

from fakes.wire import Json


class Edited:
    """The file of a running gateway."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @property
    def config(self) -> Json:
        """What it says."""
        found: Json = json.loads(self.file.read_text())
        return found

    def write(self, config: Any) -> None:
        """Over what was there, as `cp` does."""
        self.file.write_text(config if isinstance(config, str) else json.dumps(config))

    def replace(self, config: Any) -> None:
        """A new file that takes its name, as most editors do."""
        other = self.file.with_name(".edited.tmp")
        other.write_text(config if isinstance(config, str) else json.dumps(config))
        other.rename(self.file)

    def back_up(self, config: Any) -> None:
        """What was there gets another name and is removed at the end, as vim does."""
        backup = self.file.with_name(self.file.name + "~")
        self.file.rename(backup)
        self.write(config)
        backup.unlink()

    def write_slowly(self, config: Any) -> None:
        """Emptied, then written in two pieces."""
        text = json.dumps(config)
        with self.file.open("w") as file:
            file.write(text[: len(text) // 2])
            file.flush()
            os.fsync(file.fileno())
            file.write(text[len(text) // 2 :])

    def recreate(self, config: Any) -> None:
        """Removed, then made again."""
        self.file.unlink()
        self.write(config)

    def swap(self, config: Any, number: int) -> None:
        """A symbolic link to a directory is replaced, as Kubernetes does."""
        folder = self.file.parent / f"..v{number}"
        folder.mkdir()
        (folder / self.file.name).write_text(json.dumps(config))
        link, data = self.file.parent / "..tmp", self.file.parent / "..data"
        link.symlink_to(folder.name)
        link.rename(data)
        if not self.file.is_symlink():
            self.file.unlink()
            self.file.symlink_to(f"..data/{self.file.name}")

    def move_folder(self, config: Any) -> None:
        """Another directory takes the name of the one it is in, as a deployment may do."""
        folder = self.file.parent
        other, old = folder.with_name("other"), folder.with_name("old")
        other.mkdir()
        (other / self.file.name).write_text(json.dumps(config))
        folder.rename(old)
        other.rename(folder)

    def lock(self) -> None:
        """Nobody may read it."""
        self.file.chmod(0)

    def unlock(self) -> None:
        """Its owner may read it again."""
        self.file.chmod(0o600)
