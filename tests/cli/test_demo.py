"""`kirimhook demo` off a terminal: within 120 s, 0 and a balanced account; 1 for an account that does not balance.

The account is read as printed and judged by what its rows say, not by what the demo says of it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kirimhook.cli.demo import play
from kirimhook.cli.demo.account import Balance
from kirimhook.contract import samples
from tests.cli.commands import kirimhook

BOUND = 120
ROW = re.compile(r"│ (\w[^│]*?) +│ +(\d+) +│")

GOOD = Balance(
    events=10,
    posts=15,
    acked=10,
    resent=2,
    duplicates=2,
    refused=1,
    forged=1,
    completed_once=10,
    completed_twice=0,
    lost=0,
    unexpected=0,
)
BAD = {
    "an event that was not acknowledged": replace(GOOD, acked=9),
    "an event that was not completed": replace(GOOD, completed_once=9),
    "an event completed twice": replace(GOOD, completed_twice=1),
    "an event lost": replace(GOOD, lost=1),
    "a forgery that was not refused": replace(GOOD, refused=0),
    "a delivery that was refused": replace(GOOD, refused=2),
    "an answer that nobody expects": replace(GOOD, unexpected=1),
    "fewer events than were acknowledged": replace(GOOD, events=9),
}


def account(printed: str) -> dict[str, int]:
    return {name: int(count) for name, count in ROW.findall(printed)}


def test_off_a_terminal_it_ends_with_a_balanced_account(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "kirimhook", "demo"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    rows = account(ran.stdout)
    assert rows["events sent"] == len(samples.names()) + play.EVENTS
    assert rows["events acked"] == rows["completed once"] == rows["events sent"]
    assert rows["forgeries refused"] == rows["forgeries sent"] > 0
    assert rows["duplicates acked"] > 0
    assert rows["resent, because nothing or 503 came back"] > 0, "the kill met nothing on its way"
    assert [rows[name] for name in ("completed twice", "lost", "unexpected answers")] == [0, 0, 0]
    assert ran.stdout.rstrip().endswith("it balances")
    assert not list(tmp_path.iterdir()), "it leaves nothing in the working folder"


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

    monkeypatch.setattr(play, "play", played)  # half a minute of HTTPS, in which nothing goes wrong
    ran = kirimhook("demo")
    assert ran.code == code
    assert says in ran.out
    assert account(ran.out) == dict(balance.rows())


def test_a_demo_that_breaks_off_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def played(*_: object) -> Balance:
        raise TimeoutError

    monkeypatch.setattr(play, "play", played)
    ran = kirimhook("demo")
    assert ran.code == 1
    assert "the demo broke off" in ran.errors
