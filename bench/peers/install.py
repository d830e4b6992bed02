"""Fetch the gateways to compare with, each into a place of its own below .cache/bench/peers.

The versions are pinned here and printed in each report. A Python one has a venv, one of npm
a prefix; nothing of the user's is touched. What cannot be had is reported, not an error.
Cost    a few minutes and 1.5 GB the first time, nothing afterwards.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, Literal, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
PLACE: Final = ROOT / ".cache" / "bench" / "peers"
_PATIENCE_S: Final = 900


class Package(NamedTuple):
    """What to fetch, and from where."""

    source: Literal["pip", "npm"]
    name: str
    version: str

    @property
    def folder(self) -> Path:
        """Where it is then."""
        return PLACE / f"{self.source}-{self.name}-{self.version}"

    def program(self, name: str) -> str:
        """The path of one of its programs."""
        where = self.folder / ("bin" if self.source == "pip" else "node_modules/.bin")
        return str(where / name)


FASTMCP: Final = Package("pip", "fastmcp", "4.1.2")
CONTEXTFORGE: Final = Package("pip", "mcp-contextforge-gateway", "1.0.7.post20260921")
COMPOSE: Final = Package("pip", "mcp-compose", "0.1.13")
HANGAR: Final = Package("pip", "mcp-hangar", "2.34.4")
MCP_PROXY: Final = Package("pip", "mcp-proxy", "0.13.0")
MCP_PROXY_NPM: Final = Package("npm", "mcp-proxy", "6.7.19")
SUPERGATEWAY: Final = Package("npm", "supergateway", "4.0.0")
MCP_HUB: Final = Package("npm", "mcp-hub", "4.2.1")
PACKAGES: Final = (
    *(FASTMCP, CONTEXTFORGE, COMPOSE, HANGAR, MCP_PROXY),
    *(MCP_PROXY_NPM, SUPERGATEWAY, MCP_HUB),
)


class Unavailable(Exception):
    """A package cannot be had here, and why."""


def installed(package: Package) -> Package:
    """Fetch `package` unless it is there.

    Raises:
        Unavailable: it cannot be installed.
    """
    stamp = package.folder / ".ready"
    if stamp.exists():
        return package
    print(f"  installing {package.name} {package.version} (once)", file=sys.stderr, flush=True)
    shutil.rmtree(package.folder, ignore_errors=True)
    package.folder.mkdir(parents=True)
    for command in _commands(package):
        _run(command, package)
    stamp.touch()
    return package


def _commands(package: Package) -> list[list[str]]:
    if package.source == "pip":
        python = package.program("python")
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        wanted = f"{package.name}=={package.version}"
        return [[sys.executable, "-m", "venv", str(package.folder)], [*pip, wanted]]
    if (npm := shutil.which("npm")) is None:
        raise Unavailable("it needs Node.js, and there is no npm on PATH")
    options = ["--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(package.folder)]
    return [[npm, "install", *options, f"{package.name}@{package.version}"]]


def _run(command: list[str], package: Package) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_PATIENCE_S)
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Unavailable(f"cannot be installed: {last[:300]}") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"cannot be installed within {_PATIENCE_S} s") from None


def main() -> None:
    """Fetch them all, and say what cannot be had."""
    for package in PACKAGES:
        try:
            installed(package)
        except Unavailable as error:
            print(f"  {package.name} {package.version}: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
