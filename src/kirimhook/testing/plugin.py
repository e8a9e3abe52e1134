"""The pytest plugin that comes with the package: the fixture `webhooks`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kirimhook.receiver.hooks import Hooks
    from kirimhook.testing.webhooks import Webhooks


@pytest.fixture
def webhooks() -> Iterator[Callable[..., Webhooks]]:
    """`webhooks(hooks)`: your handlers behind a receiver, a worker and an inbox in memory, for this test.

    def test_greeting(webhooks):
        handled = webhooks(hooks).send("message.received")
        assert handled.state == "done", handled.reason
    """
    with ExitStack() as stack:

        def start(hooks: Hooks, **options: Any) -> Webhooks:
            from kirimhook.testing.webhooks import Webhooks  # every pytest run loads this plugin, few use it

            return stack.enter_context(Webhooks(hooks, **options))

        yield start
