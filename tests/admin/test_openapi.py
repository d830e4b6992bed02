"""The OpenAPI document is valid and true: random requests get what it says, and never a 500."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from fakes.admin import ADMIN, ENVIRON, SECRET, office
from only1mcp.admin.openapi import document
from only1mcp.admin.table import OPERATIONS
from only1mcp.config.load import load

CHECKS: list[Callable[..., Any]] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 20
"""Of each operation and kind of data: all of them take some 10 s."""
SCHEMA = schemathesis.openapi.from_dict(document())
ENDLESS = "GET /api/v1/admin/events"
OURS = [one.ok() for one in SCHEMA.get_all_operations() if isinstance(one, Ok)]
CASES = [
    pytest.param(one, mode, id=f"{one.label} {mode.value}")
    for one in OURS
    for mode in GenerationMode
    if one.label != ENDLESS and (mode is GenerationMode.POSITIVE or one.body or one.query)
]


async def test_the_document_is_served(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        found = (await desk.get("/openapi.json")).json()
    assert found == document()
    assert found["openapi"] == "3.1.0"


def test_every_operation_is_in_a_valid_document() -> None:
    paths = document()["paths"].values()
    operations = [one for path in paths for name, one in path.items() if name != "parameters"]
    assert {one["operationId"] for one in operations} == {one.name for one in OPERATIONS}
    SCHEMA.validate()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A gateway on a loop of its own: its URL and its file."""
    folder = tmp_path_factory.mktemp("fuzz")
    ready, found = threading.Event(), list[str]()
    stop: list[Callable[[], object]] = []

    async def serve() -> None:
        over, loop = asyncio.Event(), asyncio.get_running_loop()
        async with office(folder) as desk:
            found.append(str(desk.http.base_url))
            stop.append(lambda: loop.call_soon_threadsafe(over.set))
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(20)
    yield found[0], folder / "o.yaml"
    stop[0]()
    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.parametrize(("operation", "mode"), CASES)
def test_answers_are_what_the_document_says(
    running: tuple[str, Path], operation: Any, mode: GenerationMode
) -> None:
    url, file = running

    @settings(
        max_examples=EXAMPLES,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        headers = {"Authorization": f"Bearer {ADMIN}"}
        response = case.call(base_url=url, headers=headers)
        case.validate_response(response, checks=CHECKS)
        assert SECRET not in response.text

    ask()
    load(file, ENVIRON)  # whatever was written is a configuration
