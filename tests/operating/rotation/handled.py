"""What receivers of a rotation's tests do with events: nothing."""

from __future__ import annotations

from kirimhook import Event, Hooks

hooks = Hooks()


@hooks.on("contact.*")
async def ignored(event: Event) -> None:
    """It has arrived: that is all there is to it."""
