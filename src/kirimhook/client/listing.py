"""Lists that are longer than a page, walked over page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Generic, TypeVar

from kirimhook.client.answers import Page
from kirimhook.client.calls import Call
from kirimhook.client.errors import UnexpectedAnswer

T = TypeVar("T")


class Listing(Generic[T]):
    """What a list holds. A page is asked for when it is needed; each walk begins anew."""

    def __init__(self, run: Callable[[Call[Page[T]]], Page[T]], first: Call[Page[T]]) -> None:
        self._run = run
        self._first = first

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.items

    def pages(self) -> Iterator[Page[T]]:
        """Page by page. An empty one is not the last unless its `next_cursor` is None."""
        call: Call[Page[T]] | None = self._first
        while call is not None:
            page = self._run(call)
            yield page
            call = following(call, page)


class AsyncListing(Generic[T]):
    """What a list holds. A page is asked for when it is needed; each walk begins anew."""

    def __init__(self, run: Callable[[Call[Page[T]]], Coroutine[Any, Any, Page[T]]], first: Call[Page[T]]) -> None:
        self._run = run
        self._first = first

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.items:
                yield item

    async def pages(self) -> AsyncIterator[Page[T]]:
        """Page by page. An empty one is not the last unless its `next_cursor` is None."""
        call: Call[Page[T]] | None = self._first
        while call is not None:
            page = await self._run(call)
            yield page
            call = following(call, page)


def following(call: Call[Page[T]], page: Page[T]) -> Call[Page[T]] | None:
    """The call for the page after this one. Raises UnexpectedAnswer for a list that leads back to where it was."""
    if page.next_cursor is None:
        return None
    if page.next_cursor == call.query.get("cursor"):
        raise UnexpectedAnswer("the list does not go on: the cursor to the next page is that of this one", status=200)
    return call.asking(cursor=page.next_cursor)
