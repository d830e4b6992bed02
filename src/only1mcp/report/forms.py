"""The forms of a report: Markdown for the repository, HTML that needs nothing else, JSON."""

import html
import re
from datetime import datetime
from typing import Final

import msgspec

from only1mcp.report.document import (
    Bars,
    Block,
    Document,
    Items,
    Section,
    Table,
    Text,
    Timeline,
    spelt,
)
from only1mcp.report.evidence import Source

STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --bar: #3b82c4; --shade: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { border-top: 1px solid var(--line); padding-top: 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: left; }
th, td { vertical-align: top; }
thead th, tbody th { background: var(--shade); font-weight: 600; }
td.number, td.time { white-space: nowrap; font-variant-numeric: tabular-nums; }
td.number { text-align: right; } th + td.number { text-align: left; }
li, p, td, code { overflow-wrap: break-word; } td code { white-space: pre-wrap; }
sup { line-height: 0; } sup a { text-decoration: none; color: inherit; opacity: .6; }
figure { margin: 1rem 0; overflow-x: auto; } figcaption { font-weight: 600; margin-bottom: .3rem; }
svg { width: 46rem; } rect { fill: var(--bar); } .axis { stroke: var(--line); }
svg text { fill: currentColor; font: 13px system-ui, sans-serif; }
@media (max-width: 40rem) { svg { width: 34rem; } }
@media print {
  :root { color-scheme: light; } body { font-size: 10pt; max-width: none; margin: 0; padding: 0; }
  table { display: table; font-size: 8.5pt; } th, td { padding: .1rem .3rem; }
  svg { width: 60%; } tr, li, figure { break-inside: avoid; }
  h1, h2, h3, figcaption { break-after: avoid; }
}
"""
MARK: Final = re.compile(r"\[(\d+)\]")
"""Of a source, as `Document.mark` makes it."""
UNIT: Final = "%|x|s|ms|us|MiB|MB|KiB|bytes"
NUMBER: Final = re.compile(rf"[+-]?\d[\d ,.]*( ?({UNIT}))?( \([\d ,.]+ to [\d ,.]+\))?( \[\d+\])?")
"""A cell that holds only a number, with its unit, its range and its source."""
TIME: Final = re.compile(r"\d{4}-\d\d-\d\d( [\d:]+)?( \[\d+\])?")
LABEL, BAR, ROW = 220, 420, 24
"""Of a plot, in pixels: width of labels, longest bar, height of a line."""
LETTERS: Final = 32
"""Of a label."""


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
            rows = [[label, spelt(value)] for label, value in values.items()]
            return _markdown(Table(["", unit], rows))
        case Timeline(what, began, ended, marks):
            rows = [[label, spelt(len(times))] for label, times in marks.items()]
            return _markdown(Table(["", f"{what}, {began} to {ended}"], rows))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def as_html(document: Document) -> str:
    """One file with everything in it, plots included; nothing is fetched."""
    title = html.escape(document.title)
    body = [f"<h1>{title}</h1>"]
    for section in document.sections:
        body += _html_section(section)
    body.append("<h2>Where the numbers are from</h2><ol>")
    body += [
        f'<li id="s{place}">{_inline(_source(one))}</li>' for place, one in _numbered(document)
    ]
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
            return _html_table(header, rows)
        case Bars(unit, values):
            return _plot(unit, values)
        case Timeline(what, began, ended, marks):
            return _timeline(what, began, ended, marks)


def _html_table(header: list[str], rows: list[list[str]]) -> str:
    """A table; without a header the first cell of a row says what the row is."""
    if not any(header):
        body = [f"<th>{_inline(row[0])}</th>{''.join(map(_html_cell, row[1:]))}" for row in rows]
        return f"<table><tbody>{''.join(f'<tr>{row}</tr>' for row in body)}</tbody></table>"
    head = "".join(f"<th>{_inline(cell)}</th>" for cell in header)
    body = ["".join(map(_html_cell, row)) for row in rows]
    inner = "".join(f"<tr>{row}</tr>" for row in body)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{inner}</tbody></table>"


def _html_cell(text: str) -> str:
    if TIME.fullmatch(text):
        return f'<td class="time">{_inline(text)}</td>'
    kind = ' class="number"' if NUMBER.fullmatch(text) else ""
    return f"<td{kind}>{_inline(text)}</td>"


def _inline(text: str) -> str:
    """Text with `code` marked as such, marks of sources as links, everything else literal."""
    parts = html.escape(text, quote=False).split("`")
    if len(parts) % 2 == 0:
        return "`".join(parts)
    return "".join(
        f"<code>{one}</code>" if at % 2 else MARK.sub(_link, one) for at, one in enumerate(parts)
    )


def _link(mark: re.Match[str]) -> str:
    return f'<sup><a href="#s{mark[1]}">{mark[1]}</a></sup>'


def _plot(unit: str, values: dict[str, float]) -> str:
    """Horizontal bars, each with its label and its number."""
    most = max(values.values()) or 1.0
    lines = []
    for at, (label, value) in enumerate(values.items()):
        top, width = at * ROW, BAR * value / most
        shown = spelt(value)
        lines.append(f'<text x="0" y="{top + 16}">{_label(label)}</text>')
        lines.append(f'<rect x="{LABEL}" y="{top + 4}" width="{width:.1f}" height="{ROW - 8}"/>')
        lines.append(f'<text x="{LABEL + width + 6:.1f}" y="{top + 16}">{shown}</text>')
    return _figure(unit, lines, len(values))


def _timeline(what: str, began: str, ended: str, marks: dict[str, list[float]]) -> str:
    """A line for each, with a stroke for each moment, above the ends of the time."""
    lines = []
    for at, (label, times) in enumerate(marks.items()):
        top, right = at * ROW, LABEL + BAR + 6
        lines.append(f'<text x="0" y="{top + 16}">{_label(label)}</text>')
        lines.append(f'<path d="M{LABEL} {top + 12}h{BAR}" class="axis"/>')
        lines += [
            f'<rect x="{LABEL + BAR * time - 1:.1f}" y="{top + 4}" width="2" height="{ROW - 8}"/>'
            for time in times
        ]
        lines.append(f'<text x="{right}" y="{top + 16}">{len(times)}</text>')
    bottom = len(marks) * ROW + 16
    lines.append(f'<text x="{LABEL}" y="{bottom}">{html.escape(began)}</text>')
    end = html.escape(ended)
    lines.append(f'<text x="{LABEL + BAR}" y="{bottom}" text-anchor="end">{end}</text>')
    return _figure(what, lines, len(marks) + 1)


def _label(text: str) -> str:
    """As much as there is room for beside a plot."""
    return html.escape(text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…")


def _figure(what: str, lines: list[str], rows: int) -> str:
    size = f"0 0 {LABEL + BAR + 90} {rows * ROW}"
    label = html.escape(what, quote=True)
    svg = f'<svg viewBox="{size}" role="img" aria-label="{label}">{"".join(lines)}</svg>'
    return f"<figure><figcaption>{label}</figcaption>{svg}</figure>"
