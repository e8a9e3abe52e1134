"""The master key: known by what it sealed, and changed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection

from kirimhook.sender.service.calls import Rekeyed
from kirimhook.sender.service.context import Context
from kirimhook.sender.store import idempotency, seals, secrets

_MARK = b"kirimhook sender"


async def check(context: Context) -> None:
    """Raises `MasterKeyError` for a database that was sealed under other keys; one without a mark gets it."""
    known = await context.database.read(seals.get)
    if known is None:
        sealed = context.sealer.seal(_MARK)
        known = await context.database.write(lambda connection: seals.add(connection, sealed))
    context.sealer.open(known)


async def rekey(context: Context) -> Rekeyed:
    """Secrets, answers, and the mark last: it is under the first key once all is.

    Raises `MasterKeyError` for what none of the keys opens; what was sealed anew until then stays so.
    """
    await check(context)
    resealed = Rekeyed(await _all(context, _some_secrets, ("",)), await _all(context, _some_answers, ("", "")))
    await context.database.write(lambda connection: _mark(connection, context))
    return resealed


Position = tuple[str, ...]
Step = Callable[..., tuple[int, Position | None]]
"""Seals the next few behind a position anew: how many that were, and where to go on, None at the end."""


async def _all(context: Context, step: Step, start: Position) -> int:
    total = 0
    position: Position | None = start
    while position is not None:
        count, position = await context.database.write(partial(step, context=context, position=position))
        total += count
    return total


def _some_secrets(connection: Connection, context: Context, position: Position) -> tuple[int, Position | None]:
    found = secrets.sealed_after(connection, position[0], context.settings.keep_batch)
    changed = [(one.id, fresh) for one in found if (fresh := context.sealer.resealed(one.sealed)) is not None]
    for secret_id, fresh in changed:
        secrets.reseal(connection, secret_id, fresh)
    return len(changed), (found[-1].id,) if found else None


def _some_answers(connection: Connection, context: Context, position: Position) -> tuple[int, Position | None]:
    found = idempotency.sealed_after(connection, position, context.settings.keep_batch)
    changed = [(one, fresh) for one in found if (fresh := context.sealer.resealed(one.sealed)) is not None]
    for answer, fresh in changed:
        idempotency.reseal(connection, answer, fresh)
    return len(changed), (found[-1].organisation_id, found[-1].key) if found else None


def _mark(connection: Connection, context: Context) -> None:
    known = seals.get(connection)
    fresh = None if known is None else context.sealer.resealed(known)
    if fresh is not None:
        seals.replace(connection, fresh)
