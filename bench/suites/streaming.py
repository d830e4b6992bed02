"""Answers that are event streams: progress on its way through the gateway."""

from functools import partial
from typing import Final

from bench.rig import ARGUMENTS, Rig, Target
from only1mcp.bench import drive
from only1mcp.bench.endpoint import Refused
from only1mcp.bench.figures import paired

STEPS: Final = (1, 10, 100)
SECONDS: Final = 1.5
CONNECTIONS: Final = 8


def run(rig: Rig) -> None:
    """Calls with so many notifications of progress before the answer."""
    with rig.pair() as targets:
        for steps in STEPS:
            runs = rig.turns(targets, partial(_events, rig, steps), 3)
            for name, rates in runs.items():
                rig.row(f"{name}, {steps} events a call", "events/s", rates, better="more")
            ratio = paired(runs["gateway"], runs["direct"])
            rig.row(f"gateway over direct, {steps} events", "x", ratio, better="more")
    rig.note("Load by the bundled generator, which reads each stream to its end.")


def _events(rig: Rig, steps: int, target: Target) -> float:
    params = {
        "name": target.tool,
        "arguments": {**ARGUMENTS, "steps": steps},
        "_meta": {"progressToken": "all"},  # the same in all calls, which are apart by their id
    }
    arrived = target.end.say("tools/call", params).count(b"notifications/progress")
    if arrived != steps:
        raise Refused(f"{arrived} of {steps} events arrive at {target.end.url}")
    job = drive.job(target.end, "tools/call", params, CONNECTIONS, SECONDS)
    return drive.ours(job, rig.cores.load).rate * (steps + 1)
