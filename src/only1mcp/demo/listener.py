"""The HTTP side of clock.py and text.py: one endpoint, POST in, JSON or an event stream out.

A server is a subclass of Handler that says what a message is answered with; `serve` runs it.
Source  MCP 2025-11-25 basic/transports and 2026-07-28 basic/transports/streamable-http.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Thread
from typing import Any, Final
from urllib.parse import urlsplit

from only1mcp.demo import rpc
from only1mcp.demo.rpc import INVALID_REQUEST, Fault, Json

PATH: Final = "/mcp"
LOOPBACK: Final = {"127.0.0.1", "localhost", "::1"}
MAX_BODY_BYTES: Final = 1024 * 1024  # the longest text of a demo tool is far below
MAX_LENGTH_DIGITS: Final = 9  # beyond, the number is no length but an attack on int()
IDLE_S: Final = 300.0  # a silent connection keeps a thread; five minutes are enough
BACKLOG: Final = 128  # connections waiting to be accepted when many clients come at once


class Listener(ThreadingTCPServer):
    """One thread per connection; a client that hangs up is no error."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = BACKLOG

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection of a client. A subclass overrides `serve_message`."""

    protocol_version = "HTTP/1.1"  # keep-alive
    server_version = "only1mcp-demo"
    disable_nagle_algorithm = True  # TCP_NODELAY: an answer leaves at once
    wbufsize = 64 * 1024  # head and body leave together
    timeout = IDLE_S
    allowed_methods = "POST"

    def serve_message(self, message: Json) -> None:
        """Answer one checked message; a Fault raised here is sent as a JSON-RPC error."""
        raise NotImplementedError

    def do_POST(self) -> None:
        message = None
        try:
            body = self._read_body()  # before any refusal: the next request begins after it
            self._check_caller()
            self._check_media_types()
            message = rpc.decode(body)
            self.serve_message(rpc.check_message(message))
        except Fault as fault:
            self.send_json(fault.status, rpc.failure(rpc.id_of(message), fault))

    def do_GET(self) -> None:
        self._without_message(self.refuse_method)  # we speak only when spoken to

    def do_DELETE(self) -> None:
        self._without_message(self.end_session)

    def _without_message(self, action: Callable[[], None]) -> None:
        try:
            self._read_body()
            self._check_caller()
            action()
        except Fault as fault:
            self.send_json(fault.status, rpc.failure(None, fault))

    def refuse_method(self) -> None:
        """405: the method means nothing here."""
        self.send(405, {"Allow": self.allowed_methods})

    def end_session(self) -> None:
        """Overridden by a server that has sessions."""
        self.refuse_method()

    def _read_body(self) -> bytes:
        """The whole body, within MAX_BODY_BYTES; a refusal ends the connection."""
        lengths = self.headers.get_all("Content-Length", ["0"])
        if "Transfer-Encoding" in self.headers or len(lengths) > 1 or not lengths[0].isdecimal():
            self.close_connection = True
            raise Fault(INVALID_REQUEST, "send one Content-Length and no chunks", status=411)
        if len(lengths[0]) > MAX_LENGTH_DIGITS or int(lengths[0]) > MAX_BODY_BYTES:
            self.close_connection = True
            raise Fault(INVALID_REQUEST, f"at most {MAX_BODY_BYTES} bytes, please", status=413)
        return self.rfile.read(int(lengths[0]))

    def _check_caller(self) -> None:
        """Keep web pages out: only this machine, by its own name, and only one path."""
        host = f"//{self.headers.get('Host', '')}"
        origin = self.headers.get("Origin", host)
        if not (_is_loopback(host) and _is_loopback(origin)):
            raise Fault(INVALID_REQUEST, "only callers on this machine are served", status=403)
        if self.path != PATH:
            raise Fault(INVALID_REQUEST, f"the endpoint is {PATH}", status=404)

    def _check_media_types(self) -> None:
        if self.headers.get_content_type() != "application/json":
            raise Fault(INVALID_REQUEST, "Content-Type must be application/json", status=415)
        accepted = ",".join(self.headers.get_all("Accept", ["*/*"]))
        both = "application/json" in accepted and "text/event-stream" in accepted
        if not both and "*/*" not in accepted:
            need = "Accept must name application/json and text/event-stream"
            raise Fault(INVALID_REQUEST, need, status=406)

    def send_json(self, status: int, message: Json, headers: dict[str, str] | None = None) -> None:
        """Answer with one message and be done."""
        body = rpc.encode(message)
        self.send(status, {"Content-Type": "application/json", **(headers or {})}, body)

    def send(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        """Answer with head and body."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def start_stream(self) -> None:
        """Begin an answer made of events, in chunks so that the connection can stay open."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Accel-Buffering", "no")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()

    def send_event(self, message: Json) -> None:
        """Send one message of the stream at once."""
        event = b"event: message\ndata: %b\n\n" % rpc.encode(message)
        self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
        self.wfile.flush()

    def end_stream(self) -> None:
        """Send the last chunk; the connection is free for the next request."""
        self.wfile.write(b"0\r\n\r\n")

    def handle_expect_100(self) -> bool:
        """The client waits for this line before it sends the body: let it out at once."""
        go_on = super().handle_expect_100()
        self.wfile.flush()
        return go_on

    def log_message(self, format: str, *args: Any) -> None:
        """No access log: stdout and stderr stay quiet."""


def _is_loopback(url: str) -> bool:
    try:
        return urlsplit(url).hostname in LOOPBACK
    except ValueError:  # "http://[::" and the like
        return False


def serve(handler: type[Handler], arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted, or until the parent is gone when --with-parent was given.

    Out     one line on stdout: `listening on http://127.0.0.1:PORT/mcp`.
    """
    options = _options(arguments)
    try:
        server = Listener(("127.0.0.1", options.port), handler)
    except (OSError, OverflowError) as error:
        why = f"cannot listen on 127.0.0.1:{options.port}: {error}"
        sys.exit(f"{why}. Choose another --port, or 0 for any free one.")
    if options.with_parent:
        Thread(target=_exit_with_parent, daemon=True).start()
    with suppress(KeyboardInterrupt), server:
        print(f"listening on http://127.0.0.1:{server.server_address[1]}{PATH}", flush=True)
        server.serve_forever()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A demo MCP server on http://127.0.0.1:PORT/mcp.")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes any free port")
    stop = "exit when stdin ends, that is when the process that started this one is gone"
    parser.add_argument("--with-parent", action="store_true", help=stop)
    return parser.parse_args(arguments)


def _exit_with_parent() -> None:
    """Wait for the end of stdin: it comes even when the parent was killed with -9."""
    while os.read(0, 4096):
        pass
    os._exit(0)
