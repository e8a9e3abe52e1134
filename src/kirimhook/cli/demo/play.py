"""The demo, step by step."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

from kirimhook.backends import open_inbox
from kirimhook.cli.demo.account import Balance, balance
from kirimhook.cli.demo.provider import Delivery, Provider
from kirimhook.cli.demo.screen import Screen
from kirimhook.cli.demo.stage import LEASE, Stage
from kirimhook.cli.demo.traffic import Traffic
from kirimhook.receiver.inbox import Inbox
from kirimhook.receiver.model import EventState

EVENTS = 2000
PATIENCE = 60.0
"""Seconds for the receiver to handle what it has stored."""


async def play(stage: Stage, screen: Screen) -> Balance:
    """Raises ServeFailed, TimeoutError. The receiver is left running."""
    screen.step("making a certificate authority, a secret and an inbox; starting the receiver with TLS")
    await asyncio.to_thread(stage.start)
    screen.step(f"it listens on {stage.url}")
    provider = Provider(stage.url, stage.secret, stage.trust)
    screen.watch(provider.account)
    traffic = Traffic(random.Random(), int(time.time()))  # noqa: S311  # which sample comes next is no secret
    first, many = traffic.samples(), list(traffic.many(EVENTS))
    sent = {delivery.identity for delivery in (*first, *many) if not delivery.forged}
    try:
        screen.step(f"posting the {len(first)} documented payloads")
        await provider.send(first, lambda: None)
        screen.step(f"posting {EVENTS} more events, with duplicates and forgeries between, and a SIGKILL half way")
        await _send_through_a_crash(provider, many, stage, screen)
        screen.step(
            f"waiting for the last ones: what the killed worker held is due again when its lease of {LEASE:g} s is over"
        )
        await _handled(stage.database, len(sent))
    finally:
        await provider.close()
    return await balance(stage.database, provider.account, sent, sum(delivery.forged for delivery in many))


async def _send_through_a_crash(provider: Provider, many: list[Delivery], stage: Stage, screen: Screen) -> None:
    half = asyncio.Event()
    answered = 0

    def progress() -> None:
        nonlocal answered
        answered += 1
        if answered == len(many) // 2:
            half.set()

    sending = asyncio.create_task(provider.send(many, progress))
    await half.wait()
    await asyncio.to_thread(stage.kill)
    screen.step("killed it with SIGKILL; starting it again while the sender goes on")
    await asyncio.to_thread(stage.start)
    screen.step("it is back; what was not acknowledged is sent again")
    await sending


async def _handled(database: Path, events: int) -> None:
    inbox = open_inbox(f"sqlite:///{database}")
    await inbox.open()
    try:
        async with asyncio.timeout(PATIENCE):
            while await _done(inbox) < events:  # noqa: ASYNC110  # another process handles them
                await asyncio.sleep(0.2)
    finally:
        await inbox.close()


async def _done(inbox: Inbox) -> int:
    return (await inbox.stats()).counts[EventState.DONE]
