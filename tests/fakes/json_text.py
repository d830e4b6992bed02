"""JSON as it is written: random texts, and values that remember their spelling and order.

parse(b'{"a": 1.0}') == Members([("a", Number("1.0"))])
st.composite strategies give JSON *texts*, so spellings, blanks and escapes vary
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final

from hypothesis import strategies as st

Pairs = list[tuple[str, Any]]


@dataclass(frozen=True)
class Number:
    """A number by its spelling: 1.0 is not 1, and 1e400 is not infinity."""

    text: str


@dataclass(frozen=True)
class Members:
    """An object: its members in order, repeated ones as well."""

    pairs: Pairs = field(hash=False)

    def get(self, key: str) -> Any:
        """The last member of that name."""
        return dict(self.pairs).get(key)


def parse(text: bytes | str) -> Any:
    """JSON text to values that compare as faithful as the text is."""
    found = json.loads(text, parse_int=Number, parse_float=Number, object_pairs_hook=Members)
    return whole(found)


def whole(value: Any) -> Any:
    """With U+FFFD for each half of a surrogate pair: no UTF-8 text can hold one."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [whole(one) for one in value]
    if isinstance(value, Members):
        return Members([(whole(key), whole(one)) for key, one in value.pairs])
    return value


BLANKS: Final = st.sampled_from(["", "", "", " ", "\n", "\t", "\r\n  "])
NUMBERS: Final = st.one_of(
    st.integers().map(str),
    st.integers(10**18, 10**60).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["-0", "1.0", "1e400", "-1E+400", "1e-400", "0.10", "9007199254740993"]),
)
TEXTS: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
STRINGS: Final = st.one_of(
    TEXTS.map(json.dumps),
    TEXTS.map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from([r'"\ud83d\ude00"', '"😀"', r'"\/\u0041\b"', r'"\ud800"', '"\u2028\x7f"']),
)
KEYS: Final = st.one_of(
    TEXTS.map(json.dumps),
    st.sampled_from(['"resultType"', '"ttlMs"', '"_meta"', '"name"', '"progressToken"', '"uri"']),
)


@st.composite
def spelt(draw: st.DrawFn, key: str) -> str:
    """A key as JSON text: some libraries escape slashes, and any letter may be escaped."""
    spellings = [key, key, key.replace("/", r"\/"), rf"\u{ord(key[0]):04x}{key[1:]}"]
    return f'"{draw(st.sampled_from(spellings))}"'


@st.composite
def objects(draw: st.DrawFn, /, of: Any, named: Any = KEYS, **fixed: Any) -> str:
    """An object of random members and of `fixed` ones (JSON texts, None: absent), in any order."""
    found = {draw(spelt(key)): text for key, text in fixed.items() if text is not None}
    taken = {json.loads(key) for key in found}
    for key, text in draw(st.lists(st.tuples(named, of), max_size=4)):
        if json.loads(key) not in taken:
            taken.add(json.loads(key))
            found[key] = text
    members = draw(st.permutations(sorted(found.items())))
    inner = ",".join(f"{draw(BLANKS)}{key}:{draw(BLANKS)}{text}" for key, text in members)
    return f"{{{inner}{draw(BLANKS)}}}"


def _deeper(inner: Any) -> Any:
    arrays = st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]")
    return st.one_of(arrays, objects(inner))


ANY: Final = st.recursive(
    st.one_of(NUMBERS, STRINGS, st.sampled_from(["true", "false", "null"])), _deeper, max_leaves=12
)
OBJECT: Final = objects(ANY)
UNKNOWN: Final = TEXTS.map(lambda text: json.dumps(f"x-{text}"))
"""Keys that mean nothing to anybody."""
