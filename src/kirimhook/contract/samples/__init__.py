"""The documented payloads, as data: every event, every kind of message, every status. Contract section 3.

A file holds `type`, `source`, `event_id` and the body as JSON; the bytes of the body are that JSON in its
own key order, compact and in UTF-8, the same on every machine. Files are read when they are asked for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from kirimhook.contract import events, ids

_USUAL = {
    events.MESSAGE_RECEIVED: "message.received.text",
    events.MESSAGE_STATUS: "message.status.delivered",
}
_SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class Sample:
    """One payload: what its headers say (`type`, `source`, `event_id`) and the bytes of its body."""

    name: str
    type: str
    source: str
    event_id: str
    body: bytes

    def renewed(
        self,
        *,
        event_id: str | None = None,
        customer: str | None = None,
        timestamp: int | None = None,
        livemode: bool | None = None,
    ) -> Sample:
        """The same payload as another event: header and body agree; what is None stays as it is.

        `event_id` becomes the body's first id, and names its further ids after it. `customer` (digits of a
        phone number) becomes everybody in the body, and with it the ordering key; `timestamp` is in unix
        seconds. Raises ValueError for `livemode` on a meta body, which has none.
        """
        payload = json.loads(self.body)
        if self.source == events.META:
            if livemode is not None:
                raise ValueError(f"{self.name} has no livemode: a meta body does not say")
            _renew_meta(payload, self.event_id, event_id, customer, timestamp)
        else:
            _renew_envelope(payload, event_id, customer, timestamp)
            payload["livemode"] = payload["livemode"] if livemode is None else livemode
        return replace(self, event_id=event_id or self.event_id, body=events.encode(payload))


def names() -> tuple[str, ...]:
    """The name of every sample, sorted."""
    found = (entry.name for entry in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX)))


@cache
def load(name: str) -> Sample:
    """The sample of this name; a bare event type means its usual one. Raises LookupError for others."""
    full = _USUAL.get(name, name)
    if full not in names():
        raise LookupError(f"no sample {name!r}; there are: {', '.join(names())}")
    stored = json.loads((files(__name__) / (full + _SUFFIX)).read_text("utf-8"))
    return Sample(full, stored["type"], stored["source"], stored["event_id"], events.encode(stored["body"]))


def _renew_meta(
    payload: dict[str, Any], known_as: str, event_id: str | None, customer: str | None, timestamp: int | None
) -> None:
    renamed = {known_as: event_id or known_as}
    for item in (*events.messages(payload), *events.statuses(payload)):
        if event_id:
            item["id"] = renamed.setdefault(item["id"], f"{event_id}-{len(renamed) + 1}")
        if customer:
            item["from" if "from" in item else "recipient_id"] = customer
        if timestamp is not None:
            item["timestamp"] = str(timestamp)
    for change in (change for entry in payload["entry"] for change in entry["changes"]):
        for person in change["value"].get("contacts", ()):
            person["wa_id"] = customer or person["wa_id"]


def _renew_envelope(payload: dict[str, Any], event_id: str | None, customer: str | None, timestamp: int | None) -> None:
    if event_id:
        payload["id"] = event_id
    if timestamp is not None:
        payload["created_at"] = f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%dT%H:%M:%SZ}"
    if customer:
        for thing in payload["data"].values():
            _belong_to(customer, thing)


def _belong_to(customer: str, thing: dict[str, Any]) -> None:
    """Make it this customer's: one customer always has the same contact and the same conversation."""
    if "phone_number" in thing:
        thing["phone_number"] = f"+{customer}"
    if "id" in thing:
        prefix, _, _ = thing["id"].partition("_")
        thing["id"] = ids.make(f"{prefix}_", 0, sha256(customer.encode()).digest()[: ids.RANDOM_BYTES])
