"""What an API can do beyond the public documentation, as far as its own document says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from kirimhook.client import AsyncKirim

_LIST = "/webhook_deliveries"
_BULK = "/webhook_deliveries/bulk_replay"


class Abilities(NamedTuple):
    ids: bool = False
    """A bulk replay takes deliveries by their ids."""
    unreplayed: bool = False
    """The list can leave out what was replayed before."""


async def abilities(client: AsyncKirim) -> Abilities:
    """None, where the API has no document. Raises `Unreachable`."""
    from kirimhook.client import ApiError, UnexpectedAnswer

    try:
        return said_by(await client.document())
    except (ApiError, UnexpectedAnswer):
        return Abilities()


def said_by(document: dict[str, Any]) -> Abilities:
    """Of an OpenAPI document, whatever it is."""
    paths = _at(document, "paths")
    calls = {path.removeprefix("/v1"): call for path, call in paths.items()} if isinstance(paths, dict) else {}
    body = _at(calls, _BULK, "post", "requestBody", "content", "application/json", "schema")
    properties = _at(_resolved(document, body), "properties")
    parameters = _at(calls, _LIST, "get", "parameters")
    named = [_at(one, "name") for one in parameters] if isinstance(parameters, list) else []
    return Abilities("ids" in (properties or {}), "unreplayed" in named)


def _resolved(document: dict[str, Any], schema: Any) -> Any:
    reference = _at(schema, "$ref")
    if not isinstance(reference, str):
        return schema
    return _at(document, *reference.removeprefix("#/").split("/"))


def _at(value: Any, *keys: str) -> Any:
    """What is there, or None."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
