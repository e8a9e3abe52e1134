"""The demo, step by step: the whole circle, from a publish to the handler, through a crash and an outage."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from kirimhook.backends import open_inbox
from kirimhook.cli.demo.account import Balance, Handled, balance, completed
from kirimhook.cli.demo.forger import forge
from kirimhook.cli.demo.platform import Platform
from kirimhook.cli.demo.screen import Screen
from kirimhook.cli.demo.stage import LEASE, SCHEDULE, Stage
from kirimhook.cli.demo.traffic import Traffic
from kirimhook.contract.resources import SubscriptionStatus
from kirimhook.contract.samples import Sample
from kirimhook.receiver.inbox import Inbox
from kirimhook.receiver.model import EventState

EVENTS = 1000
MISSED = 200
"""Events published while the receiver is down."""
FORGERIES = 20
PATIENCE = 60.0
"""Seconds for each thing that both sides have to come to."""
LOOK = 0.2
"""Seconds between two looks at it."""


async def play(stage: Stage, screen: Screen) -> Balance:
    """All processes are left running.

    Raises `Failure`, ServeFailed, TimeoutError, InboxUnavailable, and what the client raises.
    """
    screen.step(f"the inbox is {stage.store.about}")
    await asyncio.to_thread(stage.store.start)
    screen.step("starting the sender: its API, its engine, a database; making an API key")
    await asyncio.to_thread(stage.start_sender)
    screen.step("starting the receiver: a certificate authority, TLS, an inbox; no secret yet")
    await asyncio.to_thread(stage.start_receiver)
    screen.pages(stage)
    platform = Platform(stage.api, stage.key)
    traffic = Traffic(random.Random(), int(time.time()))  # noqa: S311  # which sample comes next is no secret
    watching = asyncio.create_task(screen.watch(platform))
    try:
        subscription = await _subscribe(stage, platform, screen)
        await _first_steps(platform, traffic, screen)
        await _crash(stage, platform, traffic, screen)
        await _outage(stage, platform, subscription, traffic, screen)
        await _recovery(stage, platform, subscription, screen)
        screen.step(f"posting {FORGERIES} forged deliveries to the receiver")
        answers = await forge(stage.url, traffic.fresh(FORGERIES), stage.certificates.client_context())
        screen.step(f"waiting for the handlers: what a killed worker held is due when its lease of {LEASE:g} s is over")
        async with _opened(stage.store.url) as inbox:
            await _until(lambda: _all_done(inbox, len(platform.published.events)))
            done = await completed(inbox)
    finally:
        watching.cancel()
        await platform.close()
    ledger, book = await asyncio.to_thread(stage.ledger), await asyncio.to_thread(stage.store.book)
    return balance(Handled(done, book, stage.store.exactly_once), platform.published, ledger, answers)


async def _subscribe(stage: Stage, platform: Platform, screen: Screen) -> str:
    screen.step(f"subscribing {stage.url} to every event over the API; storing the secret that it shows once")
    subscription, secret = await platform.subscribe(stage.url)
    await asyncio.to_thread(stage.hand_over, secret)
    return subscription


async def _first_steps(platform: Platform, traffic: Traffic, screen: Screen) -> None:
    documented = traffic.samples()
    screen.step(f"publishing the {len(documented)} documented payloads: signed, delivered, verified, stored, handled")
    await platform.publish(documented, screen.published)
    await _until(platform.all_delivered)
    await screen.deliveries(platform)


async def _crash(stage: Stage, platform: Platform, traffic: Traffic, screen: Screen) -> None:
    screen.step(f"publishing {EVENTS} more, some of them twice; half way the receiver is killed with SIGKILL")
    many = list(traffic.many(EVENTS))
    half = len(many) // 2
    await platform.publish(many[:half], screen.published)
    await asyncio.gather(platform.publish(many[half:], screen.published), _kill_and_start(stage, screen))
    await _until(platform.all_delivered)


async def _kill_and_start(stage: Stage, screen: Screen) -> None:
    await asyncio.to_thread(stage.kill_receiver)
    screen.step("killed; starting it again on the same inbox, while attempts fail and come back")
    await asyncio.to_thread(stage.start_receiver)


async def _outage(stage: Stage, platform: Platform, subscription: str, traffic: Traffic, screen: Screen) -> None:
    screen.step(f"taking the receiver down, and publishing {MISSED} events; attempts after {SCHEDULE} s, then dead")
    await asyncio.to_thread(stage.stop_receiver)
    missed: list[Sample] = list(traffic.many(MISSED))
    await platform.publish(missed, screen.published)

    async def disabled() -> bool:
        return (await platform.subscription(subscription)).status is SubscriptionStatus.DISABLED

    await _until(disabled)
    await screen.deliveries(platform)
    found = await platform.subscription(subscription)
    screen.step(f"too many in a row are dead: the subscription is disabled ({found.disabled_reason}), the rest held")


async def _recovery(stage: Stage, platform: Platform, subscription: str, screen: Screen) -> None:
    screen.step("bringing the receiver back, and enabling the subscription: what was held is delivered")
    await asyncio.to_thread(stage.start_receiver)
    await platform.enable(subscription)
    await _until(platform.all_delivered)
    replayed = await platform.replay_the_dead(subscription)
    screen.step(f"replaying the {replayed} dead letters in bulk")
    await _until(platform.all_delivered)
    await screen.deliveries(platform)


async def _all_done(inbox: Inbox, events: int) -> bool:
    return (await inbox.stats()).counts[EventState.DONE] >= events


@contextlib.asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Inbox]:
    inbox = open_inbox(url)
    try:
        await inbox.open()
        yield inbox
    finally:
        await inbox.close()


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Other processes bring it about: look until it is so. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE):
        while not await holds():  # noqa: ASYNC110  # another process brings it about
            await asyncio.sleep(LOOK)
