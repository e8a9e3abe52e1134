"""The signing secrets of a subscription: one more, one less, and how to rotate without a refusal. Contract 7."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import NewSecret
from kirimhook.sender.dashboard import once
from kirimhook.sender.dashboard.subscriptions import choices, known, path

if TYPE_CHECKING:
    from kirimhook.sender.dashboard.visit import Visit

HOURS = "expires_in_hours"


async def new(visit: Visit) -> Response:
    """How a rotation goes, and its first step."""
    return await _form(visit, "", once.new())


async def add(visit: Visit) -> Response:
    """Make it, and show it, this once."""
    form = (await visit.form()).allow("csrf", once.FIELD, HOURS)
    subscription_id, said = visit.param("subscription_id"), form.one(HOURS, default="").strip()
    try:
        hours = _hours(said)
        made = await once.once(visit, form, NewSecret, lambda tenant: tenant.add_secret(subscription_id, hours))
    except ApiError as error:
        if error.param != HOURS and error.code != "too_many_secrets":
            raise
        return await _form(visit, said, form.one(once.FIELD, default=""), error)
    one = await visit.tenant.subscription(subscription_id)
    return await visit.page(
        "secret_shown.html",
        is_new=False,
        one=one,
        here=path(one.id),
        secret=made.secret,
        count=len(one.secrets),
        expires_at=made.expires_at,
        types=choices(visit),
        once=once.new(),
    )


async def ask_remove(visit: Visit) -> Response:
    """What a receiver must hold by then. Raises ApiError `resource_not_found`."""
    shared = await known(visit, visit.param("subscription_id"))
    for secret in shared["one"].secrets:
        if secret.id == visit.param("secret_id"):
            return await visit.page("secret_delete.html", **shared, secret=secret)
    raise ApiError("resource_not_found", "the subscription has no such secret")


async def remove(visit: Visit) -> Response:
    """Sign with it no more. Raises ApiError `last_active_secret`."""
    (await visit.form()).allow("csrf")
    subscription_id = visit.param("subscription_id")
    await visit.tenant.remove_secret(subscription_id, visit.param("secret_id"))
    return visit.go(f"/subscriptions/{subscription_id}?done=secret_deleted")


def _hours(said: str) -> float | None:
    """Raises ApiError for what is no number; its range is the use case's."""
    if not said:
        return None
    try:
        return float(said)
    except ValueError:
        raise ApiError("invalid_field_value", "a number of hours, such as 24 or 0.5", param=HOURS) from None


async def _form(visit: Visit, said: str, token: str, error: ApiError | None = None) -> Response:
    shared = await known(visit, visit.param("subscription_id"))
    return await visit.page(
        "secret_form.html",
        status=200 if error is None else error.status,
        **shared,
        said=said,
        once=token,
        error=error.message if error is not None and error.param == HOURS else "",
        problem=error.message if error is not None and error.param != HOURS else "",
    )
