"""A handler inside the transaction that completes its event (G4): both commit, or neither."""

from __future__ import annotations

import contextvars
import inspect

from kirimhook.receiver.event import Event
from kirimhook.receiver.hooks import Handler
from kirimhook.receiver.inbox import Transaction
from kirimhook.receiver.outcomes import Park, Retry, Snooze


class Undone(Exception):
    """Raised through the inbox so that it rolls back. Whatever the handler raised does not reach the inbox."""


class TransactionCall:
    """The work of `Inbox.transact`. Afterwards it knows how the handler ended: an inbox may call it again."""

    def __init__(self, handler: Handler, event: Event) -> None:
        self._handler = handler
        self._event = event
        self.returned: object = None
        self.error: BaseException | None = None

    @property
    def declined(self) -> bool:
        """The handler returned an outcome under which its effects must not stay."""
        return isinstance(self.returned, Retry | Snooze | Park)

    def __call__(self, transaction: Transaction) -> None:
        self.returned = self.error = None
        try:
            self.returned = contextvars.copy_context().run(self._handler.function, self._event, transaction)
            if inspect.iscoroutine(self.returned):
                self.returned.close()
                raise TypeError("a handler with transaction=True must not return a coroutine")
        except BaseException as error:
            self.error = error
            raise Undone from error
        if self.declined:
            raise Undone
