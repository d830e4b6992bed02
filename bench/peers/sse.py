"""A client of HTTP+SSE, the transport of 2024-11-05: for gateways that speak nothing else."""

import json
import socket
import time
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from bench.rig import ARGUMENTS
from only1mcp.bench.figures import Histogram
from only1mcp.bench.load import Outcome

_TIMEOUT_S: Final = 30.0
_INFO: Final = {"name": "only1mcp-bench", "version": "1"}


class SseClient:
    """One stream for the answers, one connection for the questions."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._where = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._stream = socket.create_connection(self._where, timeout=_TIMEOUT_S)
        head = f"Host: {parts.netloc}\r\nAccept: text/event-stream\r\n\r\n"
        self._stream.sendall(f"GET {parts.path} HTTP/1.1\r\n{head}".encode())
        self._events = self._stream.makefile("rb")
        self._post = socket.create_connection(self._where, timeout=_TIMEOUT_S)
        self._post.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._netloc = parts.netloc
        self._path = urljoin(url, self._until("event: endpoint"))
        self._id = 0
        hello = {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": _INFO}
        self.say("initialize", hello)
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def say(self, method: str, params: dict[str, Any]) -> bytes:
        """One question; the message that answers it."""
        self._id += 1
        self._send({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params})
        wanted = f'"id":{self._id}'.encode()
        while True:
            data = self._data()
            if wanted in data.replace(b" ", b""):
                return data

    def load(self, tool: str, seconds: float) -> Outcome:
        """Calls of one tool, one after the other."""
        latencies, start = Histogram({}), time.perf_counter()
        while (before := time.perf_counter()) - start < seconds:
            self.say("tools/call", {"name": tool, "arguments": ARGUMENTS})
            latencies.add(time.perf_counter() - before)
        took = time.perf_counter() - start
        return Outcome(latencies.count, 0, took, latencies.buckets)

    def close(self) -> None:
        """Hang up."""
        self._events.close()
        self._stream.close()
        self._post.close()

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps(message).encode()
        path = urlsplit(self._path)
        head = (
            f"POST {path.path}?{path.query} HTTP/1.1\r\nHost: {self._netloc}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._post.sendall(head.encode() + body)
        answer = b""
        while b"\r\n\r\n" not in answer or not _is_whole(answer):
            block = self._post.recv(65536)
            if not block:
                raise ConnectionResetError("the gateway hung up")
            answer += block

    def _until(self, line: str) -> str:
        """The data of the first event of this kind."""
        for said in self._events:
            if said.strip() == line.encode():
                return self._data().decode()
        raise ConnectionResetError(f"the stream has no {line}")

    def _data(self) -> bytes:
        for said in self._events:
            if said.startswith(b"data:"):
                return said[5:].strip()
        raise ConnectionResetError("the stream has ended")


def _is_whole(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    for line in head.lower().splitlines():
        if line.startswith(b"content-length:"):
            return len(body) >= int(line[15:])
    return body.endswith(b"0\r\n\r\n") or head.startswith(b"HTTP/1.1 202")
