"""One sender and one receiver for all tests of this folder: what a rotation meets, short of being killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kirimhook.client import AsyncKirim
from kirimhook.contract.resources import Subscription
from kirimhook.operating.rotation import AdminPorts, JournalFile, Pace, Stage, Step, proving
from kirimhook.operating.secrets_file import SecretsFile
from kirimhook.testing.devca import make_certificates
from tests.crash.processes import Processes
from tests.operating.rotation.stand import QUICK, SENDER, journal_of

PACE = Pace(timeout=20.0, settle=0.3, poll=0.05)


class Ground(NamedTuple):
    """Where things are. `file` is what the receiver follows."""

    api: str
    key: str
    database: str
    sender_admin: str
    receiver: str
    admin: str
    file: Path

    @asynccontextmanager
    async def stage(
        self,
        *,
        api: str | None = None,
        admins: tuple[str, ...] | None = None,
        file: Path | None = None,
        pace: Pace = PACE,
    ) -> AsyncIterator[Heard]:
        """What a rotation works with, as the command makes it, and what it said."""
        heard: list[tuple[Step, str]] = []
        path = file or self.file
        async with (
            AsyncKirim(self.key, base_url=api or self.api) as client,
            AdminPorts((self.admin,) if admins is None else admins) as receivers,
        ):
            journal = JournalFile(journal_of(path))
            kept = SecretsFile(path)

            def tell(step: Step, words: str) -> None:
                heard.append((step, words))

            stage = Stage(client, receivers, kept, journal, pace, time.time, asyncio.sleep, tell)
            try:
                yield Heard(stage, heard)
            finally:
                journal.path.unlink(missing_ok=True)


class Heard(NamedTuple):
    stage: Stage
    heard: list[tuple[Step, str]]

    async def subscribed(self, url: str, *, written: bool = True, noted: bool = True) -> Subscription:
        """To this URL; its secret `written` into the file, the line saying what it is of where `noted`."""
        made = await self.stage.api.webhook_subscriptions.create(url=url, events=["contact.created"])
        assert made.initial_secret is not None
        if written and noted:
            self.stage.file.add(made.initial_secret, made.id, made.secrets[0].id)
        elif written:
            with self.stage.file.path.open("a") as file:
                file.write(f"{made.initial_secret.reveal()}\n")
        await self.loaded(*(one.secret.fingerprint for one in self.stage.file.entries()))
        return made

    async def loaded(self, *fingerprints: str) -> None:
        """Until receivers have these."""
        wanted = frozenset(fingerprints)

        async def lacking() -> str | None:
            looks = await self.stage.receivers.look()
            return None if all(look.everywhere >= wanted for look in looks) else f"not loaded: {looks}"

        await self.stage.until(Step.ADD, lacking)


@pytest.fixture(scope="package")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    started = Processes(tmp_path_factory.mktemp("rotation"))
    try:
        yield started
    finally:
        started.end()
    started.check_nothing_is_left()


@pytest.fixture(scope="package")
def everything(processes: Processes) -> Ground:
    certificates = make_certificates(processes.folder)
    tls = ("--tls-cert", str(certificates.certificate), "--tls-key", str(certificates.key))
    receiver: dict[str, Any] = processes.serve(*tls, hooks=QUICK).started()
    sender, key = processes.sender("--ca-bundle", str(certificates.ca), *SENDER)
    return Ground(
        sender["url"],
        key,
        str(sender["database"]),
        sender["admin_url"],
        receiver["url"],
        receiver["admin_url"],
        processes.secrets_file,
    )


@pytest.fixture
def ground(everything: Ground, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    """With the file as it was, when the test is over. Nobody publishes: live traffic is not waited for long."""
    monkeypatch.setattr(proving, "LIVE_FIRST", 0.1)
    before = everything.file.read_bytes()
    yield everything
    everything.file.write_bytes(before)
