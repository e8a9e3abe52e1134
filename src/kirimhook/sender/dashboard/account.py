"""Who is signed in: the organisation, the key, and how long it is good; and signing out."""

from __future__ import annotations

from starlette.responses import Response

from kirimhook.pages.answers import see_other
from kirimhook.sender.dashboard.place import SIGN_IN
from kirimhook.sender.dashboard.visit import Visit


async def show(visit: Visit) -> Response:
    return await visit.page("account.html", me=await visit.tenant.me(visit.key_id))


async def sign_out(visit: Visit) -> Response:
    """End the session of this browser, for whoever has a copy of its cookie too."""
    token = visit.door.token(visit.request)
    if token is not None:
        await visit.sender.sign_out(token)
    response = see_other(SIGN_IN)
    visit.door.let_out(visit.request, response)
    return response
