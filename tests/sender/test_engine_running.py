"""Engines at work: bounds are never exceeded, a sick endpoint is its own trouble, changes are seen, what was not begun
is given back, several engines share one queue, and one that is killed costs its leases and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from kirimhook.observe import Meter
from kirimhook.sender.engine import Engine
from kirimhook.sender.model import Rank
from kirimhook.sender.transport import Transport
from kirimhook.testing.clock import Clock
from kirimhook.testing.endpoint import Authority, Endpoint, Hang, Hold, Request, Respond
from tests.sender.databases import Databases
from tests.sender.engines import MASTER_KEY, NOW, SEALER, counted, running, settings_for, stage


def test_bounds_are_never_exceeded(databases: Databases) -> None:
    """In flight of one endpoint and of all; leased of each subscription and of all."""

    async def main() -> None:
        async with stage(databases) as set_up, Endpoint(Hang()) as endpoint:
            subscriptions = [await set_up.subscribe(endpoint.url_of("localhost", f"/{n}")) for n in range(4)]
            for subscription in subscriptions:
                await set_up.publish(subscription, 30)
                await set_up.publish(subscription, 10, rank=Rank.BACKGROUND)
            bounds = {"in_flight": 9, "in_flight_per_endpoint": 3, "held": 34, "held_per_endpoint": 10}
            tight = settings_for(endpoint.ca, **bounds, held_background=2, attempt_timeout=60.0, drain_timeout=0.0)
            async with running(set_up, tight) as engine:
                await endpoint.received(9)
                await settled_leases(set_up, 34)
                by_path = Counter(request.target for request in endpoint.requests)
                assert engine.in_flight == 9
                assert sum(by_path.values()) == 9
                assert max(by_path.values()) <= 3
                lanes = await set_up.rows(
                    "SELECT subscription_id, count(*) FROM queue WHERE token IS NOT NULL GROUP BY subscription_id"
                )
                assert max(count for _, count in lanes) <= 10
                background = "SELECT count(*) FROM queue WHERE token IS NOT NULL AND rank = 1"
                assert await set_up.value(background) <= 8
                assert engine.held == 34
            assert await set_up.value("SELECT count(*) FROM queue WHERE token IS NULL AND attempts = 0") == 160

    async def settled_leases(set_up: Any, count: int) -> None:
        async with asyncio.timeout(10):
            while await set_up.value("SELECT count(*) FROM queue WHERE token IS NOT NULL") < count:  # noqa: ASYNC110  # the engine is another process, or tells nobody
                await asyncio.sleep(0.01)

    asyncio.run(main())


def test_live_goes_before_background(databases: Databases) -> None:
    async def main() -> None:
        async with stage(databases) as set_up, Endpoint(Respond()) as endpoint:
            subscription = await set_up.subscribe(endpoint.url)
            background = await set_up.publish(subscription, 6, rank=Rank.BACKGROUND)
            await set_up.change("UPDATE queue SET due_at = 0")
            live = await set_up.publish(subscription, 6)
            async with running(set_up, settings_for(endpoint.ca, in_flight_per_endpoint=1)) as engine:
                await engine.idle()
            order = [request.header("X-Kirim-Delivery-Id") for request in endpoint.requests]
            assert set(order[:6]) == set(live)
            assert set(order[6:]) == set(background)

    asyncio.run(main())


def test_hanging_endpoints_do_not_hold_up_the_others(databases: Databases) -> None:
    async def main() -> None:
        async with stage(databases) as set_up, Endpoint(choose=choose) as endpoint:
            for number in range(3):
                sick = await set_up.subscribe(endpoint.url_of("localhost", f"/sick/{number}"))
                await set_up.publish(sick, 100)
                await set_up.publish(sick, 3, body=b"x" * 900_000)
            well = [await set_up.subscribe(endpoint.url_of("localhost", "/well")) for _ in range(5)]
            for subscription in well:
                await set_up.publish(subscription, 20)
                await set_up.publish(subscription, 1, body=b"y" * 900_000)
            tight = settings_for(
                endpoint.ca, in_flight=40, in_flight_per_endpoint=8, held=400, held_per_endpoint=50,
                held_bytes=8 << 20, drain_timeout=0.0, attempt_timeout=60.0,
            )  # fmt: skip
            async with running(set_up, tight):
                async with asyncio.timeout(20):
                    while await count_of(set_up, "succeeded") < 105:  # noqa: ASYNC110  # the engine is another process, or tells nobody
                        await asyncio.sleep(0.01)
            assert set((await set_up.states()).values()) == {"pending", "succeeded"}

    def choose(request: Request) -> Any:
        return Hang() if request.target.startswith("/sick") else Respond()

    asyncio.run(main())


async def count_of(set_up: Any, status: str) -> int:
    return int(await set_up.value("SELECT count(*) FROM deliveries WHERE status = :s", s=status))


def test_large_bodies_share_a_budget(databases: Databases) -> None:
    """4 MiB at a time, of which one endpoint gets a quarter; one body is always let through."""

    async def main() -> None:
        held = asyncio.Event()
        async with stage(databases) as set_up, Endpoint(choose=lambda _: Hold(held)) as endpoint:
            paths = [endpoint.url_of("localhost", f"/{number}") for number in range(2)]
            bodies = [bytes([65 + number]) * 700_000 for number in range(2)]
            for path, body in zip(paths, bodies, strict=True):
                await set_up.publish(await set_up.subscribe(path), 5, body=body)
            async with running(set_up, settings_for(endpoint.ca, held_bytes=8 << 20)) as engine:
                await endpoint.received(2)
                for _ in range(50):
                    await asyncio.sleep(0)
                assert {request.target for request in endpoint.requests} == {"/0", "/1"}
                assert len(endpoint.requests) == 2
                held.set()
                await engine.idle()
            assert set((await set_up.states()).values()) == {"succeeded"}
            assert Counter((request.target, request.body) for request in endpoint.requests) == {
                ("/0", bodies[0]): 5,
                ("/1", bodies[1]): 5,
            }

    asyncio.run(main())


def test_a_change_elsewhere_is_seen(databases: Databases) -> None:
    """Disabled: what has not begun is given back. Enabled with another URL: it goes there."""

    async def main() -> None:
        held = asyncio.Event()
        async with stage(databases) as set_up, Endpoint(Hold(held)) as endpoint:
            subscription = await set_up.subscribe(endpoint.url)
            await set_up.publish(subscription, 10)
            fast = settings_for(endpoint.ca, in_flight_per_endpoint=2, refresh=0.02)
            async with running(set_up, fast) as engine:
                await endpoint.received(2)
                await set_up.change("UPDATE subscriptions SET status = 'disabled', version = version + 1")
                async with asyncio.timeout(10):
                    while await set_up.value("SELECT count(*) FROM queue WHERE token IS NOT NULL") > 2:  # noqa: ASYNC110  # the engine is another process, or tells nobody
                        await asyncio.sleep(0.01)
                held.set()
                await engine.idle()
                assert len(endpoint.requests) == 2
                assert await set_up.value("SELECT count(*) FROM queue WHERE attempts = 0 AND token IS NULL") == 8
                await set_up.change(
                    "UPDATE subscriptions SET status = 'active', version = version + 1, url = :url",
                    url=endpoint.url_of("localhost", "/moved"),
                )
                await engine.idle()
            assert Counter(request.target for request in endpoint.requests) == {"/hook": 2, "/moved": 8}

    asyncio.run(main())


def test_a_subscription_that_fails_is_disabled_and_its_deliveries_are_held(databases: Databases) -> None:
    async def main() -> None:
        async with stage(databases) as set_up, Endpoint(Respond(404)) as endpoint:
            await set_up.publish(await set_up.subscribe(endpoint.url), 300)
            meter = Meter()
            few = settings_for(endpoint.ca, in_flight_per_endpoint=4, held_per_endpoint=30)
            async with running(set_up, few, meter=meter) as engine:
                await engine.idle()
            ((status, reason, held),) = await set_up.rows("SELECT status, disabled_reason, held FROM subscriptions")
            dead = await count_of(set_up, "dead")
            assert (status, reason) == ("disabled", "consecutive_failures")
            assert 20 <= dead < 300
            assert held == 300 - dead == await set_up.value("SELECT count(*) FROM queue WHERE token IS NULL")
            assert counted(meter, "disabled_total") == {"consecutive_failures": 1}

    asyncio.run(main())


def test_several_engines_share_the_work(databases: Databases) -> None:
    async def main() -> None:
        async with stage(databases) as set_up, databases.opened() as second, Endpoint(Respond()) as endpoint:
            for _ in range(5):
                await set_up.publish(await set_up.subscribe(endpoint.url), 60)
            few = settings_for(endpoint.ca, held_per_endpoint=10)
            meters = [Meter(), Meter()]
            async with contextlib.AsyncExitStack() as stack:
                transport = await stack.enter_async_context(Transport(few))
                engines = [
                    Engine(database, SEALER, transport, few, clock=set_up.clock, meter=meter)
                    for database, meter in zip((set_up.database, second), meters, strict=True)
                ]
                for engine in engines:
                    engine.start()
                await asyncio.gather(*[engine.idle() for engine in engines])
                await asyncio.gather(*[engine.stop() for engine in engines])
            sent = Counter(request.header("X-Kirim-Delivery-Id") for request in endpoint.requests)
            assert len(sent) == 300
            assert set(sent.values()) == {1}
            assert set((await set_up.states()).values()) == {"succeeded"}
            shares = [counted(meter, "attempts_total")["succeeded"] for meter in meters]
            assert sum(shares) == 300
            assert min(shares) > 0

    asyncio.run(main())


def test_a_drain_lets_attempts_end_and_gives_back_the_rest(databases: Databases) -> None:
    async def main() -> None:
        held = asyncio.Event()
        async with stage(databases) as set_up, Endpoint(Hold(held)) as endpoint:
            await set_up.publish(await set_up.subscribe(endpoint.url), 10)
            async with running(set_up, settings_for(endpoint.ca, in_flight_per_endpoint=3)) as engine:
                await endpoint.received(3)
                engine.drain()
                await asyncio.sleep(0)
                held.set()
            assert len(endpoint.requests) == 3
            assert Counter((await set_up.states()).values()) == {"succeeded": 3, "pending": 7}
            assert await set_up.value("SELECT count(*) FROM queue WHERE token IS NULL AND attempts = 0") == 7

    asyncio.run(main())


def test_a_drain_does_not_wait_for_ever(databases: Databases) -> None:
    """What is broken off counts for nothing, and another engine can have it at once."""

    async def main() -> None:
        async with stage(databases) as set_up, Endpoint(Hang()) as endpoint:
            await set_up.publish(await set_up.subscribe(endpoint.url), 2)
            async with running(set_up, settings_for(endpoint.ca, drain_timeout=0.05)):
                await endpoint.received(2)
            assert await set_up.rows("SELECT due_at, token, attempts FROM queue") == [(int(NOW * 1000), None, 0)] * 2
            assert await set_up.rows("SELECT * FROM attempts") == []

    asyncio.run(main())


def test_secrets_that_cannot_be_opened_are_no_failed_attempt(databases: Databases) -> None:
    async def main() -> None:
        clock = Clock(NOW)
        async with stage(databases, clock) as set_up, Endpoint(Respond()) as endpoint:
            broken = await set_up.subscribe(endpoint.url_of("localhost", "/broken"))
            sealed = await set_up.rows("SELECT sealed FROM secrets")
            await set_up.change("UPDATE secrets SET sealed = :x", x=b"not sealed")
            await set_up.publish(broken, 2)
            await set_up.publish(await set_up.subscribe(endpoint.url), 2)
            async with running(set_up, settings_for(endpoint.ca)) as engine:
                await engine.idle()
                assert [request.target for request in endpoint.requests] == ["/hook"] * 2
                assert await set_up.rows("SELECT attempts FROM queue") == [(0,), (0,)]
                await set_up.change("UPDATE secrets SET sealed = :x", x=sealed[0][0])
                await set_up.change("UPDATE subscriptions SET version = 2")
                clock.advance(31)
                await engine.idle()
            assert set((await set_up.states()).values()) == {"succeeded"}

    asyncio.run(main())


def test_an_idle_engine_sees_what_was_published_elsewhere(databases: Databases) -> None:
    """Nobody wakes it; it looks every `poll`."""

    async def main() -> None:
        async with stage(databases, time.time) as set_up, Endpoint(Respond()) as endpoint:
            subscription = await set_up.subscribe(endpoint.url)
            async with running(set_up, settings_for(endpoint.ca, poll=0.01)) as engine:
                await engine.idle()
                for number in range(1, 4):
                    await set_up.publish(subscription)
                    async with asyncio.timeout(5):
                        await endpoint.received(number)
                await engine.idle()
            assert len(endpoint.requests) == 3
            assert list((await set_up.states()).values()) == ["succeeded"] * 3

    asyncio.run(main())


def test_being_woken_is_enough(databases: Databases) -> None:
    async def main() -> None:
        async with stage(databases, time.time) as set_up, Endpoint(Respond()) as endpoint:
            subscription = await set_up.subscribe(endpoint.url)
            lazy = settings_for(endpoint.ca, poll=60.0, refresh=60.0)
            async with running(set_up, lazy) as engine:
                await engine.idle()
                await set_up.publish(subscription)
                engine.wake()
                async with asyncio.timeout(10):
                    [request] = await endpoint.received(1)
                assert request.header("X-Kirim-Attempt") == "1"

    asyncio.run(main())


def test_renewed_while_it_waits(databases: Databases) -> None:
    """A lease that is far too short for what waits in line; yet nobody else gets it, and nothing is sent twice."""

    async def main() -> None:
        held = asyncio.Event()
        async with stage(databases, time.time) as set_up, Endpoint(Hold(held)) as endpoint:
            await set_up.publish(await set_up.subscribe(endpoint.url), 10)
            brief = settings_for(endpoint.ca, lease=0.6, in_flight_per_endpoint=2)
            async with running(set_up, brief) as engine, running(set_up, brief) as other:
                await endpoint.received(2)
                await asyncio.sleep(1.5)  # the lease is real time
                held.set()
                await asyncio.gather(engine.idle(), other.idle())
            assert (
                Counter(request.header("X-Kirim-Delivery-Id") for request in endpoint.requests).most_common(1)[0][1]
                == 1
            )
            assert set((await set_up.states()).values()) == {"succeeded"}

    asyncio.run(main())


def test_a_killed_engine_costs_its_leases_and_nothing_else(databases: Databases, tmp_path: Path) -> None:
    """SIGKILL in the middle of attempts: another engine makes them again once the leases have run out."""

    async def main() -> None:
        authority = Authority(tmp_path)
        hung = asyncio.Event()
        answer = Endpoint(choose=lambda _: Hold(hung), authority=authority)
        async with stage(databases, time.time) as set_up, answer as endpoint:
            await set_up.publish(await set_up.subscribe(endpoint.url), 12)
            child = subprocess.Popen(  # noqa: ASYNC220  # started once, and killed
                [sys.executable, "-m", "tests.sender.engine_process", databases.url, str(authority.ca)],
                env={**os.environ, "MASTER_KEY": MASTER_KEY},
            )
            try:
                await endpoint.received(4)
            finally:
                child.send_signal(signal.SIGKILL)
                child.wait()
            hung.set()
            async with running(set_up, settings_for(authority.ca)) as engine:
                async with asyncio.timeout(20):
                    while await count_of(set_up, "succeeded") < 12:  # noqa: ASYNC110  # the engine is another process, or tells nobody
                        await asyncio.sleep(0.02)
                await engine.idle()
            sent = Counter(request.header("X-Kirim-Delivery-Id") for request in endpoint.requests)
            assert len(sent) == 12
            assert sum(sent.values()) <= 12 + 4, "only what was in flight is sent again"
            assert await set_up.value("SELECT count(*) FROM attempts") == 12
            assert await set_up.rows("SELECT * FROM queue") == []

    asyncio.run(main())
