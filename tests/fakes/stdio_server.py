"""A scripted MCP server on stdin and stdout, in plain Python: the peer of the stdio tests.

    python stdio_server.py [--modern] [--exit CODE] [--noise N] [--stderr TEXT] [--flood]
                           [--deaf] [--stubborn] [--dies-at METHOD] [--silent]

It knows the handshake of 2025-11-25; with --modern only `server/discover` of 2026-07-28.
Tools that wait do so in a thread, so the others go on. `heard` returns what the client has
sent so far, apart from requests: the oracle for cancellations and for answers to `ask`.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

LEGACY, MODERN = "2025-11-25", "2026-07-28"
METHOD_NOT_FOUND = -32601

Json = dict[str, Any]

_writing = threading.Lock()
_heard: list[Json] = []
_options = argparse.Namespace()


def write(data: bytes) -> None:
    """Put `data` on stdout as one piece."""
    with _writing:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def send(message: Json) -> None:
    """Send one JSON-RPC message."""
    write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


def answer(id: Any, result: Json) -> None:
    """Answer request `id`."""
    send({"id": id, "result": {"resultType": "complete", **result} if _options.modern else result})


def text(value: str) -> Json:
    """A tool result of one text block."""
    return {"content": [{"type": "text", "text": value}]}


def echo(id: Any, params: Json) -> None:
    """Return the whole params, as the server has read them."""
    answer(id, {"structuredContent": params, **text(str(params["arguments"].get("text", "")))})


def sleep(id: Any, params: Json) -> None:
    """Answer after `seconds`."""
    time.sleep(params["arguments"]["seconds"])
    answer(id, text("awake"))


def progress(id: Any, params: Json) -> None:
    """Report progress `count` times, `pause` seconds apart, then answer with the token."""
    arguments = params["arguments"]
    token = params.get("_meta", {}).get("progressToken")
    for number in range(arguments["count"]):
        body = {"progressToken": token, "progress": number + 1, "total": arguments["count"]}
        send({"method": "notifications/progress", "params": {**body, "message": "on we go"}})
        time.sleep(arguments.get("pause", 0))
    answer(id, text(json.dumps(token)))


def crash_after(id: Any, params: Json) -> None:
    """Write the first `bytes` bytes of an answer and exit with `code`."""
    arguments = params["arguments"]
    whole = json.dumps({"jsonrpc": "2.0", "id": id, "result": text("never")}).encode()
    sys.stderr.write("the disk is on fire\n")
    sys.stderr.flush()
    write(whole[: arguments.get("bytes", 0)])
    os._exit(arguments.get("code", 1))


def answer_and_exit(id: Any, params: Json) -> None:
    """Answer, and exit at once."""
    answer(id, text("last words"))
    os._exit(0)


def hang(id: Any, params: Json) -> None:
    """Never answer."""


def garbage(id: Any, params: Json) -> None:
    """Write `lines` lines that are no MCP, then answer."""
    kinds = [
        b"Listening on stdio...",
        b"\x1b[32mINFO\x1b[0m ready",
        b'{"level":"info","msg":"structured log"}',
        b'{"jsonrpc":"2.0","id":1,"resu',
        b"[1, 2, 3",
        b"\xff\xfe\x00binary",
        b"123",
        b'{"jsonrpc":"1.0","method":"old"}',
    ]
    for number in range(params["arguments"]["lines"]):
        write(kinds[number % len(kinds)] + b"\r\n")
    write(b"\n   \r\n")
    answer(id, text("after the noise"))


def pieces(id: Any, params: Json) -> None:
    """Answer one byte at a time, with a CRLF at the end."""
    whole = json.dumps({"jsonrpc": "2.0", "id": id, "result": text("in pieces ✓")}).encode()
    for at in range(len(whole)):
        write(whole[at : at + 1])
    write(b"\r\n")


def invalid_text(id: Any, params: Json) -> None:
    """Answer with bytes that are not UTF-8."""
    write(b'{"jsonrpc":"2.0","id":%d,"result":{"content":["\xff"]}}\n' % id)


def failure(id: Any, params: Json) -> None:
    """Answer with an error of our own, given as `error`."""
    send({"id": id, "error": params["arguments"]["error"]})


def fork_child(id: Any, params: Json) -> None:
    """Start a grandchild that holds our pipes and ends by SIGKILL only.

    `detached`: in a session of its own. Answers once it ignores the other signals.
    """
    ready, tell = os.pipe()
    code = "import os, signal, time\nfor s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\n"
    code += f"os.write({tell}, b'!')\ntime.sleep(600)"
    grandchild = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", code],
        stdin=subprocess.DEVNULL,
        pass_fds=[tell],
        start_new_session=params["arguments"].get("detached", False),
    )
    os.read(ready, 1)
    answer(id, {"structuredContent": {"pid": grandchild.pid, "parent": os.getpid()}, **text("")})


def env(id: Any, params: Json) -> None:
    """Return our environment and working directory."""
    answer(id, {"structuredContent": {"env": dict(os.environ), "cwd": str(Path.cwd())}, **text("")})


def counter_inc(id: Any, params: Json) -> None:
    """Append a line to the file `ledger`, and answer: the oracle for "executed exactly once"."""
    with Path(params["arguments"]["ledger"]).open("a") as ledger:
        ledger.write(f"{os.getpid()}\n")
        ledger.flush()
        os.fsync(ledger.fileno())
    answer(id, text("counted"))


def big(id: Any, params: Json) -> None:
    """Answer with a text of `bytes` bytes; `endless` leaves out the end of the line."""
    head = b'{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":"' % id
    tail = b"" if params["arguments"].get("endless") else b'"}]}}\n'
    write(head + b"x" * params["arguments"]["bytes"] + tail)


def complain(id: Any, params: Json) -> None:
    """Write `lines` lines on stderr, then answer."""
    for number in range(params["arguments"]["lines"]):
        sys.stderr.write(f"complaint {number}\n")
    sys.stderr.flush()
    answer(id, text("complained"))


def notify(id: Any, params: Json) -> None:
    """Send the notification in our arguments, then answer."""
    send({"method": params["arguments"]["method"], "params": params["arguments"]["params"]})
    answer(id, text("sent"))


def batch(id: Any, params: Json) -> None:
    """Answer within an array, as in 2025-03-26."""
    log = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": 1}}
    mine = {"jsonrpc": "2.0", "id": id, "result": text("batched")}
    write(json.dumps([log, mine]).encode() + b"\n")


def ask(id: Any, params: Json) -> None:
    """Send the client a request of method `method`, then answer; see `heard` for its reply."""
    send({"id": "ask-1", "method": params["arguments"]["method"], "params": {}})
    answer(id, text("asked"))


def heard(id: Any, params: Json) -> None:
    """Return the notifications and answers we have received."""
    answer(id, {"structuredContent": {"heard": _heard}, **text("")})


def close_output(id: Any, params: Json) -> None:
    """Close stdout and live on."""
    os.close(1)


def close_input(id: Any, params: Json) -> None:
    """Close stdin and live on."""
    os.close(0)
    answer(id, text("deaf now"))
    time.sleep(600)


def stop_reading(id: Any, params: Json) -> None:
    """Answer, then never read again."""
    answer(id, text("deaf"))
    time.sleep(600)


IN_A_THREAD = (sleep, progress)
TOOLS = {
    tool.__name__: tool
    for tool in (
        *(echo, sleep, progress, crash_after, answer_and_exit, hang, garbage, pieces, failure),
        *(invalid_text, fork_child, env, counter_inc, big, complain, notify, batch, ask, heard),
        *(close_output, close_input, stop_reading),
    )
}


def listing() -> list[Json]:
    """All tools, as tools/list gives them."""
    return [
        {"name": name, "description": tool.__doc__, "inputSchema": {"type": "object"}}
        for name, tool in TOOLS.items()
    ]


def on_request(message: Json) -> None:
    """Answer one request."""
    id, method, params = message["id"], message["method"], message.get("params") or {}
    about: Json = {"capabilities": {"tools": {"listChanged": True}, "logging": {}}}
    info = {"name": "fake", "version": "1"}
    if method == "server/discover" and _options.modern:
        meta = {"io.modelcontextprotocol/serverInfo": info}
        answer(id, {**about, "supportedVersions": [MODERN], "_meta": meta, "ttlMs": 0})
    elif method == "initialize" and not _options.modern:
        answer(id, {**about, "protocolVersion": LEGACY, "serverInfo": info})
    elif method == "tools/list":
        answer(id, {"tools": listing()})
    elif method == "tools/call" and params.get("name") in TOOLS:
        tool = TOOLS[params["name"]]
        if tool in IN_A_THREAD:
            threading.Thread(target=tool, args=(id, params), daemon=True).start()
        else:
            tool(id, params)
    elif method == "ping":
        answer(id, {})
    else:
        error = {"code": METHOD_NOT_FOUND, "message": f"no {method} here"}
        send({"id": id, "error": error})


def serve() -> None:
    """Read until stdin ends."""
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if message.get("method", "") == _options.dies_at:
            os._exit(3)
        if _options.silent:
            continue
        if "method" in message and "id" in message:
            on_request(message)
        else:
            _heard.append(message)


def main() -> None:
    """Do what the options say, then serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--modern", action="store_true", help="2026-07-28 only")
    parser.add_argument("--exit", type=int, help="exit at once with this code")
    parser.add_argument("--noise", type=int, default=0, help="lines on stdout before anything")
    parser.add_argument("--stderr", default="", help="text for stderr before anything")
    parser.add_argument("--flood", action="store_true", help="write to stderr without end")
    parser.add_argument("--deaf", action="store_true", help="never read")
    parser.add_argument("--silent", action="store_true", help="read, and never answer")
    parser.add_argument("--stubborn", action="store_true", help="ignore SIGTERM and end of input")
    parser.add_argument("--dies-at", help="exit with code 3 when this method comes")
    parser.parse_args(namespace=_options)
    if _options.stderr:
        print(_options.stderr, file=sys.stderr, flush=True)
    for number in range(_options.noise):
        write(b"banner %d\n" % number)
    if _options.exit is not None:
        os._exit(_options.exit)
    if _options.flood:
        threading.Thread(target=flood, daemon=True).start()
    if _options.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if not _options.deaf:
        serve()
    while _options.deaf or _options.stubborn:
        time.sleep(600)


def flood() -> None:
    """Write to stderr as fast as it goes."""
    block = b"all work and no play makes a dull server\n" * 1000
    while True:
        os.write(2, block)


if __name__ == "__main__":
    main()
