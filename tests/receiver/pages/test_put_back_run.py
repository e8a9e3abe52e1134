"""A put-back of many goes through what it means once, in order, in bounded steps; it can be stopped, and outlives an
inbox that does not answer. On all three kinds.

It puts back nothing twice, neither what failed again meanwhile nor what came after its beginning, and accounts for
every event that it met.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from kirimhook.receiver.inbox import Filter, Inbox, InboxUnavailable
from kirimhook.receiver.model import FINISHED, Done, EventState, Parked, Unhandled
from kirimhook.receiver.pages import runs as module
from kirimhook.receiver.pages.background import Background
from kirimhook.receiver.pages.handle import Borrowed
from kirimhook.receiver.pages.runs import MOVES, Run, Runs, RunState
from kirimhook.receiver.pages.search import Counted
from tests.receiver.pages.stock import end_all, ended, in_state, opened
from tests.receiver.working import Log, inbound, soon, until

PARKED = Filter(states=frozenset({EventState.PARKED}))
FEW = Counted(1, is_all=False)


class Stepped:
    """An inbox of which each put-back waits until it is let through; and that can be made to fail."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.came = asyncio.Queue[Filter]()
        self.may = asyncio.Semaphore(0)
        self.failures = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.inbox, name)

    async def put_back(self, where: Filter) -> int:
        self.came.put_nowait(where)
        await self.may.acquire()
        return await self.inbox.put_back(where)

    async def count(self, where: Filter) -> int:
        if self.failures:
            self.failures -= 1
            raise InboxUnavailable("gone", "for a test")
        return await self.inbox.count(where)


class Failing(Stepped):
    """What is put back fails again at once. In the middle of it another event comes, and fails."""

    def __init__(self, inbox: Inbox) -> None:
        super().__init__(inbox)
        self.steps = 0
        self.late: list[int] = []

    async def put_back(self, where: Filter) -> int:
        done = await self.inbox.put_back(where)
        await end_all(self.inbox, Parked("again"))
        self.steps += 1
        self.late = self.late or await ended(self.inbox, Parked("late"), inbound())
        return done


@contextlib.asynccontextmanager
async def running(inbox: Inbox | Stepped) -> AsyncIterator[tuple[Runs, Log]]:
    background, log = Background(), Log()
    try:
        yield Runs(Borrowed(inbox), background, log.observer), log  # type: ignore[arg-type]  # Stepped passes all on
    finally:
        await background.close()


async def over(run: Run) -> Run:
    async def is_over() -> bool:
        return run.state is not RunState.RUNNING

    await until(is_over)
    return run


def test_all_that_match_are_due_again_in_their_order(inbox_url: str) -> None:
    async def main() -> None:
        async with opened(inbox_url) as inbox, running(inbox) as (runs, log):
            parked = await ended(inbox, Parked("p"), *(inbound("k" if at % 3 else None) for at in range(30)))
            others = await ended(inbox, Unhandled(), *(inbound() for _ in range(4)))
            run = await over(runs.start("a" * 16, None, PARKED, Counted(30, is_all=True), client="127.0.0.1"))
            assert (run.state, run.put_back, run.bodiless, run.elsewhere) == (RunState.DONE, 30, 0, 0)
            assert run.share == 1.0
            assert await in_state(inbox, EventState.WAITING) == parked
            assert await in_state(inbox, EventState.UNHANDLED) == others
            keyed = set(parked) - {number for at, number in enumerate(parked) if at % 3 == 0}
            assert [number for number in await end_all(inbox, Done()) if number in keyed] == sorted(keyed)
            assert log.named("put_back_started")[0]["client"] == "127.0.0.1"
            assert log.named("put_back_ended")[0]["put_back"] == 30

    asyncio.run(main())


def test_what_fails_again_is_not_put_back_again(inbox_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEP", 4)
    monkeypatch.setattr(module, "LARGE", 4)

    async def main() -> None:
        async with opened(inbox_url) as inbox:
            parked = await ended(inbox, Parked("p"), *(inbound() for _ in range(20)))
            failing = Failing(inbox)
            async with running(failing) as (runs, _):
                run = await over(runs.start("a" * 16, None, PARKED, FEW))
            late = failing.late
            assert failing.steps >= len(parked) // 4
            assert (run.put_back, run.bodiless, run.elsewhere) == (20, 0, 0)
            assert await in_state(inbox, EventState.PARKED) == parked + late
            last = await inbox.get(late[0])
            assert last is not None
            assert last.reason == "late"

    asyncio.run(main())


def test_a_run_that_is_stopped_leaves_the_rest_and_one_begun_anew_goes_on(
    inbox_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STEP", 5)
    monkeypatch.setattr(module, "LARGE", 5)

    async def main() -> None:
        async with opened(inbox_url) as inbox:
            parked = await ended(inbox, Parked("p"), *(inbound() for _ in range(23)))
            stepped = Stepped(inbox)
            async with running(stepped) as (runs, _):
                run = runs.start("a" * 16, None, PARKED, FEW)
                await soon(stepped.came.get())
                runs.stop(run.id)
                stepped.may.release()
                await over(run)
                assert run.state is RunState.STOPPED
                assert 0 < run.put_back <= 5
                assert await in_state(inbox, EventState.PARKED) == parked[run.put_back :]
                for _ in range(30):
                    stepped.may.release()
                again = await over(runs.start("b" * 16, None, PARKED, FEW))
                assert run.put_back + again.put_back == 23
                assert await in_state(inbox, EventState.WAITING) == parked

    asyncio.run(main())


def test_pages_that_close_stop_their_run(inbox_url: str) -> None:
    async def main() -> None:
        async with opened(inbox_url) as inbox:
            await ended(inbox, Parked("p"), inbound())
            stepped = Stepped(inbox)
            async with running(stepped) as (runs, _):
                run = runs.start("a" * 16, None, PARKED, FEW)
                await soon(stepped.came.get())
            assert (run.state, run.put_back) == (RunState.STOPPED, 0)
            assert len(await in_state(inbox, EventState.PARKED)) == 1

    asyncio.run(main())


def test_what_has_no_body_is_counted_and_stays(inbox_url: str) -> None:
    async def main() -> None:
        async with opened(inbox_url) as inbox, running(inbox) as (runs, _):
            parked = await ended(inbox, Parked("p"), *(inbound() for _ in range(6)))
            assert await inbox.erase(parked[:2]) == 2
            run = await over(runs.start("a" * 16, None, PARKED, FEW))
            assert (run.put_back, run.bodiless, run.elsewhere) == (4, 2, 0)
            picked = Filter(states=FINISHED, numbers=tuple(parked[:2]))
            run = await over(runs.start("b" * 16, None, picked, FEW))
            assert (run.state, run.put_back, run.bodiless) == (RunState.DONE, 0, 2)
            assert await in_state(inbox, EventState.PARKED) == parked[:2]

    asyncio.run(main())


def test_what_somebody_else_puts_back_meanwhile_is_not_counted_as_ours(sqlite_url: str) -> None:
    async def main() -> None:
        async with opened(sqlite_url) as inbox:
            parked = await ended(inbox, Parked("p"), *(inbound() for _ in range(3)))
            stepped = Stepped(inbox)
            async with running(stepped) as (runs, _):
                run = runs.start("a" * 16, None, PARKED, FEW)
                await soon(stepped.came.get())
                assert await inbox.put_back(Filter(numbers=tuple(parked[:2]))) == 2
                stepped.may.release()
                await over(run)
            assert (run.put_back, run.bodiless, run.elsewhere) == (1, 0, 2)

    asyncio.run(main())


def test_an_inbox_that_does_not_answer_is_asked_until_it_does(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.05)

    async def main() -> None:
        async with opened(sqlite_url) as inbox:
            await ended(inbox, Parked("p"), *(inbound() for _ in range(3)))
            stepped = Stepped(inbox)
            stepped.failures = 3
            stepped.may.release()
            async with running(stepped) as (runs, _):
                run = runs.start("a" * 16, None, PARKED, FEW)

                async def is_troubled() -> bool:
                    return run.trouble is not None

                await until(is_troubled)
                assert "for a test" in str(run.trouble)
                await over(run)
            assert (run.state, run.put_back, run.trouble) == (RunState.DONE, 3, None)

    asyncio.run(main())


def test_one_at_a_time_and_a_form_sent_twice_is_one(sqlite_url: str) -> None:
    async def main() -> None:
        async with opened(sqlite_url) as inbox:
            await ended(inbox, Parked("p"), inbound())
            stepped = Stepped(inbox)
            async with running(stepped) as (runs, _):
                run = runs.start("a" * 16, None, PARKED, FEW)
                assert runs.start("a" * 16, None, PARKED, FEW) is run
                assert [runs.current] == [run]
                with pytest.raises(ValueError, match="under way"):
                    runs.start("b" * 16, None, PARKED, FEW)
                stepped.may.release()
                await over(run)
                assert runs.current is None
                assert runs.all == [run]
                for where in (Filter(), Filter(states=frozenset({EventState.WAITING}))):
                    with pytest.raises(ValueError, match="finished"):
                        runs.start("c" * 16, None, where, FEW)

    asyncio.run(main())


def test_a_defect_ends_it_and_the_log_has_it(sqlite_url: str) -> None:
    class Broken(Stepped):
        async def count(self, where: Filter) -> int:
            raise KeyError(where)

    async def main() -> None:
        async with opened(sqlite_url) as inbox:
            await ended(inbox, Parked("p"), inbound())
            async with running(Broken(inbox)) as (runs, log):
                run = await over(runs.start("a" * 16, None, PARKED, FEW))
            assert run.state is RunState.FAILED
            assert "KeyError" in str(log.named("page_failed")[0]["exc_info"])

    asyncio.run(main())


def test_the_newest_are_remembered(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 2)

    async def main() -> None:
        async with opened(sqlite_url) as inbox, running(inbox) as (runs, _):
            for name in "abc":
                await over(runs.start(name * 16, None, PARKED, FEW))
            assert [run.id[0] for run in runs.all] == ["c", "b"]
            assert runs.get("a" * 16) is None

    asyncio.run(main())


def test_every_state_has_its_moves_and_what_ended_stays() -> None:
    assert set(MOVES) == set(RunState)
    for state in RunState:
        for wanted in RunState:
            run = Run("a", None, PARKED, FEW, 0.0, state=state)
            if wanted in MOVES[state]:
                run.move(wanted)
                assert run.state is wanted
            else:
                with pytest.raises(ValueError, match="does not become"):
                    run.move(wanted)
