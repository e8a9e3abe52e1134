"""A rotation takes from the file what is its subscription's and nothing else, and never goes on without proof.

Against a real sender, and a real receiver over TLS. What it cannot prove it waits for; what does not come in time is
said, and taken back.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from kirimhook.client import ApiError
from kirimhook.contract.signature import Secret
from kirimhook.operating.rotation import (
    Journal,
    JournalFile,
    LateError,
    Pace,
    RefusedError,
    RotationError,
    Stage,
    Step,
    abort,
    planned,
    rotate,
)
from kirimhook.operating.secrets_file import SecretsFileError
from tests.operating.rotation.conftest import Ground, Heard

SHORT = Pace(timeout=1.0, settle=0.2, poll=0.05)
DAY = 24 * 3600.0


async def ids(stage: Stage, subscription_id: str) -> list[str]:
    return [each.id for each in (await stage.api.webhook_subscriptions.get(subscription_id)).secrets]


def fingerprints(stage: Stage) -> set[str]:
    return {entry.secret.fingerprint for entry in stage.file.entries()}


async def verified(on: Heard, subscription_id: str, secret: Secret) -> bool:
    """Whether a test delivery of this subscription is signed with this secret, and taken."""
    made = await on.stage.api.webhook_subscriptions.test(subscription_id)
    before = (await on.stage.receivers.look())[0].use(secret.fingerprint).matches

    async def undelivered() -> str | None:
        found = await on.stage.api.webhook_deliveries.get(made.id)
        return None if found.finished_at is not None else "it is open"

    await on.stage.until(Step.CONFIRM, undelivered)
    delivery = await on.stage.api.webhook_deliveries.get(made.id)
    assert delivery.attempt_count is not None
    after = (await on.stage.receivers.look())[0].use(secret.fingerprint).matches
    return delivery.status == "succeeded" and after > before - delivery.attempt_count


@pytest.mark.parametrize("noted", [True, False])
def test_another_subscription_in_the_file_keeps_its_secret(ground: Ground, noted: bool) -> None:
    async def play() -> None:
        async with ground.stage() as on:
            ours = await on.subscribed(ground.receiver, noted=True)
            other = await on.subscribed(ground.receiver, noted=noted)
            assert ours.initial_secret is not None
            assert other.initial_secret is not None

            outcome = await rotate(on.stage, ours.id)

            assert outcome.journal.step is Step.ROTATED
            assert await ids(on.stage, ours.id) == [outcome.journal.new_id]
            assert await ids(on.stage, other.id) == [other.secrets[0].id]
            kept = fingerprints(on.stage)
            assert {outcome.journal.new_fingerprint, other.initial_secret.fingerprint} <= kept
            assert ours.initial_secret.fingerprint not in kept
            assert await verified(on, other.id, other.initial_secret)

    asyncio.run(play())


def test_a_line_that_says_nothing_is_ours_where_nothing_else_fits_and_deliveries_prove_it(ground: Ground) -> None:
    async def play() -> None:
        ground.file.write_text("# none\n")
        async with ground.stage() as on:
            ours = await on.subscribed(ground.receiver, noted=False)

            outcome = await rotate(on.stage, ours.id)

            assert outcome.journal.unsaid == outcome.journal.old
            assert fingerprints(on.stage) == {outcome.journal.new_fingerprint}

    asyncio.run(play())


def test_a_line_that_deliveries_do_not_prove_to_be_ours_stays(ground: Ground) -> None:
    """The file holds one line, of another subscription, and does not say so; ours was never written into it."""

    async def play() -> None:
        async with ground.stage(pace=Pace(timeout=3.0, settle=0.2, poll=0.05)) as on:
            ground.file.write_text("# none\n")
            other = await on.subscribed(ground.receiver, noted=False)
            ours = await on.subscribed(ground.receiver, written=False)
            assert other.initial_secret is not None
            before = ground.file.read_bytes()

            with pytest.raises(LateError, match=f"not signed with both {other.initial_secret.fingerprint} and"):
                await rotate(on.stage, ours.id)
            assert await ids(on.stage, ours.id) != [ours.secrets[0].id]
            await abort(on.stage, ours.id)

            assert ground.file.read_bytes() == before
            assert await ids(on.stage, ours.id) == [ours.secrets[0].id]
            assert await ids(on.stage, other.id) == [other.secrets[0].id]

    asyncio.run(play())


def test_a_receiver_that_does_not_follow_the_file_keeps_the_old_secret_in_force(ground: Ground, tmp_path: Path) -> None:
    async def play() -> None:
        async with ground.stage() as on:
            ours = await on.subscribed(ground.receiver)
        copy = tmp_path / "copy.txt"
        copy.write_bytes(ground.file.read_bytes())
        async with ground.stage(file=copy, pace=SHORT) as on:
            with pytest.raises(LateError, match=r"not within 1 s: http://127\.0\.0\.1:\d+: not every process"):
                await rotate(on.stage, ours.id)
            assert len(await ids(on.stage, ours.id)) == 2
            await abort(on.stage, ours.id)
            assert await ids(on.stage, ours.id) == [ours.secrets[0].id]
            assert copy.read_bytes() == ground.file.read_bytes()

    asyncio.run(play())


def test_where_no_test_delivery_can_be_made_it_waits_for_live_traffic(ground: Ground) -> None:
    async def play() -> None:
        async with (
            _without_tests(ground.api) as hosted,
            ground.stage(api=hosted, pace=Pace(timeout=3.0, settle=0.2, poll=0.05)) as on,
        ):
            ours = await on.subscribed(ground.receiver)

            with pytest.raises(LateError, match=r"\(http_404\): waiting for live traffic"):
                await rotate(on.stage, ours.id)
            going_on = asyncio.create_task(rotate(on.stage, ours.id))
            while not going_on.done():
                await on.stage.api.events.publish(type="contact.created", data={"contact": {"id": "c"}})
                await asyncio.wait({going_on}, timeout=0.05)

            outcome = await going_on
            assert (outcome.resumed, outcome.journal.step) == (Step.CONFIRM, Step.ROTATED)

    asyncio.run(play())


@asynccontextmanager
async def _without_tests(api: str) -> AsyncIterator[str]:
    """The sender, as an API that has no call for test deliveries."""
    async with ClientSession(api) as session:

        async def forward(request: web.Request) -> web.Response:
            if request.path.endswith("/test"):
                return web.Response(status=404, text="not here")
            headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
            async with session.request(
                request.method, request.path_qs, data=await request.read(), headers=headers
            ) as answer:
                return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", forward)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_secret_whose_value_nobody_has_any_more_is_deleted(ground: Ground, goes_on: bool) -> None:
    """The call was made, and nothing written; a day later its key is forgotten."""

    async def play() -> None:
        async with ground.stage() as on:
            ours = await on.subscribed(ground.receiver)
            begun = (await planned(on.stage, ours.id)).journal
            orphan = await on.stage.api.webhook_subscriptions.secrets.create(ours.id, idempotency_key=begun.key)
            on.stage.journal.save(dataclasses.replace(begun, posted_at=time.time() - DAY))

            outcome = await (rotate if goes_on else abort)(on.stage, ours.id)

            assert outcome.resumed is Step.ADD
            left = await ids(on.stage, ours.id)
            assert left == ([outcome.journal.new_id] if goes_on else [ours.secrets[0].id])
            assert orphan.id not in left
            assert any("nobody has its value" in words for _, words in on.heard)

    asyncio.run(play())


def test_a_secret_that_another_added_meanwhile_stays(ground: Ground) -> None:
    async def play() -> None:
        async with ground.stage() as on:
            ours = await on.subscribed(ground.receiver)
            on.stage.journal.save((await planned(on.stage, ours.id)).journal)
            theirs = await on.stage.api.webhook_subscriptions.secrets.create(ours.id)

            outcome = await rotate(on.stage, ours.id)

            assert await ids(on.stage, ours.id) == [theirs.id, outcome.journal.new_id]

    asyncio.run(play())


class Stopped(Exception):
    """Where a test stops a rotation."""


class Stopping(JournalFile):
    """Stops once a step is written down."""

    def __init__(self, journal: JournalFile, step: Step) -> None:
        super().__init__(journal.path)
        self._step = step

    def save(self, journal: Journal) -> None:
        super().save(journal)
        if journal.step is self._step:
            raise Stopped


def test_the_old_secret_is_deleted_only_while_every_receiver_has_the_new_one(ground: Ground) -> None:
    """Between the proof and the deletion somebody put an old file in its place."""

    async def play() -> None:
        async with ground.stage() as on:
            ours = await on.subscribed(ground.receiver)
            before = ground.file.read_bytes()
            with pytest.raises(Stopped):
                await rotate(on.stage._replace(journal=Stopping(on.stage.journal, Step.RETIRE)), ours.id)
            both = await ids(on.stage, ours.id)
            ground.file.write_bytes(before)

            with pytest.raises(RotationError, match="does not hold the new secret"):
                await rotate(on.stage, ours.id)

            assert await ids(on.stage, ours.id) == both

    asyncio.run(play())


def test_the_old_secret_is_deleted_only_while_the_new_one_is_in_force(ground: Ground) -> None:
    async def play() -> None:
        async with ground.stage() as on:
            ours = await on.subscribed(ground.receiver)
            with pytest.raises(Stopped):
                await rotate(on.stage._replace(journal=Stopping(on.stage.journal, Step.RETIRE)), ours.id)
            await on.stage.api.webhook_subscriptions.secrets.delete(ours.id, (await ids(on.stage, ours.id))[1])

            with pytest.raises(RotationError, match="somebody deleted it"):
                await rotate(on.stage, ours.id)

            assert await ids(on.stage, ours.id) == [ours.secrets[0].id]

    asyncio.run(play())


def test_the_new_secret_is_taken_back_only_while_an_old_one_is_in_force(ground: Ground) -> None:
    async def play() -> None:
        async with ground.stage() as on:
            ours = await on.subscribed(ground.receiver)
            with pytest.raises(Stopped):
                await rotate(on.stage._replace(journal=Stopping(on.stage.journal, Step.SETTLE)), ours.id)
            await on.stage.api.webhook_subscriptions.secrets.delete(ours.id, ours.secrets[0].id)

            with pytest.raises(RotationError, match="it can only go on"):
                await abort(on.stage, ours.id)

            (left,) = await ids(on.stage, ours.id)
            assert left != ours.secrets[0].id

    asyncio.run(play())


def test_what_a_subscription_has_no_room_for_is_refused_and_nothing_is_left(ground: Ground) -> None:
    async def play() -> None:
        async with ground.stage() as on:
            ours = await on.subscribed(ground.receiver)
            for _ in range(4):
                made = await on.stage.api.webhook_subscriptions.secrets.create(ours.id)
                on.stage.file.add(made.secret, ours.id, made.id)
            await on.loaded(*fingerprints(on.stage))
            before = ground.file.read_bytes()

            with pytest.raises(ApiError, match="too_many_secrets"):
                await rotate(on.stage, ours.id)

            assert (ground.file.read_bytes(), on.stage.journal.load()) == (before, None)

    asyncio.run(play())


def test_what_cannot_begin_changes_nothing(ground: Ground) -> None:
    async def play() -> None:
        async with ground.stage() as on:
            api = on.stage.api.webhook_subscriptions
            ours, disabled = await on.subscribed(ground.receiver), await on.subscribed(ground.receiver)
            await api.update(disabled.id, status="disabled")
            unwritten = await on.subscribed(ground.receiver, written=False)
            await on.subscribed(ground.receiver, noted=False)
            before = ground.file.read_bytes()
            async with (
                ground.stage(admins=(ground.admin, "http://127.0.0.1:9")) as nobody_there,
                ground.stage(admins=(ground.sender_admin,)) as of_a_sender,
                ground.stage(file=ground.file.with_name("none.txt")) as no_file,
            ):
                for problem, kind, refused in (
                    ("is disabled", RefusedError, rotate(on.stage, disabled.id)),
                    ("name this subscription's with --old", RefusedError, rotate(on.stage, unwritten.id)),
                    ("no line of the file has it", RefusedError, rotate(on.stage, ours.id, ["0" * 12])),
                    ("it cannot be asked", RefusedError, rotate(nobody_there.stage, ours.id)),
                    ("it is not the admin port of a receiver", RefusedError, rotate(of_a_sender.stage, ours.id)),
                    ("there is no such file", SecretsFileError, rotate(no_file.stage, ours.id)),
                    ("nothing to take back", RefusedError, abort(on.stage, ours.id)),
                    ("resource_not_found", ApiError, rotate(on.stage, f"wbs_{'0' * 26}")),
                ):  # fmt: skip
                    with pytest.raises(kind, match=problem):
                        await refused
            assert (ground.file.read_bytes(), on.stage.journal.load()) == (before, None)
            assert await ids(on.stage, ours.id) == [ours.secrets[0].id]

    asyncio.run(play())


def test_one_file_has_one_rotation_under_way(ground: Ground) -> None:
    async def play() -> None:
        async with ground.stage() as on:
            one, other = await on.subscribed(ground.receiver), await on.subscribed(ground.receiver)
            on.stage.journal.save((await planned(on.stage, one.id)).journal)

            for refused in (rotate(on.stage, other.id), abort(on.stage, other.id), planned(on.stage, other.id)):
                with pytest.raises(RefusedError, match=f"a rotation of {one.id} is under way"):
                    await refused

    asyncio.run(play())


def test_what_is_being_taken_back_does_not_go_on(ground: Ground) -> None:
    async def play() -> None:
        async with ground.stage() as on:
            ours = await on.subscribed(ground.receiver)
            begun = (await planned(on.stage, ours.id)).journal
            on.stage.journal.save(dataclasses.replace(begun, step=Step.TAKE_BACK))

            with pytest.raises(RefusedError, match="finish that with --abort"):
                await rotate(on.stage, ours.id)
            outcome = await abort(on.stage, ours.id)

            assert (outcome.resumed, outcome.journal.step) == (Step.TAKE_BACK, Step.ROLLED_BACK)

    asyncio.run(play())
