"""nginx in two parts: a stub server in C (with the echo module), and a proxy to compare with."""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from only1mcp.bench import started
from only1mcp.bench.processes import Program, running
from only1mcp.bench.started import Started
from only1mcp.bench.stub import encoded, text_result

MODULES: Final = (
    Path("/usr/lib/nginx/modules/ngx_http_echo_module.so"),
    Path("/usr/lib64/nginx/modules/ngx_http_echo_module.so"),
)
_FRAME: Final = """
%(load)s
worker_processes 1; daemon off; pid %(folder)s/pid; error_log stderr;
events { worker_connections 8192; }
http {
  access_log off; default_type application/json;
  client_max_body_size 64m; client_body_buffer_size 8m;
  client_body_temp_path %(folder)s; proxy_temp_path %(folder)s;
  fastcgi_temp_path %(folder)s; uwsgi_temp_path %(folder)s; scgi_temp_path %(folder)s;
  keepalive_requests 1000000000; keepalive_timeout 1h;
  %(body)s
}
"""
_STUB: Final = r"""
  map $request_body $id { "~\"id\": ?(?<found>\d+)" $found; default ""; }
  map $request_body $result {
    "~\"method\": ?\"tools/call\"" '%(text)s';
    "~\"method\": ?\"initialize\"" '%(hello)s';
    "~\"method\": ?\"tools/list\"" '%(tools)s';
    "~\"method\": ?\"ping\"" '{}';
    default "";
  }
  map $id$result $answer {
    "" "";
    "~^\d+$" '{"jsonrpc":"2.0","id":$id,"error":{"code":-32601,"message":"not here"}}';
    default '{"jsonrpc":"2.0","id":$id,"result":$result}';
  }
  server { listen 127.0.0.1:%(port)d backlog=4096;
    location / { echo_read_request_body; echo -n $answer; } }
"""
_PROXY: Final = """
  upstream stub { server %(server)s; keepalive 128; keepalive_requests 1000000000; }
  server { listen 127.0.0.1:%(port)d backlog=4096;
    location / { proxy_pass http://stub; proxy_http_version 1.1;
                 proxy_set_header Connection ""; } }
"""


def echo_module() -> Path | None:
    """The module that lets nginx answer with a part of the request."""
    return next((path for path in MODULES if path.exists()), None)


def can_stub() -> bool:
    """True if nginx can be the stub server."""
    return shutil.which("nginx") is not None and echo_module() is not None


@contextmanager
def stub(core: int) -> Iterator[Started]:
    """The fastest stub server there is here: nginx with the echo module, else our own.

    It speaks 2025-11-25 and gives one tool, `echo`, which answers with 400 bytes.
    """
    if not can_stub():
        with started.stub(core) as own:
            yield own
        return
    hello = {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "stub", "version": "1"},
    }
    tools = {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}
    port = free_port()
    texts = {"text": text_result(400), "hello": encoded(hello), "tools": encoded(tools)}
    body = _STUB % {"port": port, **{name: text.decode() for name, text in texts.items()}}
    with _nginx(core, port, body, f"load_module {echo_module()};") as found:
        yield found


@contextmanager
def proxy(core: int, server: str) -> Iterator[Started]:
    """`proxy_pass` to the server at this URL, with kept connections."""
    port = free_port()
    body = _PROXY % {"port": port, "server": server.split("/")[2]}
    with _nginx(core, port, body) as found:
        yield found


@contextmanager
def _nginx(core: int, port: int, body: str, load: str = "") -> Iterator[Started]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "nginx.conf"
        file.write_text(_FRAME % {"folder": folder, "body": body, "load": load})
        program = Program(["nginx", "-p", folder, "-c", str(file)], core)
        with running(program):
            program.wait_for(lambda _: listens(port))
            yield Started(program, f"http://127.0.0.1:{port}/mcp")


def listens(port: int) -> bool:
    """True if somebody accepts connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """A port nobody uses now, for programs that cannot choose one themselves."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
