"""How much a run of the benchmarks does: the real one, and a quick one that only shows that every case still works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Durations are seconds; wrk takes whole ones."""

    rounds: int = 5
    """Every case runs this often, in turn; medians are reported."""
    warm_up: int = 1
    """Load before the one that is measured, on the same server; 0 for none."""
    load: int = 6
    connections: int = 64
    waiting: int = 200_000
    """Events that a worker drains."""
    finished: int = 1_000_000
    """Rows of the file that has a past."""
    blocked: int = 1_000_000
    """Events behind one key whose head is in backoff."""
    block: float = 5.0
    """How long a blocking handler blocks."""
    load_while_blocked: int = 4
    """Shorter than `block`: starting wrk and ending it takes time too."""
    transactions: tuple[float, ...] = (0.0001, 0.001, 0.01)
    """How long the transactional handlers take."""
    usual: int = 4_000
    """Deliveries of Celery."""
    usual_warm_up: int = 500


FULL = Scale()
QUICK = Scale(
    rounds=1,
    warm_up=0,
    load=1,
    waiting=20_000,
    finished=3_000,
    blocked=2_000,
    block=1.5,
    load_while_blocked=1,
    transactions=(0.001,),
    usual=100,
    usual_warm_up=20,
)
