"""The demo HTTP servers, each running in its own process."""

from collections.abc import Iterator

import pytest

from fakes.demo_web import Web, running


@pytest.fixture(scope="module")
def clock() -> Iterator[Web]:
    """A running clock."""
    with running("clock") as web:
        yield web


@pytest.fixture(scope="module")
def text() -> Iterator[Web]:
    """A running text server."""
    with running("text") as web:
        yield web
