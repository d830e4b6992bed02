"""The house rules that a machine can check: sizes, shapes, names, words, a test per source.

The limits are those of the most readable network code there is (h11, httpcore, starlette:
nine of ten bodies have at most 24 lines). They only ever go down.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "src" / "only1mcp"
BENCH = ROOT / "bench"
OWN_CODE = sorted([*SOURCES.rglob("*.py"), *(ROOT / "scripts").glob("*.py"), *BENCH.rglob("*.py")])
TESTS = sorted((ROOT / "tests").rglob("*.py"))

FILE_LINES: Final = 400
BODY_LINES: Final = 40
NESTING: Final = 3
ARGUMENTS: Final = 6

VAGUE_NAMES: Final = {"utils", "util", "common", "helpers", "helper", "types", "misc", "base_types"}
"""A thing lives with its one user, or gets a name of its own."""

BANNED_WORDS: Final = {
    r"\bback-?ends?\b": "say server: an MCP server behind the gateway",
    r"\b(TODO|FIXME|XXX|HACK)\b": "do it, or open an issue",
}
WORDS_OF_OTHERS: Final = {
    SOURCES / "config" / "spelling.py",
    ROOT / "bench" / "peers" / "recipes.py",
}
"""Translate the keys of other programs into ours, or write what other programs read."""
BANNED_EVERYWHERE: Final = {
    r"pypi\.org|pythonhosted|npmjs|:/{2}[^/\s]*/simple\b": "a package index is the user's choice",
    r"(?<![\w.])/(work|root|home/\w+|Users/\w+)/": "a path of one machine",
}
GENERATED: Final = {".git", ".venv", ".cache", ".mypy_cache", ".pytest_cache", ".ruff_cache"} | {
    ".hypothesis",
    "__pycache__",
    "node_modules",
}

NAMED_BY_OTHERS: Final = {
    *("connection_made", "data_received", "eof_received", "connection_lost"),
    *("pause_writing", "resume_writing"),  # asyncio.Protocol
    *("on_message_begin", "on_url", "on_status", "on_header", "on_headers_complete"),
    *("on_body", "on_chunk_header", "on_chunk_complete", "on_message_complete"),  # httptools
    *("do_GET", "do_POST", "do_DELETE", "log_message", "handle_error"),  # http.server
    *("emit", "format"),  # logging
}
"""Methods whose library says what they are for; a docstring would only repeat it."""

COVERED_ELSEWHERE: Final[dict[str, str]] = {
    "tui/dialogs.py": "tests/tui/test_app.py::test_a_tool_is_called",
    "tui/logs.py": "tests/tui/test_app.py::test_logs",
    "tui/outside.py": "tests/cli/test_tui.py::test_what_the_dashboard_sees",
    "tui/panes.py": "tests/tui/test_app.py::test_servers",
    "census.py": "tests/e2e/test_metrics.py::test_every_family_moves",
    "admin/answers.py": "tests/admin/test_look.py::test_every_page_is_of_its_type",
    "admin/desk.py": "tests/admin/test_look.py::test_every_page_is_of_its_type",
}
"""Source file -> the test that covers it: `path::name`, for files with no logic of their own."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
BRANCHES = (ast.If, ast.Try, ast.TryStar, ast.Match)
LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith)
BLOCKS = BRANCHES + LOOPS
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


class Shape(NamedTuple):
    """What the limits apply to, of one function."""

    lines: int
    nesting: int
    arguments: int


def nesting(node: ast.AST, depth: int = 0) -> int:
    """Blocks within blocks below `node`; an `elif` is no deeper than its `if`."""
    deepest = depth
    for child in ast.iter_child_nodes(node):
        if isinstance(child, SCOPES):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deeper = isinstance(child, BLOCKS) and not is_elif
        deepest = max(deepest, nesting(child, depth + deeper))
    return deepest


def shape(function: Function) -> Shape:
    """Measure `function`: body without docstring, deepest block, arguments without self."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
    args = function.args
    named = [arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    return Shape(lines, nesting(function), len(named) - (named[:1] in (["self"], ["cls"])))


def public(node: ast.AST) -> Iterator[Documented]:
    """The public classes and functions of a module or class, not those inside functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If | ast.Try):
            yield from public(child)
        elif isinstance(child, Function | ast.ClassDef) and not child.name.startswith("_"):
            if not is_exempt(child):
                yield child
            if isinstance(child, ast.ClassDef):
                yield from public(child)


def is_exempt(node: Function | ast.ClassDef) -> bool:
    """True for what is documented under its name elsewhere: callbacks, setters, overloads."""
    if node.name in NAMED_BY_OTHERS:
        return True
    marks = {ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list}
    return bool(marks & {"setter", "deleter", "overload", "override"})


def shown(path: Path) -> str:
    """`path` as a person in the project's root would type it."""
    return path.relative_to(ROOT).as_posix()


def listed(faults: list[str]) -> str:
    """All of `faults`, for the message of a failed test."""
    return "\n".join(["", *faults])


def parsed(files: list[Path]) -> Iterator[tuple[Path, ast.Module]]:
    """The syntax trees of `files`."""
    return ((file, ast.parse(file.read_text())) for file in files)


def text_files() -> Iterator[Path]:
    """Every file that a person wrote or committed."""
    for path in sorted(ROOT.rglob("*")):
        if path.is_file() and not GENERATED & {*path.relative_to(ROOT).parts}:
            yield path


def test_no_file_is_long() -> None:
    lengths = {shown(file): len(file.read_text().splitlines()) for file in OWN_CODE + TESTS}
    long = [f"{file}: {lines} lines" for file, lines in lengths.items() if lines > FILE_LINES]
    assert not long, listed(long)


def test_functions_are_small_flat_and_take_few_arguments() -> None:
    limits = Shape(BODY_LINES, NESTING, ARGUMENTS)
    large = []
    for file, tree in parsed(OWN_CODE):
        for node in ast.walk(tree):
            if isinstance(node, Function) and any(map(int.__gt__, found := shape(node), limits)):
                large.append(f"{shown(file)}:{node.lineno} {node.name}: {found}")
    assert not large, listed(large)


def test_everything_public_says_what_it_is_for() -> None:
    silent = []
    for file, tree in parsed(OWN_CODE):
        for node in (tree, *public(tree)):
            if not (ast.get_docstring(node) or "").strip():
                silent.append(f"{shown(file)}: {getattr(node, 'name', 'the module')}")
    assert not silent, listed(silent)


def test_no_module_has_a_vague_name() -> None:
    names = {part.removesuffix(".py") for file in OWN_CODE for part in file.parts}
    assert names & VAGUE_NAMES == set()


def has_its_test(source: Path) -> bool:
    """True if `source`, relative to the package, has a test file of its name or is excused."""
    mirror = ROOT / "tests" / source.parent / f"test_{source.name}"
    return mirror.exists() or source.as_posix() in COVERED_ELSEWHERE


def test_every_source_has_its_test() -> None:
    sources = [file.relative_to(SOURCES) for file in SOURCES.rglob("*.py")]
    named = [source for source in sources if not source.name.startswith("__")]
    untested = sorted(source.as_posix() for source in named if not has_its_test(source))
    assert not untested, listed(untested)


@pytest.mark.parametrize(("source", "test"), COVERED_ELSEWHERE.items())
def test_every_excuse_holds(source: str, test: str) -> None:
    assert (SOURCES / source).exists()
    path, _, name = test.partition("::")
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE)


def places(patterns: dict[str, str], files: list[Path]) -> list[str]:
    """Where one of `patterns` stands in `files`, and what to do about it."""
    found = []
    for file in files:
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
            hits = [why for word, why in patterns.items() if re.search(word, line, re.IGNORECASE)]
            found += [f"{shown(file)}:{number} {line.strip()} ({why})" for why in hits]
    return found


def test_one_word_per_thing() -> None:
    prose = [file for file in text_files() if file.suffix == ".md"]
    found = places(BANNED_WORDS, [file for file in OWN_CODE + prose if file not in WORDS_OF_OTHERS])
    assert not found, listed(found)


def test_no_file_names_a_machine_or_a_package_index() -> None:
    files = [file for file in text_files() if file != Path(__file__)]
    found = places(BANNED_EVERYWHERE, files)
    assert not found, listed(found)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f():\n    pass", Shape(1, 0, 0)),
        ('def f(self, a, /, b, *, c):\n    """Say."""\n    x = 1\n\n    return x', Shape(3, 0, 3)),
        ('def f(cls):\n    """Say."""', Shape(0, 0, 0)),
        ("def f():\n    if a:\n        pass\n    elif b:\n        pass", Shape(4, 1, 0)),
        (
            "def f():\n    if a:\n        pass\n    else:\n        if b:\n            pass",
            Shape(5, 1, 0),
        ),
        ("def f():\n    for a in b:\n        with c:\n            pass", Shape(3, 2, 0)),
        ("def f():\n    def g():\n        if a:\n            pass", Shape(3, 0, 0)),
    ],
)
def test_the_measure(source: str, expected: Shape) -> None:
    (function,) = ast.parse(source).body
    assert isinstance(function, Function)
    assert shape(function) == expected
