"""A first figure: tools/call through the gateway beside nginx proxy_pass, same server behind.

The gateway (or nginx) is pinned to core 0, load (wrk) and server to core 1. Printed are calls
per second and CPU microseconds of the proxy process per call, which is steadier on a noisy
machine; runs alternate, medians count. Needs wrk and nginx on PATH.

    python scripts/rough_figure.py [ROUNDS]
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import httpx2
import psutil

SECONDS: Final = 3
CONNECTIONS: Final = 32
PIN: Final = ("taskset", "-c")
SERVER: Final = """
import asyncio, re, uvloop
ID = re.compile(rb'"id":\\s*(\\d+)')
LENGTH = re.compile(rb"content-length: (\\d+)", re.I)
TEXT = b'{"content":[{"type":"text","text":"' + b"x" * 400 + b'"}],"isError":false}'
HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: "
ANSWERS = {
    b"initialize": b'{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},'
                   b'"serverInfo":{"name":"stub","version":"1"}}',
    b"tools/list": b'{"tools":[{"name":"echo","inputSchema":{"type":"object"}}]}',
}
class Stub(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.data = transport, b""
    def data_received(self, data):
        data = self.data + data
        while (end := data.find(b"\\r\\n\\r\\n")) >= 0:
            length = LENGTH.search(data, 0, end)
            stop = end + 4 + (int(length[1]) if length else 0)
            if len(data) < stop:
                break
            self.answer(data[end + 4:stop])
            data = data[stop:]
        self.data = data
    def answer(self, body):
        found = ID.search(body)
        if b"server/discover" in body:
            self.transport.write(b"HTTP/1.1 400 Bad Request\\r\\nContent-Length: 0\\r\\n\\r\\n")
            return
        if found is None or b'"method":"notifications' in body:
            self.transport.write(b"HTTP/1.1 202 Accepted\\r\\nContent-Length: 0\\r\\n\\r\\n")
            return
        result = next((a for m, a in ANSWERS.items() if m in body), TEXT)
        out = b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (found[1], result)
        self.transport.write(HEAD + b"%d\\r\\n\\r\\n%b" % (len(out), out))
async def main():
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
uvloop.run(main())
"""
NGINX: Final = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  keepalive_requests 1000000000;
  upstream stub {{ server 127.0.0.1:{port}; keepalive 64; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{listen};
    location / {{ proxy_pass http://stub; proxy_http_version 1.1;
                  proxy_set_header Connection ""; }} }}
}}
"""
CALL: Final = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "stub__echo", "arguments": {"text": "y" * 400}},
}


def pinned(core: int, *command: str, **more: object) -> "subprocess.Popen[str]":
    """Start a command on one core."""
    return subprocess.Popen([*PIN, str(core), *command], text=True, **more)  # type: ignore[call-overload,no-any-return]


def cpu_s(pid: int) -> float:
    """User and system seconds of one process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(url: str, script: Path, pid: int) -> tuple[float, float]:
    """Calls per second, and CPU microseconds of `pid` per call."""
    before = cpu_s(pid)
    out = subprocess.run(
        [*PIN, "1", "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", script, url],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    if "Non-2xx" in out:
        raise SystemExit(f"calls failed:\n{out}")
    requests = int(re.findall(r"(\d+) requests in", out)[0])
    rate = float(re.findall(r"Requests/sec:\s*([\d.]+)", out)[0])
    return rate, (cpu_s(pid) - before) / requests * 1e6


def lua(folder: Path, headers: dict[str, str]) -> Path:
    """The wrk script: one tools/call after the other, each with an id of its own."""
    file = folder / "call.lua"
    before, after = json.dumps(CALL).split('"id": 1', 1)
    lines = [f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}" for k, v in headers.items()]
    file.write_text("\n".join(["wrk.method = 'POST'", *lines, f"""
id = 0
request = function()
  id = id + 1
  return wrk.format(nil, nil, nil, '{before}"id": ' .. id .. '{after}')
end"""]))  # fmt: skip
    return file


def session(url: str) -> str:
    """A handshake with the gateway; gives the session id."""
    hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "rough", "version": "1"}}}  # fmt: skip
    return str(httpx2.post(url, json=hello).headers["mcp-session-id"])


def main() -> None:
    """Check the tools, then measure."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    missing = [tool for tool in ("wrk", "nginx", "taskset") if shutil.which(tool) is None]
    if missing:
        raise SystemExit(f"not on PATH: {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name), rounds)


def measure(folder: Path, rounds: int) -> None:
    """Start server, nginx and gateway; run the load against both in turn."""
    stub = pinned(1, sys.executable, "-c", SERVER, stdout=subprocess.PIPE)
    assert stub.stdout is not None
    port = int(stub.stdout.readline())
    listen = port + 1 if port < 65000 else port - 1
    nginx = start_nginx(folder, port, listen)
    gateway, url = start_gateway(folder, port)
    try:
        (worker,) = psutil.Process(nginx.pid).children()
        script = lua(folder, {
            "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
            "Mcp-Session-Id": session(url), "MCP-Protocol-Version": "2025-11-25"})  # fmt: skip
        rows: dict[str, list[tuple[float, float]]] = {"nginx": [], "only1mcp": []}
        for _ in range(rounds):
            rows["nginx"].append(load(f"http://127.0.0.1:{listen}/mcp", script, worker.pid))
            rows["only1mcp"].append(load(url, script, gateway.pid))
        report(rows)
    finally:
        for process in (gateway, nginx, stub):
            process.terminate()
            process.wait()


def start_nginx(folder: Path, port: int, listen: int) -> "subprocess.Popen[str]":
    """nginx in the foreground, passing everything on."""
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, port=port, listen=listen))
    return pinned(0, "nginx", "-p", str(folder), "-c", str(file))


def start_gateway(folder: Path, port: int) -> "tuple[subprocess.Popen[str], str]":
    """The gateway as a user starts it; gives its URL once the server is ready."""
    server = {"id": "stub", "transport": {"type": "http", "url": f"http://127.0.0.1:{port}/mcp"}}
    file = folder / "only1mcp.json"
    file.write_text(json.dumps({"servers": [server]}))
    command = (sys.executable, "-m", "only1mcp", "run", "-c", str(file), "--port", "0")
    gateway = pinned(0, *command, stderr=subprocess.PIPE)
    assert gateway.stderr is not None
    url = ""
    for line in gateway.stderr:
        if found := re.search(r"http://\S+/mcp", line):
            url = url or found[0]
        if "ready" in line:
            break
    return gateway, url


def report(rows: dict[str, list[tuple[float, float]]]) -> None:
    """Medians and their ratio."""
    medians = {}
    for name, runs in rows.items():
        rate, cpu = (statistics.median(column) for column in zip(*runs, strict=True))
        medians[name] = (rate, cpu)
        print(
            f"{name:<10} {rate:>9.0f} calls/s   {cpu:>6.1f} us CPU/call   (median of {len(runs)})"
        )
    ratio = statistics.median(b[0] / a[0] for a, b in zip(*rows.values(), strict=True))
    print(f"only1mcp / nginx: {ratio:.2f} of the calls/s, "
          f"{medians['only1mcp'][1] / medians['nginx'][1]:.2f} of the CPU/call")  # fmt: skip


if __name__ == "__main__":
    main()
