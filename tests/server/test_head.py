"""What llhttp lets pass and we do not."""

from contextlib import AbstractContextManager

import pytest

from only1mcp.server import head
from only1mcp.server.head import Refused


def refused(status: int) -> AbstractContextManager[object]:
    return pytest.raises(Refused, check=lambda error: error.status == status)


@pytest.mark.parametrize("name", [b"host", b"content-type", b"authorization", b"mcp-param-city"])
def test_headers_that_decide_may_come_once(name: bytes) -> None:
    assert head.is_single(name)


@pytest.mark.parametrize("name", [b"accept", b"via", b"x-forwarded-for"])
def test_list_headers_may_come_again(name: bytes) -> None:
    assert not head.is_single(name)


def test_versions() -> None:
    head.check_version("1.1", {b"host": b"x"})
    head.check_version("1.0", {})
    with refused(400):
        head.check_version("1.1", {})
    with refused(400):
        head.check_version("1.0", {b"transfer-encoding": b"chunked"})
    for version in ("0.9", "2.0"):
        with refused(505):
            head.check_version(version, {b"host": b"x"})


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/mcp", ("/mcp", b"")),
        (b"/mcp?a=b?c", ("/mcp", b"a=b?c")),
        (b"/%2e%2e/x", ("/%2e%2e/x", b"")),
        (b"//x", ("//x", b"")),
        (b"*", ("*", b"")),
        (b"http://Gate.example:1/mcp?q", ("/mcp", b"q")),
        (b"HTTPS://gate.example:1", ("/", b"")),
        (b"http://gate.example:1?q", ("/", b"q")),
    ],
)
def test_targets(target: bytes, expected: tuple[str, bytes]) -> None:
    assert head.split_target(target, b"gate.example:1") == expected


@pytest.mark.parametrize(
    "target",
    [
        *(b"mcp", b"", b"**", b"ftp://gate.example:1/", b"/a#b", b"gate.example:1"),
        *(b"http://evil.example/", b"http://gate.example:1@evil.example/", b"http:///x"),
    ],
)
def test_what_is_no_path_of_ours(target: bytes) -> None:
    with refused(400):
        head.split_target(target, b"gate.example:1")


def test_body_lengths() -> None:
    assert head.body_length({}, 10) == 0
    assert head.body_length({b"content-length": b"10"}, 10) == 10
    assert head.body_length({b"transfer-encoding": b"Chunked"}, 10) == -1
    assert head.body_length({b"content-encoding": b"Identity"}, 10) == 0
    with refused(413):
        head.body_length({b"content-length": b"11"}, 10)
    for coding in (b"gzip, chunked", b"identity, chunked", b"gzip", b""):
        with refused(400):
            head.body_length({b"transfer-encoding": coding}, 10)
    for coding in (b"gzip", b"identity, gzip", b"br"):
        with refused(415):
            head.body_length({b"content-encoding": coding}, 10)
