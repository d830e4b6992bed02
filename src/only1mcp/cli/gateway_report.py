"""`only1mcp report`: how a running gateway fares, from the answers of its admin API."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from only1mcp import __version__
from only1mcp.cli.reach import Remote
from only1mcp.cli.say import Exit, Failure, fail
from only1mcp.report import forms
from only1mcp.report.answers import METRICS, PAGES, Answers
from only1mcp.report.document import Document
from only1mcp.report.running import report
from only1mcp.report.scrape import Scrape

FORMS: Final = {
    "markdown": ("md", forms.as_markdown),
    "json": ("json", forms.as_json),
    "html": ("html", forms.as_html),
}
"""By the word that prints it: the ending of a file, and what writes it."""
ENDINGS: Final = {f".{ending}": form for form, (ending, _) in FORMS.items()} | {".htm": "html"}


def report_gateway(url: str | None, token: str | None, output: Path | None) -> int:
    """Print the report, or write it to a file, or in all forms into a folder."""
    try:
        with Remote(url, token) as remote:
            document = _made(ask(remote))
        stem = f"GATEWAY_REPORT_{document.at:%Y-%m-%d_%H%M%S}"
        put(document, output or Path("markdown"), stem)
    except Failure as error:
        return fail(error)
    return Exit.OK


def _made(answers: Answers) -> Document:
    """The report.

    Raises:
        Failure: a gateway of another version says something else.
    """
    try:
        return report(answers)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        version = answers.page("system").get("version")
        raise Failure(
            f"the gateway at {answers.url} is of version {version} and answers otherwise than"
            f" {__version__} does ({error!r}); take the `only1mcp` of that version"
        ) from None


def ask(remote: Remote) -> Answers:
    """Everything at once.

    Raises:
        Failure: there is no gateway, it refuses, or it is something else.
    """
    at, began = datetime.now(UTC), time.monotonic()
    remote.get(PAGES["system"], "uptime_s")
    text = remote.text(METRICS)
    pages = {name: remote.look(path) for name, path in PAGES.items()}
    try:
        scrape = Scrape(text) if text is not None else None
    except ValueError:
        said = f"what {remote.url}{METRICS} answers is not in the form of Prometheus"
        raise Failure(f"{said}; is it only1mcp?") from None
    return Answers(remote.url, at, time.monotonic() - began, pages, scrape)


def put(document: Document, output: Path, stem: str) -> None:
    """Print the form that `output` names, or write the file or the folder, and say what is written.

    The ending of a file says its form; in a folder there is one file of each, called `stem`.

    Raises:
        Failure: it cannot be written, or the ending is of no form.
    """
    if (word := str(output)) in FORMS:
        print(FORMS[word][1](document), end="")
        return
    try:
        for path in _places(output, stem):
            path.write_text(FORMS[ENDINGS[path.suffix]][1](document), encoding="utf-8")
            print(path)
    except OSError as error:
        raise Failure(
            f"{error.filename}: {error.strerror}; name another place with --output"
        ) from None


def _places(output: Path, stem: str) -> list[Path]:
    """The files to write."""
    if not output.suffix or output.is_dir():
        output.mkdir(parents=True, exist_ok=True)
        return [output / f"{stem}.{ending}" for ending, _ in FORMS.values()]
    if output.suffix not in ENDINGS:
        known = ", ".join(ENDINGS)
        raise Failure(f"{output}: no such form; end it with one of {known}", Exit.USAGE)
    return [output]
