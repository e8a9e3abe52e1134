"""What becomes of the open deliveries of a subscription that is disabled, enabled or deleted. Contract section 4.

A great many are never touched in one transaction: the bulk goes before, or after, in batches of `settings.keep_batch`.
"""

from __future__ import annotations

from sqlalchemy import Connection

from kirimhook.contract import ids
from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import SubscriptionStatus
from kirimhook.sender.model import DeadReason, DisabledReason, Held
from kirimhook.sender.service.context import Context
from kirimhook.sender.service.scope import Scope
from kirimhook.sender.store import holding, locks


async def before_enabling(scope: Scope, subscription_id: str, held: Held = Held.DISCARD) -> None:
    """Give up what a disabled subscription holds, or put it behind live traffic, until little is left.

    Each batch is a transaction of its own. What is killed on the way is left disabled, and can be called again. Does
    nothing to a subscription that is active, deleted or not there.
    """
    count = await scope.read(lambda connection: holding.count_open(connection, subscription_id))
    for _ in range(2 + count // _batch(scope.context)):  # what joins meanwhile does not keep it going for ever
        if await scope.context.database.write(lambda connection: _some(connection, scope, subscription_id, held)):
            return


def _some(connection: Connection, scope: Scope, subscription_id: str, held: Held) -> bool:
    """One batch. Whether little is left."""
    locks.share(connection, [scope.organisation_id])
    found = holding.subscription(connection, scope.organisation_id, subscription_id)
    if found is None or found.deleted_at is not None or found.status != SubscriptionStatus.DISABLED:
        return True
    limit = _batch(scope.context)
    return _treat(connection, scope.context, subscription_id, held, limit) < limit


def _treat(connection: Connection, context: Context, subscription_id: str, held: Held, limit: int) -> int:
    if held is Held.DISCARD:
        chosen = holding.open_deliveries(connection, subscription_id, limit)
        holding.close(connection, chosen, DeadReason.DISCARDED, context.now(), notify=context.notify)
    else:
        chosen = holding.open_deliveries(connection, subscription_id, limit, live=True)
        holding.demote(connection, chosen)
    return len(chosen)


def set_status(
    connection: Connection, context: Context, subscription_id: str, status: SubscriptionStatus, held: Held
) -> None:
    """Disable (`manual`) or enable, in the transaction that changes the subscription, under its organisation's lock.

    Nothing to do where it has that status already. Bumps `version`. What `before_enabling` left is given up, or put
    behind live traffic, first: it is little, and nothing joins it under the lock.
    """
    if status is SubscriptionStatus.DISABLED:
        holding.disable(connection, subscription_id, DisabledReason.MANUAL)
        return
    if holding.is_disabled(connection, subscription_id):
        while _treat(connection, context, subscription_id, held, _batch(context)) == _batch(context):
            pass
        holding.enable(connection, subscription_id)


async def delete_subscription(scope: Scope, subscription_id: str) -> None:
    """Nothing matches it from now on. Its open deliveries become dead letters: some now, the rest by `Sender.keep`.

    Raises ApiError `resource_not_found`, also for one that was deleted before.
    """
    context = scope.context
    if not ids.is_id(ids.SUBSCRIPTION, subscription_id):
        raise _not_found()

    def operation(connection: Connection) -> None:
        locks.alone(connection, scope.organisation_id)
        found = holding.subscription(connection, scope.organisation_id, subscription_id)
        if found is None or not holding.remove(connection, subscription_id, context.now()):
            raise _not_found()
        chosen = holding.open_deliveries(connection, subscription_id, _batch(context))
        reason = DeadReason.SUBSCRIPTION_DELETED
        holding.close(connection, chosen, reason, context.now(), notify=context.notify)

    await scope.write(operation)


def _not_found() -> ApiError:
    return ApiError("resource_not_found", "there is no such subscription")


def _batch(context: Context) -> int:
    return context.settings.keep_batch
