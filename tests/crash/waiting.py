"""Waiting for what gives no signal, because it happens in another process: look until it holds, with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

SOON = 30.0
"""Seconds after which it will not come any more."""
BETWEEN = 0.01


def until(holds: Callable[[], object], what: str, seconds: float = SOON) -> None:
    """Look until it holds. Fails, saying `what` did not happen."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(BETWEEN)


async def soon(holds: Callable[[], object], what: str, seconds: float = SOON) -> None:
    """The same beside an event loop that goes on."""
    await asyncio.to_thread(until, holds, what, seconds)
