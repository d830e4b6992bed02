"""`only1mcp`: arguments to commands to exit codes. Each command imports what it needs itself,
so `--help` stays fast.

Exit codes  0 ok · 1 failure · 2 bad usage or bad config · 3 gateway not reachable ·
            4 not authorised
"""

import io
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from only1mcp import __version__

app = typer.Typer(
    name="only1mcp",
    help="One endpoint in front of many MCP servers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(help="Write, show and describe the configuration.", no_args_is_help=True)
app.add_typer(config_app, name="config")

service_app = typer.Typer(help="Let the system start the gateway.", no_args_is_help=True)
app.add_typer(service_app, name="service")

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Configuration file (YAML, TOML or JSON)."),
]
ConfigArgument = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", help="The same, as an argument.")
]
Host = Annotated[str | None, typer.Option(help="Address to bind; overrides the file.")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one. Overrides the file.")
]
Name = Annotated[
    str | None,
    typer.Option(help="Of one gateway among several; default is made of the configuration file."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Url = Annotated[
    str | None,
    typer.Option(
        envvar="ONLY1MCP_URL",
        help="Gateway address; default from the configuration, else of the only one that runs in "
        "the background.",
    ),
]
Token = Annotated[
    str | None, typer.Option(envvar="ONLY1MCP_TOKEN", help="Bearer token of the gateway.")
]


def _one(argument: Path | None, option: Path | None) -> Path | None:
    """The file that was named, in whichever way."""
    if argument is not None and option is not None and argument != option:
        raise typer.BadParameter("name one configuration file, as an argument or with --config")
    return argument or option


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"only1mcp {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """One endpoint in front of many MCP servers."""


@app.command()
def demo(host: Host = None, port: Port = None) -> None:
    """Run the gateway with three bundled servers and show what to try."""
    from only1mcp.cli.demo import run_demo

    raise typer.Exit(run_demo(host, port))


@app.command()
def run(
    file: ConfigArgument = None, config: ConfigFile = None, host: Host = None, port: Port = None
) -> None:
    """Run the gateway in the foreground."""
    from only1mcp.cli.run import run_gateway

    raise typer.Exit(run_gateway(_one(file, config), host, port))


@app.command()
def start(
    file: ConfigArgument = None,
    config: ConfigFile = None,
    name: Name = None,
    host: Host = None,
    port: Port = None,
) -> None:
    """Run the gateway in the background; returns when it is ready, or says why it is not."""
    from only1mcp.cli import daemon

    raise typer.Exit(daemon.start(_one(file, config), name, host, port))


@app.command()
def stop(
    config: ConfigFile = None,
    name: Name = None,
    force: Annotated[
        bool, typer.Option("--force", help="Kill it if calls still run after the drain time.")
    ] = False,
) -> None:
    """End the gateway in the background; calls under way may finish."""
    from only1mcp.cli import daemon

    raise typer.Exit(daemon.stop(config, name, force=force))


@app.command()
def restart(
    config: ConfigFile = None, name: Name = None, host: Host = None, port: Port = None
) -> None:
    """End the gateway in the background and start it anew, with the options it had."""
    from only1mcp.cli import daemon

    raise typer.Exit(daemon.restart(config, name, host, port))


@app.command()
def status(config: ConfigFile = None, name: Name = None, as_json: AsJson = False) -> None:
    """Say whether a gateway runs in the background, where, and how many servers are up."""
    from only1mcp.cli import daemon

    raise typer.Exit(daemon.status(config, name, as_json=as_json))


@app.command()
def logs(
    config: ConfigFile = None,
    name: Name = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more.")] = False,
) -> None:
    """Show the log of the gateway in the background."""
    from only1mcp.cli.tail import show_logs

    raise typer.Exit(show_logs(config, name, lines, follow=follow))


@service_app.command()
def install(
    config: ConfigFile = None,
    name: Name = None,
    force: Annotated[bool, typer.Option(help="Overwrite an existing file.")] = False,
) -> None:
    """Write a systemd user unit (macOS: a launchd agent) and say how to start it."""
    from only1mcp.cli import service

    raise typer.Exit(service.install(config, name, force=force))


@service_app.command()
def uninstall(config: ConfigFile = None, name: Name = None) -> None:
    """Remove it and say how to stop what runs."""
    from only1mcp.cli import service

    raise typer.Exit(service.uninstall(config, name))


@app.command(hidden=True)
def background(name: str, config: Path, host: Host = None, port: Port = None) -> None:
    """The process that `start` begins."""
    from only1mcp.cli.daemon import run_background

    raise typer.Exit(run_background(name, config, host, port))


@app.command()
def stdio(file: ConfigArgument = None, config: ConfigFile = None) -> None:
    """Be an MCP server on stdin and stdout, for clients that launch a command."""
    from only1mcp.cli.stdio import run_stdio

    raise typer.Exit(run_stdio(_one(file, config)))


@app.command()
def validate(
    file: Annotated[Path | None, typer.Argument(help="Default: the usual place.")] = None,
    config: ConfigFile = None,
    connect: Annotated[
        bool, typer.Option(help="Also start the servers and report name clashes.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check a configuration; every fault with file:line:column."""
    from only1mcp.cli.config import validate_file

    raise typer.Exit(validate_file(_one(file, config), connect=connect, as_json=as_json))


@app.command()
def doctor(file: ConfigArgument = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Check machine, configuration, port and every server; say what mends it."""
    from only1mcp.cli.doctor import examine

    raise typer.Exit(examine(_one(file, config), as_json=as_json))


@config_app.command()
def init(
    template: Annotated[str, typer.Option(help="solo, team or enterprise.")] = "solo",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; - is stdout.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Overwrite an existing file.")] = False,
) -> None:
    """Write a commented configuration to start from."""
    from only1mcp.cli.config import init_file

    raise typer.Exit(init_file(template, output, force=force))


@config_app.command()
def show(config: ConfigFile = None) -> None:
    """Print the configuration as the gateway understands it, secrets hidden."""
    from only1mcp.cli.config import show_config

    raise typer.Exit(show_config(config))


@config_app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file."""
    from only1mcp.config.schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


@config_app.command()
def path() -> None:
    """Print where the configuration is read from."""
    from only1mcp.cli.config import show_path

    raise typer.Exit(show_path())


@app.command()
def servers(url: Url = None, token: Token = None, as_json: AsJson = False) -> None:
    """List the servers of a running gateway: state, era, what they offer."""
    from only1mcp.cli.client import show_servers

    raise typer.Exit(show_servers(url, token, as_json=as_json))


@app.command()
def tools(
    server: Annotated[str | None, typer.Argument(help="Only this server, bare names.")] = None,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """List the tools that clients of a running gateway see."""
    from only1mcp.cli.client import show_tools

    raise typer.Exit(show_tools(server, url, token, as_json=as_json))


@app.command()
def call(
    name: Annotated[str, typer.Argument(help="Tool name as `only1mcp tools` shows it.")],
    arguments: Annotated[str, typer.Argument(help="Arguments as a JSON object.")] = "{}",
    server: Annotated[
        str | None, typer.Option(help="Call on /mcp/SERVER, where names are bare.")
    ] = None,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Call a tool through a running gateway."""
    from only1mcp.cli.client import call_tool

    raise typer.Exit(call_tool(name, arguments, server, url, token, as_json=as_json))


@app.command()
def reload(url: Url = None, token: Token = None, as_json: AsJson = False) -> None:
    """Let a running gateway read its configuration again, and say what that changes."""
    from only1mcp.cli.client import reload_config

    raise typer.Exit(reload_config(url, token, as_json=as_json))


@app.command()
def why(
    name: Annotated[str, typer.Argument(help="A tool, as shown or by its own name, or a server.")],
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Say why clients see a tool or a server's tools, under another name, or not at all."""
    from only1mcp.cli.why import explain

    raise typer.Exit(explain(name, url, token, as_json=as_json))


@app.command()
def tui(
    url: Url = None,
    token: Token = None,
    refresh: Annotated[
        float | None,
        typer.Option(min=0.1, help="Seconds between two looks; default is the gateway's."),
    ] = None,
) -> None:
    """Show a running gateway in the terminal, live; offers to start one if none is there."""
    from only1mcp.cli.tui import show_dashboard

    raise typer.Exit(show_dashboard(url, token, refresh))


@app.command()
def bench(
    url: Annotated[
        str | None, typer.Option(help="A running gateway; default is one of its own.")
    ] = None,
    token: Token = None,
    tool: Annotated[
        str | None,
        typer.Option(help="Call this tool, 'NAME {JSON}', many thousand times; default: list."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="Of each run.")] = 1.0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write: .json, .md or .html.")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="An earlier .json; exit 1 if now worse by a tenth.")
    ] = None,
) -> None:
    """Measure a gateway: time and calls per second, beside its server where that is ours."""
    from only1mcp.cli.bench import Wanted, run_bench

    raise typer.Exit(run_bench(Wanted(url, token, tool, seconds), output, baseline))


@app.command()
def report(
    url: Url = None,
    token: Token = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File (.md, .json or .html), folder for all three, or markdown, json or html to "
            "print; default prints Markdown, with --project it is a folder.",
        ),
    ] = None,
    project: Annotated[
        bool, typer.Option("--project", help="Report on the checkout this is called in.")
    ] = False,
    phase: Annotated[int | None, typer.Option(help="Of the project; default is the last.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Of the project: only what is claimed and not shown.")
    ] = False,
) -> None:
    """Write how a running gateway fares; with --project how far a project is, from evidence."""
    if project:
        from only1mcp.cli.report import report_project

        raise typer.Exit(report_project(phase, output, check=check))
    if phase is not None or check:
        raise typer.BadParameter("--phase and --check are of a project: say --project, too")
    from only1mcp.cli.gateway_report import report_gateway

    raise typer.Exit(report_gateway(url, token, output))


def main(arguments: list[str] | None = None) -> Any:
    """Entry point; leaves with an exit code, also when interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # servers may say what no encoding can
            stream.reconfigure(errors="backslashreplace")
    return app(arguments)
