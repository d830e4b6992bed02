"""A stdio server of the last SDK with the tasks of 2025-11-25; run by the Python that has it.

Its tool `confirm` works only as a task: it asks, tells how far it is, and says what was answered.
"""

from typing import Any

import anyio
import mcp.types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

types: Any = mcp.types  # names that a later SDK spells otherwise
server: Any = Server("tasks")
server.experimental.enable_tasks()
FORM = {"type": "object", "properties": {"sure": {"type": "boolean"}}}


@server.list_tools()  # type: ignore[untyped-decorator]
async def tools() -> list[Any]:
    """The only one."""
    execution = types.ToolExecution(taskSupport="required")
    return [types.Tool(name="confirm", inputSchema={"type": "object"}, execution=execution)]


@server.call_tool()  # type: ignore[untyped-decorator]
async def call(name: str, arguments: dict[str, Any]) -> Any:
    """Begin the task."""
    context = server.request_context
    context.experimental.validate_task_mode("required")
    token = context.meta.progressToken if context.meta else None

    async def work(task: Any) -> Any:
        found = await task.elicit(message="Sure?", requestedSchema=FORM)
        await task.update_status("at it")
        if token is not None:
            await context.session.send_progress_notification(token, 1, 2)
        text = types.TextContent(type="text", text=f"answered {found.action}")
        return types.CallToolResult(content=[text])

    return await context.experimental.run_task(work)


async def main() -> None:
    """Serve on stdin and stdout."""
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main)
