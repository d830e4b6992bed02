"""Real servers behind one gateway, all at once, with the official client in both of its modes.

Whatever the client gets from a server directly it must get through the gateway as well: on
`/mcp/{server}` under the same names, on `/mcp` under names with a prefix.
"""

import re
import subprocess
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import PromptReference, ResourceTemplateReference, TextContent
from pydantic import BaseModel

from fakes.gateway import Running, gateway, http_server, stdio_server
from peers import servers

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]

MODES = pytest.mark.parametrize("mode", ["legacy", "auto"])
IDS: Final = ("both-eras", "legacy", "time", "git")
PREFIX: Final = "__"

ASKS: Final = re.compile(r"test_(sampling|elicitation|streaming_elicitation|input_required)")
"""Tools and prompts that put a question to the client in mid-call."""
GATEWAY_KEYS: Final = frozenset({"resultType", "ttlMs", "cacheScope"})
"""What a gateway has to add where the server behind it is of the other era."""

ARGUMENTS: Final[dict[str, dict[str, Any]]] = {
    "test_x_mcp_header": {"region": "eu"},
    "get_current_time": {"timezone": "Asia/Tokyo"},
    "convert_time": {"source_timezone": "UTC", "time": "16:30", "target_timezone": "Asia/Kolkata"},
    "git_diff": {"target": "HEAD"},
    "git_show": {"revision": "HEAD"},
    "git_branch": {"branch_type": "all"},
}
NEEDS_SAMPLING = "test_missing_capability"
"""Tells a client without sampling so. The gateway declares it for all who share a connection."""
TELLS_THE_TOKEN: Final = "test_tool_with_progress"
"""Answers with its progress token, or with what stands for none in the era it is asked in."""
CHANGES: Final = {"git_add", "git_commit", "git_reset", "git_create_branch", "git_checkout"}
PROMPT_ARGUMENTS: Final = {
    "test_prompt_with_arguments": {"arg1": "one", "arg2": "zwei ✓"},
    "test_prompt_with_embedded_resource": {"resourceUri": "test://static-text"},
}
CLOCK: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")

Survey = dict[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one commit, one staged and one unstaged change."""
    folder = tmp_path_factory.mktemp("repository")

    def git(*arguments: str) -> None:
        who = ("-c", "user.name=test", "-c", "user.email=test@example.com")
        subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)

    git("init", "--quiet", "--initial-branch=main")
    (folder / "read.me").write_text("one\n")
    git("add", "read.me")
    git("commit", "--quiet", "--message", "first")
    (folder / "staged").write_text("ü\n")
    git("add", "staged")
    (folder / "read.me").write_text("two\n")
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def direct(repository: Path) -> AsyncIterator[Mapping[str, str | StdioServerParameters]]:
    """How to reach each server without a gateway."""
    time, git = servers.time_argv(), servers.git_argv(repository)
    async with servers.everything_modern() as modern, servers.everything_legacy() as legacy:
        yield {
            "both-eras": modern,
            "legacy": legacy,
            "time": StdioServerParameters(command=time[0], args=time[1:]),
            "git": StdioServerParameters(command=git[0], args=git[1:]),
        }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    direct: Mapping[str, Any], repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    config = {
        "servers": [
            http_server("both-eras", direct["both-eras"]),
            http_server("legacy", direct["legacy"]),
            stdio_server("time", *servers.time_argv()),
            stdio_server("git", *servers.git_argv(repository)),
        ]
    }
    async with AsyncExitStack() as stack:
        folder = tmp_path_factory.mktemp("gateway")
        running = await stack.enter_async_context(gateway(config, folder))
        await running.ready(*IDS)
        yield running


def plain(model: BaseModel) -> Any:
    """A result without what the eras add to it."""
    return without_era(model.model_dump(mode="json", by_alias=True, exclude_none=True))


def without_era(found: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in found.items() if key not in GATEWAY_KEYS}
    meta = {
        key: value
        for key, value in kept.pop("_meta", {}).items()
        if not key.startswith("io.modelcontextprotocol/")
    }
    return {**kept, "_meta": meta} if meta else kept


async def outcome(asked: Awaitable[BaseModel]) -> Any:
    """The result, or the error; a clock that ticks between two calls does not count."""
    try:
        found = plain(await asked)
    except MCPError as failed:
        return {"error": failed.error.model_dump(exclude_none=True)}
    for block in found.get("content", ()):
        if "text" in block:
            block["text"] = CLOCK.sub("now", block["text"])
    return found


class Surveyor:
    """Asks one client for everything that one server offers; `prefix` is what its names get."""

    def __init__(self, client: Client, repository: Path, prefix: str = "") -> None:
        self.client = client
        self.prefix = prefix
        self.repository = repository
        self.found: Survey = {}

    async def everything(self) -> Survey:
        """All that it says, by what it was asked."""
        await self.tools()
        await self._prompts()
        await self._resources()
        return self.found

    def _mine(self, name: str) -> bool:
        return name.startswith(self.prefix) and not ASKS.match(name.removeprefix(self.prefix))

    async def tools(self) -> None:
        """Its tools, and what they answer."""
        for tool in (await self.client.list_tools()).tools:
            bare = tool.name.removeprefix(self.prefix)
            if tool.name.startswith(self.prefix):
                self.found[f"tool {bare}"] = {**plain(tool), "name": bare}
            if self._mine(tool.name) and bare not in {*CHANGES, TELLS_THE_TOKEN, NEEDS_SAMPLING}:
                arguments = dict(ARGUMENTS.get(bare, {}))
                if bare.startswith("git_"):
                    arguments["repo_path"] = str(self.repository)
                called = self.client.call_tool(tool.name, arguments)
                self.found[f"call {bare}"] = await outcome(called)

    async def _prompts(self) -> None:
        for prompt in (await self.client.list_prompts()).prompts:
            bare = prompt.name.removeprefix(self.prefix)
            if not self._mine(prompt.name):
                continue
            arguments = PROMPT_ARGUMENTS.get(bare, {})
            self.found[f"prompt {bare}"] = {**plain(prompt), "name": bare}
            self.found[f"get {bare}"] = await outcome(
                self.client.get_prompt(prompt.name, arguments)
            )
            ref = PromptReference(name=prompt.name)
            for name in arguments:
                asked = self.client.complete(ref, {"name": name, "value": "o"})
                self.found[f"complete {bare} {name}"] = await outcome(asked)

    async def _resources(self) -> None:
        """URIs have no prefix: on /mcp the first of the servers that list one answers."""
        for resource in (await self.client.list_resources()).resources:
            self.found[f"resource {resource.uri}"] = plain(resource)
            self.found[f"read {resource.uri}"] = await outcome(
                self.client.read_resource(str(resource.uri))
            )
        for template in (await self.client.list_resource_templates()).resource_templates:
            self.found[f"template {template.uri_template}"] = plain(template)
            read = self.client.read_resource(template.uri_template.replace("{id}", "7"))
            self.found[f"read {template.uri_template}"] = await outcome(read)
            ref = ResourceTemplateReference(uri=template.uri_template)
            asked = self.client.complete(ref, {"name": "id", "value": "1"})
            self.found[f"complete {template.uri_template}"] = await outcome(asked)


async def directly(server: Any, mode: str, repository: Path) -> Survey:
    """What the client gets without us. A stdio server without prompts may refuse to list them."""
    async with Client(server, mode=mode) as client:
        surveyor = Surveyor(client, repository)
        if isinstance(server, str):
            return await surveyor.everything()
        await surveyor.tools()
        return surveyor.found


@MODES
@pytest.mark.parametrize("id", IDS)
async def test_through_the_gateway_each_server_is_as_it_is(
    running: Running, direct: Mapping[str, Any], repository: Path, id: str, mode: str
) -> None:
    expected = await directly(direct[id], mode, repository)
    assert len(expected) >= 4
    async with Client(running.server(id), mode=mode) as client:
        alone = await Surveyor(client, repository).everything()
    assert sorted(alone) == sorted(expected)
    async with Client(running.mcp, mode=mode) as client:
        among = await Surveyor(client, repository, id + PREFIX).everything()
    for asked, said in expected.items():
        assert alone[asked] == said, asked
        assert among[asked] == said, asked
    of_all = ("resource", "template", "read", "complete test://")
    assert [one for one in among if one not in expected and not one.startswith(of_all)] == []


@MODES
@pytest.mark.parametrize("id", ["both-eras", "legacy"])
async def test_progress_of_a_real_server(running: Running, id: str, mode: str) -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    async with Client(running.mcp, mode=mode) as client:
        await client.call_tool(f"{id}__test_tool_with_progress", {}, progress_callback=progress)
    assert [one[0] for one in seen] == [0, 50, 100]
    assert seen[-1] == (100, 100, "Completed step 100 of 100")


@MODES
async def test_git_really_works(running: Running, repository: Path, mode: str) -> None:
    async with Client(running.mcp, mode=mode) as client:

        async def git(tool: str, **arguments: Any) -> str:
            result = await client.call_tool(
                f"git__git_{tool}", {"repo_path": str(repository), **arguments}
            )
            assert not result.is_error, result
            (block,) = result.content
            assert isinstance(block, TextContent)
            return block.text

        branch = f"from-{mode}"
        await git("create_branch", branch_name=branch)
        await git("checkout", branch_name=branch)
        assert branch in await git("status")
        await git("checkout", branch_name="main")
    heads = repository / ".git" / "refs" / "heads"
    assert branch in {head.name for head in heads.iterdir()}


@MODES
async def test_the_gateway_speaks_for_all_of_them(running: Running, mode: str) -> None:
    async with Client(running.mcp, mode=mode) as client:
        assert client.protocol_version == ("2025-11-25" if mode == "legacy" else "2026-07-28")
        names = [tool.name for tool in (await client.list_tools()).tools]
        again = [tool.name for tool in (await client.list_tools()).tools]
    assert names == again
    assert {name.partition(PREFIX)[0] for name in names} == set(IDS)
    order = [IDS.index(name.partition(PREFIX)[0]) for name in names]
    assert order == sorted(order), "in the order of the configuration"
