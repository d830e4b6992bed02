"""`only1mcp report`: how a running gateway fares, from the answers of its admin API."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

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
"""By the word of `--format`: the ending of a file, and what writes it."""
ENDINGS: Final = {f".{ending}": form for form, (ending, _) in FORMS.items()} | {".htm": "html"}


def report_gateway(
    url: str | None, token: str | None, form: str | None, output: Path | None
) -> int:
    """Print the report, or write it to a file, or in all forms into a folder."""
    try:
        with Remote(url, token) as remote:
            document = report(ask(remote))
        if output is None:
            print(FORMS[form or "markdown"][1](document), end="")
        else:
            for path in _write(document, form, output):
                print(path)
    except Failure as error:
        return fail(error)
    return Exit.OK


def ask(remote: Remote) -> Answers:
    """Everything at once.

    Raises:
        Failure: there is no gateway, it refuses, or it is something else.
    """
    at, began = datetime.now(UTC), time.monotonic()
    remote.get(PAGES["system"], "uptime_s")
    text = remote.text(METRICS)
    pages = {name: remote.look(path) for name, path in PAGES.items()}
    scrape = Scrape(text) if text is not None else None
    return Answers(remote.url, at, time.monotonic() - began, pages, scrape)


def _write(document: Document, form: str | None, output: Path) -> list[Path]:
    """The file that was named, its ending says what it is; in a folder all forms, or the one."""
    wanted = form or ENDINGS.get(output.suffix)
    try:
        if output.suffix and not output.is_dir():
            if wanted is None:
                known = ", ".join(ENDINGS)
                raise Failure(
                    f"{output}: no such form; end it with one of {known}, or say --format",
                    Exit.USAGE,
                )
            return [_written(document, wanted, output)]
        output.mkdir(parents=True, exist_ok=True)
        stem = f"GATEWAY_REPORT_{document.at:%Y-%m-%d_%H%M%S}"
        return [
            _written(document, one, output / f"{stem}.{ending}")
            for one, (ending, _) in FORMS.items()
            if form in (None, one)
        ]
    except OSError as error:
        raise Failure(
            f"cannot write {error.filename}: {error.strerror}; name another place with --output"
        ) from None


def _written(document: Document, form: str, path: Path) -> Path:
    path.write_text(FORMS[form][1](document), encoding="utf-8")
    return path
