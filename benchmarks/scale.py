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
    finished_of_jetstream: int = 300_000
    """Fewer: to store a million one by one takes minutes."""
    blocked: int = 1_000_000
    """Events behind one key whose head is in backoff."""
    inbox_waiting: int = 120_000
    """Events that a worker drains from each kind of inbox."""
    inbox_blocked: int = 100_000
    """Events behind one key in each kind of inbox."""
    block: float = 5.0
    """How long a blocking handler blocks."""
    load_while_blocked: int = 4
    """Shorter than `block`: starting wrk and ending it takes time too."""
    transactions: tuple[float, ...] = (0.0001, 0.001, 0.01)
    """How long the transactional handlers take."""
    endpoints: int = 100
    posts: int = 20_000
    """Of a bare loop, before and after."""
    posts_warm_up: int = 2_000
    deliveries: int = 60_000
    """Due when the engine starts."""
    deliveries_warm_up: int = 10_000
    """Of them, until its connections are open."""
    past: int = 1_000_000
    """Old deliveries."""
    behind: int = 1_000_000
    """Due deliveries behind one endpoint that hangs."""
    published: int = 20_000
    """Events published in batches of 100, as fast as it goes."""
    steady: int = 10
    """How long events are published at a fixed rate, half of what was just measured."""
    isolated_rate: int = 500
    """Events a second while endpoints are sick."""
    isolated: int = 25
    """How long: more than two timeouts."""
    isolated_warm_up: int = 5
    few: int = 1_000
    """Deliveries, or events, of what a page is looked at with; and many."""
    many: int = 1_000_000
    looks: int = 40
    """At each page."""
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
    finished_of_jetstream=3_000,
    blocked=2_000,
    inbox_waiting=6_000,
    inbox_blocked=1_000,
    block=1.5,
    load_while_blocked=1,
    transactions=(0.001,),
    endpoints=10,
    posts=300,
    posts_warm_up=50,
    deliveries=600,
    deliveries_warm_up=100,
    past=2_000,
    behind=2_000,
    published=500,
    steady=1,
    isolated_rate=100,
    isolated=1,
    isolated_warm_up=0,
    few=200,
    many=2_000,
    looks=3,
    usual=100,
    usual_warm_up=20,
)
