"""The first page: how deliveries have gone lately, and what waits. Kept up to date while it shows the last hour."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from starlette.responses import Response

from kirimhook.contract.errors import ApiError
from kirimhook.pages import charts
from kirimhook.sender.dashboard.place import PREFIX
from kirimhook.sender.service.overview import MOST_COUNTED

if TYPE_CHECKING:
    from datetime import datetime

    from kirimhook.pages.charts import Chart
    from kirimhook.sender.dashboard.visit import Visit
    from kirimhook.sender.service import Overview

WINDOWS = {"60": "1 hour", "360": "6 hours", "1440": "24 hours"}
"""Minutes that a page can show, as the URL has them."""
HOUR = "60"
LATE, TOO_LATE = 60, 900
"""Seconds that something due may wait before it is marked, and before it is marked as bad."""
REGIONS = ("waiting", "figures", "busiest")


class Choice(NamedTuple):
    """A link to another window."""

    label: str
    url: str
    is_current: bool


async def show(visit: Visit) -> Response:
    """Of all subscriptions, or of the one that `subscription_id` names. Raises ApiError `invalid_field_value`."""
    window, subscription_id = visit.query.get("window", HOUR), visit.query.get("subscription_id")
    if window not in WINDOWS:
        raise ApiError("invalid_field_value", f"the window is one of {', '.join(WINDOWS)} minutes", param="window")

    async def load() -> dict[str, object]:
        overview = await visit.tenant.overview(int(window), subscription_id)
        outcomes, times = await asyncio.to_thread(_charts, overview)  # or the loop would wait for the drawing
        return {
            "overview": overview,
            "outcomes": outcomes,
            "times": times,
            "label": WINDOWS[window].removeprefix("1 "),
            "choices": [_choice(known, window, subscription_id) for known in WINDOWS],
            "one": overview.busiest[0] if subscription_id and overview.busiest else None,
            "most": MOST_COUNTED,
            "kind_of_oldest": _kind(overview),
            "example": _example(visit),
        }

    return await visit.show("overview.html", load, regions=REGIONS if window == HOUR else ())


def _charts(overview: Overview) -> tuple[Chart, Chart]:
    steps = overview.steps
    labels = _labels([step.at for step in steps])
    per = "per minute" if overview.step_minutes == 1 else f"per {overview.step_minutes} minutes"
    outcomes = {name: [getattr(step.traffic, name) for step in steps] for name in ("succeeded", "failed", "dead")}
    taken = {"p50": [step.traffic.p50_ms for step in steps], "p99": [step.traffic.p99_ms for step in steps]}
    most = max([ms for values in taken.values() for ms in values if ms is not None], default=0.0)
    scale, unit = (1000.0, "seconds") if most >= 1000 else (1.0, "ms")
    times = {name: [None if ms is None else round(ms / scale, 3) for ms in values] for name, values in taken.items()}
    return (
        charts.bars("Attempts", labels, outcomes, unit=f"{per}, UTC"),
        charts.lines("Publish to success", labels, times, unit=f"{unit}, {per}, UTC"),
    )


def _labels(moments: Sequence[datetime]) -> list[str]:
    return [f"{at:%H:%M}" for at in moments]


def _choice(window: str, current: str, subscription_id: str | None) -> Choice:
    query = {"window": window} if window != HOUR else {}
    query |= {"subscription_id": subscription_id} if subscription_id else {}
    return Choice(WINDOWS[window], f"{PREFIX}?{urlencode(query)}" if query else PREFIX, window == current)


def _kind(overview: Overview) -> str:
    oldest = overview.waiting.oldest_due_at
    late = (overview.now - oldest).total_seconds() if oldest is not None else 0.0
    return "bad" if late > TOO_LATE else "warn" if late > LATE else ""


def _example(visit: Visit) -> str:
    """Publishes an event, at the address that this page was asked for."""
    event = json.dumps({"type": next(iter(visit.settings.catalogue), "contact.created"), "data": {"id": "1"}})
    scheme = "https" if visit.door.is_secure(visit.request) else "http"
    return (
        f"curl -X POST {scheme}://{visit.request.url.netloc}/v1/events \\\n"
        '  -H "Authorization: Bearer $KIRIM_KEY" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  -d '{event}'"
    )
