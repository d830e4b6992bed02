"""The HTTP side: what is refused before a server sees it, and when the process ends."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from fakes.cli import heed_ctrl_c
from fakes.demo_web import ANSWER_S, Web

HEAD = b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"

ORPHAN = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-m", "only1mcp.demo.text", "--with-parent"],
                 stdin=subprocess.PIPE)
time.sleep(600)
"""


def raw(web: Web, *parts: bytes) -> bytes:
    """What comes back, until the server hangs up, when `parts` are sent as they are."""
    with socket.create_connection(("127.0.0.1", web.port), ANSWER_S) as connection:
        for part in parts:
            connection.sendall(part)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while block := connection.recv(65536):
            received += block
    return received


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[::"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Accept": "application/json"}, 406),
        ({"Accept": "text/event-stream"}, 406),
        ({"Transfer-Encoding": "chunked"}, 411),
        ({"Content-Length": "-1"}, 411),
        ({"Content-Length": "99999999"}, 413),
        ({"Content-Length": "9" * 5000}, 413),
    ],
)
def test_refused_by_the_head(text: Web, headers: dict[str, str], status: int) -> None:
    reply = text.send({}, headers)
    assert (reply.status, reply.json["error"]["code"]) == (status, -32600)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://localhost:3000", "Host": "localhost"},
        {"Origin": "http://127.0.0.1", "Host": "127.0.0.1:1"},
        {"Origin": "https://[::1]:1", "Host": "[::1]"},
        {"Accept": "*/*"},
        {"Accept": "text/event-stream;q=0.5, application/json"},
        {"Content-Type": "application/json; charset=utf-8"},
    ],
)
def test_not_refused_by_the_head(text: Web, headers: dict[str, str]) -> None:
    reply = text.send(b"{", headers)
    assert (reply.status, reply.json["error"]["code"]) == (400, -32700)


def test_another_path(text: Web) -> None:
    assert text.send({}, path="/").status == 404


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_another_method(text: Web, method: str) -> None:
    reply = text.send(b"", method=method)
    assert (reply.status, reply.headers["Allow"], reply.json) == (405, "POST", None)
    assert text.send(b"", {"Origin": "http://evil.example"}, method=method).status == 403


def test_no_host(text: Web) -> None:
    answer = raw(text, b"POST /mcp HTTP/1.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 403 ")


def test_two_lengths_end_the_connection(text: Web) -> None:
    answer = raw(text, HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}")
    assert answer.startswith(b"HTTP/1.1 411 ")
    assert b"\r\nConnection: close\r\n" in answer


def test_a_body_cut_short_is_not_json(text: Web) -> None:
    assert raw(text, HEAD + b'Content-Length: 50\r\n\r\n{"jsonrpc":').startswith(b"HTTP/1.1 400 ")


def test_pipelined_requests_are_answered_in_order(text: Web) -> None:
    answer = raw(text, (HEAD + b"Content-Length: 1\r\n\r\n{") * 2 + HEAD + b"\r\n")
    assert answer.count(b"HTTP/1.1 400 ") == 3


def test_expect_100_is_answered_before_the_body(text: Web) -> None:
    with socket.create_connection(("127.0.0.1", text.port), ANSWER_S) as connection:
        connection.sendall(HEAD + b"Content-Length: 1\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"{")
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")


def test_one_connection_serves_many_requests(text: Web) -> None:
    text.send(b"{")
    first = text.connection.sock
    for _ in range(20):
        assert text.send(b"{").status == 400
    assert text.connection.sock is first


def test_a_taken_port_is_explained(text: Web) -> None:
    for port in (str(text.port), "70000"):
        command = [sys.executable, "-m", "only1mcp.demo.clock", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S)
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.startswith(f"cannot listen on 127.0.0.1:{port}: ")
        assert done.stderr.endswith("Choose another --port, or 0 for any free one.\n")


def test_ctrl_c_ends_it_without_a_traceback() -> None:
    command = [sys.executable, "-m", "only1mcp.demo.text"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, preexec_fn=heed_ctrl_c
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(ANSWER_S) == 0
        finally:
            process.kill()  # else a program that does not heed it is waited for, and stays
        assert process.stderr.read() == ""


def test_it_ends_with_a_parent_that_was_killed() -> None:
    """The server holds our pipe too, so the pipe ends when the server has ended."""
    with subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        assert parent.stdout.readline().startswith(b"listening on ")
        os.kill(parent.pid, signal.SIGKILL)
        assert parent.stdout.read() == b""
