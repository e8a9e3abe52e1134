"""The engine's small parts: how many bytes and how many attempts at a time, who goes next, what an attempt looks like
in the table.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract.resources import Attempt, Timing
from kirimhook.contract.signature import Secret, sign
from kirimhook.sender.engine.budget import SHARE, Budget
from kirimhook.sender.engine.dispatch import Dispatch
from kirimhook.sender.engine.endpoints import Endpoint, Endpoints, Held
from kirimhook.sender.engine.pacing import BURST, STEP, STORE, TICK, WIDTH, Growth, Pacing
from kirimhook.sender.engine.record import Sent, masked, record
from kirimhook.sender.store.endpoints import EndpointRow, SealedSecret
from kirimhook.sender.store.queue import Leased
from kirimhook.sender.transport.exchange import Exchange
from kirimhook.settings import SenderSettings

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
milliseconds = st.one_of(st.none(), st.floats(0, 60_000))
texts = st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3)


@given(
    number=st.integers(1, 8),
    at=st.floats(0, 4e9),
    timing=st.builds(Timing, milliseconds, milliseconds, milliseconds, milliseconds),
    status=st.one_of(st.none(), st.integers(200, 599)),
    headers=texts,
    body=st.binary(max_size=64),
    error=st.one_of(st.none(), st.text()),
    due=st.one_of(st.none(), st.integers(0, 4_000_000_000_000)),
    why=st.text(),
)
def test_a_record_is_the_resource(
    number: int, at: float, timing: Timing, status: int | None, headers: dict[str, str], body: bytes,
    error: str | None, due: int | None, why: str,
) -> None:  # fmt: skip
    """Put together by hand, it is what the codec reads and writes."""
    exchange = Exchange(at, 12.3456, timing, "127.0.0.1", status, None, headers, body, error)
    sent = {"X-Kirim-Event": "contact.created", "X-Kirim-Signature": sign([Secret("a"), Secret("b")], body, int(at))}
    text = record(Sent(number, "localhost", sent, len(body)), exchange, due, why)
    assert text.isascii()
    known = Attempt.from_json(json.loads(text))
    assert known.number == number
    assert abs(known.started_at.timestamp() - at) <= 0.001
    assert known.response_body == (None if status is None else body.decode("utf-8", "replace"))
    assert (known.response_status, known.response_headers, known.error) == (status, headers, error)
    assert known.next_attempt_at == (None if due is None else EPOCH + timedelta(milliseconds=due))
    assert (known.why_next, known.duration_ms) == (why, 12.346)
    for name in ("dns", "connect", "tls", "first_byte"):
        was, is_now = getattr(timing, name), getattr(known.timing, name)
        assert (was is None) == (is_now is None)
        assert was is None or abs(was - is_now) <= 0.0005
    assert known.request_headers == {
        "Host": "localhost",
        "X-Kirim-Event": "contact.created",
        "X-Kirim-Signature": f"t={int(at)},v1={'*' * 64},v1={'*' * 64}",
        "Content-Length": str(len(body)),
    }


def test_nothing_of_a_signature_is_left() -> None:
    signature = sign([Secret("one"), Secret("two")], b"body", 7)
    shown = masked(signature)
    assert not any(part.removeprefix("v1=") in shown for part in signature.split(",")[1:])


def leased(rank: int = 0, number: int = 0) -> Leased:
    return Leased(f"d{number}", "s", rank, 0, 0, "o", "original", "e", "t.t", "kirim", 8, 0, "e", 1, b"x")


steps = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 40)), max_size=40)


@given(steps, st.randoms(use_true_random=False))
def test_a_budget_is_kept_and_everybody_gets_his_turn(wanted: list[tuple[str, int]], chance: Any) -> None:
    """No more than it, nor of one more than his share, except for a single body; and nobody waits for ever."""
    most = 40
    admitted: list[tuple[str, int]] = []

    async def main() -> None:
        budget = Budget(most)

        async def one(who: str, size: int) -> None:
            await budget.take(who, size)
            admitted.append((who, size))
            try:
                check(admitted)
                for _ in range(chance.randint(0, 3)):
                    await asyncio.sleep(0)
            finally:
                admitted.remove((who, size))
                budget.release(who, size)

        tasks = [asyncio.create_task(one(*each)) for each in wanted]
        await asyncio.sleep(0)
        for task in tasks:
            if chance.random() < 0.2 and not task.done():
                task.cancel()
        done = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
        assert all(result is None or isinstance(result, asyncio.CancelledError) for result in done)
        assert budget.used == 0

    def check(now: list[tuple[str, int]]) -> None:
        assert len(now) == 1 or sum(size for _, size in now) <= most
        for who in "abc":
            mine = [size for whose, size in now if whose == who]
            assert len(mine) <= 1 or sum(mine) <= most // SHARE

    asyncio.run(main())


def test_an_endpoint_does_not_take_the_whole_budget() -> None:
    async def main() -> None:
        budget = Budget(100)
        await budget.take("sick", 20)
        waiting = [asyncio.create_task(budget.take("sick", 20)) for _ in range(9)]
        await asyncio.sleep(0)
        await asyncio.wait_for(budget.take("well", 20), 1)
        assert budget.used == 40
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert budget.used == 40

    asyncio.run(main())


def test_no_more_at_once_than_the_loop_keeps_up_with() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        opened = asyncio.Event()
        pacing = Pacing(opened.set)
        begun = [pacing.begin() for _ in range(BURST)]
        full = pacing.is_open
        pacing.end(begun.pop())
        assert (full, pacing.is_open) == (False, True)
        begun.append(pacing.begin())
        since = loop.time()
        await asyncio.wait_for(opened.wait(), 5)
        assert loop.time() - since >= TICK / 2
        assert pacing.is_open, "they are slow, not we"
        for each in begun:
            pacing.end(each)

    asyncio.run(main())


def test_connections_are_opened_little_by_little() -> None:
    """What an endpoint has under way grows while it has more to do; all together grow no faster than they may."""

    async def main() -> None:
        growth = Growth()
        granted = [growth.more(30) for _ in range(50)]
        assert set(granted[: int(STORE) // STEP]) == {STEP}
        assert STORE <= sum(granted) <= STORE + STEP

        ending = asyncio.Event()

        async def attempt(_: Held) -> None:
            await ending.wait()

        dispatch = Dispatch(SenderSettings(in_flight_per_endpoint=14), lambda: 0.0, attempt, lambda _: None)
        endpoint = Endpoint("a")
        widths = []
        for number in range(5):
            dispatch.add([Held(leased(0, number), endpoint, "t", 1.0) for _ in range(10)])
            widths.append(endpoint.in_flight)
        assert widths == [WIDTH + STEP, WIDTH + 2 * STEP, 14, 14, 14]
        ending.set()
        await dispatch.ended()

    asyncio.run(main())


def test_who_goes_next() -> None:
    """Two at a time in all, one of each endpoint: they take turns, live before background."""

    async def main() -> None:
        order: list[tuple[str, str]] = []
        most = 0
        under_way = 0

        async def attempt(held: Held) -> None:
            nonlocal most, under_way
            under_way += 1
            most = max(most, under_way)
            order.append((held.endpoint.id, held.delivery.delivery_id))
            await asyncio.sleep(0)
            under_way -= 1

        settings = SenderSettings(in_flight=2, in_flight_per_endpoint=1)
        dispatch = Dispatch(settings, lambda: 0.0, attempt, lambda _: None)
        endpoints = [Endpoint(name) for name in "abc"]
        dispatch.add(
            Held(leased(1 - number % 2, number), endpoint, "t", 1.0) for number in range(6) for endpoint in endpoints
        )
        await dispatch.ended()
        assert most == 2
        assert dispatch.in_flight == 0
        for name in "abc":
            assert [id_ for whose, id_ in order if whose == name] == ["d1", "d3", "d5", "d0", "d2", "d4"]
        assert {whose for whose, _ in order[:3]} == set("abc")
        assert {whose for whose, _ in order[-3:]} == set("abc")

    asyncio.run(main())


def test_what_is_past_its_lease_is_dropped() -> None:
    async def main() -> None:
        made: list[Held] = []
        dropped: list[Held] = []

        async def attempt(held: Held) -> None:
            made.append(held)

        dispatch = Dispatch(SenderSettings(), lambda: 5.0, attempt, dropped.append)
        endpoint = Endpoint("a")
        past, lost, good = (Held(leased(0, number), endpoint, "t", until) for number, until in enumerate((5, 9, 9)))
        lost.is_lost = True
        dispatch.add([past, lost, good])
        await dispatch.ended()
        assert (made, dropped) == ([good], [past, lost])

    asyncio.run(main())


class Plain:
    """Sealed is open."""

    def open(self, sealed: bytes) -> bytes:
        return sealed


def test_secrets_in_force_change_with_time() -> None:
    told: list[Endpoint] = []
    endpoints = Endpoints(Plain(), told.append)
    secrets = (
        SealedSecret("sec_1", b"one", 2000),
        SealedSecret("sec_2", b"two", 4000),
        SealedSecret("sec_3", b"3", 3000),
    )
    endpoints.learn([EndpointRow("a", 1, "https://localhost:1/x", True, secrets)])
    shown = [[secret.reveal() for secret in endpoints["a"].secrets(at)] for at in (1.0, 1.999, 2.0, 3.5, 9.0)]
    assert shown == [["one", "two", "3"], ["one", "two", "3"], ["two", "3"], ["two"], ["two"]]
    assert endpoints["a"].host == "localhost:1"
    endpoints.learn([EndpointRow("a", 0, "https://old/", False, ())])
    assert endpoints["a"].is_active, "older than what is known"
    endpoints.learn([EndpointRow("a", 2, "https://new/", True, ())])
    assert (told, endpoints["a"].problem) == ([endpoints["a"]], "it has no secret")
    assert endpoints.versions == {"a": 2}
