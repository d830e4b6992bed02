"""The page of the era matrix: true to the expectations, each mark backed by a test."""

import subprocess
import sys

import pytest

from scripts import eras
from scripts.eras import CLIENTS, NOTES, SERVERS, Client, answer_of, cells, mark, table

BY_ID = {client.id: client for client in CLIENTS}


def test_the_page_is_what_make_eras_would_write() -> None:
    page = eras.PAGE.read_text()
    assert eras.page_with(eras.render(eras.every_id()), page) == page, "run make eras"
    assert eras.NOT_SHOWN not in page


def test_every_mark_of_the_page_is_backed_by_a_test() -> None:
    collect = (sys.executable, "-m", "pytest", "--collect-only", *eras.MODULES)
    found = subprocess.run(collect, cwd=eras.ROOT, check=True, capture_output=True, text=True)
    lines = [line for line in found.stdout.splitlines() if "::test_cell[" in line]
    ids = [line.partition("[")[2].removesuffix("]") for line in lines]
    assert len(ids) == len(set(ids))
    assert set(ids) == eras.every_id()


def test_every_client_meets_every_server_in_every_place() -> None:
    found = {(cell.client.id, cell.server, cell.place) for cell in cells(sdk=False)}
    http = [one for one in CLIENTS if one.channel == "http" and not one.sdk]
    assert [len(http), len(found)] == [4, (8 + 4) * len(SERVERS)]
    assert {one.revision for one in http} | {BY_ID["sse-2024-11-05"].revision} == {
        *("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
    }


@pytest.mark.parametrize(
    ("feature", "client", "server", "answer"),
    [
        ("form", "http-2025-03-26", "legacy-http", "no-elicitation"),
        ("form", "http-2025-03-26", "modern-http", "not-declared"),
        ("form", "http-2025-06-18", "modern-stdio", None),
        ("url", "http-2025-06-18", "legacy-sse", "no-url"),
        ("url", "http-2025-11-25", "legacy-sse", None),
        ("amid", "http-2026-07-28", "legacy-stdio", "nobodys"),
        ("amid", "http-2026-07-28", "legacy-http", None),
        ("sampling", "sse-2024-11-05", "modern-http", None),
    ],
)
def test_what_is_expected(feature: str, client: str, server: str, answer: str | None) -> None:
    assert answer_of(feature, BY_ID[client], server) == answer


def test_every_note_is_used() -> None:
    found = {answer_of(one.feature, one.client, one.server) for one in cells(sdk=False)}
    assert found == {None, *NOTES}


def test_a_cell_is_shown_only_if_it_passed_in_all_its_places() -> None:
    client = BY_ID["http-2025-03-26"]
    wanted = (client, "legacy-http", "form")
    ids = [one.id for one in cells(sdk=False) if (one.client, one.server, one.feature) == wanted]
    assert ids == [f"http-2025-03-26-legacy-http-form-{place}" for place in ("mount", "all")]
    assert mark("form", client, "legacy-http", ids[:1]) == "✗"
    assert mark("form", client, "legacy-http", ids) == "a"


def test_a_table() -> None:
    client = Client("sdk-x", "x", "2026-07-28", "http", "x")
    passed = {f"sdk-x-{server}-call-all" for server in SERVERS[1:]}
    lines = table(client, passed).splitlines()
    assert lines[0] == (
        "| server | tool call | progress | list changed | elicitation, form | sampling |"
    )
    assert lines[2:4] == [
        "| legacy-stdio | ✗ | ✗ | ✗ | ✗ | ✗ |",
        "| legacy-http | ✓ | ✗ | ✗ | ✗ | ✗ |",
    ]


def test_only_what_passed_counts() -> None:
    report = """<testsuites><testsuite>
        <testcase name="test_cell[good]"/>
        <testcase name="test_cell[bad]"><failure/></testcase>
        <testcase name="test_cell[broken]"><error/></testcase>
        <testcase name="test_cell[left-out]"><skipped/></testcase>
        <testcase name="test_other"/>
    </testsuite></testsuites>"""
    assert eras.passed_in(report) == {"good"}
