"""What a receiver of ours says of itself, on its admin port."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kirimhook.operating.doctor import tls
from kirimhook.operating.doctor.check import Check
from kirimhook.operating.doctor.finding import Finding, failed, left_out, not_run, passed
from kirimhook.operating.doctor.wire import Connection, NoAnswer, Request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kirimhook.operating.doctor.place import Place
    from kirimhook.operating.doctor.visit import Visit

_GET = Request(method="GET")


async def _ready(visit: Visit) -> Finding:
    if not visit.order.admins:
        return left_out("no --admin was given")
    try:
        pages = [(admin, await _page(visit, admin, "/readyz")) for admin in visit.order.admins]
        problems = [f"{admin.authority}: {problem['code']}" for admin, page in pages for problem in page["problems"]]
    except _UnreadableError as error:
        return not_run(str(error))
    except (KeyError, TypeError):
        return not_run("a /readyz is not one of a receiver of this version")
    return failed("; ".join(problems)) if problems else passed(f"{len(pages)} of {len(pages)} ready")


async def _holds_secrets(visit: Visit) -> Finding:
    if not visit.order.admins:
        return left_out("no --admin was given")
    try:
        pages = [(admin, await _page(visit, admin, "/status")) for admin in visit.order.admins]
        wrong = [f"{admin.authority}: {what}" for admin, page in pages for what in _amiss(visit, page)]
    except _UnreadableError as error:
        return not_run(str(error))
    except (KeyError, TypeError):
        return not_run("a /status is not one of a receiver of this version")
    return failed("; ".join(wrong)) if wrong else passed(f"{len(visit.order.secrets)} in every process")


def _amiss(visit: Visit, page: dict[str, Any]) -> Iterator[str]:
    if page["silent_processes"]:
        yield f"{page['silent_processes']} processes say nothing"
    for process in page["processes"]:
        held = {use["fingerprint"] for use in process["secrets"]}
        missing = [secret.fingerprint for secret in visit.order.secrets if secret.fingerprint not in held]
        if process["receives"] and missing:
            yield f"process {process['pid']} lacks {', '.join(missing)}"


class _UnreadableError(Exception):
    """A page could not be had."""


async def _page(visit: Visit, admin: Place, path: str) -> dict[str, Any]:
    place = admin._replace(path=admin.path.rstrip("/") + path)
    context = tls.strict(visit.order.authorities) if place.scheme == "https" else None
    visit.count()
    try:
        async with await Connection.open(place, place.host, context) as connection:
            page = json.loads((await connection.ask(_GET, visit.bounds.attempt)).body)
    except (NoAnswer, OSError, ValueError) as error:
        raise _UnreadableError(f"{place.authority}{place.path}: {error}") from None
    if not isinstance(page, dict):
        raise _UnreadableError(f"{place.authority}{place.path} is no JSON object")
    return page


ROWS = (
    Check(
        id="ready",
        tries="Reads /readyz of each receiver.",
        right="Ready: storage, secrets, clock, worker.",
        section="6 [ours]",
        cost="It answers 503, or stores what nobody handles.",
        run=_ready,
    ),
    Check(
        id="loaded",
        tries="Reads /status of each receiver.",
        right="Every process holds every secret given.",
        section="7 [ours]",
        cost="Which deliveries verify depends on the process they meet: some are dead at once.",
        run=_holds_secrets,
    ),
)
