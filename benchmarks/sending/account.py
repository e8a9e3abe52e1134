"""Whether everything arrived: a run in which something did not is no result."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from benchmarks.files import InvalidRunError
from benchmarks.sending.receiving import Arrival


def check_arrivals(arrivals: Iterable[Arrival], expected: Collection[str]) -> None:
    """Each of these deliveries arrived at least once, and no other. Raises InvalidRunError."""
    arrived = {arrival.delivery_id for arrival in arrivals}
    missing, unknown = set(expected) - arrived, arrived - set(expected)
    if missing or unknown:
        raise InvalidRunError(f"of {len(expected)} deliveries {len(missing)} are missing, {len(unknown)} are unknown")
