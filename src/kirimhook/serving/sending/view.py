"""What a sender adds to the pages of its admin port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kirimhook.admin.exposition import gauge
from kirimhook.admin.problem import Problem, found
from kirimhook.admin.view import SENDERS, SHARED
from kirimhook.serving.sending.reporter import MOST_COUNTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric as Family

    from kirimhook.serving.sending.report import SenderFleet, SenderReport


class SenderView:
    """Of a `SenderFleet`."""

    def owns(self, metric: str) -> bool:
        return metric.startswith(SENDERS) or metric in SHARED

    def problems(self, fleet: SenderFleet) -> list[Problem]:
        return found(fleet, _problems)

    def observed(self, fleet: SenderFleet) -> Iterator[Family]:
        if fleet.queue is not None:
            about = f"Open deliveries, held ones included; counted up to {MOST_COUNTED}."
            yield gauge("kirimhook_sender_open_deliveries", about, {"": fleet.queue})

    def status(self, fleet: SenderFleet) -> dict[str, Any]:
        return {"open_deliveries": fleet.queue}

    def process_status(self, report: SenderReport) -> dict[str, Any]:
        return {"serves": report.serves, "delivers": report.delivers, "engine_failed": report.engine_failed}


def _problems(report: SenderReport) -> Iterator[Problem]:
    if report.engine_failed:
        yield Problem("engine", "the engine ended by a defect: events are stored but not delivered; see the log")
