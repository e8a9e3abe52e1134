"""The transactions of one organisation, each done once where its caller says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection

from kirimhook.sender.service.calls import AlreadyAnswered, Once
from kirimhook.sender.service.context import Context
from kirimhook.sender.store import idempotency

if TYPE_CHECKING:
    from kirimhook.sender.database import Operation

T = TypeVar("T")


class Scope:
    """One organisation, and the idempotency key of the call that is under way."""

    __slots__ = ("context", "once", "organisation_id")

    def __init__(self, context: Context, organisation_id: str, once: Once | None = None) -> None:
        self.context = context
        self.organisation_id = organisation_id
        self.once = once

    async def read(self, operation: Operation[T]) -> T:
        return await self.context.database.read(operation)

    async def write(self, operation: Operation[T]) -> T:
        """Run it, and write down its answer, in one transaction. What it returns is what `once.render` renders.

        Raises `AlreadyAnswered` where the call was made before, and ApiError `idempotency_key_reuse` where it was
        another call, `idempotency_in_progress` where that one has not ended. A call that raises is not written down.
        """
        if self.once is None:
            return await self.context.database.write(operation)
        return await self.context.database.write(self._guarded(operation, self.once))

    def _guarded(self, operation: Operation[T], once: Once) -> Callable[[Connection], T]:
        def run(connection: Connection) -> T:
            context, now = self.context, self.context.now()
            oldest = now - int(context.settings.idempotency_seconds * 1000)
            known = idempotency.claim(connection, self.organisation_id, once.key, once.fingerprint, oldest)
            if known is not None:
                raise AlreadyAnswered(known.status, context.sealer.open(known.sealed))
            result = operation(connection)
            answer = idempotency.Answer(once.status, context.sealer.seal(once.render(result)))
            idempotency.record(connection, self.organisation_id, once.key, once.fingerprint, answer, now)
            return result

        return run
