"""Over the whole table of pages: what stands in the place of a parameter, and what a form is sent with."""

from __future__ import annotations

import re

from kirimhook.receiver.pages.routes import ROUTES, Route
from tests.receiver.pages.visiting import Visitor
from tests.sender.dashboard.visiting import Page

GETS = tuple(route for route in ROUTES if route.method == "GET")
POSTS = tuple(route for route in ROUTES if route.method == "POST")


def filled(route: Route, name: str = "1") -> str:
    """Its path, with `name` for every parameter: the number of the first event."""
    return re.sub(r"\{[a-z_]+\}", name, route.path)


async def walk(visitor: Visitor, route: Route, **options: object) -> Page:
    """Ask for it, or send its form empty; `options` as of `Visitor.post`."""
    if route.method == "GET":
        return await visitor.get(filled(route))
    return await visitor.post(filled(route), **options)  # type: ignore[arg-type]  # of `post`, each with its type there
