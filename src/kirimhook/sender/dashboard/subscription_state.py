"""A subscription disabled, enabled, deleted, and tried with a sample event. Contract section 4 says what becomes of
its deliveries; each page says so before it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from kirimhook.contract.resources import Delivery, SubscriptionStatus
from kirimhook.pages.forms import BadForm
from kirimhook.sender.dashboard import once
from kirimhook.sender.dashboard.subscriptions import known
from kirimhook.sender.model import Held
from kirimhook.sender.service import Changes

if TYPE_CHECKING:
    from kirimhook.sender.dashboard.visit import Visit


async def ask_disable(visit: Visit) -> Response:
    return await _ask(visit, "subscription_disable.html")


async def disable(visit: Visit) -> Response:
    (await visit.form()).allow("csrf")
    await visit.tenant.update_subscription(_of(visit), Changes(status=SubscriptionStatus.DISABLED))
    return visit.go(f"/subscriptions/{_of(visit)}?done=disabled")


async def ask_enable(visit: Visit) -> Response:
    return await _ask(visit, "subscription_enable.html")


async def enable(visit: Visit) -> Response:
    """With `held` (deliver or discard): what becomes of what is held."""
    said = (await visit.form()).allow("csrf", "held").one("held", default=Held.DELIVER)
    if said not in list(Held):
        raise BadForm(400, f"what is held is delivered or discarded, not {said!r}")
    await visit.tenant.update_subscription(_of(visit), Changes(status=SubscriptionStatus.ACTIVE, held=Held(said)))
    return visit.go(f"/subscriptions/{_of(visit)}?done=enabled")


async def ask_delete(visit: Visit) -> Response:
    return await _ask(visit, "subscription_delete.html")


async def delete(visit: Visit) -> Response:
    (await visit.form()).allow("csrf")
    await visit.tenant.delete_subscription(_of(visit))
    return visit.go("/subscriptions?done=deleted")


async def test(visit: Visit) -> Response:
    """Send a sample event of a type, and go to its delivery."""
    form = (await visit.form()).allow("csrf", once.FIELD, "event")
    event = form.one("event", default="") or None
    made = await once.once(visit, form, Delivery, lambda tenant: tenant.test(_of(visit), event))
    return visit.go(f"/deliveries/{made.id}")


async def _ask(visit: Visit, template: str) -> Response:
    return await visit.page(template, **await known(visit, _of(visit)))


def _of(visit: Visit) -> str:
    return visit.param("subscription_id")
