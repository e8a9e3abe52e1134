"""Replays of deliveries that somebody pointed at: one, or those that were ticked in the list. Among live traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.responses import Response

from kirimhook.contract import ids
from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import ReplayReceipt
from kirimhook.pages.answers import is_local
from kirimhook.pages.csrf import FIELD as CSRF
from kirimhook.pages.forms import BadForm, Form
from kirimhook.sender.dashboard import once
from kirimhook.sender.dashboard.place import PREFIX

if TYPE_CHECKING:
    from kirimhook.sender.dashboard.visit import Visit

MOST = 100
"""Deliveries of one form."""
QUERY = ("made", "refused", "back")
WHY = {
    "subscription_deleted": "Its subscription was deleted: there is nobody to send it to.",
    "event_erased": "What its event held was erased: there is nothing to send.",
    "resource_not_found": "It is not there any more.",
}
"""What can be refused of one, by the code of the refusal."""


async def replay(visit: Visit) -> Response:
    """One; to the page of the delivery that was made."""
    form = (await visit.form()).allow(CSRF, once.FIELD)
    delivery_id = visit.param("delivery_id")
    receipt = await once.once(visit, form, ReplayReceipt, lambda tenant: tenant.replay(delivery_id))
    return visit.go(f"/deliveries/{receipt.id}")


async def replay_selected(visit: Visit) -> Response:
    """Each by itself: one that is refused does not keep the others back. To the page that says what was done.

    Raises BadForm for more than `MOST`.
    """
    form = (await visit.form()).allow(CSRF, once.FIELD, "id", "back")
    chosen = list(dict.fromkeys(form.many("id")))
    if len(chosen) > MOST:
        raise BadForm(400, f"at most {MOST} deliveries are replayed by one form")
    refused = []
    for delivery_id in chosen:
        try:
            await _one(visit, form, delivery_id)
        except ApiError as error:
            if error.code not in WHY:
                raise
            refused.append(f"{delivery_id}~{error.code}" if ids.is_id(ids.DELIVERY, delivery_id) else f"~{error.code}")
    said = {"made": str(len(chosen) - len(refused)), "refused": " ".join(refused), "back": _back(form)}
    return visit.go(f"/replays/selected?{urlencode({name: text for name, text in said.items() if text})}")


async def _one(visit: Visit, form: Form, delivery_id: str) -> ReplayReceipt:
    own = Form([(once.FIELD, form.one(once.FIELD, default="")), ("id", delivery_id)])
    return await once.once(visit, own, ReplayReceipt, lambda tenant: tenant.replay(delivery_id))


def _back(form: Form) -> str:
    back = form.one("back", default="")
    return back if is_local(back) and back.startswith(PREFIX) else ""


async def show_selected(visit: Visit) -> Response:
    """What came of a form: how many were replayed, which were not, and why. Raises ApiError `invalid_field_value`."""
    back = visit.query.get("back", f"{PREFIX}/deliveries")
    if not is_local(back) or not back.startswith(PREFIX):
        raise _senseless("back")
    made = visit.query.get("made", "0")
    if not (made.isascii() and made.isdecimal() and int(made[:4]) <= MOST):
        raise _senseless("made")
    refused = [_refusal(text) for text in visit.query.get("refused", "").split()]
    return await visit.page("replay_selected.html", made=int(made), refused=refused, back=back)


def _refusal(text: str) -> tuple[str, str]:
    delivery_id, _, code = text.partition("~")
    if code not in WHY or (delivery_id and not ids.is_id(ids.DELIVERY, delivery_id)):
        raise _senseless("refused")
    return delivery_id, WHY[code]


def _senseless(name: str) -> ApiError:
    return ApiError("invalid_field_value", "is not what a form of ours leads to", param=name)
