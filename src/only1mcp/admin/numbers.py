"""The metrics of the configuration."""

from typing import Final

from only1mcp.admin.reload import Reloads
from only1mcp.observe.metrics import Family


def _is_good(reloads: Reloads) -> bool:
    return reloads.last is None or not reloads.last.faults


FAMILIES: Final[tuple[Family[Reloads], ...]] = (
    Family(
        "only1mcp_config_reloads",
        "counter",
        "Times the configuration was read again; `result` is applied, or refused for its faults.",
        ("result",),
        lambda reloads: [(("applied",), reloads.applied), (("refused",), reloads.refused)],
    ),
    Family(
        "only1mcp_config_last_reload_successful",
        "gauge",
        "1 if what is in force is what the file says, 0 if the file was refused.",
        (),
        lambda reloads: [((), _is_good(reloads))],
    ),
    Family(
        "only1mcp_config_last_reload_success_timestamp_seconds",
        "gauge",
        "When what is in force was read, in seconds since 1970.",
        (),
        lambda reloads: [((), reloads.applied_at)],
    ),
)
