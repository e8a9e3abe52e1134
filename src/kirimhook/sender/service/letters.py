"""The deliveries of one organisation: listed, replayed; and what becomes of the open ones with their subscription."""

from __future__ import annotations

from sqlalchemy import Connection

from kirimhook.contract.resources import BulkReplay, Delivery, ReplayReceipt, SubscriptionStatus
from kirimhook.sender.model import Held
from kirimhook.sender.service.calls import BulkReplayRequest, DeliveryFilter, Page
from kirimhook.sender.service.context import Context
from kirimhook.sender.service.scope import Scope


async def page(scope: Scope, where: DeliveryFilter, limit: int, cursor: str | None) -> Page[Delivery]:
    raise NotImplementedError


async def get(scope: Scope, delivery_id: str) -> Delivery:
    raise NotImplementedError


async def replay(scope: Scope, delivery_id: str) -> ReplayReceipt:
    raise NotImplementedError


async def bulk_replay(scope: Scope, request: BulkReplayRequest) -> BulkReplay:
    raise NotImplementedError


async def delete_subscription(scope: Scope, subscription_id: str) -> None:
    raise NotImplementedError


async def before_enabling(scope: Scope, subscription_id: str) -> None:
    """Give up what a disabled subscription holds, in bounded transactions of its own, until little is left."""
    raise NotImplementedError


def set_status(
    connection: Connection, context: Context, subscription_id: str, status: SubscriptionStatus, held: Held
) -> None:
    """Disable or enable, in the transaction that changes the subscription, which is locked and not deleted.

    Nothing to do where it has that status already. Bumps `version`. With `Held.DISCARD` what is still held is given
    up first.
    """
    raise NotImplementedError
