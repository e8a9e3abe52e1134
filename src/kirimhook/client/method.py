"""Calls declared once, as methods of the sync client and of the async one."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

from kirimhook.client.answers import Page
from kirimhook.client.calls import Call
from kirimhook.client.drivers import Awaiting, Blocking
from kirimhook.client.listing import AsyncListing, Listing

P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D", bound=Blocking | Awaiting)


class Group(Generic[D]):
    """Calls that belong together, of a client that carries them out in this way."""

    def __init__(self, driver: D) -> None:
        self.driver = driver


class method(Generic[P, T]):  # noqa: N801  # used as `property` is
    """A function that makes a call, as a method that carries it out: blocking or to be awaited, as its group is.

    What is wrong with the arguments is raised where they are given.
    """

    def __init__(self, make: Callable[P, Call[T]]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, group: None, owner: object = None) -> Self: ...
    @overload
    def __get__(self, group: Group[Blocking], owner: object = None) -> Callable[P, T]: ...
    @overload
    def __get__(self, group: Group[Awaiting], owner: object = None) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, group: Any, owner: object = None) -> Any:
        if group is None:
            return self

        def run(*args: P.args, **kwargs: P.kwargs) -> Any:
            return group.driver.run(self._make(*args, **kwargs))

        return update_wrapper(run, self._make)


class listed(Generic[P, T]):  # noqa: N801  # used as `property` is
    """A function that makes the call for a first page, as a method whose result is walked over: all pages of it."""

    def __init__(self, make: Callable[P, Call[Page[T]]]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, group: None, owner: object = None) -> Self: ...
    @overload
    def __get__(self, group: Group[Blocking], owner: object = None) -> Callable[P, Listing[T]]: ...
    @overload
    def __get__(self, group: Group[Awaiting], owner: object = None) -> Callable[P, AsyncListing[T]]: ...
    def __get__(self, group: Any, owner: object = None) -> Any:
        if group is None:
            return self

        def walk(*args: P.args, **kwargs: P.kwargs) -> Any:
            return group.driver.listing(self._make(*args, **kwargs))

        return update_wrapper(walk, self._make)
