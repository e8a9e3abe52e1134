"""The first page: what is in the inbox, how fast it moves, who works on it, and which secrets are in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.responses import Response

    from kirimhook.receiver.pages.visit import Visit


async def show(visit: Visit) -> Response:
    async def load() -> dict[str, object]:
        return {"fleet": await visit.fleet()}

    return await visit.show("overview.html", load, regions=("state",))
