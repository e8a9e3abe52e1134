"""Who wants which events, and where. Contract section 5."""

from __future__ import annotations

from collections.abc import Sequence

from kirimhook.contract.resources import Subscription
from kirimhook.sender.service.calls import Changes, Page
from kirimhook.sender.service.scope import Scope


async def create(scope: Scope, url: str, events: Sequence[str], description: str | None) -> Subscription:
    raise NotImplementedError


async def get(scope: Scope, subscription_id: str) -> Subscription:
    raise NotImplementedError


async def page(scope: Scope, limit: int, cursor: str | None) -> Page[Subscription]:
    raise NotImplementedError


async def update(scope: Scope, subscription_id: str, changes: Changes) -> Subscription:
    raise NotImplementedError
