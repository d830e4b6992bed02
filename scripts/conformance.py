"""Put the npm servers behind the gateway and test it: `make conformance`.

Node.js comes as a wheel into .cache/node, the servers by `npm ci` into .cache/npm; both are
pinned by hash and fetched once. Arguments go to pytest; `--lock` pins anew instead.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
NODE_LOCK: Final = ROOT / "tests" / "peers" / "node.lock"
MANIFEST: Final = ROOT / "tests" / "peers" / "npm"
NODE: Final = ROOT / ".cache" / "node" / "bin"
SERVERS: Final = ROOT / ".cache" / "npm"
STAMP: Final = SERVERS / ".ready"
COPIED: Final = (".npmrc", "package.json", "package-lock.json")
PATH: Final = {"PATH": f"{NODE}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    """Run `command` with our Node.js in front; its failure ends the script."""
    subprocess.run(command, check=True, cwd=cwd, env=os.environ | PATH)


def state() -> str:
    """Changes whenever something else would be fetched."""
    files = [NODE_LOCK, Path(__file__), *(MANIFEST / name for name in COPIED)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def set_up_node() -> None:
    """Node.js and npm in a venv of their own."""
    run(sys.executable, "-m", "venv", "--clear", NODE.parent)
    pip = (NODE / "python", "-m", "pip", "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--require-hashes", "--requirement", NODE_LOCK)


def set_up() -> None:
    """Bring Node.js and the servers up to date."""
    if STAMP.exists() and STAMP.read_text() == state():
        return
    print("Setting up Node.js and the npm servers (once; about a minute)", file=sys.stderr)
    shutil.rmtree(SERVERS, ignore_errors=True)
    SERVERS.mkdir(parents=True)
    set_up_node()
    for name in COPIED:
        shutil.copy(MANIFEST / name, SERVERS)
    run(NODE / "npm", "ci", "--silent", "--ignore-scripts", cwd=SERVERS)
    STAMP.write_text(state())


def lock() -> None:
    """Pin what tests/peers/npm/package.json asks for, without the names of registries."""
    set_up_node()
    (MANIFEST / "package-lock.json").unlink(missing_ok=True)
    run(NODE / "npm", "install", "--silent", "--package-lock-only", cwd=MANIFEST)


def main(arguments: list[str]) -> None:
    """Set up, then run the tests that need it."""
    if arguments == ["--lock"]:
        lock()
        return
    set_up()
    pytest = (sys.executable, "-m", "pytest", "-m", "conformance", "tests/conformance")
    sys.exit(subprocess.run([*pytest, *arguments], cwd=ROOT, check=False).returncode)


if __name__ == "__main__":
    main(sys.argv[1:])
