"""A test delivery: a documented sample with `livemode` false, to one subscription. Contract section 5."""

from __future__ import annotations

from kirimhook.contract.resources import Delivery
from kirimhook.sender.service.scope import Scope


async def send(scope: Scope, subscription_id: str, event_type: str | None) -> Delivery:
    raise NotImplementedError
