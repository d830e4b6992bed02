"""The era matrix: what each client can do with each server, and the page that shows it.

    make eras    runs every cell through a real gateway and writes the result to docs/eras.md

A cell is one feature used by one client at one server in one place. `answer_of` says what is
expected of it; tests/e2e/test_eras.py and test_eras_sdk.py run all of them.
Source  the schema of each revision; MCP 2026-07-28 basic/patterns/mrtr.
"""

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "eras.md"
BEGIN, END = "<!-- results: make eras -->", "<!-- end of results -->"
MODULES: Final = ("tests/e2e/test_eras.py", "tests/e2e/test_eras_sdk.py")
RESULTS: Final = ROOT / ".cache" / "eras.xml"

MOUNT, ALL = "mount", "all"
"""`/mcp/{server}`, and `/mcp` with all servers at once, names prefixed."""
WHERE_ALL: Final = {"http": "`/mcp`", "sse": "`/sse`", "stdio": "`only1mcp stdio`"}

FEATURES: Final[Mapping[str, str]] = {
    "call": "tool call",
    "progress": "progress",
    "log": "log",
    "cancel": "cancel",
    "changed": "list changed",
    "updated": "resource update",
    "form": "elicitation, form",
    "amid": "elicitation amid calls",
    "url": "elicitation, URL",
    "sampling": "sampling",
    "roots": "roots",
    "error": "error",
    "missing": "missing resource",
    "completion": "completion",
}
SDK_FEATURES: Final = ("call", "progress", "changed", "form", "sampling")


class Client(NamedTuple):
    """One kind of client. `channel` is http, sse or stdio; `sdk` is the official client's mode."""

    id: str
    title: str
    revision: str
    channel: str
    sdk: str = ""

    @property
    def places(self) -> tuple[str, ...]:
        """HTTP+SSE and stdio know no path of one server; the official client takes one of two."""
        return (MOUNT, ALL) if self.channel == "http" and not self.sdk else (ALL,)

    @property
    def features(self) -> tuple[str, ...]:
        """What is tried with it."""
        return SDK_FEATURES if self.sdk else tuple(FEATURES)


CLIENTS: Final = (
    Client("sse-2024-11-05", "2024-11-05 over HTTP+SSE", "2024-11-05", "sse"),
    Client("http-2025-03-26", "2025-03-26 over Streamable HTTP", "2025-03-26", "http"),
    Client("http-2025-06-18", "2025-06-18 over Streamable HTTP", "2025-06-18", "http"),
    Client("http-2025-11-25", "2025-11-25 over Streamable HTTP", "2025-11-25", "http"),
    Client("http-2026-07-28", "2026-07-28 over Streamable HTTP", "2026-07-28", "http"),
    Client("stdio-2024-11-05", "2024-11-05 over stdio", "2024-11-05", "stdio"),
    Client("stdio-2025-11-25", "2025-11-25 over stdio", "2025-11-25", "stdio"),
    Client("stdio-2026-07-28", "2026-07-28 over stdio", "2026-07-28", "stdio"),
    Client("sdk-legacy", "the official client, mode legacy", "2025-11-25", "http", "legacy"),
    Client("sdk-auto", "the official client, mode auto", "2026-07-28", "http", "auto"),
)
SERVERS: Final = ("legacy-stdio", "legacy-http", "legacy-sse", "modern-stdio", "modern-http")
"""Legacy ones speak 2025-11-25, modern ones 2026-07-28."""

NOTES: Final[Mapping[str, str]] = {
    "no-elicitation": "the revision has no elicitation: the gateway answers the server's question "
    "with -32601, and the call goes on as the server sees fit",
    "no-url": "2025-06-18 knows forms only: the gateway answers the server's question with -32602, "
    "and the call goes on as the server sees fit",
    "not-declared": "the server is told with the call that the client does not take it, and "
    "refuses; its -32021 with `data.requiredCapabilities` reaches the client",
    "nobodys": "on a connection that calls share, this question could be of any of them: the "
    "gateway answers it with -32601 and never guesses. [Who shares](#who-shares-a-connection) is "
    "settled by `isolation` and tokens",
}
"""Answer -> what a reader has to know of it."""
LETTERS: Final = dict(zip(NOTES, "abcdefgh", strict=False))
DONE: Final = "✓"
NOT_SHOWN: Final = "✗"


class Cell(NamedTuple):
    """One thing that is tried."""

    feature: str
    client: Client
    server: str
    place: str

    @property
    def id(self) -> str:
        """The id of its test."""
        return f"{self.client.id}-{self.server}-{self.feature}-{self.place}"


def answer_of(feature: str, client: Client, server: str) -> str | None:
    """What is answered instead, a key of NOTES; None: it works."""
    if feature == "amid" and server in ("legacy-stdio", "legacy-sse"):
        return "nobodys"
    modern = server.startswith("modern")
    if feature in ("form", "amid", "url") and client.revision < "2025-06-18":
        return "not-declared" if modern else "no-elicitation"
    if feature == "url" and client.revision < "2025-11-25":
        return "not-declared" if modern else "no-url"
    return None


def cells(*, sdk: bool) -> list[Cell]:
    """All that is tried with our own clients, or with the official one."""
    return [
        Cell(feature, client, server, place)
        for client in CLIENTS
        if bool(client.sdk) is sdk
        for server in SERVERS
        for feature in client.features
        for place in client.places
    ]


def every_id() -> set[str]:
    """The id of each test that stands behind the page."""
    return {cell.id for sdk in (False, True) for cell in cells(sdk=sdk)}


def mark(feature: str, client: Client, server: str, passed: Collection[str]) -> str:
    """One cell of the page: shown only if its tests have passed in all places."""
    if not all(Cell(feature, client, server, place).id in passed for place in client.places):
        return NOT_SHOWN
    answer = answer_of(feature, client, server)
    return DONE if answer is None else LETTERS[answer]


def table(client: Client, passed: Collection[str]) -> str:
    """The page's table of one client."""
    header = ["server", *(FEATURES[name] for name in client.features)]
    lines = [header, ["---", *(":-:" for _ in client.features)]]
    for server in SERVERS:
        marks = (mark(feature, client, server, passed) for feature in client.features)
        lines.append([server, *marks])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def render(passed: Collection[str]) -> str:
    """What stands between the marks of the page, if these tests have passed."""
    parts = []
    for client in CLIENTS:
        alone = "`/mcp/{server}` and " if MOUNT in client.places else ""
        where = f"Through {alone}{WHERE_ALL[client.channel]}."
        parts.append(f"### {client.title}\n\n{where}\n\n{table(client, passed)}")
    parts.append("\n".join(f"- **{LETTERS[key]}**: {text}." for key, text in NOTES.items()))
    return "\n\n".join(parts)


def page_with(results: str, page: str) -> str:
    """The page with other results between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{results}\n\n{END}{after}"


def passed_in(junit: str) -> set[str]:
    """The ids of the cells that passed, from pytest's report in JUnit's XML."""
    cases = ET.fromstring(junit).iter("testcase")  # noqa: S314 - pytest has written it just now
    return {
        case.attrib["name"].removeprefix("test_cell[").removesuffix("]")
        for case in cases
        if case.attrib["name"].startswith("test_cell[") and not _failed(case)
    }


def _failed(case: Iterable[ET.Element]) -> bool:
    return any(part.tag in ("failure", "error", "skipped") for part in case)


def main() -> int:
    """Run all cells and write the page; 1 if one of them did not pass."""
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.unlink(missing_ok=True)
    pytest = (sys.executable, "-m", "pytest", f"--junitxml={RESULTS}", *MODULES)
    subprocess.run(pytest, cwd=ROOT, check=False)
    passed = passed_in(RESULTS.read_text())
    PAGE.write_text(page_with(render(passed), PAGE.read_text()))
    missing = sorted(every_id() - passed)
    print(*(f"not passed: {id}" for id in missing), sep="\n", end="")
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main())
