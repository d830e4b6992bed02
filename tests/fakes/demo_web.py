"""Run a demo HTTP server in its own process and talk to it with bare hands."""

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

ANSWER_S = 10.0  # far beyond what any answer takes


class Reply(NamedTuple):
    """One HTTP answer; `json` is its body, None when there is none."""

    status: int
    headers: http.client.HTTPMessage
    json: Any


class Web:
    """One keep-alive connection to a server that `python -m MODULE` runs."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.port = int(url.split(":")[2].split("/")[0])
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)

    def another(self) -> "Web":
        """A second connection to the same server."""
        return Web(self.url)

    def begin(
        self,
        body: Any,
        headers: dict[str, str] | None = None,
        method: str = "POST",
        path: str = "/mcp",
    ) -> http.client.HTTPResponse:
        """Send a request and read the head of its answer. Bytes go out as they are."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.connection.request(method, path, text, sent)
        return self.connection.getresponse()

    def send(self, body: Any, headers: dict[str, str] | None = None, **more: Any) -> Reply:
        """The whole answer to one request."""
        response = self.begin(body, headers, **more)
        text = response.read()
        return Reply(response.status, response.headers, json.loads(text) if text else None)


@contextmanager
def running(module: str) -> Iterator[Web]:
    """A server that lives as long as this block."""
    command = [sys.executable, "-m", f"only1mcp.demo.{module}", "--with-parent"]
    pipe, both = subprocess.PIPE, subprocess.STDOUT
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=both, text=True) as process:
        assert process.stdin and process.stdout
        line = process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:"), line
        web = Web(line.split()[-1])
        yield web
        web.connection.close()
        process.stdin.close()
        assert process.wait(ANSWER_S) == 0
        assert process.stdout.read() == ""  # no traceback, no log
