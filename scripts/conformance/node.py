"""Node.js, the npm servers and the official suites, without root and without a global npm.

Node.js comes as a wheel into .cache/node, the packages by `npm ci` into .cache/npm; both are
pinned by hash and fetched once.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
NODE_LOCK: Final = ROOT / "tests" / "peers" / "node.lock"
MANIFEST: Final = ROOT / "tests" / "peers" / "npm"
NODE: Final = ROOT / ".cache" / "node" / "bin"
PACKAGES: Final = ROOT / ".cache" / "npm"
STAMP: Final = PACKAGES / ".ready"
COPIED: Final = (".npmrc", "package.json", "package-lock.json")
PATH: Final = {"PATH": f"{NODE}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}


def package(name: str) -> Path:
    """The program of one installed package: `server-memory`, or `conformance-0.2`."""
    modules = PACKAGES / "node_modules"
    folder = (
        modules / name if (modules / name).exists() else modules / "@modelcontextprotocol" / name
    )
    return folder / "dist" / "index.js"


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    """Run `command` with our Node.js in front; its failure ends the script."""
    subprocess.run(command, check=True, cwd=cwd, env=os.environ | PATH)


def state() -> str:
    """Changes whenever something else would be fetched."""
    files = [NODE_LOCK, *(MANIFEST / name for name in COPIED)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def set_up_node() -> None:
    """Node.js and npm in a venv of their own."""
    run(sys.executable, "-m", "venv", "--clear", NODE.parent)
    pip = (NODE / "python", "-m", "pip", "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--require-hashes", "--requirement", NODE_LOCK)


def set_up() -> None:
    """Bring Node.js and the packages up to date."""
    if STAMP.exists() and STAMP.read_text() == state():
        return
    print("Setting up Node.js and the npm packages (once; about a minute)", file=sys.stderr)
    shutil.rmtree(PACKAGES, ignore_errors=True)
    PACKAGES.mkdir(parents=True)
    set_up_node()
    for name in COPIED:
        shutil.copy(MANIFEST / name, PACKAGES)
    run(NODE / "npm", "ci", "--silent", "--ignore-scripts", cwd=PACKAGES)
    STAMP.write_text(state())


def lock() -> None:
    """Pin what tests/peers/npm/package.json asks for, without the names of registries."""
    set_up_node()
    (MANIFEST / "package-lock.json").unlink(missing_ok=True)
    run(NODE / "npm", "install", "--silent", "--package-lock-only", cwd=MANIFEST)
