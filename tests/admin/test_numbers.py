"""Reloads, good and bad."""

from only1mcp.admin.numbers import FAMILIES
from only1mcp.admin.reload import Outcome, Reloads
from only1mcp.config.diff import SAME
from only1mcp.config.faults import ConfigError, Fault
from only1mcp.config.load import Loaded, load_text
from only1mcp.observe.metrics import Metrics, Room


def number(reloads: Reloads, name: str) -> list[float]:
    found = Metrics(Room(FAMILIES, lambda: reloads)).collect()
    return [value for family, all in found for _, value in all if family.name == name]  # type: ignore[misc]


async def test_what_is_refused_shows_until_it_is_mended() -> None:
    good = load_text("{}", "file", "json", {})
    answers: list[Loaded | ConfigError] = [
        ConfigError((Fault("file", 1, 1, "", "broken"),)),
        good,
    ]

    def read() -> Loaded:
        answer = answers.pop(0)
        if isinstance(answer, ConfigError):
            raise answer
        return answer

    reloads = Reloads(read, lambda _: SAME)
    begun = number(reloads, "only1mcp_config_last_reload_success_timestamp_seconds")
    seen = []
    outcomes: list[Outcome] = []
    for _ in range(2):
        outcomes.append(await reloads.reload())
        counts = number(reloads, "only1mcp_config_reloads")
        (good_now,) = number(reloads, "only1mcp_config_last_reload_successful")
        seen.append((counts, good_now))
    await reloads.close()
    assert seen == [([0, 1], False), ([1, 1], True)]
    assert number(reloads, "only1mcp_config_last_reload_success_timestamp_seconds") > begun
