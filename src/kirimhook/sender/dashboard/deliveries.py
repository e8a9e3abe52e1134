"""Webhook Deliveries: the list, its filters in the address, and the forms that replay what is on it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.responses import Response

from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import Delivery, DeliveryKind, DeliveryStatus
from kirimhook.pages.moments import duration
from kirimhook.sender.dashboard import filters, once
from kirimhook.sender.dashboard.filters import CURSOR, address
from kirimhook.sender.model import OPEN
from kirimhook.sender.service import DeliveryFilter, Page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kirimhook.contract.resources import Subscription
    from kirimhook.sender.dashboard.visit import Visit

PATH = "/deliveries"
QUERY = (*filters.NAMES, CURSOR)
LIMIT = 50
"""Deliveries of a page."""
MOST_NAMED = 100
"""Subscriptions to choose from."""
WINDOWS = {"last 15 minutes": 900, "last hour": 3600, "last day": 86_400, "last week": 7 * 86_400}
"""Of creation, in seconds before now: for who would rather not type a moment."""
_REPLAYED = frozenset((None, DeliveryStatus.DEAD, DeliveryStatus.FAILED))
"""With these statuses asked for, all that match can be replayed: those of them that are dead or failed."""


async def show(visit: Visit) -> Response:
    """Newest first; the first page is kept up to date."""
    cursor = visit.query.get(CURSOR)
    subscriptions = await visit.tenant.subscriptions(MOST_NAMED)
    names: dict[str, str] = {one.id: name_of(one) for one in subscriptions.items}
    now = visit.now.replace(microsecond=0)
    shared: dict[str, object] = {
        "names": names,
        "all_named": subscriptions.next_cursor is None,
        "choices": _choices(visit, names),
        "local": filters.local,
        "limit": LIMIT,
        "once": once.new(),
        "kept": duration(visit.settings.retention),
    }
    try:
        where = filters.read(visit.query)
        first = await visit.tenant.deliveries(where, LIMIT, cursor)
    except ApiError as error:
        if error.status != 400:
            raise
        refused = {**shared, **_refused(visit.query, error), "windows": []}
        return await visit.page("deliveries.html", status=400, **refused)
    loaded: list[Page[Delivery]] = [first]

    async def load() -> dict[str, object]:
        page = loaded.pop() if loaded else await visit.tenant.deliveries(where, LIMIT, cursor)
        return {**shared, **_shown(page, where, cursor), "windows": _windows(where, now)}

    return await visit.show("deliveries.html", load, regions=[] if cursor else ["list"])


def name_of(subscription: Subscription) -> str:
    """What people know it by: its description, or where it goes to."""
    if subscription.description:
        return subscription.description
    parts = urlsplit(subscription.url)
    return (parts.netloc + parts.path).rstrip("/")


def is_held(delivery: Delivery) -> bool:
    """Open, and not attempted, as its subscription is disabled."""
    return delivery.status in OPEN and delivery.next_attempt_at is None


def _choices(visit: Visit, names: dict[str, str]) -> dict[str, list[tuple[str, str]]]:
    """Of each filter, with what the address says where nobody would choose it: a deleted subscription."""

    def of(name: str, known: Mapping[str, str]) -> list[tuple[str, str]]:
        said = visit.query.get(name)
        more = {said: said} if said is not None and said not in known else {}
        return [("", "Any"), *known.items(), *more.items()]

    return {
        "subscription_id": of("subscription_id", names),
        "event_type": of("event_type", {one: one for one in visit.settings.catalogue}),
        "status": of("status", {one.value: one.value for one in DeliveryStatus}),
        "kind": of("kind", {one.value: one.value for one in DeliveryKind}),
    }


def _shown(page: Page[Delivery], where: DeliveryFilter, cursor: str | None) -> dict[str, Any]:
    return {
        "error": None,
        "said": filters.query(where),
        "where": where,
        "items": page.items,
        "is_held": is_held,
        "tabs": _tabs(where),
        "is_filtered": where != DeliveryFilter(status=where.status),
        "here": address(PATH, where, cursor),
        "first": address(PATH, where) if cursor else None,
        "next": address(PATH, where, page.next_cursor) if page.next_cursor else None,
        "replay_all": _replay_all(where) if page.items else None,
    }


def _tabs(where: DeliveryFilter) -> list[tuple[str, str, bool]]:
    """Label, address and whether it is this page: the same filters with each status."""
    each = [None, *DeliveryStatus]
    return [
        ("All" if one is None else one.capitalize(), address(PATH, where._replace(status=one)), one == where.status)
        for one in each
    ]


def _windows(where: DeliveryFilter, now: datetime) -> list[tuple[str, str]]:
    """Label and address: the same filters for what was created lately."""
    return [
        (label, address(PATH, where._replace(created_after=now - timedelta(seconds=seconds), created_before=None)))
        for label, seconds in WINDOWS.items()
    ]


def _replay_all(where: DeliveryFilter) -> str | None:
    """To the page that counts them and asks; None where none of them is replayed in bulk."""
    return address("/replays/new", where) if where.status in _REPLAYED else None


def _refused(query: Mapping[str, str], error: ApiError) -> dict[str, Any]:
    """What was typed, and what is wrong with it."""
    nothing: Page[Delivery] = Page([], None)
    shown = _shown(nothing, DeliveryFilter(), None)
    return {**shown, "error": error, "said": {name: query.get(name, "") for name in filters.NAMES}, "where": None}
