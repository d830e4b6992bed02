"""A scripted server whose tool `work` makes a task with the id t.1, in either era.

Worker("legacy-1")   the experimental tasks of 2025-11-25
Worker("modern-1")   the extension of 2026-07-28; who listens hears of t.1, never of another
"""

import json
from contextlib import suppress
from typing import Any, Final

from fakes.mirror import Asked, Json, Refused, tool
from fakes.teller import Teller

EXTENSION: Final = "io.modelcontextprotocol/tasks"
RELATED: Final = "io.modelcontextprotocol/related-task"
STATUS: Final = "notifications/tasks/status"
NEWS: Final = "notifications/tasks"
ASK: Final[Json] = {
    "mode": "form",
    "message": "Sure?",
    "requestedSchema": {"type": "object", "properties": {}},
}


class Worker(Teller):
    """`status` is that of its only task; `forgets` makes it know of none."""

    def __init__(self, id: str) -> None:
        modern = id.startswith("modern")
        able: Json = {"tasks": {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}}
        if modern:
            able = {"extensions": {EXTENSION: {}}}
        super().__init__(id, modern=modern, tools={}, **able)
        self.lists["tools"] = [tool("work")]
        self.status = "working"
        self.forgets = False
        self.on("tools/call", self._call)
        for method in ("tasks/get", "tasks/cancel", "tasks/update", "tasks/result", "tasks/list"):
            self.on(method, self._task)

    async def _call(self, asked: Asked) -> bytes:
        task = {"taskId": "t.1", "status": "working", "createdAt": "now", "x": 10**30}
        if self.modern:
            return json.dumps({"resultType": "task", "ttlMs": None, **task}).encode()
        return json.dumps({"task": task} if "task" in asked.json else {"content": []}).encode()

    async def _task(self, asked: Asked) -> bytes:
        if asked.method == "tasks/list":
            tasks = [{"taskId": "t.1", "status": "working"}, {"taskId": "t.2", "status": "failed"}]
            return json.dumps({"tasks": tasks}).encode()
        if asked.json["taskId"] != "t.1" or self.forgets:
            raise Refused(b'{"code":-32602,"message":"no such task"}')
        if asked.method == "tasks/result":
            return await self._result(asked)
        ack = self.modern and asked.method != "tasks/get"
        found = {} if ack else self.task()
        return json.dumps({"resultType": "complete", **found} if self.modern else found).encode()

    async def _result(self, asked: Asked) -> bytes:
        meta = {RELATED: {"taskId": "t.1"}}
        return json.dumps({"content": [], "_meta": meta}).encode()

    def task(self) -> Json:
        """As `tasks/get` tells it."""
        return {"taskId": "t.1", "status": self.status, "result": {"taskId": "t.1"}}

    async def listed(self) -> None:
        """Wait until it has been asked for its tasks."""
        await self.until(lambda: bool(self.calls("tasks/list")))

    # --- who listens ---

    def agreed(self, wanted: Any) -> Any:
        """Its own task, unless it forgets."""
        ids = [id for id in wanted.get("taskIds", []) if id == "t.1" and not self.forgets]
        return {"taskIds": ids} if ids else {}

    async def says(self, status: str, id: str = "t.1") -> None:
        """Tell whoever listens how its task, or another, is."""
        self.status = status
        for asked in list(self.listens):
            with suppress(ConnectionError):  # one that was replaced, and has not noticed
                await self.tell(asked, NEWS, **{**self.task(), "taskId": id})

    def heard_by(self, *ids: str) -> bool:
        """Whether exactly one listen is open, for these tasks."""
        filters = [one.json["notifications"] for one in self.listens]
        return filters == [{"taskIds": [*ids]}]

    def break_listens(self) -> None:
        """End every listen from this side."""
        for asked in list(self.listens):
            asked.cancelled.set()
