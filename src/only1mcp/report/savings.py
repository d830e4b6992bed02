"""What a running gateway has spared its servers, and what its lists cost a client's model."""

from typing import Any, Final

from only1mcp.report.answers import Answers
from only1mcp.report.document import NOT_MEASURED, Document, Section, spelt

LOOKED: Final = "only1mcp_cache_requests_total"
DROPPED: Final = "only1mcp_cache_dropped_total"
CALLS: Final = "only1mcp_cache_calls_total"
SHARED: Final = "only1mcp_shared_requests_total"
BATCHED: Final = "only1mcp_batched_requests_total"
BATCHES: Final = "only1mcp_batches_total"
LISTS: Final = "only1mcp_list_bytes"
TIERS: Final = {"l1": "tools", "l2": "resources", "l3": "prompts"}
BYTES_PER_TOKEN: Final = 4
"""Of English text. Source: OpenAI, "What are tokens and how to count them"."""
RULE: Final = (
    f"Tokens are estimated at one for {BYTES_PER_TOKEN} bytes, which fits English text; each model"
    " counts otherwise, and JSON takes rather more. Bytes are counted."
)
HEAVY: Final = 10
"""How many of the heaviest tools are shown."""


def figures(answers: Answers) -> dict[str, Any]:
    """The counts by name."""
    found = {f"cache.{one}": answers.by(LOOKED, "result").get(one) for one in RESULTS}
    return {
        **found,
        "cache.calls": answers.total(CALLS),
        "cache.shared": answers.total(SHARED),
        "batches": answers.total(BATCHES),
        "batched": answers.total(BATCHED),
        "list.bytes": answers.by(LISTS, "kind"),
        "tools.bytes_by_server": weights(answers),
    }


RESULTS: Final = ("hit", "miss", "stale")


def tokens(size: float) -> int:
    """An estimate, by RULE."""
    return round(size / BYTES_PER_TOKEN)


def weights(answers: Answers) -> dict[str, int]:
    """Bytes of the tools of each server in the list of all, the heaviest first."""
    found: dict[str, int] = {}
    for row in answers.rows("tools", "tools"):
        if size := row.get("bytes"):
            found[row["server"]] = found.get(row["server"], 0) + size
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def spared(answers: Answers) -> float | None:
    """Requests that no server had to work on."""
    if answers.total(LOOKED) is None:
        return None
    results = answers.by(LOOKED, "result")
    return sum(results.get(one, 0.0) for one in ("hit", "stale")) + (answers.total(SHARED) or 0.0)


def saved(document: Document, section: Section, answers: Answers) -> None:
    """Hits of the cache, calls that were shared, calls that travelled together."""
    if answers.scrape is None:
        section.text(f"{NOT_MEASURED}: metrics are off.")
        return
    looked, shared = answers.metric(LOOKED), answers.metric(SHARED)
    both = answers.metric(f"{LOOKED} (hit, stale) + {SHARED}")
    section.items(
        [
            f"Requests that no server had to work on: {document.cite(spared(answers), both)}",
            "of them, shared the call of another that asked the same:"
            f" {document.cite(answers.total(SHARED), shared)}",
            "Calls to servers whose answers could be kept or shared:"
            f" {document.cite(answers.total(CALLS), answers.metric(CALLS))}",
            f"Calls that travelled together: {_together(document, answers)}",
        ]
    )
    if not answers.page("cache").get("enabled"):
        section.text(f"The cache is off {document.mark(answers.source('cache'))}.")
        return
    rows = []
    for tier, what in TIERS.items():
        results = answers.by(LOOKED, "result", tier=tier)
        dropped = answers.by(DROPPED, "for", tier=tier)
        counts = [results.get(one, 0.0) for one in RESULTS]
        asked = sum(counts)
        rate = f"{spelt(100 * counts[0] / asked)} %" if asked else "nobody asked"
        gone = [dropped.get(why, 0.0) for why in ("room", "time", "change")]
        rows.append([f"{tier}, {what}", *map(spelt, counts), rate, *map(spelt, gone)])
    mark, drop = document.mark(looked), document.mark(answers.metric(DROPPED))
    section.table(
        f"tier | hits {mark} | misses | stale | hit rate | dropped for room {drop}"
        " | for their time | for a change",
        rows,
    )


def _together(document: Document, answers: Answers) -> str:
    windows, calls = answers.total(BATCHES), answers.total(BATCHED)
    if not windows:
        return "none; `batching.window` is off or nobody called"
    shown = document.cite(calls, answers.metric(BATCHED))
    return f"{shown} in {document.cite(windows, answers.metric(BATCHES))} windows"


def weight(document: Document, section: Section, answers: Answers) -> None:
    """Bytes and tokens of the lists, by kind, by server and by tool."""
    section.text(RULE)
    mark = document.mark(answers.metric(LISTS))
    sizes = answers.by(LISTS, "kind")
    rows = [[kind, spelt(size), spelt(tokens(size))] for kind, size in sizes.items()]
    section.table(f"list of /mcp | bytes {mark} | tokens, about", rows, f"{NOT_MEASURED}.")
    found = weights(answers)
    tools = [row for row in answers.rows("tools", "tools") if row.get("bytes")]
    if not tools:
        section.text("Of each tool: not measured, or there is none.")
        return
    whole, mark = sum(found.values()), document.mark(answers.source("tools"))
    section.table(
        f"server | tools {mark} | bytes {mark} | tokens, about | share",
        [
            [
                f"`{id}`",
                str(sum(row["server"] == id for row in tools)),
                spelt(size),
                spelt(tokens(size)),
                f"{spelt(100 * size / whole)} %",
            ]
            for id, size in found.items()
        ],
    )
    section.largest("tokens of its tools, about", {id: float(tokens(n)) for id, n in found.items()})
    tools.sort(key=lambda row: -row["bytes"])
    section.text(f"The heaviest tools {mark}:")
    section.table(
        "tool | bytes | tokens, about",
        [
            [f"`{row['name']}`", spelt(row["bytes"]), spelt(tokens(row["bytes"]))]
            for row in tools[:HEAVY]
        ],
    )
