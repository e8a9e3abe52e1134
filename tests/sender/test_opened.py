"""A sender inside a program: publishes and makes keys without a master key, lets go of its database, and has a door
that imports only what is asked for.
"""

from __future__ import annotations

import asyncio

import pytest

import kirimhook.sender
from kirimhook.contract.errors import ApiError
from kirimhook.sender import KirimEvent, open_sender
from kirimhook.settings import SenderSettings


def test_it_publishes_for_an_organisation_by_its_name(database_url: str) -> None:
    async def main() -> None:
        async with open_sender(database_url, SenderSettings(catalogue=("order.created",))) as sender:
            made = await sender.create_organisation_key("acme")
            assert await sender.organisation("acme") == made.organisation_id
            [receipt] = await sender.publish(made.organisation_id, [KirimEvent("order.created", {"order": 1})])
            assert (receipt.deliveries, receipt.duplicate) == (0, False)

    asyncio.run(main())


def test_an_organisation_that_does_not_exist_is_an_error(database_url: str) -> None:
    async def main() -> None:
        async with open_sender(database_url) as sender:
            with pytest.raises(ApiError) as caught:
                await sender.organisation("nobody")
            assert caught.value.code == "resource_not_found"

    asyncio.run(main())


def test_the_database_is_closed_whatever_happens(sqlite_url: str) -> None:
    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            async with open_sender(sqlite_url) as sender:
                raise ZeroDivisionError
        with pytest.raises(Exception, match="closed"):
            await sender.organisation("acme")

    asyncio.run(main())


def test_the_door_names_what_it_opens() -> None:
    assert dir(kirimhook.sender) == sorted(kirimhook.sender.__all__) == sorted(kirimhook.sender._HOME)
    for name in kirimhook.sender.__all__:
        assert getattr(kirimhook.sender, name).__module__.startswith(kirimhook.sender._HOME[name])
    with pytest.raises(AttributeError, match=r"^module 'kirimhook.sender' has no attribute 'nothing'$"):
        _ = kirimhook.sender.nothing  # type: ignore[attr-defined]  # a name that is not there is the test
