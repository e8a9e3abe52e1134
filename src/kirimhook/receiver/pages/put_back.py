"""Putting back those that were picked, or all that match: first how many, then a run that one can watch and stop."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from kirimhook.pages.forms import BadForm
from kirimhook.receiver.inbox import Filter
from kirimhook.receiver.model import FINISHED, EventState
from kirimhook.receiver.pages.chosen import FIELDS, Chosen, NotUnderstood, chosen
from kirimhook.receiver.pages.events import NUMBER, asked
from kirimhook.receiver.pages.runs import Run, RunState
from kirimhook.receiver.pages.search import Counted, count
from kirimhook.receiver.pages.visit import Problem

if TYPE_CHECKING:
    from starlette.responses import Response

    from kirimhook.pages.forms import Form
    from kirimhook.receiver.pages.visit import Visit

MOST_PICKED = 200
_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)


async def new(visit: Visit) -> Response:
    """How many match, and what would become of them."""
    which = _understood(asked(visit), visit.now)
    where = which.where(visit.now)
    found = await count(await visit.inbox(), where)
    return await visit.page(
        "put_back_new.html",
        chosen=which,
        words=words(which, "event" if found == (1, True) else "events"),
        fields=which.pairs(),
        found=found,
        again=EventState.DONE in which.meant,
        current=visit.parts.runs.current,
        run=secrets.token_hex(8),
        expected=found.number,
    )


async def start(visit: Visit) -> Response:
    """All that match."""
    form = visit.form().allow("csrf", "run", "expected", "is_all", *FIELDS)
    which = _understood([(name, value) for name in FIELDS for value in form.many(name)], visit.now)
    expected = form.one("expected", default="0")
    counted = Counted(int(expected) if NUMBER.fullmatch(expected) else 0, form.one("is_all", default="") == "1")
    return _begun(visit, form, which, which.where(visit.now), counted)


async def start_picked(visit: Visit) -> Response:
    """Those that were picked by hand."""
    form = visit.form().allow("csrf", "run", "number")
    picked = form.many("number")
    if not picked:
        raise Problem(400, "None was picked", "Go back, tick the boxes of the events to put back, and try again.")
    if len(picked) > MOST_PICKED or not all(NUMBER.fullmatch(number) for number in picked):
        raise BadForm(400, f"the field 'number' holds up to {MOST_PICKED} numbers of events")
    numbers = tuple(sorted({int(number) for number in picked}))
    return _begun(visit, form, None, Filter(states=FINISHED, numbers=numbers), Counted(len(numbers), is_all=True))


async def show(visit: Visit) -> Response:
    """How far a run is."""
    id = visit.param("id")  # noqa: A001  # what it is

    async def load() -> dict[str, object]:
        run = _run(visit, id)
        return {"run": run, "words": _words_of(run), "is_running": run.state is RunState.RUNNING}

    return await visit.show("put_back_run.html", load, regions=("progress", "stop"))


async def stop(visit: Visit) -> Response:
    visit.form().allow("csrf")
    run = _run(visit, visit.param("id"))
    visit.parts.runs.stop(run.id)
    return visit.go(f"/put-back/{run.id}")


async def recent(visit: Visit) -> Response:
    """Runs of this process."""

    async def load() -> dict[str, object]:
        return {"runs": [(run, _words_of(run)) for run in visit.parts.runs.all]}

    return await visit.show("put_back_runs.html", load, regions=("runs",))


def words(which: Chosen, events: str = "events") -> str:
    """What is meant, as one would say it: `parked or unhandled events of the type message.*`."""
    parts = [f"{' or '.join(sorted(state.value for state in which.meant))} {events}"]
    if which.type:
        parts.append(f"of the type {' or '.join(which.type.replace(',', ' ').split())}")
    if which.event_id:
        parts.append(f"with the event id {which.event_id}")
    if which.received_after:
        parts.append(f"received at or after {which.received_after}")
    if which.received_before:
        parts.append(f"received before {which.received_before}")
    return " ".join(parts)


def _words_of(run: Run) -> str:
    if run.chosen is not None:
        return words(run.chosen)
    return "events picked by hand: " + ", ".join(map(str, run.where.numbers))


def _begun(visit: Visit, form: Form, which: Chosen | None, where: Filter, expected: Counted) -> Response:
    """A form sent twice begins one run; a form that was changed and sent again another."""
    runs = visit.parts.runs
    id = form.one("run", default="")  # noqa: A001  # what it is
    known = runs.get(id)
    if not _ID.fullmatch(id) or (known is not None and known.where != where):
        id = secrets.token_hex(8)  # noqa: A001  # likewise
    current = runs.current
    if current is not None and current.id != id:
        raise Problem(409, "Another put-back is under way", "Wait for its end, or stop it, and try again.")
    run = runs.start(id, which, where, expected, client=visit.client)
    return visit.go(f"/put-back/{run.id}")


def _run(visit: Visit, id: str) -> Run:  # noqa: A002  # likewise
    run = visit.parts.runs.get(id)
    if run is None:
        text = "Runs are kept in memory, the newest ones, until the process that shows these pages ends."
        raise Problem(404, "No such put-back", text)
    return run


def _understood(written: list[tuple[str, str]], now: float) -> Chosen:
    """With moments that do not move. Raises `Problem`."""
    try:
        which = chosen(written).fixed(now)
    except NotUnderstood as error:
        raise Problem(400, "This was not understood", f"{error.field.replace('_', ' ')}: {error}") from None
    if not which.can_be_put_back:
        text = "Only finished events can be put back: choose parked, unhandled, skipped or done ones."
        raise Problem(400, "These cannot be put back", text)
    return which
