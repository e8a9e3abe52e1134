"""`deliveries bulk-replay` against a real sender: a count first, each dead letter once, and what was interrupted, by
Ctrl-C or by a kill, is gone on with; nothing is begun beside it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kirimhook.testing.endpoint import Respond
from tests.cli.commands import Ran, kirimhook
from tests.cli.terminal import on_a_terminal
from tests.serving.senders import SOON, Consumer, Sending, consumer

MANY = 24
RATE = 6


class Provider:
    """A sender whose one endpoint refuses the first `MANY`, and takes what comes after them."""

    def __init__(self, sending: Sending, somebody: Consumer) -> None:
        self.sending = sending
        self.somebody = somebody
        self.subscription = str(sending.subscribe(somebody.url)["id"])

    def dead(self) -> list[str]:
        """As they were published."""
        ids = [f"evt_{number}" for number in range(MANY)]
        self.sending.publish(*ids)
        self.somebody.received(MANY)
        while self.run("--dry-run", "--json").data["selected"] < MANY:  # an attempt is answered, and then written down
            pass
        return ids

    def arguments(self, *more: str) -> list[str]:
        given = ("--api-url", self.sending.url, "--key", self.sending.key)
        return ["deliveries", "bulk-replay", self.subscription, *given, *more]

    def run(self, *more: str) -> Ran:
        return kirimhook(*self.arguments(*more))

    def begun(self, *more: str) -> subprocess.Popen[str]:
        """As a process of its own."""
        command = [sys.executable, "-m", "kirimhook", *self.arguments(*more)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)

    def replays(self) -> Counter[str]:
        """How often each event was replayed."""
        found = kirimhook(
            *("deliveries", "list", "--kind", "replay", "--all", "--json"),
            *("--api-url", self.sending.url, "--key", self.sending.key),
        )
        assert found.code == 0, found.errors
        return Counter(one["event_id"] for one in found.lines)


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    monkeypatch.setenv("KIRIMHOOK_STATE", str(tmp_path / "state"))
    answers = [*[Respond(404)] * MANY, Respond()]
    with (
        consumer(*answers) as somebody,
        Sending(tmp_path, *somebody.trusting, "--set", "disable_after=1000") as sending,
    ):
        yield Provider(sending, somebody)


def test_a_count_first_then_each_once(provider: Provider) -> None:
    dead = provider.dead()
    counted = provider.run("--dry-run")
    assert (counted.code, counted.out) == (0, f"{MANY} would be replayed\n")
    unasked = provider.run()
    assert (unasked.code, provider.replays()) == (2, Counter())
    assert "--yes" in unasked.errors

    some = provider.run("--event-id", dead[3], "--kind", "original", "--yes")
    assert (some.code, some.out) == (0, "1 of 1 replayed\n")
    done = provider.run("--yes", "--json")
    shown: dict[str, Any] = done.data
    assert shown.pop("seconds") > 0
    assert shown == {
        "subscription_id": provider.subscription,
        "dry_run": False,
        "selected": MANY - 1,
        "replayed": MANY - 1,
        **dict.fromkeys(("gone", "refused", "unsure", "left"), 0),
    }
    assert done.code == 0
    assert sorted(provider.somebody.ids(2 * MANY)[MANY:]) == sorted(dead)
    assert provider.replays() == Counter(dead)
    nothing = provider.run("--yes")
    assert (nothing.code, nothing.out) == (0, "nothing to replay\n")
    assert provider.sending.ledger()[0] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_what_was_interrupted_is_gone_on_with_and_none_is_replayed_twice(
    provider: Provider, number: signal.Signals
) -> None:
    dead = provider.dead()
    begun = provider.begun("--yes", "--rate", str(RATE))
    provider.somebody.received(MANY + 1)
    held = provider.run("--yes")
    assert held.code == 1
    assert "another bulk-replay of this subscription is running" in held.errors
    begun.send_signal(number)
    _, said = begun.communicate(timeout=SOON)
    assert 0 < provider.replays().total() < MANY
    if number is signal.SIGINT:
        assert begun.returncode == 130
        assert re.search(r"interrupted; \d+ of 24 done \(begun .*\): go on with --resume", said)

    beside = provider.run("--yes")
    assert beside.code == 1
    assert "--resume goes on, --discard forgets it" in beside.errors
    mixed = provider.run("--resume", "--type", "contact.created")
    assert mixed.code == 2
    resumed = provider.run("--resume", "--json")
    assert resumed.code == 0, resumed.errors
    assert (resumed.data["selected"], resumed.data["replayed"]) == (MANY, MANY)
    assert provider.replays() == Counter(dead)
    again = provider.run("--resume")
    assert again.code == 1
    assert "nothing to go on with" in again.errors


def test_on_a_terminal_it_asks_and_shows_how_far_it_is(provider: Provider) -> None:
    dead = provider.dead()
    code, said = on_a_terminal(provider.arguments(), b"n\n")
    assert (code, provider.replays()) == (130, Counter())
    assert f"Replay {MANY}? [y/N]" in said
    code, said = on_a_terminal(provider.arguments(), b"y\n")
    assert (code, provider.replays()) == (0, Counter(dead))
    assert f"{MANY}/{MANY}" in said
    assert f"{MANY} of {MANY} replayed" in said


def test_what_was_interrupted_can_be_forgotten(provider: Provider) -> None:
    dead = provider.dead()
    begun = provider.begun("--yes", "--rate", "1")
    provider.somebody.received(MANY + 1)
    begun.kill()
    begun.communicate(timeout=SOON)
    done = provider.run("--discard", "--yes", "--json")
    assert (done.code, done.data["replayed"]) == (0, done.data["selected"])
    assert provider.replays() == Counter(dead)


def test_what_makes_no_sense_is_said(provider: Provider) -> None:
    assert kirimhook("deliveries", "bulk-replay", "wbd_1", "--key", "k").code == 2
    unknown = kirimhook(*[*provider.arguments("--yes")[:2], f"wbs_{'0' * 26}", *provider.arguments("--yes")[3:]])
    assert unknown.code == 1
    assert "resource_not_found" in unknown.errors
    assert "nothing was replayed" in unknown.errors
    place = Path(os.environ["KIRIMHOOK_STATE"]) / f"replay-bulk-{provider.subscription}.jsonl"
    place.write_text("no snapshot\n")
    spoiled = provider.run("--yes")
    assert spoiled.code == 1
    assert "is no snapshot" in spoiled.errors
