"""`kirimhook rotate` says in one document, one line and one exit code what it did, and after a Ctrl-C how to go on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kirimhook.contract.resources import Subscription
from kirimhook.operating.files import turn
from kirimhook.operating.rotation import Journal, JournalFile, Step, planned
from kirimhook.operating.secrets_file import SecretsFile
from tests.cli.commands import Ran, kirimhook
from tests.crash.processes import ROOT
from tests.operating.rotation.conftest import Ground
from tests.operating.rotation.stand import journal_of

SOON = 30.0


def subscribed(ground: Ground) -> Subscription:
    async def subscribe() -> Subscription:
        async with ground.stage() as on:
            return await on.subscribed(ground.receiver)

    return asyncio.run(subscribe())


def command(ground: Ground, subscription_id: str, *more: str, file: Path | None = None) -> list[str]:
    where = ("--api-url", ground.api, "--key", ground.key, "--secrets-file", str(file or ground.file))
    return ["rotate", subscription_id, *where, *more]


def rotate(ground: Ground, subscription_id: str, *more: str) -> Ran:
    return kirimhook(*command(ground, subscription_id, "--admin", ground.admin, "--settle", "0.3", *more))


def test_what_is_planned_is_what_is_done(ground: Ground) -> None:
    ours = subscribed(ground)
    assert ours.initial_secret is not None
    before = ground.file.stat()

    planned = rotate(ground, ours.id, "--dry-run", "--json")
    after = ground.file.stat()
    assert planned.code == 0
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)  # nothing was written
    assert not journal_of(ground.file).exists()
    done = rotate(ground, ours.id, "--json")

    assert done.code == 0, done.errors
    assert planned.data.keys() == done.data.keys()
    assert (planned.data["result"], planned.data["added"]) == ("planned", None)
    new = next(entry for entry in SecretsFile(ground.file).entries() if entry.subscription_id == ours.id)
    assert done.data == {
        "subscription_id": ours.id,
        "result": "rotated",
        "step": "rotated",
        "resumed": None,
        "added": {"id": new.secret_id, "fingerprint": new.secret.fingerprint},
        "removed": [ours.secrets[0].id],
        "dropped": [ours.initial_secret.fingerprint],
        "seconds": done.data["seconds"],
    }
    assert [planned.data[name] for name in ("removed", "dropped")] == [
        done.data[name] for name in ("removed", "dropped")
    ]
    steps = [line.partition(":")[0] for line in done.errors.splitlines()]
    assert steps == ["add", "load", "confirm", "settle", "retire", "drop"]
    assert new.secret.reveal() not in done.out + done.errors


def test_for_people_it_is_a_line(ground: Ground) -> None:
    ours = subscribed(ground)
    assert rotate(ground, ours.id, "--dry-run").out.startswith(f"{ours.id} can be rotated: a new secret would take")
    JournalFile(journal_of(ground.file)).save(_begun(ground, ours))

    goes_on = rotate(ground, ours.id, "--dry-run")
    taken_back = rotate(ground, ours.id, "--abort")
    again = rotate(ground, ours.id, "--abort")
    done = rotate(ground, ours.id)

    assert goes_on.out == f"{ours.id}: a rotation is under way and would go on at step add\n"
    assert taken_back.out == f"{ours.id} is as it was before the rotation\n"
    assert (again.code, "there is nothing to take back" in again.errors) == (1, True)
    assert done.out.startswith(f"{ours.id} is rotated: sec_")


def _begun(ground: Ground, ours: Subscription) -> Journal:
    async def begin() -> Journal:
        async with ground.stage() as on:
            return (await planned(on.stage, ours.id)).journal

    return asyncio.run(begin())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("wbd_1", "--secrets-file", "f", "--admin", "http://x"), "is no id of this kind: wbs_"),
        (("wbs_1", "--secrets-file", "f"), "--admin is missing"),
        (("wbs_1", "--secrets-file", "f", "--admin", "127.0.0.1:9090"), "--admin '127.0.0.1:9090': write http://"),
        (("wbs_1", "--secrets-file", "f", "--abort", "--dry-run"), "--abort and --dry-run"),
        (("wbs_1", "--admin", "http://x"), "--secrets-file"),
    ],
)
def test_what_makes_no_sense_is_2(arguments: tuple[str, ...], message: str) -> None:
    ran = kirimhook("rotate", *arguments, "--key", "kdv_live_x", "--api-url", "http://127.0.0.1:9")
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.errors


def test_one_process_at_a_time_rotates_with_a_file(ground: Ground) -> None:
    ours = subscribed(ground)
    with turn(ground.file.with_name(f"{ground.file.name}.rotation.lock")):
        held = rotate(ground, ours.id)
        planned = rotate(ground, ours.id, "--dry-run")

    assert (held.code, "another process is rotating with" in held.errors) == (1, True)
    assert planned.code == 0


def test_a_file_is_the_same_whatever_it_is_called(ground: Ground, tmp_path: Path) -> None:
    ours = subscribed(ground)
    link = tmp_path / "link"
    link.symlink_to(ground.file)
    JournalFile(journal_of(ground.file)).save(_begun(ground, ours))

    ran = kirimhook(*command(ground, ours.id, "--admin", ground.admin, "--dry-run", file=link))

    assert "would go on at step add" in ran.out
    assert kirimhook(*command(ground, ours.id, "--abort", file=link)).code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_says_how_to_go_on(ground: Ground, tmp_path: Path, number: signal.Signals) -> None:
    """No receiver follows this file, so that it waits for them until it is interrupted."""
    ours = subscribed(ground)
    copy = tmp_path / "copy.txt"
    copy.write_bytes(ground.file.read_bytes())
    words = command(ground, ours.id, "--admin", ground.admin, "--settle", "0.3", file=copy)
    with subprocess.Popen(
        [sys.executable, "-m", "kirimhook", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        process.send_signal(number)
        out, rest = process.communicate(timeout=SOON)

    assert first.startswith("add: sec_")
    assert out == ""
    if number is signal.SIGINT:
        assert process.returncode == 130
        assert rest.endswith("interrupted (at step load: the same command goes on, --abort takes it back)\n")
    journal = JournalFile(journal_of(copy)).load()
    assert journal is not None
    assert journal.step in {Step.ADD, Step.LOAD}
    taken_back = kirimhook(*command(ground, ours.id, "--abort", "--json", file=copy))
    assert (taken_back.code, taken_back.data["resumed"]) == (0, journal.step)
    assert copy.read_bytes() == ground.file.read_bytes()


def test_what_did_not_come_in_time_says_how_to_go_on(ground: Ground, tmp_path: Path) -> None:
    ours = subscribed(ground)
    copy = tmp_path / "copy.txt"
    copy.write_bytes(ground.file.read_bytes())

    late = kirimhook(*command(ground, ours.id, "--admin", ground.admin, "--timeout", "0.2", "--json", file=copy))
    forbidden = kirimhook(
        *command(ground, ours.id, "--admin", ground.admin, "--key", f"kdv_live_{'x' * 24}", file=copy)
    )
    taken_back = kirimhook(*command(ground, ours.id, "--abort", file=copy))

    assert (late.code, late.out, taken_back.code) == (1, "", 0)
    assert late.errors.endswith("(at step load: the same command goes on, --abort takes it back)\n")
    assert forbidden.code == 1
    assert "refused with 401 invalid_api_key" in forbidden.errors
