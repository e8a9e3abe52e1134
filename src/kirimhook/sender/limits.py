"""How often an organisation may call: a token bucket for each kind of call, in this process. Contract section 5.

The API and the dashboard count alike, each for itself.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from kirimhook.contract.errors import ApiError

if TYPE_CHECKING:
    from kirimhook.settings import SenderSettings

_MINUTE = 60.0
_SWEPT_FROM = 1024

Header = tuple[bytes, bytes]


class Use(StrEnum):
    """What a call is counted as."""

    READ = "read"
    WRITE = "write"
    EVENTS = "events"


class Verdict(NamedTuple):
    """Whether a call is let through, and what its answer says of the bucket.

    `reset` is the unix second at which the bucket is full again, `wait` the seconds until the next token.
    """

    admitted: bool
    limit: int
    remaining: int
    reset: int
    wait: int

    @property
    def headers(self) -> list[Header]:
        return [
            (b"x-ratelimit-limit", b"%d" % self.limit),
            (b"x-ratelimit-remaining", b"%d" % self.remaining),
            (b"x-ratelimit-reset", b"%d" % self.reset),
        ]


class LimitExceeded(ApiError):
    """429: `retry_after` seconds until the next call is let through."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__("rate_limit_exceeded", f"more than {verdict.limit} calls a minute")
        self.retry_after = verdict.wait


class Bucket:
    """A bucket of `limit` tokens for each organisation; a minute fills it.

    All that is kept of a bucket is when it will be full; one that is full is forgotten.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._interval = _MINUTE / limit
        self._full_at: dict[str, float] = {}
        self._sweep_at = _SWEPT_FROM

    def take(self, organisation_id: str, now: float) -> Verdict:
        # A clock that was put back must not shut anybody out: no bucket is emptier than empty.
        full_at = min(max(self._full_at.get(organisation_id, now), now), now + _MINUTE)
        tokens = (now + _MINUTE - full_at) / self._interval + 1e-6
        admitted = tokens >= 1
        if admitted:
            full_at += self._interval
            tokens -= 1
        self._keep(organisation_id, full_at, now)
        wait = 0 if admitted else math.ceil((1 - tokens) * self._interval)
        return Verdict(admitted, self._limit, int(tokens), math.ceil(full_at), wait)

    def _keep(self, organisation_id: str, full_at: float, now: float) -> None:
        self._full_at[organisation_id] = full_at
        if len(self._full_at) > self._sweep_at:
            self._full_at = {key: at for key, at in self._full_at.items() if at > now}
            self._sweep_at = max(_SWEPT_FROM, 2 * len(self._full_at))


class Limits:
    """The buckets of one process. Off for a kind of call whose limit is 0."""

    def __init__(self, settings: SenderSettings) -> None:
        limits = {
            Use.READ: settings.reads_per_minute,
            Use.WRITE: settings.writes_per_minute,
            Use.EVENTS: settings.events_per_minute,
        }
        self._buckets = {use: Bucket(limit) for use, limit in limits.items() if limit}

    def take(self, use: Use, organisation_id: str, now: float) -> Verdict | None:
        """Count a call; None where nothing limits it. `now` is in unix seconds."""
        bucket = self._buckets.get(use)
        return bucket.take(organisation_id, now) if bucket else None
