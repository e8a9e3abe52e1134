"""The admin port of a receiver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kirimhook.admin import app
from kirimhook.receiver.admin.view import ReceiverView

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kirimhook.admin.app import Pages
    from kirimhook.receiver.admin.report import Fleet

__all__ = ["AdminApp"]


class AdminApp(app.AdminApp):
    """`/healthz`, `/readyz`, `/metrics`, `/status` of a receiver, and its pages."""

    def __init__(self, fleet: Callable[[], Awaitable[Fleet]], version: str, pages: Pages | None = None) -> None:
        super().__init__(fleet, version, ReceiverView(), pages)
