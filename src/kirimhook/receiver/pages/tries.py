"""How often somebody may try the token."""

from __future__ import annotations

WINDOW = 60.0
OF_ONE = 10
"""Wrong tries of one client address in a window of that many seconds."""
OF_ALL = 100
MOST_CLIENTS = 10_000


class Tries:
    """Counts wrong tries in windows of a minute. `now` is seconds on any clock that does not go back."""

    def __init__(self) -> None:
        self._began = float("-inf")
        self._wrong: dict[str, int] = {}
        self._all = 0

    def wait(self, client: str, now: float) -> int:
        """Seconds until this client may try again; 0: now."""
        self._turn(now)
        if self._wrong.get(client, 0) < OF_ONE and self._all < OF_ALL:
            return 0
        return max(1, int(self._began + WINDOW - now + 0.999))

    def wrong(self, client: str, now: float) -> None:
        """Note a try that failed."""
        self._turn(now)
        self._all += 1
        if client in self._wrong or len(self._wrong) < MOST_CLIENTS:
            self._wrong[client] = self._wrong.get(client, 0) + 1

    def _turn(self, now: float) -> None:
        if now - self._began >= WINDOW:
            self._began = now
            self._wrong.clear()
            self._all = 0
