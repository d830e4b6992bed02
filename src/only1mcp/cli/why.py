"""`why`: the way of a tool, or of a server's tools, to the clients, and where it ends.

    configuration ──► enabled? ──► up? ──► listed? ──► filter ──► rename ──► name ──► shown

All of it is what the running gateway says; nothing is asked of a server.
"""

import json
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from only1mcp.cli.reach import Remote
from only1mcp.cli.say import Exit, Failure, fail
from only1mcp.config.load import ConfigError, find, load

Row = dict[str, Any]

_ISOLATION: Final = "each {} has its own connection, opened by its first call, which is slower"
_BOTH_ERAS: Final = "clients with a handshake are served in their own, if the server has it too"
_ONE_ERA: Final = (
    "one process, so one era for all clients; where a tool says that it cannot ask in it, "
    "set protocol: legacy or isolation: session"
)
_NEXT: Final = {
    "disabled": "set enabled: true for server '{id}', then `only1mcp reload`",
    "waiting": "mend that; `only1mcp doctor` tries it now; the gateway does again by itself",
    "starting": "wait: calls do so too, up to timeouts.start of server '{id}'",
}
_NEXT_OF_FATE: Final = {
    "withheld": "change tools.allow or tools.deny of server '{server}'",
    "hidden": "give it another name in tools.rename of server '{server}', or change naming.mode; "
    "on /mcp/{server} names are its own",
    "dropped": "mend the tool at server '{server}': clients would refuse the whole list over it",
}


@dataclass
class Answer:
    """What was found, step by step; the last one decides."""

    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)
    verdict: str = ""
    next: str = ""

    def step(self, what: str, text: str) -> None:
        """One step of the way."""
        self.steps.append((what, text))

    def end(self, verdict: str, next: str = "") -> "Answer":
        """Where the way ends."""
        self.verdict, self.next = verdict, next
        return self

    def as_row(self) -> Row:
        """For programs."""
        steps = [{"step": what, "text": text} for what, text in self.steps]
        return {"name": self.name, "verdict": self.verdict, "next": self.next, "steps": steps}

    def __str__(self) -> str:
        """For people."""
        steps = ((what, text.replace("\n", "\n" + " " * 17)) for what, text in self.steps)
        lines = [f"  {what:<14} {text}" for what, text in steps]
        lines.append(f"{self.name}: {self.verdict}")
        return "\n".join([*lines, f"  -> {self.next}"] if self.next else lines)


def explain(name: str, url: str | None, token: str | None, *, as_json: bool) -> int:
    """`only1mcp why`: 0 when the name is known to the gateway, 1 when it is not."""
    try:
        with Remote(url, token) as gateway:
            servers = gateway.get("/api/v1/admin/servers", "servers")["servers"]
            found = gateway.get("/api/v1/admin/tools", "tools")
    except Failure as error:
        return fail(error)
    answers = Asked(servers, found["tools"], found["naming"]).about(name)
    known = bool(answers)
    answers = answers or [_unknown(name, servers, found["tools"])]
    if as_json:
        print(json.dumps([one.as_row() for one in answers], indent=2))
    else:
        print("\n\n".join(map(str, answers)))
    return Exit.OK if known else Exit.FAILURE


class Asked:
    """What the gateway said, and what follows from it."""

    def __init__(self, servers: list[Row], tools: list[Row], naming: Row) -> None:
        self._servers = {row["id"]: row for row in servers}
        self._tools = tools
        self._naming = naming

    def about(self, name: str) -> list[Answer]:
        """One answer for each server or tool that may be meant; none if nobody has the name."""
        if name in self._servers:
            return [self._server(name)]
        exact = [row for row in self._tools if row["name"] == name]
        rows = exact or [row for row in self._tools if name in self._spellings(row)]
        if rows:
            return [self._tool(name, row) for row in rows]
        owner = self._owner(name)
        return [self._not_listed(name, owner)] if owner else []

    def _spellings(self, row: Row) -> set[str]:
        """Every way to name a tool that has no name, or another one, on the common list."""
        bare = {row["own"], row["base"]}
        prefix = row["server"] + self._naming["separator"]
        return bare | {prefix + one for one in bare} | {f"{row['server']}/{one}" for one in bare}

    def _owner(self, name: str) -> str | None:
        """The server whose prefix this is."""
        separator = self._naming["separator"]
        ids = [id for id in self._servers if name.startswith((id + separator, id + "/"))]
        return max(ids, key=len, default=None)

    def _up(self, answer: Answer, row: Row) -> bool:
        """Walk to the state of the server; whether the way goes on."""
        state = row["state"]
        answer.step("server", f"{row['id']}, {row['transport']}: {row['target']}")
        answer.step("state", f"{state}: {row['reason']}" if row["reason"] else state)
        if state != "ready":
            answer.end(f"server '{row['id']}' is {state}", _NEXT.get(state, "").format(**row))
            return False
        answer.step("revision", f"{', '.join(row['revisions'])} ({row['era']})")
        if row["era"] == "modern" and row["protocol"] == "auto":
            shared = row["transport"] == "stdio" and row["isolation"] == "shared"
            answer.step("era", _ONE_ERA if shared else _BOTH_ERAS)
        if row["restarts"]:
            times = f"{row['restarts']} time{'s' * (row['restarts'] != 1)}"
            answer.step("restarts", f"{times}; calls under way were lost, others had to wait")
        if row["isolation"] != "shared":
            answer.step("isolation", _ISOLATION.format(row["isolation"]))
        return True

    def _server(self, id: str) -> Answer:
        answer, row = Answer(id), self._servers[id]
        if not self._up(answer, row):
            return answer
        mine = [tool for tool in self._tools if tool["server"] == id]
        count = Counter(tool["fate"] for tool in mine)
        said = ", ".join(f"{number} {fate}" for fate, number in count.items())
        answer.step("tools", said or "it lists none")
        for tool in mine:
            if tool["fate"] != "shown":
                answer.step(tool["fate"], f"{tool['own']}: {tool['reason']}")
        if not mine:
            return answer.end("it is up and lists no tools", "look at the server itself")
        if not count["shown"]:
            return answer.end("clients see none of its tools")
        return answer.end(f"clients see {count['shown']} of its {len(mine)} tools")

    def _tool(self, name: str, row: Row) -> Answer:
        answer, server = Answer(name), self._servers[row["server"]]
        up = self._up(answer, server)
        answer.step("own name", row["own"])
        if row["fate"] == "withheld":
            answer.step("filter", row["reason"])
        if row["base"] != row["own"]:
            answer.step("rename", f"{row['own']} -> {row['base']} by tools.rename")
        if row["fate"] in ("hidden", "dropped"):
            answer.step(row["fate"], row["reason"])
        if row["name"]:
            answer.step("name", f"{row['name']} ({self._naming_said(row)})")
            if row["reason"]:
                answer.step("but", row["reason"])
        if not up:
            return answer
        if row["name"]:
            return answer.end(f"clients see it as {row['name']}")
        return answer.end("clients do not see it", _NEXT_OF_FATE[row["fate"]].format(**row))

    def _naming_said(self, row: Row) -> str:
        """Why the name is what it is."""
        mode, separator = self._naming["mode"], self._naming["separator"]
        prefixed = f"{row['server']}{separator}{row['base']}"
        if row["name"] == row["base"]:
            return f"as it is, naming.mode: {mode}"
        if row["name"] == prefixed:
            return f"with the server's prefix, naming.mode: {mode}"
        longest = self._naming["max_length"]
        return f"'{prefixed}' is longer than {longest} or has characters that clients refuse"

    def _not_listed(self, name: str, owner: str) -> Answer:
        """It carries the prefix of a server that does not list it, or has not yet."""
        answer = Answer(name)
        if not self._up(answer, self._servers[owner]):
            return answer
        mine = [tool for tool in self._tools if tool["server"] == owner]
        answer.step("tools", f"it lists {len(mine)}, and none of this name")
        bare = name.removeprefix(f"{owner}/").removeprefix(owner + self._naming["separator"])
        meant = _closest(bare, mine, [])
        next = f"did you mean {meant}?" if meant else f"only1mcp tools {owner}"
        return answer.end(f"server '{owner}' has no such tool", next)


def _unknown(name: str, servers: list[Row], tools: list[Row]) -> Answer:
    answer = Answer(name)
    path = find(dict(os.environ))
    if path is not None and name in _configured(path):
        answer.step("configuration", f"{path} has a server of this id")
        return answer.end("the running gateway does not know it yet", "only1mcp reload")
    meant = _closest(name, tools, servers)
    next = f"did you mean {meant}?" if meant else "see `only1mcp tools` and `only1mcp servers`"
    return answer.end("no server and no tool has this name", next)


def _configured(path: Path) -> list[str]:
    """The ids in the file, as far as it can be read here."""
    with suppress(ConfigError):
        return [server.id for server in load(path, dict(os.environ)).config.servers]
    return []


def _closest(name: str, tools: list[Row], servers: list[Row]) -> str | None:
    """The known name nearest to an unknown one; of a tool, what clients call it if they can."""
    spelt = {row["id"]: row["id"] for row in servers}
    for row in tools:
        best = row["name"] or f"{row['server']}/{row['own']}"
        spelt |= dict.fromkeys((row["own"], row["base"], best), best)
    lower = {one.lower(): best for one, best in spelt.items()}
    near = get_close_matches(name.lower(), lower, n=1)
    return lower[near[0]] if near else None
