"""Which function handles which event: exactly one each, found by exact type, longest prefix, then `*`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeVar

from kirimhook.receiver.outcomes import Park, Retry, Snooze

__all__ = ["DEFAULT", "Default", "Handler", "HookError", "Hooks", "Kind", "Park", "Retry", "Snooze"]

AnyFunction = Callable[..., Any]
Function = TypeVar("Function", bound=AnyFunction)

MOST_CACHED = 1024
"""Types come from outside: what is remembered about them is bounded."""


class HookError(ValueError):
    """A handler that cannot be registered. The message names it."""


class Default(Enum):
    """Stands for a setting of the worker, where None has a meaning of its own."""

    DEFAULT = "the worker's setting"


DEFAULT: Final = Default.DEFAULT


class Kind(Enum):
    """How a handler is called."""

    ASYNC = "awaited on the handlers' loop"
    PLAIN = "called in a thread"
    TRANSACTION = "called on the inbox's writer, in its transaction"


@dataclass(frozen=True, slots=True)
class Handler:
    """A function and how to run it. `timeout` is seconds, or None for no bound."""

    function: AnyFunction
    kind: Kind
    patterns: tuple[str, ...]
    ordered: bool
    timeout: float | Default | None
    attempts: int | None

    @property
    def name(self) -> str:
        return name_of(self.function)


class Hooks:
    """The handlers of a receiver. Register them while starting up, then hand this to a Receiver or Worker."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self._matched: dict[str, Handler | None] = {}

    def on(
        self,
        *patterns: str,
        ordered: bool = True,
        timeout: float | Default | None = DEFAULT,
        attempts: int | None = None,
        transaction: bool = False,
    ) -> Callable[[Function], Function]:
        """Register the decorated function for event types: `contact.created`, `contact.*` or `*`.

        It is called with the `Event`; an `async def` on the handlers' loop, any other callable in a thread.
        It returns nothing when the event is done, or `Retry`, `Snooze` or `Park`; an exception is a retry.

        ordered: handle events of one ordering key one at a time, in order. timeout: seconds; an `async def`
        is cancelled after them, a thread cannot be and is only reported. attempts: before it is parked.
        transaction: a plain function of (event, tx), whose statements commit together with the event's
        completion (exactly once), on the inbox's writer: for milliseconds only, and without a timeout.
        Raises HookError for a pattern that is taken or malformed, and for a function that cannot be called so.
        """
        _check_bounds(patterns, timeout, attempts)

        def register(function: Function) -> Function:
            kind = _kind(function, transaction=transaction)
            handler = Handler(function, kind, patterns, ordered, timeout, attempts)
            self._add(handler)
            return function

        return register

    def match(self, event_type: str) -> Handler | None:
        """The one handler of this type, or None."""
        try:
            return self._matched[event_type]
        except KeyError:
            return self._find(event_type)

    def ordered(self, event_type: str) -> bool:
        """Whether events of this type keep their ordering key. Yes for a type that nothing handles."""
        handler = self.match(event_type)
        return handler is None or handler.ordered

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """Each handler once, in the order of registration."""
        return tuple({id(handler): handler for handler in self._handlers.values()}.values())

    def _add(self, handler: Handler) -> None:
        for pattern in handler.patterns:
            taken = self._handlers.get(pattern)
            if taken is not None:
                raise HookError(f"both {taken.name} and {handler.name} are registered for {pattern!r}")
        self._handlers.update(dict.fromkeys(handler.patterns, handler))
        self._matched.clear()

    def _find(self, event_type: str) -> Handler | None:
        found = self._handlers.get(event_type)
        prefix = event_type
        while found is None and "." in prefix:
            prefix = prefix.rpartition(".")[0]
            found = self._handlers.get(f"{prefix}.*")
        if found is None:
            found = self._handlers.get("*")
        if len(self._matched) >= MOST_CACHED:
            self._matched.clear()
        self._matched[event_type] = found
        return found


def name_of(function: AnyFunction) -> str:
    """module.qualified_name, also of a partial or an object with `__call__`."""
    while isinstance(function, functools.partial):
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def _check_bounds(patterns: tuple[str, ...], timeout: float | Default | None, attempts: int | None) -> None:
    if not patterns or callable(patterns[0]):
        raise HookError('hooks.on takes event types: @hooks.on("message.received")')
    for pattern in patterns:
        _check_pattern(pattern)
    if len(set(patterns)) < len(patterns):
        raise HookError(f"a pattern is named twice: {', '.join(patterns)}")
    if not (timeout is None or timeout is DEFAULT or timeout > 0):
        raise HookError(f"timeout must be above 0 seconds, or None, not {timeout!r}")
    if attempts is not None and attempts < 1:
        raise HookError(f"attempts must be at least 1, not {attempts!r}")


def _check_pattern(pattern: str) -> None:
    if not isinstance(pattern, str):
        raise HookError(f"an event type is a string, not {pattern!r}")
    name = "x" if pattern == "*" else pattern.removesuffix(".*")
    if not name or "*" in name or not name.isascii() or not name.isprintable() or " " in name:
        raise HookError(f"{pattern!r} is no pattern: write a type, a prefix as in 'contact.*', or '*'")


def _kind(function: AnyFunction, *, transaction: bool) -> Kind:
    if not callable(function):
        raise HookError(f"{function!r} cannot be called")
    name = name_of(function)
    called = _called(function)
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        raise HookError(f"{name} yields: a handler is a function that runs to its end")
    is_async = inspect.iscoroutinefunction(called)
    if transaction and is_async:
        raise HookError(f"{name}: transaction=True takes a plain function; it runs on the inbox's writer")
    _check_signature(function, name, "(event, tx)" if transaction else "(event)", 1 + transaction)
    if transaction:
        return Kind.TRANSACTION
    return Kind.ASYNC if is_async else Kind.PLAIN


def _called(function: AnyFunction) -> AnyFunction:
    """What has the body: behind partials, and `__call__` of an object."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    body: AnyFunction = type(function).__call__
    return body


def _check_signature(function: AnyFunction, name: str, expected: str, arguments: int) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # written in C, without one
        return
    try:
        signature.bind(*range(arguments))
    except TypeError as error:
        raise HookError(f"{name}{signature} must be callable with {expected}: {error}") from None
