"""The tabs that are tables: servers, requests, tools, cache."""

from only1mcp.tui.feed import Row, Shot
from only1mcp.tui.figures import gauge, number
from only1mcp.tui.tables import Listed, field


class Servers(Listed):
    """Each server, and below it its replicas if it has several."""

    columns = ("server", "state", "health", "breaker", "restarts", "tools", "ms", "last error")
    nothing = "no servers"

    def key_of(self, row: Row) -> str:
        """A server by its id, a replica by both."""
        return str(row.get("key", row.get("id")))

    def cells_of(self, row: Row) -> tuple[str, ...]:
        """How it is."""
        replicas = row.get("replicas") or []
        one = row if "replicas" not in row else (replicas[0] if len(replicas) == 1 else {})
        latency = one.get("latency_ms")
        return (
            str(row.get("name", row.get("id"))),
            field(row, "state"),
            field(row, "health"),
            field(one, "breaker") if one else f"{len(replicas)} replicas",
            field(row, "restarts"),
            field(row, "tools"),
            f"{latency:.1f}" if latency else "-",
            str(row.get("reason") or (one.get("reason") if one else "") or ""),
        )

    def style_of(self, row: Row) -> str:
        """Red if it is given up, yellow if it will be tried again, dim if nobody wants it."""
        styles = {"failed": "red", "waiting": "yellow", "disabled": "dim"}
        return styles.get(str(row.get("state")), "")

    def take(self, shot: Shot) -> None:
        """Servers and replicas, in the order of the configuration."""
        rows = []
        for server in shot.servers:
            rows.append(server)
            replicas = server.get("replicas") or []
            for one in replicas if len(replicas) > 1 else ():
                name = f"└ {one.get('id')}"
                rows.append({**one, "key": f"{server['id']}/{one.get('id')}", "name": name})
        self.show(rows, f"{len(shot.servers)} servers   Enter: restart, enable, disable")


class Requests(Listed):
    """The latest requests, the newest first; Space holds them still."""

    columns = ("at", "ms", "outcome", "method", "server", "name", "who")
    nothing = "no requests yet"
    held = False

    def key_of(self, row: Row) -> str:
        """Its number."""
        return str(row.get("id", row.get("request_id")))

    def cells_of(self, row: Row) -> tuple[str, ...]:
        """Who asked what, and how it ended."""
        code = row.get("code")
        took = row.get("duration_ms")
        return (
            field(row, "at").partition("T")[2][:12] or field(row, "at"),
            "-" if took is None else f"{took:.1f}",
            field(row, "outcome") + (f" {code}" if code is not None else ""),
            field(row, "method"),
            field(row, "server"),
            field(row, "name"),
            field(row, "principal"),
        )

    def style_of(self, row: Row) -> str:
        """Red if it has failed, yellow if its tool says that it has."""
        return {"error": "red", "tool_error": "yellow"}.get(str(row.get("outcome")), "")

    def take(self, shot: Shot) -> None:
        """All of them, unless they are held."""
        if not self.held:
            self.show(shot.requests, f"the latest {len(shot.requests)} requests   Space: hold")

    def hold(self) -> None:
        """Hold them still, or let them run again."""
        self.held = not self.held


class Tools(Listed):
    """Every tool that a server lists, also those that clients do not see."""

    columns = ("tool", "server", "fate", "why")
    nothing = "no tools"

    def key_of(self, row: Row) -> str:
        """Its server and its own name."""
        return f"{row.get('server')}\n{row.get('own')}"

    def cells_of(self, row: Row) -> tuple[str, ...]:
        """Its name, and whether it is seen."""
        name = str(row.get("name") or row.get("own"))
        return (name, field(row, "server"), field(row, "fate"), str(row.get("reason") or ""))

    def take(self, shot: Shot) -> None:
        """All of them."""
        self.show(shot.tools, f"{len(shot.tools)} tools   Enter: schema and call")


class Cache(Listed):
    """The tiers of the cache."""

    columns = ("tier", "hit rate", "hits", "misses", "entries", "evicted", "expired", "invalid")
    nothing = "no data: this gateway keeps no answers"

    def key_of(self, row: Row) -> str:
        """The tier."""
        return str(row["tier"])

    def cells_of(self, row: Row) -> tuple[str, ...]:
        """What it has done."""
        counts = ("hits", "misses", "entries", "evictions", "expiries", "invalidations")
        return (
            str(row["tier"]),
            gauge(row.get("hit_rate"), 10),
            *(number(row.get(name)) for name in counts),
        )

    def take(self, shot: Shot) -> None:
        """All tiers, and what was saved by sharing."""
        document = shot.cache or {}
        tiers = document.get("tiers") or {}
        rows = [{"tier": name, **tier} for name, tier in tiers.items()]
        self.show(
            rows,
            f"{number(document.get('calls'))} asked of servers, "
            f"{number(document.get('shared'))} shared an answer under way   c: clear",
        )
