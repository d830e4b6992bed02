"""The report of a running gateway: how it has fared since it was started, and what to do next.

Every number is one of the admin API's, of one moment, and bears the mark of where it is from.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from only1mcp.report import savings, traffic
from only1mcp.report.advice import advice
from only1mcp.report.answers import Answers, Row
from only1mcp.report.document import NOT_MEASURED, Document, Section, spelt
from only1mcp.report.forms import moment
from only1mcp.report.incidents import INCIDENTS, Incident, incidents
from only1mcp.report.traffic import DURATION, REQUESTS, ms

RESTARTS: Final = "only1mcp_server_restarts_total"
OPENED: Final = "only1mcp_breaker_transitions_total"
UP: Final = ("ready", "idle")
MIB: Final = 1 << 20
LINES: Final = 20
"""Of a list, beyond which it only says how many more there are."""
UNITS: Final = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def report(answers: Answers) -> Document:
    """The whole report."""
    document = Document("Only1MCP: report of a running gateway", answers.at)
    document.facts = figures(answers)
    write: list[tuple[str, Callable[[Document, Section, Answers], None]]] = [
        ("At a glance", _glance),
        ("What to do next", _next),
        ("Servers", _servers),
        ("Incidents", _incidents),
        ("Latency", traffic.latency),
        ("Errors by cause", traffic.errors),
        ("What cache and sharing have saved", savings.saved),
        ("What the lists weigh", savings.weight),
        ("Configuration", _configuration),
        ("About this report", _about),
    ]
    for title, writer in write:
        writer(document, document.section(title), answers)
    return document


def figures(answers: Answers) -> dict[str, Any]:
    """The counts by name, for programs and for a comparison."""
    by_server = answers.by(REQUESTS, "server")
    return {
        "url": answers.url,
        "version": answers.page("system").get("version"),
        "uptime_s": answers.page("system").get("uptime_s"),
        "status": answers.page("health").get("status"),
        "requests.total": answers.total(REQUESTS),
        "requests.by_server": {id or "(gateway)": many for id, many in by_server.items()},
        "requests.by_outcome": answers.by(REQUESTS, "outcome"),
        "errors.by_type": traffic.by_type(answers),
        "restarts": answers.by(RESTARTS, "server"),
        "breakers.opened": answers.by(OPENED, "server", to="open"),
        "incidents.remembered": len(incidents(answers)),
        **savings.figures(answers),
    }


def lasted(seconds: float) -> str:
    """How long something took, in its two largest units."""
    rest = int(seconds)
    parts: list[str] = []
    for name, size in UNITS:
        many, rest = divmod(rest, size)
        if many or (name == "s" and not parts):
            parts.append(f"{many} {name}")
    return " ".join(parts[:2])


def started(answers: Answers) -> datetime | None:
    """When the gateway was started; its counters were 0 then."""
    uptime_s = answers.page("system").get("uptime_s")
    return None if uptime_s is None else answers.at - timedelta(seconds=uptime_s)


def _glance(document: Document, section: Section, answers: Answers) -> None:
    system, health = answers.page("system"), answers.page("health")
    began, process = started(answers), answers.source("system")
    total, failed = answers.total(REQUESTS), traffic.failed(answers)
    requests = answers.metric(REQUESTS)
    servers = answers.rows("health", "servers")
    up = sum(row["state"] in UP for row in servers)
    share = f" ({spelt(100 * failed / total)} %)" if total and failed is not None else ""
    rows = [
        ["Gateway", f"{answers.url}, version {system.get('version', NOT_MEASURED)}"],
        ["Period", _period(began, answers)],
        ["Uptime", document.cite(_or_none(system, "uptime_s", lasted), process)],
        ["Status", document.cite(health.get("status"), answers.source("health"))],
        ["Servers up", document.cite(f"{up} of {len(servers)}", answers.source("health"))],
        ["Requests", document.cite(total, requests)],
        ["Failed", document.cite(failed, requests) + share],
        ["Time that clients waited", traffic.waited(document, answers)],
        ["Connections", document.cite(system.get("connections"), process)],
        ["Sessions", document.cite(system.get("sessions"), process)],
        ["Memory", document.cite(_or_none(system, "memory_bytes", _mib), process, "MiB")],
        ["Processor time", document.cite(system.get("cpu_s"), process, "s")],
    ]
    section.table("|", rows)


def _or_none(row: Row, key: str, shown: Callable[[Any], Any]) -> Any:
    return None if row.get(key) is None else shown(row[key])


def _mib(size: int) -> float:
    return round(size / MIB, 1)


def _period(began: datetime | None, answers: Answers) -> str:
    """What the counters cover."""
    if began is None:
        return NOT_MEASURED
    return f"{moment(began)} to {moment(answers.at)}: all since the gateway was started"


def _next(document: Document, section: Section, answers: Answers) -> None:
    section.items(advice(answers), "Nothing: no number of this report asks for it.")


def _servers(document: Document, section: Section, answers: Answers) -> None:
    requests, outcomes = answers.by(REQUESTS, "server"), traffic.failed_by_server(answers)
    restarts, opened = answers.by(RESTARTS, "server"), answers.by(OPENED, "server", to="open")
    took = answers.scrape.spreads(DURATION, "server") if answers.scrape else {}
    rows = []
    for one in answers.rows("servers", "servers"):
        id = one["id"]
        spread = took.get((id,))
        counts = [found.get(id, 0.0) for found in (requests, outcomes, restarts, opened)]
        shown = [spelt(many) if answers.scrape else NOT_MEASURED for many in counts]
        times = [ms(spread.percentile(share)) if spread else "" for share in (0.5, 0.99)]
        names = [f"`{id}`", one["state"], one["health"], _short(one["since"])]
        rows.append([*names, *shown[:2], *times, *shown[2:]])
    state, count = document.mark(answers.source("servers")), document.mark(answers.metric(REQUESTS))
    long = document.mark(answers.metric(DURATION))
    again, broke = (document.mark(answers.metric(name)) for name in (RESTARTS, OPENED))
    section.table(
        f"server {state} | state | health | since, UTC | requests {count} | failed {count}"
        f" | p50, ms {long} | p99, ms {long} | restarts {again} | breaker opened {broke}",
        rows,
        "No servers are configured.",
    )
    ill = [
        f"`{one['id']}`: {why}" for one in answers.rows("servers", "servers") if (why := _why(one))
    ]
    section.items(_first(ill), "No server gives a reason to worry.")
    known = {id: many for id, many in requests.items() if id and many}
    section.largest("requests by server", known)


def _why(row: Row) -> str:
    """The first reason that a server or one of its replicas gives."""
    reasons = [row["reason"], *(one["reason"] for one in row["replicas"])]
    return next(filter(None, reasons), "")


def _short(at: str) -> str:
    """A time of the admin API, to the second."""
    return at[:19].replace("T", " ")


def _incidents(document: Document, section: Section, answers: Answers) -> None:
    found = incidents(answers)
    if answers.pages.get("past") is None:
        section.text(f"Incidents: {NOT_MEASURED}; this gateway does not tell what has happened.")
        return
    section.text(_reach(document, answers))
    if len(found) > INCIDENTS:
        section.text(f"The latest {INCIDENTS} of {len(found)} that are remembered:")
    section.table("when | where | what", [_row(one) for one in found[:INCIDENTS]], "None.")
    began = started(answers)
    if began is not None:
        ends = moment(began), moment(answers.at)
        section.timeline("incidents that are remembered", *ends, _marks(found, began, answers.at))


def _row(one: Incident) -> list[str]:
    return [_short(one.at), f"`{one.where}`", one.what]


def _marks(found: list[Incident], began: datetime, ended: datetime) -> dict[str, list[float]]:
    """When each was, as a share of the time; the oldest first."""
    marks: dict[str, list[float]] = {}
    whole = max((ended - began).total_seconds(), 1.0)
    for one in reversed(found):
        share = (datetime.fromisoformat(one.at) - began).total_seconds() / whole
        marks.setdefault(one.where, []).append(round(min(max(share, 0.0), 1.0), 4))
    return marks


def _reach(document: Document, answers: Answers) -> str:
    """How far back it is known what has happened."""
    mark = document.mark(answers.source("past"))
    forgotten = [row for row in answers.rows("past", "memory") if not row["complete"]]
    if not forgotten:
        return f"All that has happened since the gateway was started {mark}, the newest first."
    events = answers.rows("past", "events")
    parts = []
    for row in forgotten:
        first = next((one["said"]["at"] for one in events if one["kind"] == row["kind"]), "")
        parts.append(f"the last {row['capacity']} of kind {row['kind']}, since {_short(first)}")
    rest = f"The gateway remembers only {'; '.join(parts)} {mark}. What was before is forgotten"
    return f"{rest}; the counts by server are of the whole period. The newest first."


def _configuration(document: Document, section: Section, answers: Answers) -> None:
    check = answers.pages.get("check")
    if check is None:
        section.text(f"Warnings: {NOT_MEASURED}; this gateway does not check its file.")
        return
    mark = document.mark(answers.source("check"))
    section.text(f"File: {check['file'] or 'none; it was not read from a file'} {mark}")
    rows = [[fault["severity"], _place(fault), _said(fault)] for fault in check["faults"]]
    section.table("kind | place | what", rows, "Nothing is wrong with it, and nothing odd.")
    if check["restart"]:
        waits = ", ".join(f"`{key}`" for key in check["restart"])
        section.text(f"Not in force before the gateway is started anew: {waits}.")
    mark = document.mark(answers.source("servers"))
    clashes = [
        f"{one['kind']} `{one['name']}` of `{one['hidden']}` is hidden by that of `{one['kept']}`;"
        f" {one['hint']}"
        for one in answers.rows("servers", "clashes")
    ]
    dropped = [
        f"{one['kind']} `{one['name']}` of `{one['server']}`: {one['reason']}"
        for one in answers.rows("servers", "dropped")
    ]
    section.text(f"Names that several servers have {mark}:")
    section.items(_first(clashes))
    section.text(f"Entries that clients would refuse and do not see {mark}:")
    section.items(_first(dropped))


def _first(lines: list[str]) -> list[str]:
    """As many as a reader looks at, and how many more there are."""
    more = len(lines) - LINES
    return lines if more <= 0 else [*lines[:LINES], f"and {more} more"]


def _place(fault: Row) -> str:
    if fault["line"]:
        return f"line {fault['line']}, column {fault['column']}"
    return str(fault["where"] or fault["path"])


def _said(fault: Row) -> str:
    return "; ".join(filter(None, (fault["message"], fault["hint"])))


def _about(document: Document, section: Section, answers: Answers) -> None:
    had = sum(page is not None for page in (*answers.pages.values(), answers.scrape))
    section.text(
        f"Made from {had} answers of {answers.url}, all of them asked for within"
        f" {spelt(round(answers.took_s, 2))} s from {answers.at:%Y-%m-%d %H:%M:%S} UTC. The metrics"
        " are one answer, so they are of one moment; between two answers a request may have ended."
    )
    section.text(
        "Percentiles are estimates from the buckets of a histogram; tokens are estimated by the"
        " rule that stands beside them. Everything else is counted."
    )
