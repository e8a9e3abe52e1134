"""One visit of a page by somebody who was let in: what it brought, what it may use, and how it is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kirimhook.pages.answers import see_other
from kirimhook.pages.live import Over
from kirimhook.receiver.pages.access import client_of
from kirimhook.receiver.pages.place import PREFIX

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from kirimhook.observe import Observer
    from kirimhook.pages.forms import Form
    from kirimhook.pages.live import Live
    from kirimhook.pages.site import Site
    from kirimhook.receiver.admin.report import Fleet
    from kirimhook.receiver.inbox import Inbox
    from kirimhook.receiver.pages.background import Background
    from kirimhook.receiver.pages.handle import Handle
    from kirimhook.receiver.pages.rates import Rates
    from kirimhook.receiver.pages.runs import Runs

Load = Callable[[], Awaitable[dict[str, object]]]
"""What a template is to show, read anew at each call."""


class Problem(Exception):
    """Raised by a page: another page, of this status, that says what is wrong and what to do about it."""

    def __init__(self, status: int, title: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.title = title
        self.text = text


@dataclass(frozen=True, slots=True)
class Parts:
    """What all pages share. `clock` gives seconds since the epoch."""

    fleet: Callable[[], Awaitable[Fleet]]
    handle: Handle
    rates: Rates
    background: Background
    runs: Runs
    observer: Observer
    clock: Callable[[], float]


class Visit:
    """`query` holds the parameters that the route knows once each, `many` those that may be repeated; empty ones are
    left out."""

    __slots__ = ("_form", "_may_go_on", "_query", "live", "parts", "query", "request", "site")

    def __init__(  # noqa: PLR0913  # what a page works with
        self,
        request: Request,
        parts: Parts,
        site: Site,
        live: Live,
        query: Mapping[str, Sequence[str]],
        form: Form | None,
        may_go_on: Callable[[], bool],
    ) -> None:
        self.request = request
        self.parts = parts
        self.site = site
        self.live = live
        self.query = {name: values[0] for name, values in query.items()}
        self._query = query
        self._form = form
        self._may_go_on = may_go_on

    def many(self, name: str) -> tuple[str, ...]:
        """Values of a parameter that may be repeated, in their order."""
        return tuple(self._query.get(name, ()))

    def param(self, name: str) -> str:
        """What stands in the path in the place of `{name}`. KeyError where the route has none of that name."""
        return str(self.request.path_params[name])

    async def inbox(self) -> Inbox:
        """Open. Raises `InboxUnavailable`, which becomes a page with 503, from here and from every verb."""
        return await self.parts.handle.inbox()

    async def fleet(self) -> Fleet:
        """What all processes say now."""
        return await self.parts.fleet()

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return self.parts.clock()

    @property
    def client(self) -> str:
        """Address of whoever asks: for the log."""
        return client_of(self.request)

    def form(self) -> Form:
        """What was posted; its token was checked before. RuntimeError for a GET, which posts nothing."""
        if self._form is None:
            raise RuntimeError("only a POST has a form")
        return self._form

    async def show(self, template: str, load: Load, *, regions: Sequence[str] = (), status: int = 200) -> Response:
        """The page that `template` and `load` make; `regions` are kept up to date while it is open and signed in."""

        async def load_again() -> dict[str, object]:
            if not self._may_go_on():
                raise Over
            return await load()

        live = self.live if regions else None
        return await self.site.show(self.request, template, load_again, regions=regions, status=status, live=live)

    async def page(self, template: str, *, status: int = 200, **values: object) -> Response:
        """The page that `template` makes of these values."""

        async def load() -> dict[str, object]:
            return values

        return await self.site.show(self.request, template, load, status=status)

    def go(self, path: str) -> Response:
        """303 to one of these pages: `visit.go("/events")`."""
        return see_other(PREFIX + path)
