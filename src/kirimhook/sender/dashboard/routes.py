"""Every page and every form of the dashboard that takes a session. What is not in this table is not there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.responses import Response

from kirimhook.sender.dashboard import account
from kirimhook.sender.dashboard.visit import Visit
from kirimhook.sender.limits import Use

Page = Callable[[Visit], Awaitable[Response]]


class Route(NamedTuple):
    """`path` is under /dashboard; "{name}" in it stands for one part, `Visit.param`.

    A POST comes with a form, whose token is checked before `page` is called.
    """

    method: str
    path: str
    page: Page
    query: tuple[str, ...] = ()
    """Names of the parameters that it knows. Any other, and one given twice, is answered with 400."""
    live: bool = False
    """Whether it has regions that are kept up to date: then it knows `live=1` too."""

    @property
    def use(self) -> Use:
        """What it counts as for the limits."""
        return Use.WRITE if self.method == "POST" else Use.READ


ROUTES = (
    Route("GET", "", account.show),
    Route("GET", "/account", account.show),
    Route("POST", "/sign-out", account.sign_out),
)
"""A path without parameters goes before one with: "/replays/new" is no replay."""
