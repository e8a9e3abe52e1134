"""What receivers say is taken for a proof only where it is one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.client import AsyncKirim
from kirimhook.contract.ids import SecretId, SubscriptionId
from kirimhook.contract.resources import SecretInfo, Subscription, SubscriptionStatus
from kirimhook.operating.rotation import AdminPorts, JournalFile, LateError, Look, Pace, Stage, Step, Use
from kirimhook.operating.rotation.proving import Quiet, unproven
from kirimhook.operating.rotation.receivers import read
from kirimhook.operating.rotation.stage import in_force, unlike
from kirimhook.operating.secrets_file import SecretsFile

NOW = datetime(2026, 5, 23, 10, tzinfo=UTC)
OLD, NEW, OTHER = "o" * 12, "n" * 12, "x" * 12
DELIVERIES = st.lists(
    st.sampled_from([frozenset({OLD}), frozenset({OLD, NEW}), frozenset({NEW}), frozenset({OTHER})]), max_size=12
)


class Receiver:
    """Counts as `Keyring.matched` does: one moment for all the secrets of a delivery."""

    def __init__(self) -> None:
        self.uses: dict[str, Use] = {}

    def took(self, matched: frozenset[str], now: float) -> None:
        for one in matched:
            self.uses[one] = Use(self.uses.get(one, Use(0, None)).matches + 1, now)

    def look(self, problem: str | None = None) -> Look:
        return Look("receiver", problem, uses=dict(self.uses))


@given(before=DELIVERIES, after=DELIVERIES)
def test_quiet_begins_anew_with_each_delivery_that_the_old_one_signed_alone(
    before: list[frozenset[str]], after: list[frozenset[str]]
) -> None:
    receiver, quiet, now = Receiver(), Quiet(0.0, [OLD], NEW), 1.0
    for delivery in before:
        receiver.took(delivery, now)
    quiet.saw([receiver.look()], now)
    expected = quiet.since
    assert expected == 0.0
    for delivery in after:
        now += 1.0
        receiver.took(delivery, now)
        quiet.saw([receiver.look("it cannot be asked")], now)  # which says nothing, this way or that
        quiet.saw([receiver.look()], now)
        expected = now if delivery == {OLD} else expected
        assert quiet.since == expected


@given(deliveries=DELIVERIES)
def test_it_is_proven_exactly_where_the_last_delivery_of_either_was_of_both(deliveries: list[frozenset[str]]) -> None:
    receiver = Receiver()
    for now, delivery in enumerate(deliveries):
        receiver.took(delivery, float(now))
    relevant = [delivery for delivery in deliveries if delivery & {OLD, NEW}]

    is_proven = unproven(receiver.look(), [OLD], NEW) is None

    assert is_proven is (bool(relevant) and relevant[-1] == {OLD, NEW})


STATUS = {
    "expected_processes": 2,
    "silent_processes": 0,
    "secrets": [
        {"fingerprint": OLD, "matches": 5, "last_matched_at": 7.0},
        {"fingerprint": NEW, "matches": 0, "last_matched_at": None},
    ],
    "processes": [
        {"receives": True, "secrets_problem": None, "secrets": [{"fingerprint": OLD}, {"fingerprint": NEW}]},
        {"receives": True, "secrets_problem": None, "secrets": [{"fingerprint": OLD}]},
    ],
}


def test_every_process_counts() -> None:
    look = read("one", STATUS)

    assert (look.problem, look.processes) == (None, 2)
    assert (set(look.everywhere), set(look.anywhere)) == ({OLD}, {OLD, NEW})
    assert (look.use(OLD), look.use(NEW), look.use(OTHER)) == (Use(5, 7.0), Use(0, None), Use(0, None))


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"expected_processes": 3}, "2 of 3 processes are there"),
        ({"silent_processes": 1}, "1 of 2 processes do not answer"),
        ({"processes": [], "expected_processes": 1}, "0 of 1 processes are there"),
        ({"processes": [{"receives": False, "secrets": []}], "expected_processes": 1}, "it receives nothing"),
        (
            {
                "processes": [{"receives": True, "secrets_problem": "it holds no secret", "secrets": []}],
                "expected_processes": 1,
            },
            "it does not follow its list: it holds no secret",
        ),
    ],
)
def test_a_receiver_that_cannot_be_taken_at_its_word_is_named(changed: dict[str, object], problem: str) -> None:
    why = unlike([read("one", STATUS), read("other", {**STATUS, **changed})], lambda _: None)

    assert why is not None
    assert why.startswith(f"other: {problem}")


def _subscription(*expiries: datetime | None) -> Subscription:
    secrets = tuple(SecretInfo(SecretId(f"sec_{number}"), NOW, at) for number, at in enumerate(expiries))
    status = SubscriptionStatus.ACTIVE
    return Subscription(SubscriptionId("wbs_1"), "https://x", None, status, None, ("contact.created",), secrets, NOW)


def test_what_has_expired_is_not_in_force_unless_nothing_else_is() -> None:
    hour = timedelta(hours=1)
    now = NOW.timestamp()

    assert set(in_force(_subscription(None, NOW + hour, NOW, NOW - hour), now)) == {"sec_0", "sec_1"}
    assert set(in_force(_subscription(NOW, NOW - hour), now)) == {"sec_0", "sec_1"}


class Clock:
    """Time that passes by sleeping."""

    def __init__(self) -> None:
        self.now = 1_000.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_wait_says_once_what_it_waits_for_and_ends(tmp_path: Path) -> None:
    clock, heard = Clock(), list[tuple[float, str]]()
    reasons = iter(["first"] * 40 + ["then"] * 100)

    async def play() -> None:
        async with AsyncKirim("kdv_live_x", base_url="http://127.0.0.1:9") as api, AdminPorts([]) as receivers:
            stage = Stage(
                api,
                receivers,
                SecretsFile(tmp_path / "secrets.txt"),
                JournalFile(tmp_path / "secrets.txt.rotation"),
                Pace(timeout=20.0, settle=1.0, poll=0.25),
                lambda: clock.now,
                clock.sleep,
                lambda _, words: heard.append((clock.now, words)),
            )

            async def reason() -> str | None:
                return next(reasons)

            with pytest.raises(LateError, match="not within 22 s: then"):
                await stage.until(Step.LOAD, reason, 2.0)

    asyncio.run(play())

    assert heard == [(1_005.0, "waiting: first"), (1_010.0, "waiting: then")]
    assert clock.now == 1_022.0
