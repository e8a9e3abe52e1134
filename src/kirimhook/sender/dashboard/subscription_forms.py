"""A subscription made, and changed. What was filled in stays on the page until it is right."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from starlette.responses import Response

from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import Subscription
from kirimhook.sender.dashboard import once
from kirimhook.sender.dashboard.subscriptions import choices, known, path
from kirimhook.sender.service import Changes

if TYPE_CHECKING:
    from kirimhook.pages.forms import Form
    from kirimhook.sender.dashboard.visit import Visit

FIELDS = frozenset(("url", "events", "description"))
"""Of the form, by the names that errors have for them too."""


class Filled(NamedTuple):
    """What the form's fields say."""

    url: str = ""
    events: tuple[str, ...] = ()
    description: str = ""
    once: str = ""


async def new(visit: Visit) -> Response:
    """An empty form."""
    return await _form(visit, Filled(once=once.new()))


async def create(visit: Visit) -> Response:
    """Make it, and show its secret, this once."""
    form = (await visit.form()).allow("csrf", once.FIELD, "url", "events", "description")
    filled = _filled(form)
    try:
        made = await once.once(
            visit,
            form,
            Subscription,
            lambda tenant: tenant.create_subscription(filled.url, filled.events, filled.description or None),
        )
    except ApiError as error:
        return await _form(visit, filled, error)
    if made.initial_secret is None:
        raise RuntimeError("a new subscription has a secret to show")
    return await visit.page(
        "secret_shown.html",
        is_new=True,
        one=made,
        here=path(made.id),
        secret=made.initial_secret,
        count=len(made.secrets),
        expires_at=None,
        types=choices(visit),
        once=once.new(),
    )


async def edit(visit: Visit) -> Response:
    """The form, filled in with what is so."""
    found = await visit.tenant.subscription(visit.param("subscription_id"))
    return await _form(visit, Filled(found.url, found.events, found.description or ""), of=found)


async def update(visit: Visit) -> Response:
    """Change what the form has otherwise, and leave the rest."""
    form = (await visit.form()).allow("csrf", "url", "events", "description")
    filled = _filled(form)
    found = await visit.tenant.subscription(visit.param("subscription_id"))
    try:
        await visit.tenant.update_subscription(found.id, _changes(visit, found, filled))
    except ApiError as error:
        return await _form(visit, filled, error, found)
    return visit.go(f"/subscriptions/{found.id}?done=updated")


def _changes(visit: Visit, found: Subscription, filled: Filled) -> Changes:
    """A type that the catalogue no longer has cannot be ticked: it goes where the others are changed, not before."""
    offered = set(found.events) & set(visit.settings.catalogue)
    return Changes(
        url=filled.url if filled.url != found.url else None,
        events=filled.events if set(filled.events) != offered else None,
        description=filled.description if filled.description != (found.description or "") else None,
    )


def _filled(form: Form) -> Filled:
    """Blanks around the texts are nobody's intention."""
    return Filled(
        form.one("url", default="").strip(),
        tuple(form.many("events")),
        form.one("description", default="").strip(),
        form.one(once.FIELD, default=""),
    )


async def _form(
    visit: Visit, filled: Filled, error: ApiError | None = None, of: Subscription | None = None
) -> Response:
    """Of a new one, or `of` one that is there. Raises an error that is not about one of its fields."""
    if error is not None and error.param not in FIELDS:
        raise error
    catalogue = visit.settings.catalogue
    shared = {} if of is None else await known(visit, of.id)
    return await visit.page(
        "subscription_form.html",
        status=200 if error is None else error.status,
        **{"one": None, "here": path("new"), **shared},
        filled=filled,
        catalogue=catalogue,
        timeout=visit.settings.attempt_timeout,
        dropped=[name for name in of.events if name not in catalogue] if of else [],
        errors={} if error is None else {error.param: error.message},
    )
