"""docs/configuration.md is what the model says."""

import re
from pathlib import Path

from only1mcp.config.load import load_text
from only1mcp.config.reference import reference_page
from only1mcp.config.schema import models

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
WRITE = """docs/configuration.md is out of date; write it again with
python -c 'import only1mcp.config.reference as r; print(r.reference_page(), end="")'"""


def test_the_committed_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference_page(), WRITE


def test_every_key_has_a_row() -> None:
    page = reference_page()
    for model in models():
        for name, field in model.model_fields.items():
            assert f"| `{name}` |" in page
            assert " ".join((field.description or "").split()) in page


def test_every_row_has_four_cells() -> None:
    rows = [line for line in reference_page().splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5}


def test_examples_on_the_page_load() -> None:
    blocks = re.findall(r"```(yaml|json)\n(.*?)```", reference_page(), re.DOTALL)
    assert len(blocks) == 2
    for format, text in blocks:
        environ = {"SEARCH_TOKEN": "x", "SEARCH_KEY": "x"}
        assert len(load_text(text, "page", format, environ).config.servers) == 2
