"""What telling is to those who tell: a teller, when it did not work, and when to try again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

TIMEOUT = 30.0
"""Seconds for one telling."""
LEASE = 2 * TIMEOUT
"""Seconds in which nobody else tells what one process is telling: longer than a telling can take."""
LONGEST = 300.0
"""Seconds until what nobody took is told again, at most; they double from 1."""


class NotToldError(Exception):
    """Nobody has taken it. The message says why, on one line."""


class Teller(Protocol):
    """Tells one document, or raises `NotToldError`."""

    async def tell(self, document: Mapping[str, Any]) -> None: ...


def again_in(failures: int) -> float:
    """Seconds until it is told again, after so many failures in a row before this one."""
    return min(2.0 ** min(failures, 16), LONGEST)
