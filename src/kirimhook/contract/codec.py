"""Frozen types to JSON objects and back, by their annotations alone: what `resources` is made with."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, partial
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, ClassVar, NewType, Self, Union, get_args, get_origin, get_type_hints

from kirimhook.contract.signature import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    Reader = Callable[[object], Any]


class MalformedError(ValueError):
    """A JSON value is not the resource it should be: `path` names the field; no value is quoted."""

    def __init__(self, wanted: str, path: str = "") -> None:
        super().__init__(f"{path or 'the whole'} should be {wanted}")
        self.wanted = wanted
        self.path = path

    def under(self, parent: str) -> MalformedError:
        """The same error, seen from the object around it."""
        return MalformedError(self.wanted, f"{parent}.{self.path}" if self.path else parent)


class Resource:
    """The base of a frozen, slotted dataclass that travels as a JSON object.

    A moment travels as ISO 8601 in UTC (`2026-05-23T10:00:00Z`), a secret in plain. A field whose default
    is None is left out while it is None; every other field is always there.
    """

    __slots__ = ()
    OBJECT: ClassVar[str] = ""
    """What travels as `object`, for a resource that says what it is."""
    OURS: ClassVar[frozenset[str]] = frozenset()
    """Fields that our API always says and another one may not know: None only where it said nothing."""

    def to_json(self) -> dict[str, Any]:
        """The resource as a JSON object, its secrets in plain."""
        shown = {"object": self.OBJECT} if self.OBJECT else {}
        for name, field in self._fields().items():
            value = getattr(self, name)
            if value is not None or field.default is not None:
                shown[name] = _plain(value)
        return shown

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The resource in a JSON object; what is not a field of it is ignored. Raises MalformedError."""
        if not isinstance(data, dict):
            raise MalformedError("a JSON object")
        return cls(**{name: field.of(data) for name, field in cls._fields().items()})

    @classmethod
    def _fields(cls) -> dict[str, _Field]:
        kind: Any = cls  # mypy takes a slotted class for unhashable
        return _fields(kind)


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    name: str
    reader: Reader
    nullable: bool
    default: object

    def of(self, data: dict[str, Any]) -> Any:
        """The field's value in this object; null and absent are the same where null is allowed."""
        if self.name not in data and self.default is not dataclasses.MISSING:
            return self.default
        value = data.get(self.name)
        if value is None and self.nullable:
            return None
        try:
            return self.reader(value)
        except MalformedError as error:
            raise error.under(self.name) from None


@cache
def _fields(cls: type[Any]) -> dict[str, _Field]:
    hints = get_type_hints(cls)
    return {field.name: _field(field.name, hints[field.name], field.default) for field in dataclasses.fields(cls)}


def _field(name: str, hint: Any, default: object) -> _Field:
    if get_origin(hint) not in (Union, UnionType):
        return _Field(name, _reader(hint), nullable=False, default=default)
    (kind,) = (part for part in get_args(hint) if part is not NoneType)
    return _Field(name, _reader(kind), nullable=True, default=default)


def _reader(hint: Any) -> Reader:
    if isinstance(hint, NewType):
        return _reader(hint.__supertype__)
    if get_origin(hint) is tuple:
        return partial(_read_list, _reader(get_args(hint)[0]))
    if get_origin(hint) is dict:
        return _read_texts
    return _class_reader(hint)


def _class_reader(kind: type) -> Reader:
    if issubclass(kind, Resource):
        return kind.from_json
    if issubclass(kind, StrEnum):
        return partial(_read_choice, kind)
    return _SCALARS[kind]


def _read_list(reader: Reader, value: object) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise MalformedError("a list")
    return tuple([_read_item(reader, number, item) for number, item in enumerate(value)])


def _read_item(reader: Reader, number: int, item: object) -> Any:
    try:
        return reader(item)
    except MalformedError as error:
        raise error.under(str(number)) from None


def _read_texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise MalformedError("an object of texts")
    return value


def _read_choice(choices: type[StrEnum], value: object) -> StrEnum:
    for choice in choices:
        if choice == value:
            return choice
    raise MalformedError(f"one of {', '.join(choices)}")


def _read_plain(kinds: type | tuple[type, ...], wanted: str, value: object) -> Any:
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
        raise MalformedError(wanted)
    return value


def _read_secret(value: object) -> Secret:
    try:
        return Secret(_read_plain(str, "a secret", value))
    except ValueError:
        raise MalformedError("a secret") from None


def _read_moment(value: object) -> datetime:
    wanted = "an ISO 8601 date and time with its offset"
    try:
        moment = datetime.fromisoformat(_read_plain(str, wanted, value))
        if moment.tzinfo is None:
            raise MalformedError(wanted)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise MalformedError(wanted) from None


_SCALARS: dict[type, Reader] = {
    str: partial(_read_plain, str, "a text"),
    int: partial(_read_plain, int, "a whole number"),
    float: partial(_read_plain, (int, float), "a number"),
    bool: partial(_read_plain, bool, "true or false"),
    Secret: _read_secret,
    datetime: _read_moment,
}


def _plain(value: Any) -> Any:
    match value:
        case Resource():
            return value.to_json()
        case tuple():
            return [_plain(item) for item in value]
        case Secret():
            return value.reveal()
        case StrEnum():
            return value.value
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case _:
            return value
