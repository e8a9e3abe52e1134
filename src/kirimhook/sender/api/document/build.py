"""The whole document, from the routes and the table of calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

from kirimhook.contract.headers import EVENT, EVENT_ID, MAX_VALUE_BYTES, SOURCE
from kirimhook.sender.api.document import examples, schemas
from kirimhook.sender.api.document.answers import HEADERS, envelopes, responses_of
from kirimhook.sender.api.operations import OPERATIONS, PREFIX, Operation
from kirimhook.sender.api.requests import NewEvent, NewEvents
from kirimhook.sender.api.routes.events import RAW_CONTENT_TYPE
from kirimhook.sender.limits import Use

_REF = "#/components/schemas/{model}"
_VERSION = "1.0"  # of the contract, not of the package
_SCHEME = "api_key"
_ABOUT = (
    "Subscriptions, signed at-least-once deliveries, dead letters and replays. "
    "Bodies are JSON, at most 64 KiB, for `/events` 4 MiB; a field or parameter that is not described is refused. "
    "Every answer has an `X-Request-Id`."
)
_KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key and request within 24 h: the first answer again, and nothing is done twice.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}
_HEALTH = {
    "type": "object",
    "required": ["data", "request_id"],
    "additionalProperties": False,
    "properties": {
        "data": {
            "type": "object",
            "required": ["object", "status"],
            "additionalProperties": False,
            "properties": {
                "object": {"type": "string", "const": "health"},
                "status": {"type": "string", "const": "ok"},
            },
        },
        "request_id": schemas.REQUEST_ID,
    },
}


def build(routes: Sequence[BaseRoute], catalogue: Sequence[str], server_url: str | None) -> dict[str, Any]:
    """The document of an application with these routes, whose event types are `catalogue`."""
    document = get_openapi(
        title="kirimhook",
        version=_VERSION,
        description=_ABOUT,
        routes=routes,
        servers=[{"url": server_url}] if server_url else None,
    )
    components = document.setdefault("components", {})
    components["schemas"] = _schemas(components.get("schemas", {}), catalogue)
    components["securitySchemes"] = {
        _SCHEME: {"type": "http", "scheme": "bearer", "bearerFormat": "kdv_live_…", "description": "An API key."}
    }
    components["headers"] = HEADERS
    document["security"] = [{_SCHEME: []}]
    for operation in OPERATIONS:
        _complete(document["paths"][PREFIX + operation.path][operation.method.lower()], operation)
    return document


def _schemas(found: dict[str, Any], catalogue: Sequence[str]) -> dict[str, Any]:
    _, published = models_json_schema([(NewEvent, "validation"), (NewEvents, "validation")], ref_template=_REF)
    kinds = [operation.answers for operation in OPERATIONS if operation.answers is not None]
    merged = {**found, **published["$defs"], **schemas.resources(*kinds), **envelopes()}
    for unused in ("HTTPValidationError", "ValidationError"):
        merged.pop(unused, None)
    merged["EventType"] = {**merged["EventType"], "enum": list(catalogue)}
    return {**merged, "Error": schemas.ERROR, "Health": _HEALTH}


def _complete(described: dict[str, Any], operation: Operation) -> None:
    """What FastAPI cannot know: who needs a key, what is read before it, and how it is answered."""
    if not operation.takes_key:
        described["security"] = []
    for parameter in described.get("parameters", []):
        _never_null(parameter)
    described["responses"] = responses_of(operation)
    if operation.method == "POST":
        described.setdefault("parameters", []).append(_KEY_PARAMETER)
    if getattr(operation.route, "use", None) is Use.EVENTS:
        described["parameters"].extend(_raw_parameters())
        described["requestBody"] = _published_body()
    elif operation.endpoint.__name__ in examples.REQUESTS:
        content = described["requestBody"]["content"]["application/json"]
        content["examples"] = examples.REQUESTS[operation.endpoint.__name__]


def _never_null(parameter: dict[str, Any]) -> None:
    """A parameter that is not given is not there: none is null."""
    schema = parameter["schema"]
    if "anyOf" in schema:
        (kind,) = (choice for choice in schema.pop("anyOf") if choice != {"type": "null"})
        parameter["schema"] = {**kind, **schema} if "$ref" not in kind else kind


def _raw_parameters() -> list[dict[str, Any]]:
    carried = {"type": "string", "minLength": 1, "maxLength": MAX_VALUE_BYTES, "pattern": "^[!-~]([ -~]*[!-~])?$"}
    kinds = {
        SOURCE: ({"type": "string", "const": "meta"}, "Deliver the body byte for byte; the two others go with it."),
        EVENT: (schemas.reference("EventType"), "The event's type."),
        EVENT_ID: (carried, "The event's id."),
    }
    return [
        {"name": name, "in": "header", "required": False, "description": about, "schema": schema}
        for name, (schema, about) in kinds.items()
    ]


def _published_body() -> dict[str, Any]:
    either = {"oneOf": [schemas.reference("NewEvent"), schemas.reference("NewEvents")]}
    raw = {"type": "string", "format": "binary", "minLength": 1}
    return {
        "required": True,
        "content": {
            "application/json": {"schema": either, "examples": examples.published()},
            RAW_CONTENT_TYPE: {"schema": raw, "examples": examples.raw()},
        },
    }
