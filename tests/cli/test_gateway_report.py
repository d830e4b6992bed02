"""`report` of a running gateway: forms, places to write to, and what stands in its way."""

from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from fakes.cli import Command, Shell
from fakes.upstream import library, served
from only1mcp.admin.look import Look
from only1mcp.admin.problem import Json

NOBODY = "http://127.0.0.1:1"


async def test_it_is_printed(command: Command) -> None:
    async with served(library("one")) as (_, url):
        page = await command("report", "--url", url)
        found = await command("report", "--url", url, "-o", "json")
        html = await command("report", "--url", url, "--output", "html")
    assert (page.code, page.err) == (0, "")
    assert page.out.startswith("# Only1MCP: report of a running gateway\n")
    assert f"| Gateway | {url.removesuffix('/mcp')}, version" in page.out
    assert found.json["facts"]["url"] == url.removesuffix("/mcp")
    assert html.out.startswith("<!doctype html>")


async def test_a_file_says_its_form_by_its_ending(command: Command, tmp_path: Path) -> None:
    async with served(library("one")) as (_, url):
        for name, start in (("r.md", "# Only"), ("r.json", "{"), ("r.html", "<!doctype")):
            written = await command("report", "--url", url, "-o", str(tmp_path / name))
            assert written.out == f"{tmp_path / name}\n"
            assert (tmp_path / name).read_text().startswith(start)
        odd = await command("report", "--url", url, "-o", str(tmp_path / "r.pdf"))
        assert (odd.code, odd.out) == (2, "")
        assert "r.pdf: no such form; end it with one of .md, .json, .html" in odd.err


async def test_a_folder_gets_all_forms(command: Command, tmp_path: Path) -> None:
    async with served(library("one")) as (_, url):
        three = await command("report", "--url", url, "-o", str(tmp_path / "new"))
        again = await command("report", "--url", url, "-o", str(tmp_path / "new"))
    names = [Path(line).name for line in three.out.splitlines()]
    assert [name[:15] for name in names] == ["GATEWAY_REPORT_"] * 3
    assert [Path(name).suffix for name in names] == [".md", ".json", ".html"]
    assert len(again.out.splitlines()) == 3


async def test_a_place_that_cannot_be_written(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with served(library("one")) as (_, url):
        for name in ("file/r.md", "file/folder"):
            found = await command("report", "--url", url, "-o", str(tmp_path / name))
            assert found.code == 1
            assert "name another place with --output" in found.err


def test_nobody_is_there(shell: Shell) -> None:
    found = shell("report", "--url", NOBODY)
    assert (found.code, found.out) == (3, "")
    assert f"error: no gateway at {NOBODY} (" in found.err
    assert "start one with `only1mcp start` or name it with --url" in found.err


async def test_a_token_is_needed(command: Command) -> None:
    async with served(library("one"), server={"auth": {"tokens": ["t-ann"]}}) as (_, url):
        without = await command("report", "--url", url)
        assert (without.code, without.out) == (4, "")
        assert "--token or ONLY1MCP_TOKEN" in without.err
        assert (await command("report", "--url", url, ONLY1MCP_TOKEN="t-ann")).code == 0


async def test_a_gateway_of_another_version(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def servers(_: Look, _request: Request) -> Response:
        return Json({"servers": [{"name": "one"}], "clashes": [], "dropped": []})

    monkeypatch.setattr(Look, "servers", servers)
    async with served(library("one")) as (_, url):
        found = await command("report", "--url", url)
    assert (found.code, found.out) == (1, "")
    assert "answers otherwise than" in found.err
    assert "take the `only1mcp` of that version" in found.err


@pytest.mark.parametrize("option", [["--check"], ["--phase", "1"]])
def test_options_of_a_project_are_refused(shell: Shell, option: list[str]) -> None:
    found = shell("report", *option)
    assert found.code == 2
    assert "--project" in found.err
