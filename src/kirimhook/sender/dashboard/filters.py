"""Which deliveries, as an address says it: the names are those of the API. Contract section 5."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlencode

from kirimhook.contract.errors import ApiError
from kirimhook.contract.headers import MAX_VALUE_BYTES
from kirimhook.contract.resources import DeliveryKind, DeliveryStatus
from kirimhook.sender.dashboard.place import PREFIX
from kirimhook.sender.service import DeliveryFilter

NAMES = (
    "subscription_id", "status", "event_type", "event_id", "kind", "unreplayed", "created_after", "created_before",
)  # fmt: skip
CURSOR = "cursor"
TRUE = "true"

Choice = TypeVar("Choice", bound=StrEnum)


def read(query: Mapping[str, str]) -> DeliveryFilter:
    """What the parameters mean; what is not there, or is empty, means any. A moment without a zone is in UTC.

    Raises ApiError `invalid_field_value`.
    """
    said = {name: query.get(name) or None for name in NAMES}
    return DeliveryFilter(
        said["subscription_id"],
        _choice(DeliveryStatus, "status", said["status"]),
        said["event_type"],
        _short(said["event_id"]),
        _choice(DeliveryKind, "kind", said["kind"]),
        _truth(said["unreplayed"]),
        _moment("created_after", said["created_after"]),
        _moment("created_before", said["created_before"]),
    )


def query(where: DeliveryFilter) -> dict[str, str]:
    """The parameters that mean this: `read(query(where)) == where`."""
    said = {
        name: _written(value)
        for name, value in zip(NAMES, where, strict=True)
        if value is not None and value is not False
    }
    return {name: text for name, text in said.items() if text}


def address(path: str, where: DeliveryFilter, cursor: str | None = None) -> str:
    """Of a page of the dashboard: `path` ("/deliveries") with these filters."""
    said = {**query(where), **({CURSOR: cursor} if cursor else {})}
    return PREFIX + path + (f"?{urlencode(said)}" if said else "")


def local(moment: datetime | None) -> str:
    """As an input of the type datetime-local has it, in UTC. To the millisecond where it is not a whole second."""
    if moment is None:
        return ""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00").removesuffix(".000")


def _written(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return TRUE if value is True else str(value)


def _choice(choices: type[Choice], name: str, said: str | None) -> Choice | None:
    if said is None:
        return None
    try:
        return choices(said)
    except ValueError:
        raise ApiError("invalid_field_value", f"is one of: {', '.join(choices)}", param=name) from None


def _truth(said: str | None) -> bool:
    if said not in {None, TRUE, "false"}:
        raise ApiError("invalid_field_value", "is true or false", param="unreplayed")
    return said == TRUE


def _short(said: str | None) -> str | None:
    if said is not None and len(said) > MAX_VALUE_BYTES:
        raise ApiError("invalid_field_value", f"has at most {MAX_VALUE_BYTES} characters", param="event_id")
    return said


def _moment(name: str, said: str | None) -> datetime | None:
    if said is None:
        return None
    try:
        found = datetime.fromisoformat(said)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ApiError("invalid_field_value", "is a moment, as in 2026-05-23T10:00:00Z", param=name) from None
    return found
