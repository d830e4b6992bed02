"""What the documents say exists: commands, options, links, and the functions of the tour."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from only1mcp.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "src" / "only1mcp"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]

FENCE: Final = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
SHELL: Final = {"", "sh", "bash", "shell", "console"}
TARGET: Final = re.compile(r"^([a-z-]+(?: [a-z-]+)*):", re.MULTILINE)
LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FUNCTION: Final = re.compile(r"`([\w/]+\.py):([\w.]+)`")


def shell_lines(text: str) -> Iterator[str]:
    """The lines a reader would type, continued ones joined, prompts removed."""
    for language, block in FENCE.findall(text):
        if language in SHELL:
            yield from (
                line.strip().removeprefix("$ ") for line in block.replace("\\\n", " ").splitlines()
            )


def calls(text: str, program: str) -> Iterator[list[str]]:
    """The arguments of each call of `program` in the shell lines of `text`."""
    for line in shell_lines(text):
        if program not in line:
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        command: list[str] = []
        for word in [*lexer, ";"]:
            if not word or word[0] not in "|&;<>":
                command.append(word)
                continue
            name, *arguments = without_variables(command) or [""]
            if Path(name).name == program:
                yield arguments
            command = []


def without_variables(command: list[str]) -> list[str]:
    """`command` from its program on: `A=1 only1mcp run` is a call of only1mcp."""
    first = (i for i, word in enumerate(command) if not re.match(r"\w+=", word))
    return command[next(first, len(command)) :]


def misuse(command: Any, words: list[str]) -> str | None:
    """What the click `command` would refuse in `words`; values are not looked at."""
    options = {name: option for option in command.params for name in option.opts}
    flags = {name for option in command.params for name in option.secondary_opts} | {"-h", "--help"}
    arguments = sum(option.param_type_name == "argument" for option in command.params)
    rest = iter(words)
    for word in rest:
        name, equals, _ = word.partition("=")
        if name in options and word.startswith("-"):
            if not equals and not options[name].is_flag:
                next(rest, None)
        elif word.startswith("-") and name not in flags:
            return f"{command.name} has no option {name}"
        elif word in getattr(command, "commands", {}):
            return misuse(command.commands[word], list(rest))
        elif not word.startswith("-") and (arguments := arguments - 1) < 0:
            return f"{command.name} does not take {word}"
    return None


def names_in(source: Path) -> set[str]:
    """The functions and classes of `source`; a method as `name` and as `Class.name`."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, (*functions, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}.{child.name}" for child in node.body if isinstance(child, functions)
            }
    return found


@pytest.fixture(params=DOCUMENTS, ids=lambda path: path.name)
def text(request: pytest.FixtureRequest) -> str:
    """Each document in turn."""
    return str(request.param.read_text())


def test_every_make_command_has_its_target(text: str) -> None:
    targets = {
        name for line in TARGET.findall((ROOT / "Makefile").read_text()) for name in line.split()
    }
    used = {word for words in calls(text, "make") for word in words if "=" not in word}
    assert used - targets == set()


def test_every_only1mcp_command_parses(text: str) -> None:
    command = typer.main.get_command(app)
    faults = [fault for words in calls(text, "only1mcp") if (fault := misuse(command, words))]
    assert faults == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    links = (link.partition("#")[0] for link in LINK.findall(document.read_text()))
    files = [link for link in links if link and not re.match(r"\w+:", link)]
    assert [link for link in files if not (document.parent / link).exists()] == []


def test_every_function_named_in_a_document_exists(text: str) -> None:
    named = FUNCTION.findall(text)
    sources = {path: SOURCES / path for path, _ in named}
    assert [path for path, source in sources.items() if not source.exists()] == []
    assert [f"{path}:{name}" for path, name in named if name not in names_in(sources[path])] == []


def test_the_tour_of_a_request_names_functions() -> None:
    assert FUNCTION.findall((ROOT / "docs" / "life-of-a-request.md").read_text())


def test_calls_are_found_in_shell_blocks_only() -> None:
    text = """
Say `only1mcp prose`.
```sh
$ make demo ARGS="--port 9000"   # comment
TOKEN=x only1mcp run -c a.yaml & only1mcp call time__now '{"tz": "UTC|x"}' | jq . > out
.venv/bin/only1mcp config \\
    init
```
```yaml
command: only1mcp yaml
```
"""
    assert list(calls(text, "make")) == [["demo", "ARGS=--port 9000"]]
    assert list(calls(text, "only1mcp")) == [
        ["run", "-c", "a.yaml"],
        ["call", "time__now", '{"tz": "UTC|x"}'],
        ["config", "init"],
    ]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("--version", None),
        ("run", None),
        ("run -c only1mcp.yaml --port=0 --json", None),
        ("run -c only1mcp.yaml extra", "run does not take extra"),
        ("run --prot 0", "run has no option --prot"),
        ("rum", "toy does not take rum"),
        ("config show --help", None),
        ("config shwo", "config does not take shwo"),
        ("config show x y", "show does not take y"),
    ],
)
def test_misuse_is_caught(line: str, fault: str | None) -> None:
    assert misuse(toy(), line.split()) == fault


def toy() -> Any:
    """A small app in the shape of ours."""
    root, config = typer.Typer(name="toy"), typer.Typer(name="config")
    root.add_typer(config)

    @root.callback()
    def main(version: bool = False) -> None:
        del version

    @root.command()
    def run(file: str = typer.Option("", "-c"), port: int = 0, json: bool = False) -> None:
        del file, port, json

    @config.command()
    def show(key: str) -> None:
        del key

    @config.command()
    def init() -> None:
        pass

    return typer.main.get_command(root)
