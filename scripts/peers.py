"""Fetch the MCP servers that the end-to-end tests talk to; does nothing the second time.

    .cache/peers/legacy/       a venv with mcp 1.30.0, mcp-server-time and mcp-server-git
    .cache/peers/mcp-2.3.0/    the everything-server of that SDK, speaks both eras
    .cache/peers/mcp-1.30.0/   the same of the last SDK before 2026-07-28, legacy only

The everything-servers come in no wheel, only in the source archive of `mcp`. Everything is
pinned by hash, the tools that pip reads a source archive with included.
Cost    about half a minute the first time.
"""

import hashlib
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
LOCK: Final = ROOT / "tests" / "peers" / "legacy.lock"
PEERS: Final = ROOT / ".cache" / "peers"
STAMP: Final = PEERS / ".ready"
LEGACY_PYTHON: Final = PEERS / "legacy" / "bin" / "python"
EVERYTHING: Final = "examples/servers/everything-server/mcp_everything_server/"
ARCHIVES: Final = {
    "mcp-2.3.0": "8b147a50441cf059dc88c684e0aeed3687f0aa0f39c6cde7b90330effd2b34d8",
    "mcp-1.30.0": "445414625fce5c295faa505bb11bacece661ab6f4028d57c935db57820b7a3e4",
}
"""Source archive -> its SHA-256."""


def everything(archive: str) -> Path:
    """The folder that holds the package mcp_everything_server of `archive`."""
    return (PEERS / archive / EVERYTHING).parent


def run(*command: str | Path) -> None:
    """Run `command`; its output is shown, its failure ends the script."""
    subprocess.run(command, check=True)


def pip(*arguments: str | Path) -> None:
    """Run the pip of the legacy venv."""
    run(LEGACY_PYTHON, "-m", "pip", "--disable-pip-version-check", *arguments)


def fetch(archive: str, sha256: str, folder: Path) -> Path:
    """Download one source archive into `folder`.

    No isolation: pip would fetch the newest build tools, unpinned, to read the metadata.
    """
    wanted = folder / f"{archive}.txt"
    wanted.write_text(f"{archive.replace('-', '==')} --hash=sha256:{sha256}\n")
    options = ("--no-deps", "--no-binary=mcp", "--no-build-isolation", "--require-hashes")
    pip("download", "--quiet", *options, "--dest", folder, "--requirement", wanted)
    return folder / f"{archive}.tar.gz"


def unpack(file: Path, archive: str) -> None:
    """Take the everything-server out of the source archive."""
    with tarfile.open(file) as tar:
        for member in tar:
            if member.isfile() and member.name.startswith(f"{archive}/{EVERYTHING}"):
                content = tar.extractfile(member)
                target = PEERS / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read() if content else b"")


def state() -> str:
    """Changes whenever something else would be fetched."""
    return hashlib.sha256(LOCK.read_bytes() + Path(__file__).read_bytes()).hexdigest()


def main() -> None:
    """Bring .cache/peers up to date."""
    if STAMP.exists() and STAMP.read_text() == state():
        return
    print(f"Setting up {PEERS.relative_to(ROOT)} (once; about half a minute)", file=sys.stderr)
    STAMP.unlink(missing_ok=True)
    run(sys.executable, "-m", "venv", "--clear", LEGACY_PYTHON.parents[1])
    pip("install", "--quiet", "--require-hashes", "--requirement", LOCK)
    for archive, sha256 in ARCHIVES.items():
        with TemporaryDirectory() as folder:
            unpack(fetch(archive, sha256, Path(folder)), archive)
    STAMP.write_text(state())


if __name__ == "__main__":
    main()
