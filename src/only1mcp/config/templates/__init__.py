"""Commented files to start from: `only1mcp config init --template NAME`."""

from pathlib import Path
from typing import Final

NAMES: Final = ("solo", "team", "enterprise")


def template(name: str) -> str:
    """The text of a template, YAML.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in NAMES:
        raise ValueError(f"no template {name!r}; there are {', '.join(NAMES)}")
    return Path(__file__).with_name(f"{name}.yaml").read_text(encoding="utf-8")
