"""API keys, each of one organisation. Contract section 5."""

from __future__ import annotations

from datetime import datetime

from kirimhook.sender.service.calls import Caller, KeyInfo, Me, NewKey
from kirimhook.sender.service.context import Context
from kirimhook.sender.service.scope import Scope


async def me(scope: Scope, key_id: str) -> Me:
    raise NotImplementedError


class Keys:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def create(self, name: str, expires_at: datetime | None) -> NewKey:
        raise NotImplementedError

    async def list(self, name: str) -> list[KeyInfo]:
        raise NotImplementedError

    async def revoke(self, name: str, key_id: str) -> KeyInfo:
        raise NotImplementedError

    async def authenticate(self, key: str) -> Caller:
        raise NotImplementedError
