"""The keyring keeps the last good list whatever its source does, reads it anew on an interval, when told to
and, at a bounded rate, when a signature matches nothing; and knows of each secret when it last matched.
"""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Awaitable, Callable

import pytest

from kirimhook.contract.signature import Secret
from kirimhook.receiver.secrets import ENVIRONMENT_VARIABLE, Keyring
from kirimhook.receiver.secrets import keyring as keyring_module
from tests.receiver.deliveries import NOW, Log

SOON = 20.0
A, B, C = ("whsec_" + letter * 43 for letter in "abc")


def values(keyring: Keyring) -> list[str]:
    return [secret.reveal() for secret in keyring.secrets]


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scenario(), SOON)

    asyncio.run(bounded())


class Manager:
    """A secrets manager: gives what it is told to give, and counts."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.signal = threading.Event()

    def next(self) -> str:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.signal.set()
        if isinstance(answer, BaseException):
            raise answer
        return answer  # type: ignore[return-value]  # anything: that is the point

    async def later(self) -> str:
        await asyncio.sleep(0)
        return self.next()

    def awaitable(self) -> Awaitable[str]:
        return self.later()


def test_static_secrets_are_there_without_a_start_and_stay() -> None:
    keyring = Keyring.static(A, Secret(B), A)
    assert values(keyring) == [A, B]

    async def scenario() -> None:
        await keyring.start()
        assert not await keyring.refresh(force=True)
        assert not await keyring.refresh_on_mismatch()
        await keyring.stop()

    run(scenario)
    assert values(keyring) == [A, B]
    assert keyring.problem is None


def test_a_static_secret_that_cannot_be_one_is_an_error_that_does_not_quote_it() -> None:
    with pytest.raises(ValueError, match="secret") as refused:
        Keyring.static("two words")
    assert "words" not in str(refused.value)


def test_environment() -> None:
    environ = {ENVIRONMENT_VARIABLE: f"{A},\n {B}"}
    keyring = Keyring.from_environment(environ)
    assert values(keyring) == [A, B]

    async def scenario() -> None:
        environ[ENVIRONMENT_VARIABLE] = C
        assert not await keyring.refresh()
        assert await keyring.refresh(force=True)
        assert values(keyring) == [C]

    run(scenario)


@pytest.mark.parametrize("environ", [{}, {ENVIRONMENT_VARIABLE: " "}, {ENVIRONMENT_VARIABLE: f"{A},short"}])
def test_a_bad_environment_gives_no_secret_and_one_line(environ: dict[str, str]) -> None:
    log = Log()
    keyring = Keyring.from_environment(environ, log.observer)
    assert keyring.secrets == ()
    [line] = log.named("secrets_kept")
    assert (line["source"], line["kept"]) == (ENVIRONMENT_VARIABLE, 0)
    assert A not in log.text


@pytest.mark.parametrize("kind", ["next", "later", "awaitable"])
@pytest.mark.parametrize("answer", [f"{A},{B}", [A, B], (A, B)])
def test_callables_of_every_kind(kind: str, answer: object) -> None:
    manager = Manager(answer)

    async def scenario() -> None:
        keyring = Keyring.from_callable(getattr(manager, kind))
        await keyring.start()
        assert values(keyring) == [A, B]
        await keyring.stop()

    run(scenario)


class AsyncObject:
    async def __call__(self) -> str:
        return A


def test_an_object_with_an_async_call_is_awaited() -> None:
    async def scenario() -> None:
        keyring = Keyring.from_callable(AsyncObject())
        await keyring.refresh()
        assert values(keyring) == [A]

    run(scenario)


@pytest.mark.parametrize("kind", ["next", "later"])
@pytest.mark.parametrize(
    "bad", ["", [], None, 7, [A, 7], b"whsec_", f"<html>{A}</html>", OSError(A), TimeoutError(), StopIteration(A)]
)
def test_a_source_that_fails_keeps_the_list_and_says_so_once_without_quoting(kind: str, bad: object) -> None:
    log = Log()
    manager = Manager([A], bad, bad, [A])

    async def scenario() -> None:
        keyring = Keyring.from_callable(getattr(manager, kind), observer=log.observer)
        await keyring.refresh()
        for _ in range(2):
            assert not await keyring.refresh()
            assert values(keyring) == [A]
            assert keyring.problem is not None
        await keyring.refresh()
        assert keyring.problem is None

    run(scenario)
    assert len(log.named("secrets_kept")) == 1
    assert A not in log.text


def test_it_is_asked_again_on_its_interval() -> None:
    log, manager = Log(), Manager([A], [A], [B])

    async def scenario() -> None:
        before = asyncio.all_tasks()
        keyring = Keyring.from_callable(manager.next, interval=0.001, observer=log.observer)
        await keyring.start()
        await keyring.start()
        await log.seen("secrets_loaded", 2)
        assert values(keyring) == [B]
        await keyring.stop()
        assert asyncio.all_tasks() == before

    run(scenario)


def test_while_it_has_none_it_asks_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring_module, "RETRY_WHILE_EMPTY", 0.001)
    log, manager = Log(), Manager(OSError(), OSError(), [A])

    async def scenario() -> None:
        keyring = Keyring.from_callable(manager.next, interval=3600, observer=log.observer)
        await keyring.start()
        await log.seen("secrets_loaded")
        await keyring.stop()

    run(scenario)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_mismatch_asks_at_once_but_at_a_bounded_rate() -> None:
    manager, clock = Manager([A], [A, B], [A, B, C]), Clock()

    async def scenario() -> None:
        keyring = Keyring.from_callable(manager.next)
        keyring._monotonic = clock
        await keyring.refresh()
        assert await keyring.refresh_on_mismatch()
        assert values(keyring) == [A, B]
        for _ in range(100):
            assert not await keyring.refresh_on_mismatch()
        assert manager.asked == 2
        clock.now += 5
        assert await keyring.refresh_on_mismatch()
        assert values(keyring) == [A, B, C]

    run(scenario)


def test_mismatches_of_one_moment_wait_for_the_same_answer() -> None:
    begun, gate = asyncio.Event(), asyncio.Event()
    asked: list[int] = []

    async def slow() -> list[str]:
        asked.append(1)
        begun.set()
        await gate.wait()
        return [A]

    async def scenario() -> None:
        keyring = Keyring.from_callable(slow)
        waiting = [asyncio.create_task(keyring.refresh_on_mismatch()) for _ in range(10)]
        await begun.wait()
        gate.set()
        assert await asyncio.gather(*waiting) == [True] * 10
        assert len(asked) == 1

    run(scenario)


def test_a_source_that_hangs_holds_up_neither_a_request_nor_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring_module, "MISMATCH_WAIT", 0.01)
    monkeypatch.setattr(keyring_module, "READ_TIMEOUT", 0.05)
    log = Log()
    gate = threading.Event()

    def hang() -> str:
        gate.wait()
        return A

    async def scenario() -> None:
        keyring = Keyring.from_callable(hang, observer=log.observer)
        assert not await keyring.refresh_on_mismatch()
        assert not await keyring.refresh()
        assert not await keyring.refresh()
        assert [line["problem"] for line in log.named("secrets_kept")] == [
            "it took too long",
            "its last call has not come back",
        ]
        await keyring.stop()

    run(scenario)
    gate.set()  # its loop is gone: nobody hears of it


def test_stopping_ends_a_read_under_way() -> None:
    async def scenario() -> None:
        begun = asyncio.Event()

        async def forever() -> str:
            begun.set()
            await asyncio.Event().wait()
            return A

        keyring = Keyring.from_callable(forever)
        starting = asyncio.create_task(keyring.start())
        await begun.wait()
        await keyring.stop()
        await starting
        assert keyring.secrets == ()
        await keyring.stop()

    run(scenario)


def test_a_forced_refresh_does_not_make_do_with_a_read_that_began_before() -> None:
    manager = Manager([A], [B])

    async def scenario() -> None:
        keyring = Keyring.from_callable(manager.later)
        plain = asyncio.create_task(keyring.refresh())
        await asyncio.sleep(0)
        assert await keyring.refresh(force=True)
        assert values(keyring) == [B]
        assert await plain

    run(scenario)


def test_uses_are_counted_kept_over_reloads_and_told_once_at_first() -> None:
    log = Log()
    manager = Manager([A], [A, B], [B])

    async def scenario() -> None:
        keyring = Keyring.from_callable(manager.next, observer=log.observer)
        await keyring.refresh()
        keyring.matched(keyring.secrets, NOW)
        keyring.matched(keyring.secrets, NOW + 1)
        a, b = Secret(A).fingerprint, Secret(B).fingerprint
        await keyring.refresh()
        assert keyring.status() == [
            {"fingerprint": a, "last_matched_at": NOW + 1, "matches": 2},
            {"fingerprint": b, "last_matched_at": None, "matches": 0},
        ]
        keyring.matched(keyring.secrets, NOW + 2)
        await keyring.refresh()
        keyring.matched([Secret(A)], NOW + 3)
        assert keyring.status() == [{"fingerprint": b, "last_matched_at": NOW + 2, "matches": 1}]
        assert [line["fingerprint"] for line in log.named("secret_first_match")] == [a, b]

    run(scenario)


def test_no_secret_shows_in_what_is_logged_or_printed() -> None:
    log = Log()

    async def scenario() -> None:
        keyring = Keyring.from_callable(Manager([A, B]).next, observer=log.observer)
        await keyring.refresh()
        shown = f"{keyring!r} {keyring.status()} {keyring.secrets} {log.text}"
        assert A not in shown
        assert Secret(A).fingerprint in log.text
        with pytest.raises(TypeError):
            pickle.dumps(keyring.secrets)

    run(scenario)
