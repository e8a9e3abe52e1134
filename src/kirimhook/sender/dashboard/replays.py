"""Replays of all that match: counted and confirmed, their progress, a stop, and the list of them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import DeliveryKind, DeliveryStatus, SubscriptionStatus
from kirimhook.pages.csrf import FIELD as CSRF
from kirimhook.pages.moments import count, duration, exact
from kirimhook.sender.dashboard import filters
from kirimhook.sender.dashboard.deliveries import MOST_NAMED, name_of
from kirimhook.sender.dashboard.deliveries import PATH as DELIVERIES
from kirimhook.sender.dashboard.filters import CURSOR, address
from kirimhook.sender.dashboard.place import PREFIX
from kirimhook.sender.service import DeliveryFilter

if TYPE_CHECKING:
    from kirimhook.contract.resources import Subscription
    from kirimhook.sender.dashboard.visit import Visit
    from kirimhook.sender.service.replay_runs import ReplayRun

AGAIN = "again"
"""A parameter: those too that were replayed before."""
QUERY = (*filters.NAMES, AGAIN)
RUN = "run"
"""A field: the id of the run to begin, so that a form sent twice begins one."""
MOST = 10_000
"""Deliveries that are looked at to say how many match."""
LIMIT = 25
REPLAYED = (DeliveryStatus.DEAD, DeliveryStatus.FAILED)
_A_MOMENT = timedelta(milliseconds=1)


async def ask(visit: Visit) -> Response:
    """How many match at this moment, what a replay of them means, and the form that begins it."""
    said = filters.read(visit.query)
    where = said._replace(status=said.status or DeliveryStatus.DEAD, unreplayed=AGAIN not in visit.query)
    shared: dict[str, Any] = {"where": where, "back": address(DELIVERIES, said), "cannot": _cannot(where)}
    if shared["cannot"]:
        kept = {name: text for name, text in filters.query(where).items() if name not in ("status", "unreplayed")}
        return await visit.page("replay_new.html", **shared, kept=kept, counted=None, target=None)
    counted = await visit.tenant.count_matching(where, MOST)
    target = await _target(visit, where)
    fields = filters.query(where)
    return await visit.page(
        "replay_new.html",
        **shared,
        kept={name: text for name, text in fields.items() if name not in ("status", "unreplayed")},
        fields=fields,
        counted=counted,
        how_many=_how_many(counted.matched, more=counted.more),
        what=_what(where, _name(target), counted.matched),
        target=target,
        is_held=target is not None and target.status is SubscriptionStatus.DISABLED,
        bound=visit.settings.held_bound,
        run_id=visit.tenant.new_replay_run_id(),
    )


async def start(visit: Visit) -> Response:
    """Begin the run that was confirmed; the same form again leads to the same run."""
    form = (await visit.form()).allow(CSRF, RUN, *filters.NAMES)
    where = filters.read({name: form.one(name, default="") for name in filters.NAMES})
    run = await visit.tenant.start_replay_run(where, form.one(RUN))
    visit.sender.replaying.begin(run.id)
    return visit.go(f"/replays/{run.id}")


async def show(visit: Visit) -> Response:
    """How far it has come, and what became of what it made, kept up to date."""
    run_id = visit.param("run_id")
    target = await _target(visit, (await visit.tenant.replay_run(run_id)).where)

    async def load() -> dict[str, object]:
        run = await visit.tenant.replay_run(run_id)
        made = DeliveryFilter(
            subscription_id=run.where.subscription_id,
            kind=DeliveryKind.REPLAY,
            created_after=run.created_at - _A_MOMENT,
            created_before=None if run.status == "running" else run.moved_at + _A_MOMENT,
        )
        return {
            "run": run,
            "here": f"{PREFIX}/replays/{run.id}",
            "what": _what(run.where, _name(target), run.matched),
            "target": target,
            "taken": run.enqueued + run.skipped,
            "made": address(DELIVERIES, made),
            "made_dead": address(DELIVERIES, made._replace(status=DeliveryStatus.DEAD)),
            "kept": duration(visit.settings.retention),
        }

    return await visit.show("replay.html", load, regions=["progress"])


async def stop(visit: Visit) -> Response:
    """It makes no more. One that has ended stays as it is."""
    run = await visit.tenant.stop_replay_run(visit.param("run_id"))
    return visit.go(f"/replays/{run.id}")


async def show_all(visit: Visit) -> Response:
    """The newest first; the first page is kept up to date."""
    cursor = visit.query.get(CURSOR)
    names: dict[str, str] = {one.id: name_of(one) for one in (await visit.tenant.subscriptions(MOST_NAMED)).items}

    async def load() -> dict[str, object]:
        page = await visit.tenant.replay_runs(LIMIT, cursor)
        following = address("/replays", DeliveryFilter(), page.next_cursor) if page.next_cursor else None
        runs: list[tuple[ReplayRun, str]] = [
            (run, _what(run.where, names.get(run.where.subscription_id or ""), run.matched)) for run in page.items
        ]
        return {"runs": runs, "first": f"{PREFIX}/replays" if cursor else None, "next": following}

    return await visit.show("replays.html", load, regions=[] if cursor else ["list"])


def _cannot(where: DeliveryFilter) -> str:
    """Why these are not replayed as one; "" where they can be."""
    if where.event_id is not None:
        return "event"
    return "" if where.status in REPLAYED else "status"


async def _target(visit: Visit, where: DeliveryFilter) -> Subscription | None:
    """The one subscription that they go to. None: all of them, or one that was deleted."""
    if where.subscription_id is None:
        return None
    try:
        return await visit.tenant.subscription(where.subscription_id)
    except ApiError as error:
        if error.status != 404:
            raise
        return None


def _how_many(matched: int, *, more: bool) -> str:
    if not more:
        return count(matched)
    return f"more than {count(matched)}" if matched == MOST else f"at least {count(matched)}"


def _name(target: Subscription | None) -> str | None:
    return None if target is None else name_of(target)


def _what(where: DeliveryFilter, name: str | None, matched: int | None) -> str:
    """In words, behind a number: "dead deliveries of contact.created, created after …, not replayed before"."""
    of = "" if where.event_type is None else f" of {where.event_type}"
    to = "" if where.subscription_id is None else f" to {name or where.subscription_id}"
    kind = "" if where.kind is None else f"{where.kind} "
    parts = [f"{where.status} {kind}{'delivery' if matched == 1 else 'deliveries'}{of}{to}"]
    if where.created_after is not None:
        parts.append(f"created after {exact(where.created_after)}")
    if where.created_before is not None:
        parts.append(f"created before {exact(where.created_before)}")
    parts.append("not replayed before" if where.unreplayed else "replayed before or not")
    return ", ".join(parts)
