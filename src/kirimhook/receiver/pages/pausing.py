"""Pause and resume: all handling of this inbox, in every process."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.responses import Response

    from kirimhook.receiver.pages.visit import Visit


async def pause(visit: Visit) -> Response:
    """No more leases until it is resumed. Events are still taken in."""
    visit.form().allow("csrf")
    await (await visit.inbox()).pause()
    visit.parts.observer.event("inbox_paused", client=visit.client)
    return visit.go("")


async def resume(visit: Visit) -> Response:
    visit.form().allow("csrf")
    await (await visit.inbox()).resume()
    visit.parts.observer.event("inbox_resumed", client=visit.client)
    return visit.go("")
