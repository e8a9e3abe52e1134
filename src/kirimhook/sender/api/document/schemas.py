"""The schemas of what is answered, derived from `contract.resources`: they cannot say anything else."""

from __future__ import annotations

import dataclasses
import inspect
from datetime import datetime
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, NewType, Union, get_args, get_origin, get_type_hints

from kirimhook.contract import ids
from kirimhook.contract.codec import Resource
from kirimhook.contract.errors import CODES, ErrorType
from kirimhook.contract.signature import Secret
from kirimhook.sender.api.requests import id_pattern

Schema = dict[str, Any]

REQUEST_ID: Schema = {
    "type": "string",
    "pattern": id_pattern(ids.REQUEST),
    "examples": ["req_01JVYQ4X8N6T3F0R2M5K7H9C1A"],
}

_PATTERNS = {
    "SubscriptionId": id_pattern(ids.SUBSCRIPTION),
    "SecretId": id_pattern(ids.SECRET),
    "DeliveryId": id_pattern(ids.DELIVERY),
}
_SCALARS: dict[type, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    datetime: {"type": "string", "format": "date-time"},
    Secret: {"type": "string", "pattern": "^whsec_", "description": "In plain, this once."},
}

ERROR: Schema = {
    "type": "object",
    "description": "The body of every answer that is not what was asked for.",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "code", "message", "request_id"],
            "additionalProperties": False,
            "properties": {
                "type": {"type": "string", "enum": [kind.value for kind in ErrorType]},
                "code": {"type": "string", "enum": list(CODES), "description": "For programs."},
                "message": {"type": "string", "description": "For people."},
                "param": {"type": "string", "description": "The field it is about, where it is about one."},
                "request_id": REQUEST_ID,
            },
        }
    },
}


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def one(resource: type[Resource]) -> Schema:
    """The body that answers with one of these."""
    return _object({"data": reference(resource.__name__), "request_id": REQUEST_ID})


def page(resource: type[Resource]) -> Schema:
    """The body that answers with a page of these."""
    return _object(
        {
            "data": {"type": "array", "items": reference(resource.__name__)},
            "has_more": {"type": "boolean"},
            "next_cursor": {"type": ["string", "null"], "description": "For `cursor`; null on the last page."},
            "request_id": REQUEST_ID,
        }
    )


def _object(properties: Schema) -> Schema:
    return {"type": "object", "required": list(properties), "additionalProperties": False, "properties": properties}


def resources(*kinds: type[Resource]) -> dict[str, Schema]:
    """The schema of each of these resources, and of those that they hold, by name."""
    found: dict[str, Schema] = {}
    for kind in kinds:
        _describe(kind, found)
    return found


def _describe(kind: type[Any], found: dict[str, Schema]) -> None:
    if kind.__name__ in found:
        return
    hints = get_type_hints(kind)
    properties: Schema = {"object": {"type": "string", "const": kind.OBJECT}} if kind.OBJECT else {}
    required = list(properties)
    found[kind.__name__] = {}
    for field in dataclasses.fields(kind):
        nullable = field.default is not None and field.name not in kind.OURS
        properties[field.name] = _schema(hints[field.name], found, nullable=nullable)
        if field.default is not None:  # else it is left out while it is None
            required.append(field.name)
    found[kind.__name__] = {**_object(properties), "required": required, "description": inspect.getdoc(kind)}


def _schema(hint: Any, found: dict[str, Schema], *, nullable: bool = True) -> Schema:
    if get_origin(hint) in (Union, UnionType):
        (kind,) = (part for part in get_args(hint) if part is not NoneType)
        schema = _schema(kind, found)
        return {"anyOf": [schema, {"type": "null"}]} if nullable else schema
    if isinstance(hint, NewType):
        return {"type": "string", "pattern": _PATTERNS[hint.__name__]}
    if get_origin(hint) is tuple:
        return {"type": "array", "items": _schema(get_args(hint)[0], found)}
    if get_origin(hint) is dict:
        return {"type": "object", "additionalProperties": _schema(get_args(hint)[1], found)}
    return _named(hint, found)


def _named(kind: type[Any], found: dict[str, Schema]) -> Schema:
    if issubclass(kind, Resource):
        _describe(kind, found)
        return reference(kind.__name__)
    if issubclass(kind, StrEnum):
        return {"type": "string", "enum": [choice.value for choice in kind]}
    return _SCALARS[kind]
