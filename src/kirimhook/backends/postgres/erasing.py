"""Erase: what says whom an event is about, a bounded number of events in one transaction.

What PostgreSQL keeps of rows that were changed is not overwritten by it: the old versions stay in the tables' files
until a vacuum gives their place to others, which overwrite it some day (`VACUUM FULL` of `payloads`, `events` and
`finished` writes those files anew at once, and locks the inbox out meanwhile); in the write-ahead log, its archive and
on replicas until the server recycles it; in backups until they are deleted.
"""

from __future__ import annotations

from collections.abc import Sequence

from kirimhook.backends.postgres.link import Connection

AT_ONCE = 500
"""Events of one transaction: nobody leases or settles meanwhile."""


async def erase(connection: Connection, schema: str, numbers: Sequence[int]) -> int:
    """Those that are finished and were not erased before; how many."""
    return int(await connection.fetchval(f"SELECT {schema}.erase($1)", numbers))
