"""Request bytes: the beginnings of good ones, and bad ones that two readers could read in two ways.

Source  RFC 9112 section 11 (smuggling, splitting); the probes every Python server was put to.
"""

from typing import Final

GET: Final = b"GET /mcp HTTP/1.1\r\nHost: localhost\r\n"
POST: Final = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED: Final = POST + b"Transfer-Encoding: chunked\r\n\r\n"

AMBIGUOUS: Final = {
    "length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
    "two equal lengths": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
    "length list": POST + b"Content-Length: 2, 2\r\n\r\nhi",
    "length with sign": POST + b"Content-Length: +2\r\n\r\nhi",
    "negative length": POST + b"Content-Length: -2\r\n\r\nhi",
    "hex length": POST + b"Content-Length: 0x2\r\n\r\nhi",
    "endless length": POST + b"Content-Length: 99999999999999999999\r\n\r\nhi",
    "empty length": POST + b"Content-Length: \r\n\r\nhi",
    "gzip, chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked, gzip": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "two codings": POST
    + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "xchunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "space before colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.0 chunks": b"POST /mcp HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF": POST.replace(b"\r\n", b"\n") + b"\n",
    "one bare LF": POST + b"A: b\nContent-Length: 5\r\n\r\nhello",
    "bare CR": POST + b"A: b\rC: d\r\n\r\n",
    "folded": POST + b"A: b\r\n c\r\n\r\n",
    "folded first": b"POST /mcp HTTP/1.1\r\n Host: localhost\r\n\r\n",
    "NUL in value": POST + b"A: b\x00c\r\n\r\n",
    "control in value": POST + b"A: b\x01c\r\n\r\n",
    "no name": POST + b": b\r\n\r\n",
    "no colon": POST + b"what\r\n\r\n",
    "space in name": POST + b"A B: c\r\n\r\n",
    "no host": b"GET /mcp HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"Host: localhost\r\n\r\n",
    "host with path": b"GET /mcp HTTP/1.1\r\nHost: localhost/abc?x=\r\n\r\n",
    "chunk size not hex": CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n",
    "chunk size 0x": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "chunk size overflow": CHUNKED + b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "negative chunk": CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "chunk too long": CHUNKED + b"2\r\nhello\r\n0\r\n\r\n",
    "chunk size bare LF": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "chunk end bare LF": CHUNKED + b"5\r\nhello\n0\r\n\r\n",
    "LF in chunk extension": CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "target with fragment": b"GET /mcp#x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "target of another host": b"GET http://evil/mcp HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "target without slash": b"GET mcp HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "target not ASCII": b"GET /mcp\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "lower-case method": b"get /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "garbage": b"\x00\xff\x13garbage\r\n\r\n",
}
"""Each is answered 400 and the connection closed; none reaches a handler."""
