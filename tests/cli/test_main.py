"""Arguments to commands to exit codes."""

import io
import re
import subprocess
import sys
from typing import Any

import pytest

from fakes.cli import Shell
from only1mcp import __version__
from only1mcp.cli import client, config, demo, main, run, stdio
from only1mcp.cli.say import Exit

COMMANDS = ["demo", "run", "stdio", "validate", "config", "servers", "tools", "call"]


def test_the_version(shell: Shell) -> None:
    assert shell("--version") == (0, f"only1mcp {__version__}\n", "")


def test_help_names_every_command(shell: Shell) -> None:
    for flag in ("--help", "-h"):
        found = shell(flag)
        assert found.code == 0
        assert [name for name in COMMANDS if not re.search(rf"\b{name}\b", found.out)] == []
    for name in COMMANDS:
        assert shell(name, "--help").code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["rum"],
        ["run", "extra"],
        ["run", "--prot", "0"],
        ["run", "--port", "65536"],
        ["run", "--port", "x"],
        ["config"],
        ["call"],
        ["call", "a", "{}", "b"],
        ["servers", "a"],
        ["run", "a.yaml", "--config", "b.yaml"],
    ],
)
def test_bad_usage_is_2(shell: Shell, arguments: list[str]) -> None:
    found = shell(*arguments)
    assert found.code == 2
    assert found.out + found.err


@pytest.mark.parametrize(
    ("arguments", "module", "function", "given"),
    [
        (["demo"], demo, "run_demo", ((None, None), {})),
        (["demo", "--host", "::1", "--port", "0"], demo, "run_demo", (("::1", 0), {})),
        (["run"], run, "run_gateway", ((None, None, None), {})),
        (["run", "-c", "f", "--port", "9"], run, "run_gateway", (("f", None, 9), {})),
        (["run", "f"], run, "run_gateway", (("f", None, None), {})),
        (["stdio", "f"], stdio, "run_stdio", (("f",), {})),
        (["stdio", "--config", "f"], stdio, "run_stdio", (("f",), {})),
        (["validate"], config, "validate_file", ((None,), {"connect": False, "as_json": False})),
        (
            ["validate", "-c", "f"],
            config,
            "validate_file",
            (("f",), {"connect": False, "as_json": False}),
        ),
        (
            ["validate", "f", "--connect", "--json"],
            config,
            "validate_file",
            (("f",), {"connect": True, "as_json": True}),
        ),
        (["config", "init"], config, "init_file", (("solo", None), {"force": False})),
        (
            ["config", "init", "--template", "team", "-o", "-", "--force"],
            config,
            "init_file",
            (("team", "-"), {"force": True}),
        ),
        (["config", "show", "-c", "f"], config, "show_config", (("f",), {})),
        (["config", "path"], config, "show_path", ((), {})),
        (["servers"], client, "show_servers", ((None, None), {"as_json": False})),
        (
            ["tools", "s", "--url", "u", "--token", "t", "--json"],
            client,
            "show_tools",
            (("s", "u", "t"), {"as_json": True}),
        ),
        (["call", "a"], client, "call_tool", (("a", "{}", None, None, None), {"as_json": False})),
        (
            ["call", "a", "{1}", "--server", "s"],
            client,
            "call_tool",
            (("a", "{1}", "s", None, None), {"as_json": False}),
        ),
    ],
)
def test_what_each_command_is_given(
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    module: Any,
    function: str,
    given: Any,
) -> None:
    calls: list[Any] = []

    def command(*values: Any, **named: Any) -> int:
        plain = tuple(str(one) if hasattr(one, "parent") else one for one in values)
        calls.append((plain, named))
        return Exit.UNAUTHORISED

    monkeypatch.setattr(module, function, command)
    assert shell(*arguments).code == 4
    assert calls == [given]


def test_the_schema(shell: Shell) -> None:
    found = shell("config", "schema")
    assert found.code == 0
    assert {"server", "servers", "mcpServers"} <= set(found.json["properties"])


def test_an_interrupt_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any, **__: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(client, "show_tools", interrupted)
    with pytest.raises(SystemExit) as caught:
        main.main(["tools"])
    assert caught.value.code == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_reader_that_has_gone_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any, **__: Any) -> int:
        raise BrokenPipeError(32, "Broken pipe")  # `only1mcp tools | head`

    monkeypatch.setattr(client, "show_tools", broken)
    with pytest.raises(SystemExit):
        main.main(["tools"])
    assert "Traceback" not in capsys.readouterr().err


def test_what_no_encoding_can_say_is_said_in_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", out)

    def odd(*_: Any, **__: Any) -> int:
        print("\ud800 ü")
        return 0

    monkeypatch.setattr(client, "show_tools", odd)
    with pytest.raises(SystemExit) as caught:
        main.main(["tools"])
    out.flush()
    assert out.buffer.getvalue() == b"\\ud800 \\xfc\n"
    assert caught.value.code == 0


def test_as_a_module_and_without_what_other_commands_need() -> None:
    """The help imports no event loop, no HTTP client, no configuration: that keeps it fast."""
    heavy = ["asyncio", "httpx2", "pydantic", "starlette", "uvloop", "ruamel.yaml"]
    code = f"""
import sys
from only1mcp.cli.main import app
try:
    app(["--help"])
except SystemExit as exit:
    assert exit.code == 0
print([name for name in {heavy} if name in sys.modules], file=sys.stderr)
"""
    help_run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert help_run.stderr == "[]\n"
    module_run = subprocess.run(
        [sys.executable, "-m", "only1mcp", "--version"],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert module_run.stdout == f"only1mcp {__version__}\n"
