"""Publish: events, and one delivery of each for every subscription that wants it, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from kirimhook.contract.resources import EventReceipt
from kirimhook.sender.service.calls import Publishable
from kirimhook.sender.service.scope import Scope


async def publish(
    scope: Scope, events: Sequence[Publishable], connection: AsyncConnection | Connection | None = None
) -> list[EventReceipt]:
    raise NotImplementedError
