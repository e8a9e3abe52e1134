"""What a case is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.files import Files
from benchmarks.inboxes.storages import Inboxes
from benchmarks.scale import Scale
from benchmarks.sending.stock import Databases
from kirimhook.contract.signature import Secret


@dataclass(frozen=True, slots=True)
class Bench:
    """One run of the benchmarks."""

    folder: Path
    """For inbox files and databases; on the disk that is to be measured."""
    scale: Scale
    files: Files
    secret: Secret
    databases: Databases
    """Of a sender."""
    inboxes: Inboxes
    """Of every kind."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One case in one round. Nothing of it was lost, or there would be none."""

    count: int
    """Acknowledgements, events drained, or deliveries."""
    per_second: float
    cpu_us: float
    """CPU time of the measured process and its children, for each of them."""
    p50_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None
    handled_beside: int | None = None
    """Transactional handlers that ran meanwhile."""
    database_cpu_us: float | None = None
    """CPU time of the servers of the database (or of NATS, or Redis), for each of them."""
    receiver_cpu_us: float | None = None
    """CPU time of the process that receives, for each of them."""
    of_bare: float | None = None
    """`per_second` over that of the bare loop before and after, in the same process."""
    of_sqlite: float | None = None
    """`per_second` over the durable acks of one receiver process on SQLite, in the same round."""


@dataclass(frozen=True, slots=True)
class Case:
    about: str
    run: Callable[[Bench], dict[str, Measurement]]
    """Several measurements where they share a server."""
    missing: Callable[[], str | None] = lambda: None
    """How to install what it needs and is not here."""
