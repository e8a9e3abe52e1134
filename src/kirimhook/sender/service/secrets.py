"""The signing secrets of a subscription. Contract sections 5 and 7."""

from __future__ import annotations

from kirimhook.contract.resources import NewSecret
from kirimhook.sender.service.scope import Scope


async def add(scope: Scope, subscription_id: str, expires_in_hours: float | None) -> NewSecret:
    raise NotImplementedError


async def remove(scope: Scope, subscription_id: str, secret_id: str) -> None:
    raise NotImplementedError
