"""The master key: known by what it sealed, and changed."""

from __future__ import annotations

from kirimhook.sender.service.calls import Rekeyed
from kirimhook.sender.service.context import Context


async def check(context: Context) -> None:
    raise NotImplementedError


async def rekey(context: Context) -> Rekeyed:
    raise NotImplementedError
