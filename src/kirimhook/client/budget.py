"""How many calls the API has room for, as its rate-limit headers say. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

from kirimhook.client.answers import Answer
from kirimhook.client.calls import Use
from kirimhook.contract.retry import retry_after

_TOO_MANY = 429


@dataclass(slots=True)
class Budget:
    """Until when there is no room for another call of each kind, in unix seconds. Shared by all calls of a client."""

    empty_until: dict[Use, float] = field(default_factory=dict)

    def wait(self, use: Use, now: float) -> float:
        """Seconds."""
        return max(self.empty_until.get(use, 0.0) - now, 0.0)

    def note(self, use: Use, answer: Answer, now: float) -> None:
        """What this answer says of the calls that are left."""
        wait = _asked(answer, now)
        if wait is None:
            self.empty_until.pop(use, None)
        else:
            self.empty_until[use] = now + wait


def _asked(answer: Answer, now: float) -> float | None:
    """Seconds until there is room again; None where there is room now, or nothing is said of it."""
    if answer.status == _TOO_MANY:
        asked = retry_after(answer.headers.get("retry-after"), now)
        if asked is not None:  # `-Reset` is when all calls are there again: later than the next one
            return asked
    elif answer.headers.get("x-ratelimit-remaining", "").strip() != "0":
        return None
    reset = answer.headers.get("x-ratelimit-reset", "").strip()
    return max(int(reset) - _their_now(answer, now), 0.0) if _is_time(reset) else None


def _is_time(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 12


def _their_now(answer: Answer, now: float) -> float:
    """By the API's own clock where it tells the time: ours may be off."""
    try:
        return parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return now
