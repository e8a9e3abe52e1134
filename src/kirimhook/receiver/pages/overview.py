"""The first page: what is in the inbox, how fast it moves, who works on it, and which secrets are in use."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from kirimhook.observe import OTHER_TYPES
from kirimhook.pages.charts import bars
from kirimhook.receiver.admin.report import InboxReport
from kirimhook.receiver.admin.view import ReceiverView
from kirimhook.receiver.inbox import Filter, InboxUnavailable, Page
from kirimhook.receiver.model import EventState
from kirimhook.receiver.pages.rates import REFUSED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.responses import Response

    from kirimhook.pages.charts import Chart
    from kirimhook.receiver.admin.report import Fleet, ProcessReport, SecretUse
    from kirimhook.receiver.model import StoredEvent
    from kirimhook.receiver.pages.rates import Minute, Rates
    from kirimhook.receiver.pages.visit import Visit

REGIONS = ("control", "problems", "state", "charts", "types", "processes", "running", "secrets")
MINUTES = 60
MOST_RUNNING = 20
MOST_WAITING = 50_000
"""Among more than these the few that run are not sought: an inbox has no index of them."""
PATIENCE = 2.0
"""Seconds that this page waits for the inbox: it has enough to show without."""
RECEIVED = {"received": "received", "duplicates": "duplicates", REFUSED: "refused"}
HANDLED = {"done": "handled", "retried": "retrying", "parked": "parked", "unhandled": "unhandled", "skipped": "skipped"}
"""Series of a chart: of `rates`, and as people read them."""
OUTCOMES = ("done", "retry", "parked", "unhandled", "skipped")
"""Columns by type, as `kirimhook_ended_types_total` names them."""


class OfType(NamedTuple):
    """What the processes counted of a type since they began; `ended` by outcome."""

    name: str
    received: int
    ended: Mapping[str, int]


class Looked(NamedTuple):
    """What the inbox says now, and what is leased of it, newest first. `problem`: why it is not known.

    `sought`: whether what is leased was looked for.
    """

    inbox: InboxReport | None = None
    events: Sequence[StoredEvent] = ()
    more: bool = False
    sought: bool = True
    problem: str | None = None


class Known(NamedTuple):
    """A secret that is in force, or was while these pages were there."""

    use: SecretUse
    in_force: bool


async def show(visit: Visit) -> Response:
    async def load() -> dict[str, object]:
        fleet, looked = await asyncio.gather(visit.fleet(), _looked(visit))
        inbox, rates = looked.inbox or fleet.inbox, visit.parts.rates
        return {
            "fleet": fleet,
            "inbox": inbox,
            "problems": ReceiverView().problems(fleet),
            "oldest": None if inbox is None or inbox.oldest_waiting is None else inbox.oldest_waiting / 1000,
            "is_new": inbox is not None and not any(inbox.states.values()),
            "recent": rates.recent(),
            "since": rates.since,
            "charts": await asyncio.to_thread(_charts, rates),  # acks do not wait for a drawing
            "types": by_type(fleet),
            "outcomes": OUTCOMES,
            "processes": [(report, _gauges(report)) for report in fleet.processes],
            "running": looked,
            "secrets": secrets(fleet, rates),
            "receives": any(report.receives for report in fleet.processes),
        }

    return await visit.show("overview.html", load, regions=REGIONS)


async def _looked(visit: Visit) -> Looked:
    """At the inbox itself: what processes report of it may be half a second old, and a pause is seen at once."""
    try:
        async with asyncio.timeout(PATIENCE):
            inbox = await visit.inbox()
            stats = await inbox.stats()
            running, waiting = stats.counts[EventState.RUNNING], stats.counts[EventState.WAITING]
            is_sought = waiting <= MOST_WAITING
            page = Page([], None)
            if running and is_sought:
                page = await inbox.list(Filter(states=frozenset((EventState.RUNNING,))), limit=MOST_RUNNING)
    except TimeoutError:
        return Looked(problem=f"the inbox did not answer within {PATIENCE:g} s")
    except InboxUnavailable as error:
        return Looked(problem=str(error))
    states = {state.value: count for state, count in stats.counts.items()}
    report = InboxReport(states, stats.paused, stats.oldest_waiting, stats.bytes)
    return Looked(report, page.events, page.next_cursor is not None, is_sought)


def by_type(fleet: Fleet) -> list[OfType]:
    """Most received first; what is counted as `other` last."""
    counters = fleet.totals.snapshot["counters"]
    received = counters["kirimhook_received_types_total"]
    ended: dict[str, dict[str, int]] = {}
    for label, count in counters["kirimhook_ended_types_total"].items():
        name, _, outcome = label.rpartition(" ")
        ended.setdefault(name, {})[outcome] = count
    types = [OfType(name, received.get(name, 0), ended.get(name, {})) for name in {**received, **ended}]
    return sorted(types, key=lambda each: (each.name == OTHER_TYPES, -each.received, each.name))


def secrets(fleet: Fleet, rates: Rates) -> list[Known]:
    """Those in force first, then those that were dropped since these pages began."""
    active = {use.fingerprint: Known(use, in_force=True) for use in fleet.active_secrets}
    dropped = [Known(use, in_force=False) for use in rates.known_secrets() if use.fingerprint not in active]
    return [*active.values(), *dropped]


def _charts(rates: Rates) -> list[Chart]:
    minutes = rates.minutes(MINUTES)
    return [
        _chart("Received", RECEIVED, minutes),
        _chart("Handled", HANDLED, minutes),
    ]


def _chart(title: str, names: Mapping[str, str], minutes: Sequence[Minute]) -> Chart:
    """Always as wide as an hour: before the first sample there is nothing, not zero."""
    last = minutes[-1].began
    labels = [f"{datetime.fromtimestamp(last - 60 * back, UTC):%H:%M}" for back in reversed(range(MINUTES))]
    unknown = [None] * (MINUTES - len(minutes))
    series = {shown: [*unknown, *(minute.counts[name] for minute in minutes)] for name, shown in names.items()}
    return bars(title, labels, series, unit="a minute, UTC")


def _gauges(report: ProcessReport) -> dict[str, int]:
    gauges = report.snapshot["gauges"]
    return {
        "leased": int(gauges.get("kirimhook_leased_runs", 0)),
        "running": int(gauges.get("kirimhook_handlers_running", 0)),
    }
