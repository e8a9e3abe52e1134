"""How much may wait for a commit."""

from __future__ import annotations

import threading

from kirimhook.backends.settings import InboxSettings
from kirimhook.receiver.inbox import InboxBusy


class Admission:
    """Counts events in and out, from any thread."""

    def __init__(self, settings: InboxSettings) -> None:
        self._settings = settings
        self._guard = threading.Lock()
        self._events = 0
        self._bytes = 0

    def admit(self, events: int, weight: int) -> None:
        """What is larger than the bounds may wait alone. Raises `InboxBusy`."""
        limits = self._settings
        with self._guard:
            too_many = self._events + events > limits.max_waiting
            too_heavy = self._bytes + weight > limits.max_waiting_bytes
            if self._events and (too_many or too_heavy):
                raise InboxBusy("queue_full", f"{self._events} events wait to be committed", retry_after=1)
            self._events += events
            self._bytes += weight

    def taken(self, events: int, weight: int) -> None:
        """They wait no longer."""
        with self._guard:
            self._events -= events
            self._bytes -= weight
