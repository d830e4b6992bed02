"""Fetch the MCP servers and the client that the tests talk to; does nothing the second time.

    .cache/peers/legacy/         a venv with mcp 1.30.0, mcp-server-time and mcp-server-git
    .cache/peers/mcp-2.3.0/      the everything-server of that SDK, speaks both eras; and the
                                 client that the SDK puts before the conformance suite
    .cache/peers/mcp-1.30.0/     the everything-server of the last SDK before 2026-07-28
    .cache/peers/fastmcp/        a venv with FastMCP 4.1.2 and its tasks extension
    .cache/peers/fastmcp-4.1.2/  its conformance server

The last two are for `make conformance` only: `--all` fetches them too. The everything-servers
and their like come in no wheel, only in source archives. Everything is pinned by hash, the
tools that pip reads a source archive with included.
Cost    about half a minute the first time, as much again for the last two.
"""

import hashlib
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
PEERS: Final = ROOT / ".cache" / "peers"
LEGACY_PYTHON: Final = PEERS / "legacy" / "bin" / "python"
FASTMCP_PYTHON: Final = PEERS / "fastmcp" / "bin" / "python"
EVERYTHING: Final = "examples/servers/everything-server/mcp_everything_server/"
CLIENT: Final = ".github/actions/conformance/client.py"
CONFORMANCE_CLIENT: Final = PEERS / "mcp-2.3.0" / CLIENT
FASTMCP_SERVER: Final = PEERS / "fastmcp-4.1.2" / "tests" / "conformance" / "server.py"


class Archive(NamedTuple):
    """What is wanted of a source archive: the paths in it that start with one of `parts`."""

    sha256: str
    parts: tuple[str, ...]


ARCHIVES: Final = {
    "mcp-2.3.0": Archive(
        "8b147a50441cf059dc88c684e0aeed3687f0aa0f39c6cde7b90330effd2b34d8", (EVERYTHING, CLIENT)
    ),
    "mcp-1.30.0": Archive(
        "445414625fce5c295faa505bb11bacece661ab6f4028d57c935db57820b7a3e4", (EVERYTHING,)
    ),
    "fastmcp-4.1.2": Archive(
        "1b70a8467ac4dd6416c7c101cd54562f089b55e6636a196b4a20bdac3ccb0284",
        ("tests/conformance/server.py",),
    ),
}


def everything(archive: str) -> Path:
    """The folder that holds the package mcp_everything_server of `archive`."""
    return (PEERS / archive / EVERYTHING).parent


def run(*command: str | Path) -> None:
    """Run `command`; its output is shown, its failure ends the script."""
    subprocess.run(command, check=True)


def pip(python: Path, *arguments: str | Path) -> None:
    """Run the pip of one venv."""
    run(python, "-m", "pip", "--disable-pip-version-check", *arguments)


def is_ready(folder: Path, wanted: str) -> bool:
    """True if `folder` holds what `wanted` describes."""
    stamp = folder / ".ready"
    return stamp.exists() and stamp.read_text() == digest(wanted)


def begin(folder: Path) -> None:
    """Say that `folder` is made anew; until `set_ready` it counts as incomplete."""
    print(f"Setting up {folder.relative_to(ROOT)} (once)", file=sys.stderr)
    (folder / ".ready").unlink(missing_ok=True)


def set_ready(folder: Path, wanted: str) -> None:
    """Remember that `folder` now holds what `wanted` describes."""
    (folder / ".ready").write_text(digest(wanted))


def digest(text: str) -> str:
    """A short stand-in for `text`."""
    return hashlib.sha256(text.encode()).hexdigest()


def set_up_venv(name: str) -> None:
    """Make .cache/peers/NAME of tests/peers/NAME.lock.

    No dependencies: the lock names them all, and pip would look for others on its own when
    a package is wanted with extras.
    """
    folder = PEERS / name
    lock = ROOT / "tests" / "peers" / f"{name}.lock"
    wanted = lock.read_text()
    if is_ready(folder, wanted):
        return
    begin(folder)
    run(sys.executable, "-m", "venv", "--clear", folder)
    options = ("--quiet", "--no-deps", "--require-hashes", "--requirement", lock)
    pip(folder / "bin" / "python", "install", *options)
    set_ready(folder, wanted)


def set_up_archive(name: str) -> None:
    """Take what is wanted out of the source archive `name`."""
    target, wanted = PEERS / name, repr(ARCHIVES[name])
    if is_ready(target, wanted):
        return
    begin(target)
    with TemporaryDirectory() as folder:
        unpack(fetch(name, Path(folder)), name)
    set_ready(target, wanted)


def fetch(name: str, folder: Path) -> Path:
    """Download one source archive into `folder`.

    No isolation: pip would fetch the newest build tools, unpinned, to read the metadata.
    """
    project, _, version = name.rpartition("-")
    wanted = folder / f"{name}.txt"
    wanted.write_text(f"{project}=={version} --hash=sha256:{ARCHIVES[name].sha256}\n")
    options = ("--no-deps", f"--no-binary={project}", "--no-build-isolation", "--require-hashes")
    pip(LEGACY_PYTHON, "download", "--quiet", *options, "--dest", folder, "--requirement", wanted)
    return folder / f"{name}.tar.gz"


def unpack(file: Path, name: str) -> None:
    """Copy the wanted parts of the archive `file` to .cache/peers/NAME."""
    parts = tuple(f"{name}/{part}" for part in ARCHIVES[name].parts)
    with tarfile.open(file) as tar:
        for member in tar:
            if member.isfile() and member.name.startswith(parts):
                content = tar.extractfile(member)
                target = PEERS / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read() if content else b"")


def main(arguments: list[str]) -> None:
    """Bring .cache/peers up to date."""
    set_up_venv("legacy")
    for archive in ("mcp-2.3.0", "mcp-1.30.0"):
        set_up_archive(archive)
    if arguments == ["--all"]:
        set_up_venv("fastmcp")
        set_up_archive("fastmcp-4.1.2")


if __name__ == "__main__":
    main(sys.argv[1:])
