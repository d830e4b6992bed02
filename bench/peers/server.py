"""The stub server that gateways are compared in front of: also says what was lost on the way.

    python -m bench.peers.server [--stdio]

Beside `echo` it has the tool `probe`, whose result holds everything a result may hold and, as its
text, the very bytes of its arguments as they arrived, in other quotes; and the tool
`refuse`, which answers with a JSON-RPC error that has data.
"""

import argparse
import asyncio
import re
from typing import Final

from only1mcp.bench.stub import Stub, fast_loop, serve, serve_stdio

_ID: Final = re.compile(rb'"id": ?("[^"]*"|\d+)')
_ARGUMENTS: Final = re.compile(rb'"arguments": ?(\{[^{}]*\})')
_META: Final = re.compile(rb'"com.example/asked": ?"kept"')
PROBE: Final = (
    b'{"content":['
    b'{"type":"text","text":"%b","annotations":{"audience":["user"],"priority":0.5},'
    b'"_meta":{"com.example/block":"kept"},"x-later":"kept"},'
    b'{"type":"image","data":"AAAA","mimeType":"image/png"},'
    b'{"type":"audio","data":"AAAA","mimeType":"audio/wav"},'
    b'{"type":"resource_link","uri":"stub://one","name":"one","size":7},'
    b'{"type":"resource","resource":{"uri":"stub://two","text":"two","_meta":{"com.example/r":1}}}],'
    b'"structuredContent":{"big":9007199254740993,"spelled":1.50,"unicode":"\xc3\xa9"},'
    b'"isError":false,"_meta":{"com.example/result":"kept"},"x-later":"kept"}'
)
REFUSAL: Final = b'{"code":-32042,"message":"not today","data":{"why":"kept"}}'
TOOLS: Final = (
    b'{"tools":[{"name":"echo","description":"Says it back.","inputSchema":{"type":"object",'
    b'"properties":{"text":{"type":"string"}}}},'
    b'{"name":"probe","title":"A probe","description":"Holds everything.",'
    b'"inputSchema":{"type":"object","properties":{"number":{"type":"number"}}},'
    b'"outputSchema":{"type":"object"},"annotations":{"readOnlyHint":true},'
    b'"icons":[{"src":"data:image/png;base64,AAAA","mimeType":"image/png"}],'
    b'"_meta":{"com.example/tool":"kept"},"x-later":"kept"},'
    b'{"name":"refuse","description":"Refuses.","inputSchema":{"type":"object"}}],"nextCursor":null}'
).replace(b',"nextCursor":null', b"")


class ProbeStub(Stub):
    """The stub with two more tools."""

    def answer(self, body: bytes) -> bytes | None:
        """The answer to one message; None if none is due."""
        found = _ID.search(body)
        if found is not None:
            if b'"tools/list"' in body:
                return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (found[1], TOOLS)
            if b'"probe"' in body:
                return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (found[1], probed(body))
            if b'"refuse"' in body:
                return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (found[1], REFUSAL)
        return super().answer(body)


def probed(body: bytes) -> bytes:
    """The result of `probe`, with what arrived in it."""
    arguments = _ARGUMENTS.search(body)
    arrived = arguments[1] if arguments else b"nothing"
    if _META.search(body):
        arrived += b" with _meta"
    return PROBE % arrived.replace(b'"', b"'")


def main() -> None:
    """Serve over HTTP, or on pipes."""
    parser = argparse.ArgumentParser(description="The stub server with probes.")
    parser.add_argument("--stdio", action="store_true")
    stub = ProbeStub("legacy", 1, 400)
    with asyncio.Runner(loop_factory=fast_loop) as runner:
        runner.run(serve_stdio(stub) if parser.parse_args().stdio else serve(stub, 0))


if __name__ == "__main__":
    main()
