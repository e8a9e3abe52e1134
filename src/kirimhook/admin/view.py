"""What one half adds to the pages of its admin port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prometheus_client import Metric as Family

    from kirimhook.admin.problem import Problem

SENDERS = "kirimhook_sender_"
"""What the names of a sender's metrics begin with; all others are a receiver's."""
SHARED = frozenset({"kirimhook_connections", "kirimhook_connections_cut_total"})
"""But for these: both halves serve connections."""


class View(Protocol):
    """What one half adds to the pages. The fleets and reports are those of that half."""

    def owns(self, metric: str) -> bool:
        """Whether this metric of the table is one of this half's."""
        ...

    def problems(self, fleet: Any) -> list[Problem]: ...

    def observed(self, fleet: Any) -> Iterable[Family]:
        """Metrics that are looked up when they are asked for."""
        ...

    def status(self, fleet: Any) -> Mapping[str, Any]: ...

    def process_status(self, report: Any) -> Mapping[str, Any]: ...
