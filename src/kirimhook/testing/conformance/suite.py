"""What makes a coroutine a test of the suite, and leaves out what a backend does not promise."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from kirimhook.receiver.inbox import Capabilities
from kirimhook.testing.conformance.bench import Bench, Storage

PATIENCE = 20.0
"""Seconds after which a verb that does not come back fails its test."""

Test = TypeVar("Test", bound=Callable[..., object])


def played(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Lets pytest call `test(self, bench, …)` as a plain function that asks for the fixture `storage`."""

    def run(self: Any, storage: Storage, **arguments: Any) -> None:
        asyncio.run(_play(test, self, storage, arguments))

    first, bench, *rest = inspect.signature(test).parameters.values()
    run.__signature__ = inspect.Signature([first, bench.replace(name="storage"), *rest])  # type: ignore[attr-defined]  # set here
    run.__name__, run.__qualname__, run.__doc__ = test.__name__, test.__qualname__, test.__doc__
    run.__module__ = test.__module__
    return run


async def _play(
    test: Callable[..., Awaitable[None]], suite: object, storage: Storage, arguments: dict[str, Any]
) -> None:
    await storage.prepare()
    try:
        bench = Bench(storage, storage.inbox())
        await bench.inbox.open()
        try:
            async with asyncio.timeout(PATIENCE):
                await test(suite, bench, **arguments)
        finally:
            await bench.close()
    finally:
        await storage.clean()


def requires(capability: str) -> Callable[[Test], Test]:
    """Leaves the test out of the suite of a backend whose capabilities do not have this one. May be repeated."""

    def mark(test: Test) -> Test:
        test.requires = (*needed_by(test), capability)  # type: ignore[attr-defined]  # set here
        return test

    return mark


def needed_by(test: object) -> tuple[str, ...]:
    """The capabilities that a test asks for."""
    needed: tuple[str, ...] = getattr(test, "requires", ())
    return needed


class Suite:
    """What the parts of the suite inherit: a backend's tests are those that its capabilities call for."""

    capabilities: Capabilities
    placeholder = "?"
    """How a statement of a handler writes its first parameter: `?`, `$1`, `%s`."""
    longest_run = 64
    """Events of one lease at most."""
    most_bytes = 32 * 1024 * 1024
    """Of bodies that one call of `lease` hands out, but for its last event."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        capabilities = getattr(cls, "capabilities", None)
        for name in dir(cls) if capabilities else ():
            if not all(getattr(capabilities, needed) for needed in needed_by(getattr(cls, name))):
                setattr(cls, name, None)
