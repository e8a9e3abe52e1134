"""One visit of a page by somebody who is signed in: whose it is, what it brought, and how it is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kirimhook.pages.answers import see_other
from kirimhook.pages.live import Over
from kirimhook.sender.dashboard.place import PREFIX

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from kirimhook.pages.forms import Form
    from kirimhook.pages.live import Live
    from kirimhook.pages.site import Site
    from kirimhook.sender.dashboard.access import Door
    from kirimhook.sender.service import Caller, Sender, Tenant
    from kirimhook.settings import SenderSettings

Load = Callable[[], Awaitable[dict[str, object]]]
"""What a template is to show, read anew at each call."""


class Visit:
    """`query` holds the parameters that the route knows, each once; empty ones are left out."""

    __slots__ = ("_form", "caller", "door", "live", "query", "request", "sender", "site")

    def __init__(  # noqa: PLR0913  # what a page works with
        self,
        request: Request,
        sender: Sender,
        caller: Caller,
        site: Site,
        live: Live,
        door: Door,
        query: Mapping[str, str],
        form: Form | None,
    ) -> None:
        self.request = request
        self.sender = sender
        self.caller = caller
        self.site = site
        self.live = live
        self.query = query
        self.door = door
        self._form = form

    @property
    def tenant(self) -> Tenant:
        """All that this organisation may see and do."""
        return self.sender.tenant(self.caller.organisation_id)

    @property
    def organisation(self) -> str:
        """Its name."""
        return self.caller.name

    @property
    def key_id(self) -> str:
        """The key that signed in."""
        return self.caller.key_id

    @property
    def settings(self) -> SenderSettings:
        return self.sender.context.settings

    @property
    def now(self) -> datetime:
        """By the sender's clock, in UTC."""
        return datetime.fromtimestamp(self.sender.context.now() / 1000, UTC)

    def param(self, name: str) -> str:
        """What stands in the path in the place of `{name}`. KeyError where the route has none of that name."""
        return str(self.request.path_params[name])

    async def form(self) -> Form:
        """What was posted; its token was checked before. RuntimeError for a GET, which posts nothing."""
        if self._form is None:
            raise RuntimeError("only a POST has a form")
        return self._form

    async def show(self, template: str, load: Load, *, regions: Sequence[str] = (), status: int = 200) -> Response:
        """The page that `template` and `load` make; `regions` are kept up to date while it is open.

        Ends the updates once the session has ended.
        """
        loaded = False

        async def load_again() -> dict[str, object]:
            nonlocal loaded
            if loaded and await self.door.caller(self.request) != self.caller:
                raise Over
            loaded = True
            return await load()

        live = self.live if regions else None
        return await self.site.show(self.request, template, load_again, regions=regions, status=status, live=live)

    async def page(self, template: str, *, status: int = 200, **values: object) -> Response:
        """The page that `template` makes of these values."""

        async def load() -> dict[str, object]:
            return values

        return await self.site.show(self.request, template, load, status=status)

    def go(self, path: str) -> Response:
        """303 to a page of the dashboard: `visit.go("/subscriptions")`."""
        return see_other(PREFIX + path)
