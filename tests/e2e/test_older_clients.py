"""What newer servers say, as clients of older revisions know it.

Source  the schema of each revision, "ContentBlock" and "PromptMessage".
"""

import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from fakes.gateway import gateway, http_server
from fakes.mirror import WAIT_S, Asked, Mirror, tool
from fakes.mirror_http import over_http
from fakes.wire import Json, web

pytestmark = pytest.mark.timeout(60)

LINK = {"type": "resource_link", "uri": "a://b", "name": "b"}
AUDIO = {"type": "audio", "data": "", "mimeType": "audio/wav"}
LINKED, HEARD = ({"type": "text", "text": text} for text in ("b: a://b", "[audio, audio/wav]"))
SEEN = {
    "2025-11-25": [LINK, AUDIO],
    "2025-06-18": [LINK, AUDIO],
    "2025-03-26": [LINKED, AUDIO],
    "2024-11-05": [LINKED, HEARD],
}


def speaker(modern: bool) -> Mirror:
    """A server with a prompt that has content of every kind."""
    server = Mirror("new", modern=modern)
    server.lists["prompts"] = [{"name": "greet"}]
    server.lists["tools"] = [tool("ask")]
    messages = [{"role": "user", "content": one} for one in (LINK, AUDIO)]
    said: Json = {"resultType": "complete"} if modern else {}

    async def get(asked: Asked) -> bytes:
        return json.dumps({**said, "messages": messages}).encode()

    server.on("prompts/get", get)
    return server


@pytest.mark.parametrize("modern", [False, True], ids=["legacy", "modern"])
async def test_messages_of_prompts(modern: bool, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(over_http(speaker(modern)))
        config = {"servers": [http_server("new", url)]}
        running = await stack.enter_async_context(gateway(config, tmp_path))
        await running.ready("new")
        wire = await stack.enter_async_context(web(running.mcp))
        for revision, seen in SEEN.items():
            session = await wire.open(revision)
            assert session.result["protocolVersion"] == revision
            found = await session.ask("prompts/get", {"name": "new__greet"})
            assert [one["content"] for one in found["result"]["messages"]] == seen
        newest = await wire.modern("prompts/get", {"name": "new__greet"})
        assert [one["content"] for one in newest.json()["result"]["messages"]] == [LINK, AUDIO]


@pytest.mark.parametrize(
    ("revision", "seen"), [("2025-11-25", AUDIO), ("2025-03-26", AUDIO), ("2024-11-05", HEARD)]
)
async def test_messages_to_sample(revision: str, seen: Json, tmp_path: Path) -> None:
    server = speaker(modern=False)

    async def call(asked: Asked) -> bytes:
        sample: Any = {"messages": [{"role": "user", "content": AUDIO}], "maxTokens": 1}
        body = {"jsonrpc": "2.0", "id": "q", "method": "sampling/createMessage", "params": sample}
        await asked.tell(json.dumps(body).encode())
        await server.until(lambda: any(one.get("id") == "q" for one in server.heard))
        return server.text("done")

    server.on("tools/call", call)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(over_http(server))
        config = {"servers": [http_server("new", url)]}
        running = await stack.enter_async_context(gateway(config, tmp_path))
        await running.ready("new")
        wire = await stack.enter_async_context(web(running.mcp))
        session = await wire.open(revision, sampling={})
        body = {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "new__ask"}}
        async with session.calling(body) as stream:
            while not (question := await stream.next()):
                assert question is not None, f"no question within {WAIT_S} s"
            assert [one["content"] for one in question["params"]["messages"]] == [seen]
            result = {"role": "assistant", "content": {"type": "text", "text": "!"}, "model": "m"}
            await session.post({"jsonrpc": "2.0", "id": question["id"], "result": result})
            (found,) = await stream.rest()
            assert found["result"]["content"] == [{"type": "text", "text": "done"}]
