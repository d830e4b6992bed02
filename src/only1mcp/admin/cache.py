"""What the cache has done, and emptying it.

GET  cache         counters, in all and by tier
POST cache/clear   {"tier", "server", "method"}, each optional: what fits all of them goes
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Text = Annotated[str, Field(max_length=256)]


class Filter(BaseModel):
    """What is to go; None: whatever it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tier: Literal["l1", "l2", "l3"] | None = None
    server: Text | None = None
    method: Text | None = None


class BadFilter(ValueError):
    """It cannot be read; the text says why."""


def read_filter(body: bytes) -> Filter:
    """The filter in the body of a request; an empty body is an empty filter.

    Raises:
        BadFilter: it is none.
    """
    try:
        return Filter.model_validate_json(body) if body.strip() else Filter()
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        said = f"{place}: {first['msg']}" if place else first["msg"]
        raise BadFilter(f"{said}; known are tier (l1, l2, l3), server and method") from None
