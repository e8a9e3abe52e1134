"""Contract section 7: through a rotation of secrets, under load, no delivery is refused at any point.

The provider signs with A; a new secret is posted, so it signs with A and B; the file is rewritten to hold both; when
`/status` shows that B is there and verifies, A is deleted, so it signs with B alone; the file is rewritten to
hold B. Each time the file is written in place: first empty, then a part, then all, and each state lasts until every
process has read it. Neither the sender nor `/metrics` counts a refusal. Then A alone is refused.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from kirimhook.contract.signature import Secret
from tests.crash.processes import Processes
from tests.crash.sender import Sender, message
from tests.crash.waiting import SOON

OLD = Secret("whsec_the_old_one_AAAAAAAAAAAAAAAAAAAAAAAAAAA")
NEW = Secret("whsec_the_new_one_BBBBBBBBBBBBBBBBBBBBBBBBBBB")
BOTH = (OLD, NEW)
PROCESSES = 2
SENDERS = 2
A_WHILE = 40
"""Deliveries for which the provider goes on signing as it did."""


class Load:
    """Senders that never pause: one event after the other, whatever comes back."""

    def __init__(self, sender: Sender, url: str) -> None:
        self.sender = sender
        self._url = url
        self._serials = itertools.count()
        self._enough = False

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(SENDERS):
                tasks.create_task(self._send())
            try:
                yield
            finally:
                self._enough = True

    async def goes_on(self) -> None:
        """Let so many deliveries pass that were begun after this call, by every sender."""
        await self.sender.answered(self.sender.answers.total() + A_WHILE + SENDERS)

    async def _send(self) -> None:
        while not self._enough:
            serial = next(self._serials)
            await self.sender.post(self._url, message(f"rotation-{serial}", serial % 20))


class Process(NamedTuple):
    """What one process says of its secrets."""

    matched: dict[str, float | None]
    """When each of its secrets, by fingerprint, matched last."""
    problem: str | None
    """Why it does not take the file as it is."""


class Admin:
    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def processes(self) -> list[Process]:
        async with self._session.get(f"{self._url}/status") as response:
            status: dict[str, Any] = await response.json()
        return [
            Process({use["fingerprint"]: use["last_matched_at"] for use in each["secrets"]}, each["secrets_problem"])
            for each in status["processes"]
        ]

    async def until(self, holds: Callable[[list[Process]], object]) -> None:
        async with asyncio.timeout(SOON):
            while not holds(await self.processes()):  # noqa: ASYNC110  # another process says so when asked
                await asyncio.sleep(0.1)

    async def until_all(self, holds: Callable[[Process], object]) -> None:
        await self.until(lambda processes: all(map(holds, processes)))

    async def until_verified_by(self, secret: Secret) -> None:
        """Every process has it, and has seen no trouble with the file; one has verified a delivery with it."""
        await self.until_all(lambda process: secret.fingerprint in process.matched and process.problem is None)
        await self.until(lambda processes: any(process.matched[secret.fingerprint] for process in processes))

    async def requests(self) -> dict[str, float]:
        """`/metrics`: requests by what became of them."""
        async with self._session.get(f"{self._url}/metrics") as response:
            families = text_string_to_metric_families(await response.text())
            return {
                sample.labels["result"]: sample.value
                for family in families
                for sample in family.samples
                if sample.name == "kirimhook_requests_total"
            }


async def rewrite(file: Path, admin: Admin, *secrets: Secret) -> None:
    """In place, as an editor without care does, each time until every process has seen what is there."""
    text = "".join(f"{secret.reveal()}\n" for secret in secrets)
    seen: list[str | None] = [None]
    for part in ("", text[: len(text) - len(NEW.reveal()) // 2]):
        file.write_text(part)
        await admin.until_all(partial(_says_something_new, seen))
        seen += [process.problem for process in await admin.processes()]
    file.write_text(text)


def _says_something_new(known: list[str | None], process: Process) -> bool:
    return process.problem not in known


async def rotate(url: str, admin: Admin, file: Path, say: Callable[[str], None]) -> None:
    async with Sender(secrets=[OLD], in_flight=SENDERS) as sender:
        load = Load(sender, url)
        async with load():
            await load.goes_on()
            sender.secrets = BOTH
            await load.goes_on()
            await rewrite(file, admin, *BOTH)
            await admin.until_verified_by(NEW)
            sender.secrets = (NEW,)
            await load.goes_on()
            await rewrite(file, admin, NEW)
            await admin.until_all(lambda process: process.matched.keys() == {NEW.fingerprint})
            await load.goes_on()
        counted = await admin.requests()
        say(f"rotation under load: {sender.posts} deliveries, answers {dict(sender.answers)}, /metrics {counted}")
        assert sender.answers == {(200, "ok"): sender.posts}
        assert counted == {"fresh": sender.posts}


async def the_old_one_is_refused(url: str, admin: Admin) -> None:
    async with Sender(secrets=[OLD]) as sender:
        reply = await sender.post(url, message("rotation-too-late", 1))
    assert reply is not None
    assert (reply.status, reply.text) == (401, "invalid signature")
    assert (await admin.requests())["no_match"] == 1


def test_a_rotation_under_load_refuses_nothing(processes: Processes, say: Callable[[str], None]) -> None:
    file = processes.secrets_file
    file.write_text(f"{OLD.reveal()}\n")
    started = processes.serve("--workers", str(PROCESSES)).started()

    async def play() -> None:
        async with aiohttp.ClientSession() as session:
            admin = Admin(session, started["admin_url"])
            assert await admin.processes() == [Process({OLD.fingerprint: None}, None)] * PROCESSES
            await rotate(started["url"], admin, file, say)
            await the_old_one_is_refused(started["url"], admin)
            assert any(process.matched[NEW.fingerprint] for process in await admin.processes())

    asyncio.run(play())
