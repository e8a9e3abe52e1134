"""Purge: what is past its retention goes, in bounded batches; what is unfinished or parked stays.

Each walk goes up in commit order, which is arrival order, and ends at the first event that is too young.
"""

from __future__ import annotations

from kirimhook.backends.postgres.link import Connection
from kirimhook.backends.postgres.settings import PostgresSettings
from kirimhook.receiver.inbox import Purged

DAY = 24 * 3600 * 1000
LARGEST = 5_000
"""Events of one transaction: whoever leases waits for it."""


class Purger:
    """Remembers how far each walk has come, so that what stays behind is not looked at again every time.

    The walks begin anew when both have ended.
    """

    def __init__(self, settings: PostgresSettings) -> None:
        self._schema = settings.schema
        self._payload_age = int(settings.payload_days * DAY)
        self._record_age = int(settings.dedupe_days * DAY)
        self._payloads_from: int | None = 0
        self._records_from: int | None = 0

    async def payloads(self, connection: Connection, limit: int, now: int) -> int:
        """One batch; how many went."""
        if self._payloads_from is None:
            return 0
        horizon = now - self._payload_age
        sql = f"SELECT removed, looked, last, arrived FROM {self._schema}.purge_payloads($1, $2, $3)"
        row = await connection.fetchrow(sql, self._payloads_from, limit, horizon)
        removed, *end = row or (0, 0, None, None)
        self._payloads_from = _next(end, limit, horizon)
        return int(removed)

    async def records(self, connection: Connection, limit: int, now: int) -> int:
        """With the payload, so not before that has had its own time: an event can be finished late."""
        if self._records_from is None:
            return 0
        horizon, finished = now - self._record_age, now - self._payload_age
        sql = f"SELECT removed, looked, last, arrived FROM {self._schema}.purge_records($1, $2, $3, $4)"
        row = await connection.fetchrow(sql, self._records_from, limit, horizon, finished)
        removed, *end = row or (0, 0, None, None)
        self._records_from = _next(end, limit, horizon)
        return int(removed)

    def purged(self, payloads: int, records: int) -> Purged:
        """What both came to."""
        more = self._payloads_from is not None or self._records_from is not None
        if not more:
            self._payloads_from = self._records_from = 0
        return Purged(payloads, records, more)


def _next(end: list[int | None], limit: int, horizon: int) -> int | None:
    """Where the walk goes on; None when it has come to what is too young, or to the end."""
    looked, last, arrived = end
    if looked is None or looked < limit or arrived is None or arrived >= horizon:
        return None
    return last
