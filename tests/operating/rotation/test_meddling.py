"""What others do meanwhile, to the subscription, to its secrets and to receivers, is seen and never made worse."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from kirimhook.operating.rotation import AdminPorts, RefusedError, RotationError, Step, abort, planned, rotate
from tests.operating.rotation.conftest import Ground
from tests.operating.rotation.test_rotating import Stopped, Stopping, fingerprints, ids


def test_a_secret_that_was_made_and_deleted_meanwhile_is_made_anew(ground: Ground) -> None:
    """The call's answer is kept for a day, whatever became of what it made."""

    async def play() -> None:
        async with ground.stage() as on:
            ours = await on.subscribed(ground.receiver)
            begun = (await planned(on.stage, ours.id)).journal
            secrets = on.stage.api.webhook_subscriptions.secrets
            made = await secrets.create(ours.id, idempotency_key=begun.key)
            await secrets.delete(ours.id, made.id)
            on.stage.journal.save(dataclasses.replace(begun, posted_at=time.time()))

            outcome = await rotate(on.stage, ours.id)

            assert outcome.journal.new_id != made.id
            assert await ids(on.stage, ours.id) == [outcome.journal.new_id]
            assert outcome.journal.new_fingerprint in fingerprints(on.stage)
            assert made.secret.fingerprint not in fingerprints(on.stage)

    asyncio.run(play())


@pytest.mark.parametrize("step", [Step.ADD, Step.LOAD])
def test_of_a_subscription_that_was_deleted_the_file_is_taken_back(ground: Ground, step: Step) -> None:
    async def play() -> None:
        async with ground.stage() as on:
            ours = await on.subscribed(ground.receiver)
            before = ground.file.read_bytes()
            with pytest.raises(Stopped):
                await rotate(on.stage._replace(journal=Stopping(on.stage.journal, Step.LOAD)), ours.id)
            journal = on.stage.journal.load()
            assert journal is not None
            if step is Step.ADD:  # killed after the file was written
                on.stage.journal.save(dataclasses.replace(journal, step=step, new_id=None, new_fingerprint=None))
            await on.stage.api.webhook_subscriptions.delete(ours.id)

            outcome = await abort(on.stage, ours.id)

            assert outcome.journal.step is Step.ROLLED_BACK
            assert (ground.file.read_bytes(), on.stage.journal.load()) == (before, None)

    asyncio.run(play())


def test_a_new_secret_that_is_gone_already_is_taken_back_all_the_same(ground: Ground) -> None:
    async def play() -> None:
        async with ground.stage() as on:
            ours = await on.subscribed(ground.receiver)
            before = ground.file.read_bytes()
            with pytest.raises(Stopped):
                await rotate(on.stage._replace(journal=Stopping(on.stage.journal, Step.CONFIRM)), ours.id)
            await on.stage.api.webhook_subscriptions.secrets.delete(ours.id, (await ids(on.stage, ours.id))[1])

            with pytest.raises(RotationError, match="somebody deleted it; take it back"):
                await rotate(on.stage, ours.id)
            await abort(on.stage, ours.id)

            assert (ground.file.read_bytes(), on.stage.journal.load()) == (before, None)
            assert await ids(on.stage, ours.id) == [ours.secrets[0].id]

    asyncio.run(play())


@pytest.mark.parametrize("called", [None, 0.0])
def test_where_the_call_made_nothing_there_is_nothing_to_take_back(ground: Ground, called: float | None) -> None:
    """It was never made; or it was, and would be refused now because others have taken the room."""

    async def play() -> None:
        async with ground.stage() as on:
            ours = await on.subscribed(ground.receiver)
            begun = (await planned(on.stage, ours.id)).journal
            for _ in range(4):
                await on.stage.api.webhook_subscriptions.secrets.create(ours.id)
            before = await ids(on.stage, ours.id)
            on.stage.journal.save(dataclasses.replace(begun, posted_at=None if called is None else time.time()))

            await abort(on.stage, ours.id)

            assert await ids(on.stage, ours.id) == before
            assert on.stage.journal.load() is None

    asyncio.run(play())


def test_the_old_line_is_dropped_only_while_the_new_one_is_there(ground: Ground) -> None:
    async def play() -> None:
        async with ground.stage() as on:
            ours = await on.subscribed(ground.receiver)
            before = ground.file.read_bytes()
            with pytest.raises(Stopped):
                await rotate(on.stage._replace(journal=Stopping(on.stage.journal, Step.DROP)), ours.id)
            ground.file.write_bytes(before)

            with pytest.raises(RotationError, match="does not hold the new secret"):
                await rotate(on.stage, ours.id)

            assert ground.file.read_bytes() == before

    asyncio.run(play())


def test_a_folder_in_which_nothing_can_be_replaced_is_said_by_a_dry_run(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # who runs tests may be allowed everything

    async def play() -> None:
        async with ground.stage() as on:
            ours = await on.subscribed(ground.receiver)
            with pytest.raises(RefusedError, match="the file cannot be replaced in this folder"):
                await planned(on.stage, ours.id)

    asyncio.run(play())


@asynccontextmanager
async def _answering(status: int, body: bytes) -> AsyncIterator[str]:
    """An HTTP server that is no receiver's admin port."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers={"Location": "http://elsewhere"})

    app = web.Application()
    app.router.add_get("/status", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (401, b"", "it answered 401"),
        (302, b"", "it answered 302"),
        (200, b"<html>", "it is not the admin port of a receiver"),
        (200, b"[1]", "it is not the admin port of a receiver"),
        (200, b'{"processes": []}', "it is not the admin port of a receiver"),
        (200, b" " * (8 * 1024 * 1024 + 1), "it is not the admin port of a receiver"),
    ],
)
def test_what_is_no_admin_port_is_named_without_its_password(status: int, body: bytes, problem: str) -> None:
    async def play() -> None:
        async with _answering(status, body) as place, AdminPorts([f"http://me:hush@{place}/"]) as receivers:
            (look,) = await receivers.look()
            assert (look.name, look.problem) == (f"http://{place}", problem)

    asyncio.run(play())
