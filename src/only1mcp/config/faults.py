"""What is wrong with a configuration, and where: all of it at once, never only the first.

A fault never holds the value of a secret, nor of a `${VARIABLE}` after expansion.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple


class Place(NamedTuple):
    """Where something is said. Line and column count from 1; line 0: not said in a file."""

    source: str
    """File name, `environment variable NAME` or `option KEY`."""
    line: int
    column: int
    where: str
    """Key path such as `servers[1].transport.url`; empty for the whole file."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to mend. Line 0: `path` names an environment variable, an option or a file."""

    path: str
    line: int
    column: int
    where: str
    message: str
    hint: str | None = None
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        """`file:line:column: message; hint`, in one line so that editors and grep follow it."""
        place = f"{self.path}:{self.line}:{self.column}" if self.line else self.path
        kind = "warning: " if self.severity == "warning" else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{place}: {kind}{self.message}{hint}"


class ConfigError(Exception):
    """The configuration cannot be used: all its faults, and the warnings beside them."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(map(str, self.faults))


class Report:
    """Collects the faults of one load."""

    __slots__ = ("_faults",)

    def __init__(self) -> None:
        self._faults: dict[Fault, None] = {}  # an ordered set: rules may meet one value twice

    def error(self, place: Place, message: str, hint: str | None = None) -> None:
        """The configuration cannot be used because of this."""
        self._faults[Fault(*place, message, hint)] = None

    def warn(self, place: Place, message: str, hint: str | None = None) -> None:
        """Worth a look; the configuration works without it."""
        self._faults[Fault(*place, message, hint, "warning")] = None

    def accuses(self, where: str) -> bool:
        """Whether an error is reported at `where` or beneath it."""
        return any(_is_beneath(fault.where, where) for fault in self._of("error"))

    @property
    def found(self) -> bool:
        """Whether there is anything to say."""
        return bool(self._faults)

    def warnings(self) -> tuple[Fault, ...]:
        """Every warning, in the order of the file."""
        return _in_order(self._of("warning"))

    def fail_if_any(self) -> None:
        """Raises: ConfigError, if there is an error; it carries the warnings too."""
        if self._of("error"):
            raise self.failure()

    def failure(self) -> ConfigError:
        """The end of a load that cannot go on."""
        return ConfigError(_in_order(self._faults))

    def _of(self, severity: str) -> list[Fault]:
        return [fault for fault in self._faults if fault.severity == severity]


def _in_order(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    return tuple(sorted(faults, key=lambda fault: (fault.line, fault.column)))


def _is_beneath(where: str, top: str) -> bool:
    """Whether the key path `where` is `top` or goes on from it."""
    return not top or (where.startswith(top) and where[len(top) : len(top) + 1] in ("", ".", "["))
