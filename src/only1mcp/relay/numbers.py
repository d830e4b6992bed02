"""The metrics of requests, and of what the gateway holds for its clients."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from only1mcp.catalog.listing import Kind
from only1mcp.observe.meter import Cell, Histogram, Labels
from only1mcp.observe.metrics import Family, Samples
from only1mcp.policy.cache import Counts
from only1mcp.policy.limit import Bound
from only1mcp.relay.snapshot import Snapshot

_KINDS: Final = {kind: "templates" if kind is Kind.TEMPLATES else kind.value for kind in Kind}


def _cells(now: Snapshot) -> Iterator[tuple[Labels, Cell]]:
    if now.watch is not None and now.watch.meter is not None:
        for labels, cell in now.watch.meter.cells.items():
            yield Labels(*labels), cell


def _error_type(labels: Labels) -> str:
    """As OpenTelemetry has it: the code, or that the tool says so; "" for none."""
    if labels.outcome == "error":
        return "_other" if not labels.code else str(labels.code)
    return "" if labels.outcome == "ok" else labels.outcome


def _summed(
    now: Snapshot,
    which: Callable[[Labels], tuple[str, ...]],
    what: Callable[[Cell], Histogram],
) -> Samples:
    """The histograms of all cells, added up for each set of labels; those with something."""
    found: dict[tuple[str, ...], Histogram] = {}
    for labels, cell in _cells(now):
        add = what(cell)
        if any(add.counts):
            key = which(labels)
            if key not in found:
                found[key] = Histogram(add.bounds)
            found[key] += add
    return found.items()


def _requests(now: Snapshot) -> Samples:
    found: Counter[tuple[str, ...]] = Counter()
    for labels, cell in _cells(now):
        found[labels.method, labels.server, labels.outcome] += cell.front.count
    return found.items()


def _front(now: Snapshot) -> Samples:
    def key(one: Labels) -> tuple[str, ...]:
        transport = "pipe" if one.pipe else "tcp"
        return one.method, one.tool, one.server, _error_type(one), transport, one.revision

    return _summed(now, key, lambda cell: cell.front)


def _upstream(now: Snapshot) -> Samples:
    def key(one: Labels) -> tuple[str, ...]:
        return one.method, one.tool, one.server, _error_type(one)

    return _summed(now, key, lambda cell: cell.upstream)


def _unknown(now: Snapshot) -> Samples:
    meter = now.watch.meter if now.watch is not None else None
    return [] if meter is None else [((id,), count) for id, count in meter.unknown.items()]


def _subscriptions(now: Snapshot) -> Samples:
    return [((id,), count) for id, count in now.audience.subscriptions.counts().items()]


def _offered(now: Snapshot) -> Samples:
    for id in now.servers:
        if (view := now.catalog.view(id)) is not None:
            for kind, word in _KINDS.items():
                yield (id, word), view.count(kind)


def _list_bytes(now: Snapshot) -> Samples:
    for kind, word in _KINDS.items():
        yield (word,), sum(map(len, now.catalog.all.section(kind).legacy.texts))


def _looked_up(now: Snapshot) -> Samples:
    for tier, counts in now.answers.store.counts.items():
        yield (tier.value, "hit"), counts.hits
        yield (tier.value, "miss"), counts.misses
        yield (tier.value, "stale"), counts.stale


def _dropped(now: Snapshot) -> Samples:
    for tier, counts in now.answers.store.counts.items():
        yield (tier.value, "room"), counts.evictions
        yield (tier.value, "time"), counts.expiries
        yield (tier.value, "change"), counts.invalidations


def _batches(now: Snapshot) -> Samples:
    windows = now.answers.windows
    yield ("array",), windows.arrays
    yield ("calls",), windows.windows - windows.arrays


def _kept(read: Callable[[Counts], int]) -> Callable[[Snapshot], Samples]:
    """One number for each tier of the cache."""

    def samples(now: Snapshot) -> Samples:
        return [((tier.value,), read(one)) for tier, one in now.answers.store.counts.items()]

    return samples


FAMILIES: Final[tuple[Family[Snapshot], ...]] = (
    Family(
        "only1mcp_requests",
        "counter",
        "Requests of clients that are over. `server` is empty if the gateway itself answered or "
        "nobody has what was asked for; `outcome` is ok, tool_error (the tool says it failed), "
        "error or cancelled.",
        ("method", "server", "outcome"),
        _requests,
    ),
    Family(
        "mcp_server_operation_duration_seconds",
        "histogram",
        "How long clients waited: from the parsed request to the answer. `error_type` is the "
        "JSON-RPC code, tool_error or cancelled. The tool is called as its server calls it.",
        (
            *("mcp_method_name", "gen_ai_tool_name", "server", "error_type"),
            *("network_transport", "mcp_protocol_version"),
        ),
        _front,
    ),
    Family(
        "mcp_client_operation_duration_seconds",
        "histogram",
        "How much of that their servers took, with the questions they put to the client, without "
        "waiting for a turn; of several that are asked at once, the slowest.",
        ("mcp_method_name", "gen_ai_tool_name", "server", "error_type"),
        _upstream,
    ),
    Family(
        "only1mcp_overhead_seconds",
        "histogram",
        "How much of that was the gateway: no server worked on the request, and it did not wait "
        "in a window, for a turn or to be repeated. Requests that reached a server.",
        ("method",),
        lambda now: _summed(now, lambda one: (one.method,), lambda cell: cell.overhead),
    ),
    Family(
        "only1mcp_outcome_unknown",
        "counter",
        "Requests that failed after they were sent, so that they may have run.",
        ("server",),
        _unknown,
    ),
    Family(
        "only1mcp_requests_in_flight",
        "gauge",
        "Requests to servers that are under way, the waiting ones included "
        "(`server.limits.max_in_flight`).",
        (),
        lambda now: [((), now.gate.inside)],
    ),
    Family(
        "only1mcp_requests_refused",
        "counter",
        "Requests that were not taken on; `limit` is the setting of `server.limits` that was "
        "reached.",
        ("limit",),
        lambda now: [((one.value,), now.gate.refused[one]) for one in Bound],
    ),
    Family(
        "only1mcp_parked_calls",
        "gauge",
        "Calls at servers with handshake that wait for the answer of a client of 2026-07-28.",
        (),
        lambda now: [((), len(now.bridge))],
    ),
    Family(
        "only1mcp_listens",
        "gauge",
        "Open `subscriptions/listen` of clients.",
        (),
        lambda now: [((), len(now.audience))],
    ),
    Family(
        "only1mcp_subscriptions",
        "gauge",
        "Resources that some client wants to hear of.",
        ("server",),
        _subscriptions,
    ),
    Family(
        "only1mcp_list_changes",
        "counter",
        "Times that clients were told that a list is not what it was.",
        (),
        lambda now: [((), now.audience.announced)],
    ),
    Family(
        "only1mcp_offered",
        "gauge",
        "What a server offers through the gateway: tools, prompts, resources or templates.",
        ("server", "kind"),
        _offered,
    ),
    Family(
        "only1mcp_list_bytes",
        "gauge",
        "Size of the list that a client gets on `/mcp`: what it puts into its model's context.",
        ("kind",),
        _list_bytes,
    ),
    Family(
        "only1mcp_cache_requests",
        "counter",
        "Answers that were looked for in the cache: hit, miss, or stale (after its time, because "
        "the server could not be asked). Tiers are those of `cache`: l1 tools, l2 resources, "
        "l3 prompts.",
        ("tier", "result"),
        _looked_up,
    ),
    Family(
        "only1mcp_cache_dropped",
        "counter",
        "Answers that were dropped: for want of room, because their time was up, or because the "
        "server said that they had changed.",
        ("tier", "for"),
        _dropped,
    ),
    Family(
        "only1mcp_cache_entries",
        "gauge",
        "Answers that are kept.",
        ("tier",),
        _kept(lambda one: one.entries),
    ),
    Family(
        "only1mcp_cache_bytes",
        "gauge",
        "Memory that they take (`cache.max_bytes` for all).",
        ("tier",),
        _kept(lambda one: one.bytes),
    ),
    Family(
        "only1mcp_cache_calls",
        "counter",
        "Calls to servers whose answers may be kept or shared.",
        (),
        lambda now: [((), now.answers.calls)],
    ),
    Family(
        "only1mcp_shared_requests",
        "counter",
        "Requests that shared the call of another which asked the same.",
        (),
        lambda now: [((), now.answers.shared)],
    ),
    Family(
        "only1mcp_batches",
        "counter",
        "Windows that have closed (`batching.window`); what was gathered went as one JSON-RPC "
        "array or as calls one after the other.",
        ("form",),
        _batches,
    ),
    Family(
        "only1mcp_batched_requests",
        "counter",
        "Calls that were gathered in them; over the number of windows it is their size.",
        (),
        lambda now: [((), now.answers.windows.gathered)],
    ),
    Family(
        "only1mcp_batch_waiting",
        "gauge",
        "Calls that wait for a window to close.",
        (),
        lambda now: [((), now.answers.windows.waiting)],
    ),
)
