"""Print the tests that `make check` runs: those of the files that differ from HEAD.

    src/only1mcp/relay/call.py -> tests/relay/test_call.py, and so on: tests mirror sources.

What all tests rest on (pyproject.toml, a fake, a conftest) stands for all unit tests, and so
does a tree without git. The structure is always tested; it costs two seconds.

Arguments are options of pytest for many tests; they are printed if all unit tests are to run.
"""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
ALWAYS: Final = {"tests/test_features.py", "tests/test_layers.py", "tests/test_house.py"}
SLOW: Final = {"tests/conformance", "tests/e2e", "tests/peers"}
"""Need other programs, or seconds each: left to `make test`."""
SHARED: Final = {"pyproject.toml", "requirements.lock"}


def changed() -> list[str] | None:
    """The paths that differ from HEAD, new ones included; None outside of git."""
    found: list[str] = []
    for question in ("diff --name-only HEAD", "ls-files --others --exclude-standard"):
        command = ["git", *question.split()]
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if answer.returncode:
            return None
        found += answer.stdout.splitlines()
    return found


def unit_tests() -> set[str]:
    """Every part of tests/ that holds quick tests."""
    parts = {file.relative_to(ROOT).parts[:2] for file in (ROOT / "tests").rglob("test_*.py")}
    return {"/".join(part) for part in parts} - SLOW


def test_of(path: str) -> str | None:
    """The test file that belongs to `path`; None if all of them may be touched by it."""
    pure = PurePosixPath(path)
    if path.startswith("src/only1mcp/"):
        room = pure.relative_to("src/only1mcp").parent
        return (PurePosixPath("tests") / room / f"test_{pure.name}").as_posix()
    if path.startswith("scripts/"):
        return f"tests/scripts/test_{pure.name}"
    if path.startswith("bench/"):
        return f"tests/bench/test_{pure.name}"
    if path.startswith("tests/") and pure.name.startswith("test_"):
        return path
    if path.startswith("tests/") or path in SHARED:
        return None
    return "tests/test_readme.py"


def selected(paths: Iterable[str] | None, unit: set[str]) -> set[str]:
    """What to give to pytest for a change of `paths`, given the `unit` tests there are."""
    tests = {test_of(path) for path in paths} if paths is not None else {None}
    if None in tests:
        return unit | ALWAYS
    return ALWAYS | {test for test in tests if test and not is_slow(test)}


def is_slow(test: str) -> bool:
    """True for what is left to `make test`."""
    return any(PurePosixPath(test).is_relative_to(slow) for slow in SLOW)


def main() -> None:
    """Print the options, if they are for these tests, and the paths on one line."""
    unit = unit_tests()
    tests = selected(changed(), unit)
    options = sys.argv[1:] if tests >= unit else []
    print(*options, *sorted(test for test in tests if (ROOT / test).exists()))


if __name__ == "__main__":
    main()
