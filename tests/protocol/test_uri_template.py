"""uri_template.py: every expansion matches, others do not, nothing is slow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared import uri_template as sdk

from only1mcp.protocol.uri_template import (
    MAX_TEMPLATE,
    MAX_URI,
    MAX_VARIABLES,
    Uri,
    UriTemplate,
)

# RFC 6570 sections 1.2 and 3.2.2 to 3.2.9, one or more of each kind.
EXPANSIONS = [
    ("{var}", "value"),
    ("{hello}", "Hello%20World%21"),
    ("{half}", "50%25"),
    ("O{empty}X", "OX"),
    ("O{undef}X", "OX"),
    ("{x,y}", "1024,768"),
    ("{x,hello,y}", "1024,Hello%20World%21,768"),
    ("?{x,empty}", "?1024,"),
    ("{var:3}", "val"),
    ("{list}", "red,green,blue"),
    ("{list*}", "red,green,blue"),
    ("{keys*}", "semi=%3B,dot=.,comma=%2C"),
    ("{+var}", "value"),
    ("{+hello}", "Hello%20World!"),
    ("{base}index", "http%3A%2F%2Fexample.com%2Fhome%2Findex"),
    ("{+base}index", "http://example.com/home/index"),
    ("O{+empty}X", "OX"),
    ("{+path}/here", "/foo/bar/here"),
    ("here?ref={+path}", "here?ref=/foo/bar"),
    ("up{+path}{var}/here", "up/foo/barvalue/here"),
    ("{+path,x}/here", "/foo/bar,1024/here"),
    ("{+path:6}/here", "/foo/b/here"),
    ("{+keys*}", "semi=;,dot=.,comma=,"),
    ("{#var}", "#value"),
    ("foo{#empty}", "foo#"),
    ("foo{#undef}", "foo"),
    ("{#path,x}/here", "#/foo/bar,1024/here"),
    ("{#path:6}/here", "#/foo/b/here"),
    ("{.who}", ".fred"),
    ("{.who,who}", ".fred.fred"),
    ("www{.dom*}", "www.example.com"),
    ("X{.var}", "X.value"),
    ("X{.empty}", "X."),
    ("X{.undef}", "X"),
    ("X{.keys*}", "X.semi=%3B.dot=..comma=%2C"),
    ("{/who}", "/fred"),
    ("{/half,who}", "/50%25/fred"),
    ("{/var,x}/here", "/value/1024/here"),
    ("{/var:1,var}", "/v/value"),
    ("{/list*,path:4}", "/red/green/blue/%2Ffoo"),
    ("{/keys*}", "/semi=%3B/dot=./comma=%2C"),
    ("{;who}", ";who=fred"),
    ("{;empty}", ";empty"),
    ("{;v,empty,who}", ";v=6;empty;who=fred"),
    ("{;x,y,undef}", ";x=1024;y=768"),
    ("{;hello:5}", ";hello=Hello"),
    ("{;list*}", ";list=red;list=green;list=blue"),
    ("{;keys*}", ";semi=%3B;dot=.;comma=%2C"),
    ("{?who}", "?who=fred"),
    ("{?x,y,empty}", "?x=1024&y=768&empty="),
    ("{?x,y,undef}", "?x=1024&y=768"),
    ("{?var:3}", "?var=val"),
    ("{?list*}", "?list=red&list=green&list=blue"),
    ("{?keys*}", "?semi=%3B&dot=.&comma=%2C"),
    ("?fixed=yes{&x}", "?fixed=yes&x=1024"),
    ("{&x,y,empty}", "&x=1024&y=768&empty="),
    ("{&undef}", ""),
    # and what servers and clients really do
    ("file:///{path}", "file:///a b"),
    ("file:///{+path}", "file:///a/b/c.txt"),
    ("repo://{owner}/{repo}/contents{/path*}", "repo://me/it/contents/src/a.py"),
    ("repo://{owner}/{repo}/contents{/path*}", "repo://me/it/contents"),
    ("x://{+a}/{b}", "x://1/2/3"),
    ("x://{a}-{b}", "x://1-2-3"),
    ("x://s{?q,lang}", "x://s?lang=en&q=1"),
    ("x://s{?q,lang}", "x://s"),
    ("x://{user-id}", "x://7"),
    ("x://ü/{name}", "x://ü/ä"),
    ("x://ü/{name}", "x://%C3%BC/%C3%A4"),
    ("x://fixed", "x://fixed"),
    ("", ""),
]

OTHERS = [
    ("x://{a}", "y://1"),
    ("x://{a}", "x://1/2"),
    ("x://{a}", "x://1?q=2"),
    ("x://{a}/end", "x://1/2/end"),
    ("x://{a}/end", "x://1/enD"),
    ("x://{a}/end", "x://end"),
    ("x://s{?q}", "x://s?r=1"),
    ("x://s{?q}", "x://s?q=1&r=2"),
    ("x://s{?q}", "x://s&q=1"),
    ("x://s{?q}", "x://s?qq=1"),
    ("x://s{/a,b}", "x://s/1/2/3"),
    ("x://s{/a}", "x://s1"),
    ("x://s{.a}", "x://s/1"),
    ("x://s{;a}", "x://s;b=1"),
    ("x://s{#a}", "x://s1"),
    ("x://fixed", "x://fixed2"),
    ("x://{a}{b}c", "x://"),
    ("", "x"),
]


@pytest.mark.parametrize(("template", "uri"), EXPANSIONS)
def test_an_expansion_matches(template: str, uri: str) -> None:
    assert UriTemplate(template).matches(Uri(uri))


@pytest.mark.parametrize(("template", "uri"), OTHERS)
def test_another_uri_does_not(template: str, uri: str) -> None:
    assert not UriTemplate(template).matches(Uri(uri))


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("x://{a", "brace"),
        ("x://a}", "brace"),
        ("x://{a{b}}", "brace"),
        ("x://{}", "malformed"),
        ("x://{?}", "malformed"),
        ("x://{a,}", "malformed"),
        ("x://{a b}", "malformed"),
        ("x://{a:0}", "malformed"),
        ("x://{a**}", "malformed"),
        ("x://{|a}", "reserved"),
        ("x://" + "a" * MAX_TEMPLATE, "longer"),
        ("x://" + "{a}" * (MAX_VARIABLES + 1), "variables"),
        ("x://{" + "a," * MAX_VARIABLES + "a}", "variables"),
    ],
)
def test_what_is_no_template_is_refused(template: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        UriTemplate(template)


def test_the_literal_parts_are_known() -> None:
    template = UriTemplate("x://{a}/b{?q}")
    assert template.prefix == "x://"
    assert template.literals == len("x://" + "/b")
    assert UriTemplate("{+uri}").prefix == ""


def test_a_longer_uri_than_the_bound_is_not_tried() -> None:
    assert UriTemplate("{+uri}").matches(Uri("x" * MAX_URI))
    assert not UriTemplate("{+uri}").matches(Uri("x" * (MAX_URI + 1)))


@pytest.mark.parametrize("unit", ["{a}x", "{+a}x", "{/a}", "{a}", "{?aaaa,aaa,aa,a}", "x{;x*}"])
def test_no_template_is_slow(unit: str) -> None:
    """Backtracking would need thousands of steps per position; the time limit is the judge."""
    template = UriTemplate(unit * (MAX_VARIABLES // (unit.count(",") + 1)) + "!")
    for repeated in ("x/", "xx", "aa", "?a"):
        for _ in range(20):
            assert not template.matches(Uri(repeated * (MAX_URI // 2 - 1) + "#!"))


def test_one_uri_is_tried_on_many_templates() -> None:
    uri = Uri("x://a/b")
    texts = ["x://{a}", "x://{a}/{b}", "x://{+a}", "y://{a}", "x://{a}/c"]
    assert [UriTemplate(text).matches(uri) for text in texts] == [False, True, True, False, False]


_names = st.sampled_from(["a", "b", "cc", "d_1"])
_expressions = st.builds(
    "{{{}{}}}".format,
    st.sampled_from(["", "+", "#", ".", "/", ";", "?", "&"]),
    st.lists(_names, min_size=1, max_size=3, unique=True).map(",".join),
)
_literals = st.sampled_from(["x", "/", "-", "x://", "=", "é"])
_values = st.dictionaries(_names, st.text("ab/é %=&;.,-?#", max_size=4))


@given(st.lists(_expressions | _literals, max_size=6).map("".join), _values)
def test_what_the_official_sdk_expands_matches(template: str, values: dict[str, str]) -> None:
    try:
        oracle = sdk.UriTemplate.parse(template)
    except sdk.InvalidUriTemplate:  # it refuses what it could not take apart again
        return
    assert UriTemplate(template).matches(Uri(oracle.expand(values)))


@given(st.text("x{}?&/;.+#,=:*ab", max_size=30), st.text("x?&/;.#=ab", max_size=20))
def test_any_text_is_answered(template: str, uri: str) -> None:
    try:
        parsed = UriTemplate(template)
    except ValueError:
        return
    assert parsed.matches(Uri(uri)) in (True, False)
