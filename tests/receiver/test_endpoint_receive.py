"""`Receiver.receive`: a 200 only for what is committed, a 503 for whatever is our own fault, and a put that
was begun ends, whoever still waits for it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from kirimhook.backends import open_inbox
from kirimhook.backends.sqlite.inbox import SQLiteInbox
from kirimhook.backends.sqlite.settings import SQLiteSettings
from kirimhook.contract.headers import parse
from kirimhook.receiver.endpoint import Answer, Receiver
from kirimhook.receiver.hooks import Hooks
from kirimhook.receiver.inbox import Filter, Inbox, InboxBusy, InboxUnavailable
from kirimhook.receiver.model import EventState, InboundEvent, Parked, Receipt, Settlement
from kirimhook.receiver.secrets import Keyring
from kirimhook.settings import ReceiverSettings
from tests.receiver.deliveries import NOW, OTHER, SECRET, Delivery, Log, delivery, envelope

SOON = 20.0
MEMORY = "sqlite:///:memory:"

Putting = Callable[[Sequence[InboundEvent]], Awaitable[None]]


class Troubled(SQLiteInbox):
    """A real inbox with something done before each put: a storage that is slow, or fails."""

    def __init__(self, before: Putting, path: str = ":memory:") -> None:
        super().__init__(SQLiteSettings(path), lambda: NOW)
        self._before = before
        self.batches: list[int] = []

    async def put(self, events: Sequence[InboundEvent]) -> list[Receipt]:
        self.batches.append(len(events))
        await self._before(events)
        return await super().put(events)


def make(
    inbox: Inbox | None = None,
    keyring: Keyring | None = None,
    *,
    settings: ReceiverSettings | None = None,
    log: Log | None = None,
    hooks: Hooks | None = None,
) -> Receiver:
    return Receiver(
        inbox or open_inbox(MEMORY),
        keyring or Keyring.static(SECRET),
        settings=settings,
        clock=lambda: NOW,
        observer=(log or Log()).observer,
        hooks=hooks,
        work=False,
    )


async def send(receiver: Receiver, made: Delivery | None = None) -> Answer:
    made = made or delivery()
    return await asyncio.wait_for(receiver.receive(made.method, made.headers, made.body), SOON)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scenario(), SOON)

    asyncio.run(bounded())


def test_fresh_then_duplicate_and_stored_once() -> None:
    async def scenario() -> None:
        async with make() as receiver:
            first, second = await send(receiver), await send(receiver)
            assert (first.status, first.body) == (200, b"ok")
            assert (second.status, second.body) == (200, b"duplicate-ack")
            page = await receiver.inbox.list(Filter())
            assert [stored.event.body for stored in page.events] == [envelope()]

    run(scenario)


def test_a_duplicate_of_a_parked_event_is_acked_counted_and_logged() -> None:
    log = Log()

    async def scenario() -> None:
        async with make(log=log) as receiver:
            await send(receiver)
            [lease] = await receiver.inbox.lease(1, 30)
            await receiver.inbox.settle([Settlement(lease.token, lease.run[0].number, Parked("no"))])
            answer = await send(receiver)
            assert (answer.status, answer.body) == (200, b"duplicate-ack")
            assert receiver.meter.counter("kirimhook_requests_total") == {"fresh": 1, "duplicate_parked": 1}

    run(scenario)
    [line] = log.named("duplicate_of_parked")
    assert (line["event_id"], line["delivery_id"]) == ("evt_1", "wbd_1")


def test_requests_of_one_moment_share_a_put_and_each_gets_its_own_answer() -> None:
    async def no_trouble(events: Sequence[InboundEvent]) -> None: ...

    async def scenario() -> None:
        inbox = Troubled(no_trouble)
        async with make(inbox) as receiver:
            made = [delivery(x_kirim_event_id=f"evt_{n // 2}") for n in range(300)]
            answers = await asyncio.gather(*[send(receiver, one) for one in made])
            assert [answer.body for answer in answers] == [b"ok", b"duplicate-ack"] * 150
            assert len(inbox.batches) < 10
            assert max(inbox.batches) <= 128
            assert await inbox.count(Filter()) == 150

    run(scenario)


@pytest.mark.parametrize(
    ("trouble", "reason", "retry_after"),
    [
        (InboxBusy("queue_full", retry_after=1), "queue_full", b"1"),
        (InboxUnavailable("disk_full", "no room", retry_after=30), "disk_full", b"30"),
        (OSError("boom"), "inbox_failed", b"7"),
        (ValueError("boom"), "inbox_failed", b"7"),
    ],
)
def test_whatever_storage_raises_is_a_503(trouble: Exception, reason: str, retry_after: bytes) -> None:
    log = Log()

    async def fail(events: Sequence[InboundEvent]) -> None:
        raise trouble

    async def scenario() -> None:
        async with make(Troubled(fail), settings=ReceiverSettings(retry_after=7), log=log) as receiver:
            answer = await send(receiver)
            assert (answer.status, answer.reason) == (503, reason)
            assert dict(answer.headers)[b"retry-after"] == retry_after

    run(scenario)
    [line] = log.named("unstored")
    assert line["reason"] == reason
    assert ("Traceback" in log.text) is (reason == "inbox_failed")


def test_an_inbox_that_loses_count_is_a_503() -> None:
    class Miscounting(SQLiteInbox):
        async def put(self, events: Sequence[InboundEvent]) -> list[Receipt]:
            return []

    async def scenario() -> None:
        async with make(Miscounting(SQLiteSettings(":memory:"), lambda: NOW)) as receiver:
            assert (await send(receiver)).status == 503

    run(scenario)


def test_a_slow_commit_is_a_503_and_what_it_commits_later_is_a_duplicate() -> None:
    log = Log()

    async def scenario() -> None:
        gate = asyncio.Event()

        async def wait(events: Sequence[InboundEvent]) -> None:
            await gate.wait()

        settings = ReceiverSettings(commit_timeout=0.05)
        async with make(Troubled(wait), settings=settings, log=log) as receiver:
            first, second = await asyncio.gather(send(receiver), send(receiver, delivery(x_kirim_event_id="evt_2")))
            third = await send(receiver, delivery(x_kirim_event_id="evt_3"))
            assert [a.reason for a in (first, second, third)] == ["commit_timeout"] * 3
            assert first.status == 503
            assert b"retry-after" in dict(first.headers)
            gate.set()
            again = await send(receiver)
            assert (again.status, again.body) == (200, b"duplicate-ack")

    run(scenario)
    assert [line["events"] for line in log.named("unstored")] == [2, 1]


def test_a_reply_that_fails_costs_the_others_of_its_batch_nothing() -> None:
    log = Log()

    def fail(answer: Answer) -> None:
        raise OSError("gone")

    async def scenario() -> None:
        async with make(log=log) as receiver:
            first = asyncio.create_task(send(receiver))
            made = delivery(x_kirim_event_id="evt_2")
            receiver._reception.take_at_once(parse(made.headers), made.body, fail)
            assert (await first).status == 200
            assert (await send(receiver, made)).body == b"duplicate-ack"

    run(scenario)
    assert [line["reason"] for line in log.named("receiver_failed")] == ["reply"]


def test_each_put_has_its_own_deadline() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        gate = asyncio.Event()

        async def wait(events: Sequence[InboundEvent]) -> None:
            await gate.wait()

        async with make(Troubled(wait), settings=ReceiverSettings(commit_timeout=0.2)) as receiver:
            began = loop.time()
            first = asyncio.create_task(send(receiver))
            await asyncio.wait({first}, timeout=0.1)
            second = asyncio.create_task(send(receiver, delivery(x_kirim_event_id="evt_2")))
            assert (await first).reason == "commit_timeout"
            assert not second.done()
            assert (await second).reason == "commit_timeout"
            assert loop.time() - began >= 0.29
            gate.set()

    run(scenario)


def test_a_put_that_is_waited_for_in_vain_ends_all_the_same() -> None:
    async def scenario() -> None:
        begun, gate = asyncio.Event(), asyncio.Event()

        async def wait(events: Sequence[InboundEvent]) -> None:
            begun.set()
            await gate.wait()

        async with make(Troubled(wait)) as receiver:
            request = asyncio.create_task(send(receiver))
            await begun.wait()
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request
            gate.set()
            assert (await send(receiver)).body == b"duplicate-ack"

    run(scenario)


def test_stopping_lets_what_was_accepted_be_committed(tmp_path: Path) -> None:
    async def slowly(events: Sequence[InboundEvent]) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    inbox = Troubled(slowly, f"{tmp_path}/inbox.db")

    async def scenario() -> None:
        receiver = make(inbox)
        await receiver.start()
        made = [delivery(x_kirim_event_id=f"evt_{n}") for n in range(5)]
        requests = [asyncio.create_task(receiver.receive("POST", *one[:2])) for one in made]
        await asyncio.sleep(0)  # each has begun
        await receiver.stop()
        assert [answer.status for answer in await asyncio.gather(*requests)] == [200] * 5
        await inbox.open()
        assert await inbox.count(Filter(states=frozenset({EventState.WAITING}))) == 5
        await inbox.close()

    run(scenario)


def test_before_it_is_started_and_after_it_is_stopped_it_answers_503_and_says_once_what_to_do() -> None:
    log = Log()

    async def scenario() -> None:
        receiver = make(log=log)
        assert (await send(receiver)).reason == "not_started"
        assert (await send(receiver)).status == 503
        async with receiver:
            assert (await send(receiver)).status == 200
        assert (await send(receiver)).status == 503

    run(scenario)
    [line] = log.named("not_started")
    assert "async with receiver" in line["hint"]


def test_start_and_stop_any_number_of_times(tmp_path: Path) -> None:
    async def scenario() -> None:
        receiver = make(open_inbox(f"sqlite:///{tmp_path}/inbox.db"))
        for round_ in range(3):
            await receiver.start()
            await receiver.start()
            answer = await send(receiver)
            assert answer.body == (b"duplicate-ack" if round_ else b"ok")
            await receiver.stop()
            await receiver.stop()

    run(scenario)


def test_a_start_that_fails_leaves_nothing_running(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where a folder should be")

    async def scenario() -> None:
        before = threading.active_count()
        receiver = make(open_inbox(f"sqlite:///{tmp_path}/taken/inbox.db"))
        with pytest.raises(InboxUnavailable):
            await receiver.start()
        assert threading.active_count() <= before + 1  # asyncio's own pool
        assert (await send(receiver)).status == 503

    run(scenario)


def test_a_new_secret_in_the_file_is_taken_by_the_first_delivery_that_needs_it(tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    path.write_text(SECRET + "\n")

    async def scenario() -> None:
        async with make(keyring=Keyring.from_file(path)) as receiver:
            assert (await send(receiver, delivery(secret=OTHER))).status == 401
            path.write_text(SECRET + "\n" + OTHER + "\n")
            receiver.keyring._asked = float("-inf")  # as if the last mismatch were a while ago
            assert (await send(receiver, delivery(secret=OTHER))).status == 200

    run(scenario)


def test_the_first_secret_is_loaded_by_the_first_delivery(tmp_path: Path) -> None:
    path = tmp_path / "secrets"

    async def scenario() -> None:
        async with make(keyring=Keyring.from_file(path)) as receiver:
            assert (await send(receiver)).reason == "no_secrets"
            path.write_text(SECRET + "\n")
            receiver.keyring._asked = float("-inf")
            assert (await send(receiver)).status == 200

    run(scenario)


def test_a_large_body_is_read_in_a_thread_and_a_small_one_is_not() -> None:
    threads: dict[str, int] = {}

    class Watching(Hooks):
        def ordered(self, event_type: str) -> bool:
            threads[event_type] = threading.get_ident()
            return True

    async def scenario() -> None:
        async with make(hooks=Watching(), settings=ReceiverSettings(off_loop_from=1000)) as receiver:
            large = envelope(padding="x" * 1000)
            assert (await send(receiver, delivery(large, x_kirim_event="contact.created"))).status == 200
            assert (await send(receiver, delivery(x_kirim_event="contact.updated"))).status == 200

    run(scenario)
    assert threads["contact.updated"] == threading.get_ident() != threads["contact.created"]


def test_a_defect_of_ours_is_a_503_with_its_traceback() -> None:
    log = Log()

    class Broken(Hooks):
        def ordered(self, event_type: str) -> bool:
            raise LookupError("broken")

    async def scenario() -> None:
        async with make(hooks=Broken(), log=log) as receiver:
            assert (await send(receiver)).status == 503

    run(scenario)
    assert "LookupError: broken" in log.text


def test_with_hooks_it_works_too() -> None:
    handled: list[str] = []
    hooks = Hooks()

    async def scenario() -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        @hooks.on("contact.created")
        def handle(event: object) -> None:
            handled.append(getattr(event, "id", ""))
            loop.call_soon_threadsafe(done.set)

        receiver = Receiver(open_inbox(MEMORY), Keyring.static(SECRET), hooks=hooks, clock=lambda: NOW)
        async with receiver:
            assert (await send(receiver)).status == 200
            await done.wait()

    run(scenario)
    assert handled == ["evt_1"]


def test_each_refusal_and_each_ack_is_one_line_without_secret_or_body() -> None:
    log = Log()

    async def scenario() -> None:
        async with make(log=log) as receiver:
            await send(receiver)
            await send(receiver, delivery(secret=OTHER, x_kirim_event_id='evt"\t\u00e9 x'))
            await send(receiver, delivery(at=NOW - 900))

    run(scenario)
    [acked] = log.named("acked")
    assert (acked["receipt"], acked["event_id"], acked["attempt"]) == ("fresh", "evt_1", 2)
    assert [(line["status"], line["reason"]) for line in log.named("refused")] == [(401, "no_match"), (401, "stale")]
    for hidden in (SECRET, OTHER, "con_7"):
        assert hidden not in log.text
    assert len(log.text.splitlines()) == len(log.records)
