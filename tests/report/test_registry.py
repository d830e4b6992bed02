"""The file that says what is promised, and what is said when it is wrong."""

from pathlib import Path

import pytest

from fakes.project import REGISTRY, project
from only1mcp.report.registry import RegistryError, load


def said(path: Path) -> str:
    """What is wrong with the file at `path`."""
    with pytest.raises(RegistryError) as caught:
        load(path)
    return str(caught.value).replace(str(path.parent), ".")


def test_a_registry(tmp_path: Path) -> None:
    registry = load(project(tmp_path) / "features.toml")
    assert registry.project.name == "Kettle"
    assert [feature.id for feature in registry.of_phase(1)] == ["boil", "pour"]
    assert registry.of_phase(2) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ('id = "pour"', 'id = "boil"', "feature 'boil' is there twice"),
        ('["boil"]', '["soil"]', "feature 'pour': depends on 'soil', which is not there"),
        ('["boil"]', '["pour"]', "features depend on each other in a circle: pour"),
        ('["src/pour.py"]', "[]", "feature 'pour': name its source and its tests"),
        ('priority = "high"', "phase = 2", "Cannot overwrite a value"),
        ('priority = "high"', "color = 2", "feature 'pour': Object contains unknown field `color`"),
        ("id = 1", "id = 2", "feature 'boil': there is no phase 1"),
        ("start = 2026-01-01", "start = 5", "Expected `date`, got `int` - at `$.phase[0].start`"),
    ],
)
def test_faults(tmp_path: Path, before: str, after: str, expected: str) -> None:
    path = tmp_path / "features.toml"
    path.write_text(REGISTRY.replace(before, after))
    text = said(path)
    assert text.startswith("./features.toml: ")
    assert expected in text


def test_no_file(tmp_path: Path) -> None:
    text = said(tmp_path / "features.toml")
    assert text.endswith(
        "No such file or directory; a project needs a features.toml to be reported on"
    )


def test_no_text(tmp_path: Path) -> None:
    path = tmp_path / "features.toml"
    path.write_bytes(b"\xff")
    assert said(path) == "./features.toml: is not UTF-8; save it as such"
