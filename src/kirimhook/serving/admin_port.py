"""The admin port while a command runs: its server, and the pages behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from kirimhook.serving.listening import Listener, admin_server

if TYPE_CHECKING:
    import socket

    from kirimhook.admin.app import AdminApp, Pages


class AdminPort:
    """Nothing, where there is none."""

    def __init__(self, listener: Listener | None = None, pages: Pages | None = None) -> None:
        self._listener = listener
        self._pages = pages

    @classmethod
    async def start(cls, bound: socket.socket | None, app: AdminApp) -> Self:
        """Serve `app` on `bound`; None: there is no admin port. Raises OSError."""
        if bound is None:
            return cls()
        listener = Listener(admin_server(app))
        await listener.start(bound)
        if app.pages is not None:
            app.pages.start()
        return cls(listener, app.pages)

    def quiet(self) -> None:
        """The command is being stopped: end what keeps connections open. Everything is still answered."""
        if self._pages is not None:
            self._pages.end_streams()

    async def stop(self) -> None:
        if self._listener is not None:
            await self._listener.stop()
        if self._pages is not None:
            await self._pages.close()
