"""An API key opens the dashboard of its organisation, and nothing else does."""

from __future__ import annotations

import asyncio

from tests.sender.dashboard.visiting import visiting
from tests.sender.databases import Databases


def test_a_key_opens_the_dashboard_of_its_organisation(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            page = await house.me.get("/account")
            assert page.status == 200
            assert "acme" in page.text
            other = await house.of("other")
            assert "acme" not in (await other.get("/account")).text

    asyncio.run(main())
