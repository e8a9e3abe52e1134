"""What the functions have in common."""

from __future__ import annotations

PLANS = """
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET plan_cache_mode = force_generic_plan SET jit = off"""

PUTS, WORK, WAITS = 1, 2, 3
"""Locks. Puts come one after the other, so that numbers are commit order; so does all that touches what is queued;
who waits for a put holds the third. Who takes two takes them in this order."""


def lock(which: int) -> str:
    """Until the end of the transaction."""
    return f"PERFORM pg_advisory_xact_lock({place(which)})"


def place(which: int) -> str:
    """Of a lock: advisory locks are a database's, and it may hold several inboxes."""
    return f"'{{schema}}.queue'::regclass::oid::integer, {which}"
