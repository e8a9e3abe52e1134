"""What callers send: query parameters and bodies, with their bounds. Contract section 5.

Bodies are strict: a field that is not here is refused, and nothing is converted. What only the use cases can
judge (a URL, whether an event type exists) is described here for the document, and judged there.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from kirimhook.contract import ids
from kirimhook.contract.events import MAX_TYPE_CHARS, is_type
from kirimhook.contract.headers import MAX_VALUE_BYTES

MAX_BATCH = 100
MAX_IDS = 1000
MAX_PAGE = 100
DEFAULT_PAGE = 25
MAX_DESCRIPTION = 1000
MAX_HOURS = 24 * 366 * 10
MAX_URL = 2048
_MAX_TYPES = 256
_ULID = "[0-9A-HJKMNP-TV-Z]{26}"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_CARRIED = r"^[!-~]+$"


def id_pattern(prefix: str) -> str:
    """The regular expression of an id of this kind."""
    return f"^{prefix}{_ULID}$"


def _moment(said: object) -> datetime:
    if not isinstance(said, str) or not _MOMENT.fullmatch(said):
        raise ValueError("must be a date and time with its offset, as in 2026-05-20T00:00:00Z")
    try:
        return datetime.fromisoformat(said.upper()).astimezone(UTC)
    except OverflowError:
        raise ValueError("must be a date and time from the year 1 to 9999") from None


def _whole(said: object) -> object:
    if not isinstance(said, str) or not (said.isascii() and said.isdigit() and len(said) < 10):
        raise ValueError("must be a whole number")
    return int(said)


def _truth(said: object) -> object:
    if said not in ("true", "false"):
        raise ValueError("must be true or false")
    return said == "true"


def _type(name: str) -> str:
    if not is_type(name):
        raise PydanticCustomError("unknown_event_type", "must be an event type: noun.verb in [a-z0-9_.]")
    return name


def _distinct(names: list[str]) -> list[str]:
    if len(set(names)) != len(names):
        raise ValueError("must not name one twice")
    return names


Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
Flag = Annotated[bool, BeforeValidator(_truth)]
PageSize = Annotated[int, Field(ge=1, le=MAX_PAGE), BeforeValidator(_whole)]
Cursor = Annotated[str, StringConstraints(min_length=1, max_length=256)]
SubscriptionId = Annotated[str, StringConstraints(pattern=id_pattern(ids.SUBSCRIPTION))]
EventId = Annotated[str, StringConstraints(pattern=_CARRIED, max_length=255)]
SoughtEventId = Annotated[str, StringConstraints(pattern=r"^[ -~]+$", max_length=MAX_VALUE_BYTES)]
EventType = TypeAliasType(
    "EventType",
    Annotated[
        str,
        AfterValidator(_type),
        WithJsonSchema({"type": "string", "maxLength": MAX_TYPE_CHARS, "description": "An event type."}),
    ],
)
"""Whether it is in the catalogue is judged by the use cases."""
SoughtType = Annotated[
    str,
    AfterValidator(_type),
    WithJsonSchema({"type": "string", "maxLength": MAX_TYPE_CHARS, "pattern": r"^[a-z0-9_]+(\.[a-z0-9_]+)+$"}),
]
"""One to look for, which can have left the catalogue."""
WebhookUrl = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "format": "webhook-url",
            "pattern": "^https://",
            "maxLength": MAX_URL,
            "description": "Where deliveries are posted to: https, a public address, no credentials.",
        }
    ),
]
EventTypes = Annotated[
    list[EventType],
    Field(min_length=1, max_length=_MAX_TYPES, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_distinct),
]
DeliveryIds = Annotated[
    list[Annotated[str, StringConstraints(pattern=id_pattern(ids.DELIVERY))]],
    Field(min_length=1, max_length=MAX_IDS, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_distinct),
]
Description = Annotated[
    str, StringConstraints(pattern=r"^[^\x00]*$", max_length=MAX_DESCRIPTION), Field(description="For people.")
]


def _as_changes(schema: dict[str, Any]) -> None:
    """What is not given is left as it is: the document shows no default. And what goes with what."""
    for described in schema["properties"].values():
        described.pop("default", None)
    schema["if"] = {"required": ["held"]}
    schema["then"] = {"required": ["status"], "properties": {"status": {"const": "active"}}}


def _as_choice(schema: dict[str, Any]) -> None:
    """What goes with what."""
    schema["if"] = {"required": ["ids"], "properties": {"ids": {"type": "array"}}}
    schema["then"] = {
        "properties": {name: {"type": "null"} for name in ("event_type", "created_after", "created_before")}
    }


class Body(BaseModel):
    """A JSON object, strictly."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NewSubscription(Body):
    """A subscription to create."""

    url: WebhookUrl
    events: EventTypes
    description: Description | None = None


class SubscriptionChanges(Body):
    """What to change of a subscription; what is not given stays. `held` goes with `status: "active"`."""

    model_config = ConfigDict(json_schema_extra=_as_changes)

    url: WebhookUrl = ""
    description: Description | None = None
    events: EventTypes = []
    status: Literal["active", "disabled"] = "active"
    held: Annotated[
        Literal["deliver", "discard"], Field(description="What becomes of the deliveries held while it was disabled.")
    ] = "deliver"


class SecretOptions(Body):
    """How long a new secret is to be in force."""

    expires_in_hours: Annotated[float, Field(gt=0, le=MAX_HOURS)] | None = Field(
        default=None, description="Of the new secret; null: until it is deleted."
    )


class TestOptions(Body):
    """What to send as a test."""

    __test__ = False  # it is no test case

    event: EventType | None = Field(default=None, description="contact.created, unless another is named.")


class NoOptions(Body):
    """Nothing: an empty object, or no body at all."""


class BulkReplayOptions(Body):
    """Which deliveries to send again, the oldest first. `ids` goes without a type and a window."""

    model_config = ConfigDict(json_schema_extra=_as_choice)

    subscription_id: SubscriptionId
    status: Literal["dead", "failed"] = "dead"
    event_type: SoughtType | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    unreplayed: bool = Field(default=False, description="Only those that have not been replayed yet.")
    ids: DeliveryIds | None = Field(
        default=None, description="These alone; what is not there, or has another status by now, is left out."
    )


class NewEvent(Body):
    """An event of kirim to publish: it travels in kirim's envelope."""

    type: EventType
    data: dict[str, Any] = Field(description="What the envelope is to hold.")
    id: EventId | None = Field(default=None, description="Its id; one is made where none is given.")


class NewEvents(Body):
    """Several events, all of which are published or none."""

    events: Annotated[list[NewEvent], Field(min_length=1, max_length=MAX_BATCH)]
