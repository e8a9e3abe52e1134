"""One delivery: why it is so and what comes next, its attempts, what was sent, and how to send it from a shell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from starlette.responses import Response

from kirimhook.contract import headers
from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import Attempt
from kirimhook.pages import bodies
from kirimhook.pages.bodies import Body
from kirimhook.sender.dashboard import curl, explaining, filters, once
from kirimhook.sender.dashboard.deliveries import PATH, is_held, name_of
from kirimhook.sender.service import DeliveryFilter, Looked, StoredEvent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kirimhook.sender.dashboard.visit import Visit

BAR = 1000
"""Width of the longest attempt, in units of the drawing."""


class Phase(NamedTuple):
    """A part of an attempt: its name, how long it took (ms), and where it is in the drawing."""

    name: str
    ms: float
    x: float
    width: float


class Tried(NamedTuple):
    """An attempt as it is shown."""

    attempt: Attempt
    phases: list[Phase]
    request: str | None
    """Its line and headers; None where nothing was sent, or it was erased."""
    answer: str | None
    """Status and headers; None where there was none."""
    body: Body | None
    """Of the answer."""
    is_latest: bool


async def show(visit: Visit) -> Response:
    """Kept up to date while it is open."""
    delivery_id = visit.param("delivery_id")
    looked = await visit.tenant.look(delivery_id)
    fixed = {
        "once": once.new(),
        "path": f"{PATH}/{delivery_id}",
        "bar": BAR,
        "most": curl.MOST,
        **await _content(visit, looked),
    }

    async def load() -> dict[str, object]:
        return {**fixed, **_state(visit, await visit.tenant.look(delivery_id))}

    return await visit.show("delivery.html", load, regions=["state"])


async def event(visit: Visit) -> Response:
    """What was published, and all that became of it."""
    delivery_id = visit.param("delivery_id")
    found = await visit.tenant.event_of(delivery_id, bodies.MOST + 1)
    subscriptions = await visit.tenant.subscriptions(100)

    async def load() -> dict[str, object]:
        siblings = await visit.tenant.siblings(delivery_id)
        where = DeliveryFilter(event_id=found.event_id)
        return {
            "event": found,
            "body": _shown(found),
            "items": siblings.items,
            "more": filters.address(PATH, where) if siblings.is_cut and found.event_id else None,
            "is_held": is_held,
            "names": {one.id: name_of(one) for one in subscriptions.items},
            "all_named": subscriptions.next_cursor is None,
            "delivery_id": delivery_id,
            "path": f"{PATH}/{delivery_id}",
        }

    return await visit.show("event.html", load, regions=["list"])


async def body(visit: Visit) -> Response:
    """All of the body, byte for byte, as a file that nothing takes for a page."""
    delivery_id = visit.param("delivery_id")
    found = await visit.tenant.event_of(delivery_id)
    if found.body is None:
        raise ApiError("event_erased", "what the event held was erased: there is nothing to save")
    return _file(found.body, f"{delivery_id}.body.txt")


async def shell(visit: Visit) -> Response:
    """The script, as a file."""
    delivery_id = visit.param("delivery_id")
    looked = await visit.tenant.look(delivery_id)
    made = script(looked, await visit.tenant.event_of(delivery_id, curl.MOST + 1))
    if made is None:
        raise ApiError("event_erased", "there is nothing to send: it was erased, or cannot be written down")
    return _file(made.encode(), f"{delivery_id}.sh.txt")


def script(looked: Looked, found: StoredEvent) -> str | None:
    """Sends the delivery to where it would go now; None where it cannot be written down."""
    if looked.is_erased or found.body is None:
        return None
    last = looked.delivery.attempts[-1] if looked.delivery.attempts else None
    try:
        sent = (last.request_headers if last else None) or _headers(looked)
        return curl.script(looked.target.url, sent, found.body if found.size <= curl.MOST else None, found.size)
    except ValueError:
        return None


def phases(attempt: Attempt, longest: float) -> list[Phase]:
    """The parts of an attempt, one after the other, on a scale that ends at `longest` (ms)."""
    timing = attempt.timing
    parts = [("dns", timing.dns), ("connect", timing.connect), ("tls", timing.tls), ("first byte", timing.first_byte)]
    known = [(name, ms) for name, ms in parts if ms is not None]
    rest = attempt.duration_ms - sum(ms for _, ms in known)
    made: list[Phase] = []
    x = 0.0
    for name, ms in [*known, ("rest", max(rest, 0.0))]:
        width = ms / longest * BAR if longest > 0 else 0.0
        made.append(Phase(name, ms, round(x, 1), round(width, 1)))
        x += width
    return made


def _state(visit: Visit, looked: Looked) -> dict[str, Any]:
    delivery, target = looked.delivery, looked.target
    return {
        "looked": looked,
        "delivery": delivery,
        "is_held": is_held(delivery),
        "target": target,
        "why": explaining.why(looked),
        "following": explaining.following(looked, visit.settings.schedule, visit.now),
        "tried": _tried(delivery.attempts or (), f"POST {_target(target.url)} HTTP/1.1"),
        "host": urlsplit(target.url).netloc,
    }


def _tried(attempts: tuple[Attempt, ...], request_line: str) -> list[Tried]:
    """The latest first."""
    longest = max([attempt.duration_ms for attempt in attempts], default=0.0)
    made = []
    for attempt in attempts:
        request = _wire(request_line, attempt.request_headers) if attempt.request_headers else None
        status = attempt.response_status
        answer = None if status is None else _wire(f"HTTP {status}", attempt.response_headers)
        is_latest = attempt is attempts[-1]
        made.append(Tried(attempt, phases(attempt, longest), request, answer, _answer(attempt), is_latest))
    return made[::-1]


def _wire(first: str, headers: Mapping[str, str]) -> str:
    return bodies.visible("\n".join([first, *(f"{name}: {value}" for name, value in headers.items())]))


def _answer(attempt: Attempt) -> Body | None:
    return None if attempt.response_body is None else bodies.shown(attempt.response_body.encode("utf-8", "replace"))


async def _content(visit: Visit, looked: Looked) -> dict[str, Any]:
    """What does not change while the page is open."""
    found = await visit.tenant.event_of(looked.delivery.id, bodies.MOST + 1)
    return {
        "event": found,
        "body": _shown(found),
        "script": script(looked, found),
        "can_replay": not looked.is_erased and not looked.target.is_deleted,
    }


def _shown(found: StoredEvent) -> Body | None:
    return None if found.body is None else bodies.shown(found.body, found.size)


def _headers(looked: Looked) -> Mapping[str, str]:
    """Those of a first attempt. Raises ValueError for what no header carries."""
    delivery = looked.delivery
    return headers.build(
        source=delivery.source or "",
        event_type=delivery.event_type,
        event_id=delivery.event_id,
        delivery_id=delivery.id,
        attempt=1,
        signature="made anew",
    )


def _target(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _file(content: bytes, name: str) -> Response:
    disposition = f'attachment; filename="{name}"'
    return Response(content, media_type="text/plain; charset=utf-8", headers={"content-disposition": disposition})
