"""`validate` and `config`: check, write and show configuration files."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from only1mcp.cli.say import Exit, Failure, fail, load_config, no_config, note
from only1mcp.config.load import ConfigError, Fault, Loaded, default_path, find, load
from only1mcp.config.show import redacted
from only1mcp.config.templates import NAMES, template

if TYPE_CHECKING:
    from only1mcp.gateway import Gateway


def validate_file(file: Path | None, *, connect: bool, as_json: bool) -> int:
    """`only1mcp validate`: exit 2 with every fault, 0 with warnings only."""
    path = file or find(dict(os.environ))
    if path is None:
        return fail(no_config())
    faults: tuple[Fault, ...] = ()
    loaded: Loaded | None = None
    try:
        loaded = load(path, dict(os.environ))
        faults = loaded.warnings
    except ConfigError as error:
        faults = error.faults
    problems = [] if loaded is None or not connect else _connect(loaded)
    if as_json:
        rows: list[dict[str, Any]] = [_row(fault) for fault in faults]
        print(json.dumps({"file": str(path), "faults": rows, "servers": problems}, indent=2))
    else:
        for line in (*map(str, faults), *problems):
            print(line)
    bad = loaded is None or any(problem.startswith("error") for problem in problems)
    if not as_json:
        count = len(loaded.config.servers) if loaded else 0
        valid = f"valid, {count} server{'s' * (count != 1)}"
        note(f"{path}: {'not valid' if bad else valid}")
    return Exit.USAGE if bad else Exit.OK


def _row(fault: Fault) -> dict[str, Any]:
    return {
        "severity": fault.severity,
        "line": fault.line,
        "column": fault.column,
        "where": fault.where,
        "message": fault.message,
        "hint": fault.hint,
    }


def _connect(loaded: Loaded) -> list[str]:
    """Start the servers once: who cannot be reached, which names clash."""
    from only1mcp.cli.run import in_loop
    from only1mcp.gateway import Gateway

    said: list[str] = []

    async def look() -> int:
        gateway = Gateway(loaded.config)
        try:
            gateway.start()
            slowest = max((one.timeouts.start for one in loaded.config.servers), default=0.0)
            await gateway.roster.settle(tuple(gateway.roster.servers), slowest)
            said.extend(_unreachable(gateway) + _clashes(gateway))
        finally:
            await gateway.close()
        return Exit.OK

    in_loop(look())
    return said


def _unreachable(gateway: "Gateway") -> list[str]:
    return [
        f"error: server '{live.id}': {live.reason or 'still starting'}"
        for live in gateway.roster.servers.values()
        if live.config.enabled and live.upstream is None
    ]


def _clashes(gateway: "Gateway") -> list[str]:
    return [
        f"warning: {clash.kind} '{clash.name}' of server '{clash.hidden}' is hidden by "
        f"the one of '{clash.kept}' ({clash.hint})"
        for clash in gateway.snapshot().catalog.clashes
    ]


def init_file(name: str, output: Path | None, *, force: bool) -> int:
    """`only1mcp config init`."""
    if name not in NAMES:
        return fail(Failure(f"no template '{name}'; there are {', '.join(NAMES)}", Exit.USAGE))
    text = template(name)
    if output is not None and str(output) == "-":
        print(text, end="")
        return Exit.OK
    path = output or default_path(dict(os.environ))
    if path.suffix not in (".yaml", ".yml"):
        return fail(Failure(f"templates are YAML: name it {path.stem}.yaml", Exit.USAGE))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w" if force else "x", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)  # it may come to hold secrets
            file.write(text)
    except OSError as error:
        if isinstance(error, FileExistsError) and path.exists():
            return fail(Failure(f"{path} exists; --force overwrites it"))
        return fail(Failure(f"cannot write {path}: {error.strerror}"))
    check, run = (f" {path}", f" -c {path}") if output else ("", "")
    note(f"wrote {path}; edit it, then `only1mcp validate{check}` and `only1mcp run{run}`")
    return Exit.OK


def show_config(file: Path | None) -> int:
    """`only1mcp config show`: what the gateway understood, secrets hidden."""
    try:
        loaded = load_config(file, dict(os.environ))
    except Failure as error:
        return fail(error)
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(redacted(loaded.config), sys.stdout)
    return Exit.OK


def show_path() -> int:
    """`only1mcp config path`: the file in use, or where it would be; exit 1 if there is none."""
    found = find(dict(os.environ))
    print(found or default_path(dict(os.environ)))
    if found is None:
        note("there is no file yet; `only1mcp config init` writes one")
        return Exit.FAILURE
    return Exit.OK
