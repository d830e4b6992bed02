"""The model seen as a tree of keys: which keys a block takes, and what each value must be."""

from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import BeforeValidator, SecretStr
from pydantic.fields import FieldInfo

from only1mcp.config.values import Model, Reads, format_duration, parse_duration

_SIMPLE: Final[dict[Any, str]] = {bool: "true or false", str: "text", SecretStr: "text"}


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, None left out; another type is its own only member."""
    if get_origin(annotation) is Annotated:
        return alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        members = (alternatives(member) for member in get_args(annotation))
        return tuple(kind for kinds in members for kind in kinds if kind is not NoneType)
    return (annotation,)


def blocks(annotation: Any) -> tuple[type[Model], ...]:
    """The blocks of keys that may stand here, or as elements of the list here."""
    kinds = alternatives(annotation)
    if get_origin(kinds[0]) is tuple:
        kinds = alternatives(get_args(kinds[0])[0])
    return tuple(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Model))


@cache
def block_type(model: type[Model]) -> str | None:
    """What `type:` says in this block, if it has that key."""
    field = model.model_fields.get("type")
    return str(get_args(field.annotation)[0]) if field else None


def pick(models: tuple[type[Model], ...], kind: str | None) -> type[Model] | None:
    """The one block meant: the only one, or the one whose `type:` is `kind`."""
    if len(models) == 1:
        return models[0]
    return next((model for model in models if block_type(model) == kind), None)


def is_list(field: FieldInfo) -> bool:
    """Whether the value is a list."""
    return get_origin(alternatives(field.annotation)[0]) is tuple


def is_container(field: FieldInfo) -> bool:
    """Whether the value is a block or a list: an empty one may be left blank."""
    kind = alternatives(field.annotation)[0]
    return is_list(field) or get_origin(kind) is dict or bool(blocks(kind))


def is_duration(field: FieldInfo) -> bool:
    """Whether the value is a time span."""
    return any(
        isinstance(item, BeforeValidator) and item.func is parse_duration for item in field.metadata
    )


def is_secret(annotation: Any) -> bool:
    """Whether a secret stands here or beneath."""
    for kind in alternatives(annotation):
        fields = (
            field.annotation for block in blocks(kind) for field in block.model_fields.values()
        )
        if kind is SecretStr or any(map(is_secret, (*get_args(kind), *fields))):
            return True
    return False


def expected(field: FieldInfo) -> str:
    """What the value must be, in words."""
    if is_duration(field):
        return _duration_words(field)
    return _words(field.annotation, tuple(field.metadata))


def expected_element(field: FieldInfo, key: bool = False) -> str:
    """What an element of the list, a value of the block, or its key must be, in words."""
    kind = alternatives(field.annotation)[0]
    inner = get_args(kind)
    return _words(inner[1] if get_origin(kind) is dict and not key else inner[0], ())


def _words(annotation: Any, metadata: tuple[Any, ...]) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _words(inner[0], metadata + annotation.__metadata__)
    for item in metadata:
        if isinstance(item, Reads):
            return item.words
    if annotation is float:
        return f"a number{_bounds_words(metadata)}"
    if bound := _limits(metadata):
        return f"a whole number between {bound[0]} and {bound[1]}"
    if origin in (Union, UnionType):
        words = [_words(member, ()) for member in inner if member is not NoneType]
        return " or ".join(dict.fromkeys(words))
    return _kind_words(annotation)


def _kind_words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        values = [str(value) for value in get_args(kind)]
        return (
            ", ".join(values[:-1]) + f" or {values[-1]}"
            if len(values) > 1
            else f"the word {values[0]}"
        )
    if get_origin(kind) is tuple:
        return "a list"
    if get_origin(kind) is dict:
        return "a block of names and values"
    return _SIMPLE.get(kind, "a block of keys")


def _limits(metadata: tuple[Any, ...]) -> tuple[Any, Any] | None:
    low = next((item.ge for item in metadata if isinstance(item, Ge)), None)
    high = next((item.le for item in metadata if isinstance(item, Le)), None)
    return None if low is None or high is None else (low, high)


def _duration_words(field: FieldInfo) -> str:
    return f"a duration{_bounds_words(tuple(field.metadata), 's')}, such as 30s"


def _bounds_words(metadata: tuple[Any, ...], unit: str = "") -> str:
    """` above 0s up to 1h`, or with no unit ` from 0 up to 1`."""
    words = ""
    for item in metadata:
        match item:
            case Gt(gt=0):
                words += f" above 0{unit}"
            case Ge(ge=low):
                words += f" from {_bound(low, unit)}"
            case Le(le=high):
                words += f" up to {_bound(high, unit)}"
    return words


def _bound(value: Any, unit: str) -> str:
    return format_duration(float(str(value))) if unit else str(value)
