"""Run every leg without and with the gateway, a few at a time."""

import asyncio
import os
import shutil
import sys
from typing import Final

from scripts.conformance.compare import Results, Row
from scripts.conformance.legs import CLIENT, SELECTED, SUITE, WIRE, Selection
from scripts.conformance.node import ROOT
from scripts.conformance.servers import Addresses, behind_a_gateway
from scripts.conformance.suite import ask_client, ask_server, client_scenarios
from scripts.peers import CONFORMANCE_CLIENT

FOLDER: Final = ROOT / ".cache" / "conformance"
COMMANDS: Final = {
    "direct": f"{sys.executable} {CONFORMANCE_CLIENT}",
    "through": f"{sys.executable} -m scripts.conformance.client",
}
AT_ONCE: Final = max(2, os.cpu_count() or 1)
"""Some checks wait for a second at most for something to happen: no more than there are cores."""


async def run_legs(selection: Selection) -> list[Row]:
    """Run what is selected, the legs of one server one after the other.

    A leg without the gateway and the same leg through it meet the same process of the server.
    """
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    slots = asyncio.Semaphore(AT_ONCE)
    servers = [name for name in selection.servers if name != CLIENT]
    async with behind_a_gateway(servers, FOLDER) as addresses:
        lanes = [_server_lane(name, addresses, selection.legs, slots) for name in servers]
        if CLIENT in selection.servers:
            lanes += [_client_lane(leg, slots) for leg in selection.legs]
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(lane) for lane in lanes]
    return [row for lane in running for row in lane.result()]


async def _server_lane(
    name: str, addresses: Addresses, legs: tuple[str, ...], slots: asyncio.Semaphore
) -> list[Row]:
    rows = []
    for leg in legs:
        async with slots:
            direct = await _at_server(name, leg, "direct", addresses.direct[name])
            through = await _at_server(name, leg, "through", addresses.through[name])
        rows.append(_told(Row(name, leg, direct, through)))
    return rows


async def _at_server(name: str, leg: str, side: str, url: str) -> Results:
    return await ask_server(SUITE[leg], SELECTED[leg], url, FOLDER / side / name / leg)


async def _client_lane(leg: str, slots: asyncio.Semaphore) -> list[Row]:
    folder = FOLDER / CLIENT / leg
    async with slots:
        scenarios = await client_scenarios(SUITE[leg], WIRE[leg], folder)
    sides = [_as_client(leg, scenarios, side, slots) for side in COMMANDS]
    direct, through = await asyncio.gather(*sides)
    return [_told(Row(CLIENT, leg, direct, through))]


async def _as_client(
    leg: str, scenarios: list[str], side: str, slots: asyncio.Semaphore
) -> Results:
    results: Results = {}
    for scenario in scenarios:
        folder = FOLDER / side / CLIENT / leg / scenario
        selected = ("--scenario", scenario, *WIRE[leg])
        async with slots:
            results |= await ask_client(SUITE[leg], selected, COMMANDS[side], folder)
    return results


def _told(row: Row) -> Row:
    """Say on the way that a leg is done."""
    print(f"  {row.server:<18} {row.leg:<11} {len(row.lost())} lost", file=sys.stderr, flush=True)
    return row
