"""The forms of a report: Markdown for the repository, HTML that needs nothing else, JSON."""

import html
from datetime import datetime
from typing import Final

import msgspec

from only1mcp.report.document import Bars, Block, Document, Items, Section, Table, Text
from only1mcp.report.evidence import Source

STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --bar: #3b82c4; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { border-top: 1px solid var(--line); padding-top: 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: left; }
td, li, p { overflow-wrap: anywhere; }
svg { max-width: 100%; } svg text { fill: currentColor; font: 13px system-ui, sans-serif; }
rect { fill: var(--bar); }
"""
LABEL, BAR, ROW = 220, 420, 24
"""Of a plot, in pixels: width of labels, longest bar, height of a line."""


def as_json(document: Document) -> str:
    """The whole document; its keys are in a fixed order."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def as_markdown(document: Document) -> str:
    """For people who read the repository."""
    parts = [f"# {document.title}"]
    for section in document.sections:
        parts.append(f"{'#' * section.level} {section.title}")
        parts += [_markdown(block) for block in section.blocks]
    parts.append("## Where the numbers are from")
    parts.append("\n".join(f"{place}. {_source(one)}" for place, one in _numbered(document)))
    return "\n\n".join(parts) + "\n"


def _numbered(document: Document) -> list[tuple[int, Source]]:
    return list(enumerate(document.sources, 1))


def _source(source: Source) -> str:
    return f"`{source.how}`" + (f", {moment(source.at)}" if source.at else "")


def moment(at: datetime) -> str:
    """A time to the minute, with its zone if it has one."""
    return f"{at:%Y-%m-%d %H:%M}" + (" UTC" if at.tzinfo else "")


def _markdown(block: Block) -> str:
    match block:
        case Text(text):
            return text
        case Items(items):
            return "\n".join(f"- {item}" for item in items)
        case Table(header, rows):
            lines = [header, ["---"] * len(header), *rows]
            return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)
        case Bars(unit, values):
            rows = [[label, f"{value:,.0f}".replace(",", " ")] for label, value in values.items()]
            return _markdown(Table(["", unit], rows))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def as_html(document: Document) -> str:
    """One file with everything in it, plots included; nothing is fetched."""
    title = html.escape(document.title)
    body = [f"<h1>{title}</h1>"]
    for section in document.sections:
        body += _html_section(section)
    body.append("<h2>Where the numbers are from</h2><ol>")
    body += [f"<li>{_inline(_source(one))}</li>" for one in document.sources]
    body.append("</ol>")
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _html_section(section: Section) -> list[str]:
    level = section.level
    heading = f"<h{level}>{_inline(section.title)}</h{level}>"
    return [heading, *(_html(block) for block in section.blocks)]


def _html(block: Block) -> str:
    match block:
        case Text(text):
            return f"<p>{_inline(text)}</p>"
        case Items(items):
            return "<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + "</ul>"
        case Table(header, rows):
            head = "".join(f"<th>{_inline(cell)}</th>" for cell in header)
            body = "".join(
                "<tr>" + "".join(f"<td>{_inline(cell)}</td>" for cell in row) + "</tr>"
                for row in rows
            )
            return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        case Bars(unit, values):
            return _plot(unit, values)


def _inline(text: str) -> str:
    """Text with `code` marked as such and everything else literal."""
    parts = html.escape(text, quote=False).split("`")
    if len(parts) % 2 == 0:
        return "`".join(parts)
    return "".join(f"<code>{one}</code>" if at % 2 else one for at, one in enumerate(parts))


def _plot(unit: str, values: dict[str, float]) -> str:
    """Horizontal bars, each with its label and its number."""
    most = max(values.values()) or 1.0
    lines = []
    for at, (label, value) in enumerate(values.items()):
        top, width = at * ROW, BAR * value / most
        shown = f"{value:,.0f}".replace(",", " ")
        lines.append(f'<text x="0" y="{top + 16}">{html.escape(label)}</text>')
        lines.append(f'<rect x="{LABEL}" y="{top + 4}" width="{width:.1f}" height="{ROW - 8}"/>')
        lines.append(f'<text x="{LABEL + width + 6:.1f}" y="{top + 16}">{shown}</text>')
    size = f"0 0 {LABEL + BAR + 90} {len(values) * ROW}"
    label = html.escape(unit, quote=True)
    svg = f'<svg viewBox="{size}" role="img" aria-label="{label}">{"".join(lines)}</svg>'
    return f"<figure>{svg}<figcaption>{label}</figcaption></figure>"
