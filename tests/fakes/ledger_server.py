"""A server that writes down what it does, in a process that can be killed: what ran is there.

    python ledger_server.py LEDGER            on stdin and stdout, with the handshake of 2025-11-25
    python ledger_server.py LEDGER --http N   on port N of 127.0.0.1, 2026-07-28
        [--dies CODE]  exits at once, with a line on stderr
        [--mute FILE]  answers nothing while FILE exists; a call is written down all the same

Each call of `add` is one line of the ledger: "KEY PID", on the disk before anything else is done.
Other tools: `die` exits in mid-call (written down), `fork` leaves a grandchild that holds stdout,
`progress` reports `count` times, `sleep` takes its time and writes nothing down.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LEGACY, MODERN = "2025-11-25", "2026-07-28"
TOOLS = ("add", "die", "fork", "progress", "sleep")
INFO = {"name": "ledger", "version": "1"}

Json = dict[str, Any]

_options = argparse.Namespace()
_writing = threading.Lock()


def write_down(key: Any) -> None:
    """One line, whole and on the disk."""
    file = os.open(_options.ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, f"{key} {os.getpid()}\n".encode())
    os.fsync(file)
    os.close(file)


def mute() -> bool:
    """Whether nothing is answered now."""
    return _options.mute is not None and Path(_options.mute).exists()


def send(message: Json) -> None:
    """One line on stdout."""
    with _writing:
        sys.stdout.buffer.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        sys.stdout.buffer.flush()


def text(value: Any) -> Json:
    """A tool result."""
    return {"content": [{"type": "text", "text": str(value)}]}


def run(name: str, arguments: Json, token: Any = None) -> Json:
    """What a tool does and answers."""
    if "key" in arguments:
        write_down(arguments["key"])
    if name == "die":
        os._exit(arguments.get("code", 7))
    if name == "fork":
        # it holds our stdout and stderr, and has left our group
        child = subprocess.Popen(["sleep", "1000"], start_new_session=arguments.get("away", False))
        return text(child.pid)
    if name == "progress":
        for number in range(arguments["count"]):
            params = {"progressToken": token, "progress": number + 1}
            send({"method": "notifications/progress", "params": params})
            time.sleep(arguments["pause"])
    time.sleep(arguments.get("seconds", 0))
    while mute():
        time.sleep(0.02)
    return text(os.getpid())


def result(method: str, params: Json) -> Json | None:
    """The answer to one request; None: there is no such method."""
    match method:
        case "initialize":
            about: Json = {"protocolVersion": LEGACY, "capabilities": {"tools": {}}}
            return {**about, "serverInfo": INFO}
        case "server/discover":
            about = {"supportedVersions": [MODERN], "capabilities": {"tools": {}}}
            meta = {"io.modelcontextprotocol/serverInfo": INFO}
            return {"resultType": "complete", **about, "_meta": meta, **lasting()}
        case "tools/list":
            schema = {"inputSchema": {"type": "object"}}
            return {"tools": [{"name": name, **schema} for name in TOOLS], **lasting()}
        case "tools/call":
            token = params.get("_meta", {}).get("progressToken")
            return run(params["name"], params.get("arguments", {}), token)
        case "ping":
            return {}
    return None


def lasting() -> Json:
    """What modern lists say of themselves."""
    if not _options.http:
        return {}
    return {"resultType": "complete", "ttlMs": 300_000, "cacheScope": "private"}


def respond(request: Json) -> Json:
    """The whole answer."""
    modern_only = request["method"] in ("server/discover",) and not _options.http
    legacy_only = request["method"] == "initialize" and _options.http
    found = None
    if not (modern_only or legacy_only):
        found = result(request["method"], request.get("params", {}))
    if found is None:
        return {"id": request["id"], "error": {"code": -32601, "message": "not here"}}
    if _options.http:
        found = {"resultType": "complete", **found}
    return {"id": request["id"], "result": found}


def take(line: bytes) -> None:
    """Answer one line."""
    request = json.loads(line)
    if "id" in request and "method" in request:
        answer = respond(request)
        while mute():
            time.sleep(0.02)
        send(answer)


class Edge(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # head and body in one piece

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "id" not in request:
            self._answer(202, b"")
            return
        answer = respond(request)
        while mute():
            time.sleep(0.02)
        status = 404 if answer.get("error", {}).get("code") == -32601 else 200
        self._answer(status, json.dumps({"jsonrpc": "2.0", **answer}).encode())

    def do_GET(self) -> None:
        self._answer(405, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """A connection that is cut is not worth a traceback."""

    request_queue_size = 512
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """It is the test's doing."""


def main() -> None:
    """Serve until the input ends, or for ever."""
    parser = argparse.ArgumentParser()
    parser.add_argument("ledger")
    parser.add_argument("--http", type=int, default=0)
    parser.add_argument("--dies", type=int)
    parser.add_argument("--mute")
    parser.parse_args(namespace=_options)
    if _options.dies is not None:
        sys.stderr.write("the disk is on fire\n")
        sys.exit(_options.dies)
    if _options.http:
        Server(("127.0.0.1", _options.http), Edge).serve_forever()
    for line in sys.stdin.buffer:
        threading.Thread(target=take, args=(line,), daemon=True).start()


if __name__ == "__main__":
    main()
