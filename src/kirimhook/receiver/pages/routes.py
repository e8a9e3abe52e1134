"""Every page and every form that these pages have. What is not in this table is not there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.responses import Response

from kirimhook.receiver.pages import event, events, overview, pausing, put_back
from kirimhook.receiver.pages.visit import Visit

Page = Callable[[Visit], Awaitable[Response]]


class Route(NamedTuple):
    """`path` is under /inbox; "{name}" in it stands for one part, `Visit.param`.

    A POST comes with a form, whose token is checked before `page` is called.
    """

    method: str
    path: str
    page: Page
    query: tuple[str, ...] = ()
    """Names of the parameters that it knows. Any other, and one given twice, is answered with 400."""
    many: tuple[str, ...] = ()
    """Those that may be given several times."""
    live: bool = False
    """Whether it has regions that are kept up to date: then it knows `live=1` too."""


ROUTES = (
    Route("GET", "", overview.show, live=True),
    Route("POST", "/pause", pausing.pause),
    Route("POST", "/resume", pausing.resume),
    Route("GET", "/events", events.show, query=(*events.QUERY, "cursor"), many=("state",), live=True),
    Route("GET", "/events/{number}", event.show, live=True),
    Route("GET", "/events/{number}/body", event.body),
    Route("POST", "/events/{number}/put-back", event.put_back),
    Route("GET", "/put-back", put_back.recent, live=True),
    Route("POST", "/put-back", put_back.start),
    Route("GET", "/put-back/new", put_back.new, query=events.QUERY, many=("state",)),
    Route("POST", "/put-back/selected", put_back.start_picked),
    Route("GET", "/put-back/{id}", put_back.show, live=True),
    Route("POST", "/put-back/{id}/stop", put_back.stop),
)
"""A path without parameters goes before one with: "/put-back/new" is no run."""
