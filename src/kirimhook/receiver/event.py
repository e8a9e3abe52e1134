"""The event as a handler gets it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from kirimhook.contract import events
from kirimhook.receiver.model import LeasedEvent


class Event:
    """One verified event, in one attempt to handle it. Read only.

    Cheap to make: nothing is parsed before `payload`, `data`, `messages` or `statuses` is asked for.
    """

    __slots__ = ("_leased", "_payload")

    def __init__(self, leased: LeasedEvent) -> None:
        self._leased = leased
        self._payload: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        """As its header named it: `wamid…` from meta, `evt_…` from kirim; the same on retry and replay."""
        return self._leased.event.event_id

    @property
    def type(self) -> str:
        return self._leased.event.type

    @property
    def source(self) -> str:
        """`meta`, `kirim`, or whatever the sender said."""
        return self._leased.event.source

    @property
    def livemode(self) -> bool:
        """False for a test delivery."""
        return self._leased.event.livemode

    @property
    def received_at(self) -> datetime:
        """When it arrived, in UTC."""
        return datetime.fromtimestamp(self._leased.event.received_at / 1000, UTC)

    @property
    def attempt(self) -> int:
        """1 for the first. A snooze does not count."""
        return self._leased.attempt

    @property
    def body(self) -> bytes:
        """What was sent and signed, byte for byte."""
        return self._leased.event.body

    @property
    def number(self) -> int:
        """Its place in the order in which events were stored, and its name in `kirimhook inbox`."""
        return self._leased.number

    @property
    def ordering_key(self) -> str | None:
        """Events of one key are handled one at a time, in order. None: beside any other."""
        return self._leased.event.ordering_key

    @property
    def payload(self) -> dict[str, Any]:
        """The body as JSON, parsed once. Raises `contract.events.UnreadableError` where it is none.

        An event whose body cannot be parsed is parked, so no handler meets one.
        """
        if self._payload is None:
            self._payload = events.parse(self.body)
        return self._payload

    @property
    def data(self) -> dict[str, Any] | None:
        """`data` of a kirim envelope; None for a body that is not one."""
        data = self.payload.get("data")
        return data if isinstance(data, dict) and "entry" not in self.payload else None

    @property
    def messages(self) -> Iterator[dict[str, Any]]:
        """Every message the body holds, over all its entries and changes, in order."""
        return events.messages(self.payload)

    @property
    def statuses(self) -> Iterator[dict[str, Any]]:
        """Every status the body holds, over all its entries and changes, in order."""
        return events.statuses(self.payload)

    def __repr__(self) -> str:
        return f"<Event {self.number} {self.type} id={self.id!r} attempt={self.attempt}>"
