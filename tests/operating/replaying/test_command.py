"""`deliveries bulk-replay` over an API that knows only what is publicly documented: one request for each, told as it
goes, and what the API refuses is exit code 1.
"""

from __future__ import annotations

import asyncio

import pytest

from kirimhook.cli import replay_shown
from tests.cli.commands import Ran, kirimhook
from tests.operating.replaying.provider import Provider, providing
from tests.sender.databases import Databases


async def run(provider: Provider, url: str, *more: str) -> Ran:
    given = ("--api-url", url, "--key", provider.world.api.key)
    return await asyncio.to_thread(kirimhook, "deliveries", "bulk-replay", provider.subscription, *given, *more)


def test_what_is_refused_is_exit_code_1(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_shown, "EVERY", 0.0)

    async def main() -> None:
        async with providing(databases) as provider:
            provider.front.knows_ours = False
            dead = await provider.dead(3)
            await provider.run(
                f"UPDATE events SET erased_at = 1 WHERE id = (SELECT event FROM deliveries WHERE id = '{dead[1]}')"
            )
            ran = await run(provider, provider.url, "--yes", "--json")
            counts = {name: ran.data[name] for name in ("selected", "replayed", "gone", "refused", "unsure", "left")}
            assert counts == {"selected": 3, "replayed": 2, "gone": 0, "refused": 1, "unsure": 0, "left": 0}
            assert (ran.code, ran.errors) == (1, "1 of 3 done\n2 of 3 done\n3 of 3 done\n")
            assert await provider.replayed() == [dead[0], dead[2]]
            again = await run(provider, provider.url, "--yes")
            assert (again.code, again.out) == (1, "0 of 1 replayed, 1 refused\n")

    asyncio.run(main())
