"""docs/screens show what the dashboard shows; the pictures come from a live gateway."""

import asyncio
from pathlib import Path

import pytest

from only1mcp.tui.app import TABS
from scripts.screens import FOLDER, SHARES, TRAFFIC, demo, even, even_durations, pictures, text_of

AGAIN = "the dashboard has changed: look at it, then python -m scripts.screens"


def test_the_committed_screens_are_those_of_the_dashboard() -> None:
    async def taken() -> dict[str, str]:
        async with demo() as url:
            return await pictures(url)

    made = asyncio.run(taken())
    assert set(made) == {*TABS, "tool"} == {file.stem for file in FOLDER.glob("*.svg")}
    for name, svg in made.items():
        assert text_of(svg) == text_of((FOLDER / f"{name}.svg").read_text()), f"{name}: {AGAIN}"


@pytest.mark.parametrize("picture", sorted(FOLDER.glob("*.svg")), ids=lambda file: file.stem)
def test_a_picture_fetches_nothing(picture: Path) -> None:
    svg = picture.read_text()
    assert "url(http" not in svg and 'url("http' not in svg


def test_the_counts_are_those_of_the_traffic() -> None:
    said = "".join(text_of((FOLDER / "overview.svg").read_text()))
    assert f"{sum(TRAFFIC)} in all" in said
    assert f"{TRAFFIC[-1]}.0 /s" in said


def test_what_differs_from_run_to_run_is_even() -> None:
    row = {"pid": 17, "replicas": [{"target": "http://127.0.0.1:40321/mcp"}]}
    assert even(row) == {"pid": 4242, "replicas": [{"target": "http://127.0.0.1:9001/mcp"}]}


def test_durations_are_shared_out_among_as_many_requests_as_there_were() -> None:
    bucket = 'mcp_server_operation_duration_seconds_bucket{server="%s",le="%s"} %s'
    lines = [bucket % ("a", "0.5", 1), bucket % ("a", "+Inf", 4), bucket % ("b", "+Inf", 6)]
    *_, last = even_durations("\n".join(["up 1", *lines])).splitlines()
    assert last.endswith('{le="+Inf"} 10.0')
    assert len(SHARES) == 3
