"""Random files in random styles, changed at random: what is read back is what was wanted."""

import io
import random
from typing import Any, Final

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from only1mcp.config.edit import NotEditable, add, change, remove
from only1mcp.config.faults import ConfigError, Report
from only1mcp.config.load import parse

KEYS: Final = ("a", "b", "c c", "d", "true", "x-y", "é", "1")
TEXTS: Final = ("s", "a: b", "- q", "#h", "${V}", "", "line\nline\n", "'", '"', "*z", "null", "30s")
FILES: Final = 120
"""Of each seed; less than 2 s."""


class Maker:
    """Makes values, files and patches from one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.chance = self._random.random

    def keys(self, least: int) -> list[str]:
        """Some of all there are."""
        return self._random.sample(KEYS, self._random.randint(least, 3))

    def value(self, depth: int = 0) -> Any:
        """Text, a number, a list or a block."""
        kind = self.chance() if depth < 3 else 1.0
        if kind < 0.3:
            return {key: self.value(depth + 1) for key in self.keys(0)}
        if kind < 0.45:
            return [self.value(depth + 1) for _ in range(self._random.randint(0, 3))]
        return self._random.choice([*TEXTS, 1, 2.5, True, False, None])

    def patch(self, depth: int = 0) -> dict[str, Any]:
        """A merge patch."""
        return {key: self._part(depth) for key in self.keys(1)}

    def _part(self, depth: int) -> Any:
        if self.chance() < 0.3:
            return None
        return self.patch(depth + 1) if depth < 2 and self.chance() < 0.3 else self.value(1)

    def file(self) -> dict[str, Any]:
        """A file with some servers."""
        count = self._random.randint(1, 3)
        servers = [{"id": f"s{number}"} | self._block() for number in range(count)]
        return {"top": self.value(), "servers": servers, "end": self.value()}

    def _block(self) -> dict[str, Any]:
        return {key: self.value() for key in self.keys(0)}

    def written(self, value: Any) -> str:
        """As YAML, in block and flow style, with comments, of some indentation."""
        yaml, text = YAML(), io.StringIO()
        yaml.width = self._random.choice([20, 4096])
        mapping, sequence, offset = self._random.choice([(2, 2, 0), (2, 4, 2), (4, 4, 2)])
        yaml.indent(mapping=mapping, sequence=sequence, offset=offset)
        yaml.dump(self._styled(value), text)
        return text.getvalue()

    def _styled(self, value: Any) -> Any:
        if isinstance(value, list):
            elements = CommentedSeq(map(self._styled, value))
            if self.chance() < 0.4:
                elements.fa.set_flow_style()
            return elements
        if not isinstance(value, dict):
            return value
        block = CommentedMap((key, self._styled(one)) for key, one in value.items())
        if self.chance() < 0.3:
            block.fa.set_flow_style()
        for key in block:
            if self.chance() < 0.2:
                block.yaml_add_eol_comment(f"of {key}", key)
        return block


def merged(old: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    found = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key), value)
    return found


def edited(make: Maker, text: str, file: dict[str, Any]) -> tuple[str, Any]:
    """The text after one operation, and what it should say."""
    servers, patch, kind = file["servers"], make.patch(), make.chance()
    id = servers[int(make.chance() * len(servers))]["id"]
    if kind < 0.6:
        after = change(text, "yaml", id, patch)
        wanted = [merged(one, patch) if one["id"] == id else one for one in servers]
    elif kind < 0.8:
        after, wanted = remove(text, "yaml", id), [one for one in servers if one["id"] != id]
    else:
        after = add(text, "yaml", {"id": "new", **patch})
        wanted = [*servers, {"id": "new", **patch}]
    return after, {**file, "servers": wanted}


def read(text: str) -> Any:
    """What the text says."""
    return parse(text, "file", "yaml", Report()).plain()


def is_right(text: str, file: Any) -> bool:
    """Whether the writer of this test, which has faults of its own, has written what it should."""
    try:
        return bool(read(text) == file)
    except ConfigError:
        return False


@pytest.mark.parametrize("seed", range(5))
def test_what_is_read_back_is_what_was_wanted(seed: int) -> None:
    make, refused, tried = Maker(seed), 0, 0
    for _ in range(FILES):
        file = make.file()
        text = make.written(file)
        if not is_right(text, file):
            continue
        tried += 1
        try:
            after, wanted = edited(make, text, file)
        except NotEditable:
            refused += 1
            continue
        except Exception as error:
            raise AssertionError(text) from error
        assert read(after) == wanted, f"{text}\n=>\n{after}"
    assert tried > FILES * 0.6
    assert refused < tried * 0.2
