"""What an error of PostgreSQL, of its driver or of the connection to it means."""

from __future__ import annotations

import contextlib

import asyncpg

from kirimhook.observe import Observer
from kirimhook.receiver.inbox import InboxUnavailable

RETRIED = frozenset({"40P01", "40001"})
"""The transaction was undone because of another; run again, it will most likely succeed."""
GONE = "storage_unavailable"
TIMEOUT = "timeout"
UNKNOWN = "storage_error"
REASONS = {
    "08": GONE,
    "25006": "read_only",  # a standby
    "25P": TIMEOUT,  # idle in a transaction for too long
    "28": "refused",
    "3D": "refused",  # no such database
    "40": "conflict",
    "42501": "refused",
    "53100": "disk_full",
    "53": "overloaded",
    "55P03": "locked",
    "57014": TIMEOUT,
    "57": GONE,
    "58": "io_error",
    "58030": "io_error",
    "XX001": "corrupt",
    "XX002": "corrupt",
}
"""By the longest prefix of the SQLSTATE."""
HARMLESS = frozenset({"22", "23", "40", "53", "54"})
"""Classes of SQLSTATE after which a connection is as good as before. After any other error it is made anew:
perhaps it leads to another server then, or to tables as they are now."""
LOST = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What the driver raises for a connection that is lost, or was never made."""
DRIVER = (*LOST, asyncpg.PostgresError)


def state(error: BaseException) -> str:
    """The SQLSTATE, or an empty text."""
    return str(getattr(error, "sqlstate", None) or "")


def storage_reason(error: BaseException) -> str | None:
    """None for an error that is not the storage's, but the statement's."""
    found = [REASONS[prefix] for end in range(5, 1, -1) if (prefix := state(error)[:end]) in REASONS]
    if found:
        return found[0]
    if isinstance(error, TimeoutError):  # an OSError as well
        return TIMEOUT
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return "read_only"
    if isinstance(error, LOST) and not isinstance(error, asyncpg.DataError):
        return GONE
    return None


def spoils(error: BaseException) -> bool:
    """Whether the connection is not to be used again."""
    return state(error)[:2] not in HARMLESS and not isinstance(error, asyncpg.DataError)


def unavailable(error: BaseException) -> InboxUnavailable:
    """The same trouble in the port's words, a new one for each waiter, who will raise it."""
    if isinstance(error, InboxUnavailable):
        return InboxUnavailable(error.reason, error.detail, error.retry_after)
    found = InboxUnavailable(storage_reason(error) or UNKNOWN, str(error) or repr(error))
    found.__cause__ = error
    return found


class Outage:
    """Told once when it begins and once when it ends. What is wrong with a log costs no caller anything."""

    def __init__(self) -> None:
        self._observer = Observer()
        self._reason: str | None = None

    def begins(self, trouble: InboxUnavailable) -> None:
        before, self._reason = self._reason, trouble.reason
        if before != trouble.reason:
            with contextlib.suppress(Exception):
                self._observer.event("inbox_failed", reason=trouble.reason, detail=trouble.detail)

    def ends(self) -> None:
        before, self._reason = self._reason, None
        if before:
            with contextlib.suppress(Exception):
                self._observer.event("inbox_recovered", reason=before)
