"""Publishing: an event as its data, several of them, or a body that travels byte for byte."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response
from pydantic import TypeAdapter, ValidationError

from kirimhook.contract.errors import ApiError
from kirimhook.contract.events import META
from kirimhook.contract.headers import EVENT, EVENT_ID, MAX_VALUE_BYTES, SOURCE
from kirimhook.sender.api.admission import call_of
from kirimhook.sender.api.answers import answer
from kirimhook.sender.api.bodies import check_type
from kirimhook.sender.api.call import Call
from kirimhook.sender.api.errors import from_validation
from kirimhook.sender.api.requests import NewEvent, NewEvents
from kirimhook.sender.api.strict import invalid, loads_aside
from kirimhook.sender.model import NewEvent as RawEvent
from kirimhook.sender.service import KirimEvent

_ONE: TypeAdapter[NewEvent] = TypeAdapter(NewEvent)
_SEVERAL: TypeAdapter[NewEvents] = TypeAdapter(NewEvents)
_RAW_HEADERS = (SOURCE, EVENT, EVENT_ID)
RAW_CONTENT_TYPE = "application/octet-stream"


async def publish_events(request: Request) -> Response:
    """Publish an event, up to 100 events, or a body as it is.

    With `X-Kirim-Source: meta`, `X-Kirim-Event` and `X-Kirim-Event-Id` the body is delivered byte for byte.
    An event that was published before is answered with `duplicate: true`, and makes no deliveries again.
    """
    call = call_of(request)
    if any(name in request.headers for name in _RAW_HEADERS):
        return await _publish_one(call, _raw(request, call.body))
    if call.body:
        check_type(request.headers)
    call.value = await loads_aside(call.body)
    if isinstance(call.value, dict) and "events" in call.value:
        return await _publish_several(call, _read(_SEVERAL, call.value).events)
    return await _publish_one(call, _event(_read(_ONE, call.value)))


async def _publish_one(call: Call, event: KirimEvent | RawEvent) -> Response:
    def render(receipts: list[Any]) -> bytes:
        return call.one(receipts[0])

    return answer(202, render(await call.once(202, render).publish([event])))


async def _publish_several(call: Call, events: list[NewEvent]) -> Response:
    receipts = await call.once(202, call.all).publish([_event(event) for event in events])
    return answer(202, call.all(receipts))


def _event(said: NewEvent) -> KirimEvent:
    return KirimEvent(said.type, said.data, said.id)


def _read(adapter: TypeAdapter[Any], value: Any) -> Any:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        errors: list[dict[str, Any]] = [{**found, "loc": ("body", *found["loc"])} for found in error.errors()]
        raise from_validation(errors) from None


def _raw(request: Request, body: bytes) -> RawEvent:
    """The event that a body and its headers are. Raises ApiError."""
    source, event_type, event_id = (_carried(request, name) for name in _RAW_HEADERS)
    if source != META:
        raise ApiError("invalid_field_value", f"must be {META}", param=SOURCE)
    if request.headers.get("content-type", "").lower() != RAW_CONTENT_TYPE:
        check_type(request.headers)
    if not body:
        raise invalid("the body is empty")
    return RawEvent(source, event_id, event_type, body)


def _carried(request: Request, name: str) -> str:
    """The header's value, which must be one that our own deliveries can carry."""
    given = request.headers.getlist(name)
    if not given:
        raise ApiError(
            "missing_required_field", f"goes with {' and '.join(n for n in _RAW_HEADERS if n != name)}", param=name
        )
    value = given[0].strip(" \t")
    if len(given) > 1 or not 0 < len(value) <= MAX_VALUE_BYTES or not (value.isascii() and value.isprintable()):
        raise ApiError(
            "invalid_field_value",
            f"must be one text of printable ASCII, at most {MAX_VALUE_BYTES} characters",
            param=name,
        )
    return value
