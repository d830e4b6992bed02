"""The sentinel codec of Mcp-Name and Mcp-Param-*, with the official SDK as oracle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.inbound import decode_header_value, encode_header_value

from only1mcp.protocol import headers
from only1mcp.protocol.errors import HeaderMismatch

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(texts)
def test_every_text_comes_back(value: str) -> None:
    encoded = headers.encode(value)
    assert headers.decode(encoded) == value
    assert headers.decode(b" \t" + encoded + b" ") == value
    assert all(0x20 <= byte <= 0x7E for byte in encoded)
    assert encoded == encoded.strip()


@given(texts)
def test_the_official_sdk_understands_us_and_we_understand_it(value: str) -> None:
    assert decode_header_value(headers.encode(value).decode("ascii")) == value
    assert headers.decode(encode_header_value(value).encode("ascii")) == value


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        ("echo", b"echo"),
        ("", b""),
        ("two words", b"two words"),
        (" edge", b"=?base64?IGVkZ2U=?="),
        ("grün", b"=?base64?Z3LDvG4=?="),
        ("a\r\nx-evil: 1", b"=?base64?YQ0KeC1ldmlsOiAx?="),
        ("=?base64?ZWNobw==?=", b"=?base64?PT9iYXNlNjQ/WldOb2J3PT0/PQ==?="),
    ],
)
def test_the_wire_form(value: str, wire: bytes) -> None:
    assert headers.encode(value) == wire


@pytest.mark.parametrize(
    "wire",
    [
        b"gr\xc3\xbcn",
        b"a\x00b",
        b"a\x7fb",
        b"=?base64?!!!?=",
        b"=?base64?ZWNobw?=",  # no padding
        b"=?base64?/w==?=",  # no UTF-8
    ],
)
def test_what_no_peer_may_send_is_refused(wire: bytes) -> None:
    with pytest.raises(HeaderMismatch):
        headers.decode(wire)
