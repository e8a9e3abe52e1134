"""A rotation's surroundings, for real: a sender, receivers over TLS, publishers, and commands that may be killed.

Sender, receivers and commands are processes. What is published never pauses; `Stand.judged` says what became of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from kirimhook.client import AsyncKirim
from kirimhook.contract import samples
from kirimhook.contract.resources import Subscription
from kirimhook.contract.signature import Secret
from kirimhook.operating.secrets_file import SecretsFile
from kirimhook.testing.devca import make_certificates
from kirimhook.testing.served import Served
from tests.crash.processes import MARK, ROOT, Processes
from tests.crash.test_rotation import Admin
from tests.crash.waiting import SOON

HOOKS = "tests.operating.rotation.handled:hooks"
QUICK = "tests.operating.rotation.handled_quickly:hooks"
PUBLISHERS = 2
PAUSE = 0.03
"""Seconds between two events of a publisher: every moment has some, and a busy machine keeps up."""
SENDER = ("--set", "attempt_timeout=1", "--set", "refresh=0.3", "--schedule", "0,0.2,0.2,0.2,0.2,0.2,0.2,0.2")
SETTLE = "2"
"""Seconds: an attempt, what an engine takes to learn of a secret, and some."""


class Ran(NamedTuple):
    """What became of a command."""

    code: int
    """Negative: the signal that killed it."""
    point: str
    """Where it was killed by itself."""
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


class Commands:
    """`tests.operating.rotation.dying` as a process: runs one command after the other."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def __call__(self, *arguments: str, passed: Sequence[str] | None = None) -> Ran:
        """`passed`: the points at which it is not killed; None: it is not killed at all."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"arguments": arguments, "passed": passed}).encode() + b"\n")
        async with asyncio.timeout(SOON):
            return Ran(**json.loads(await self._process.stdout.readline()))


class Stand:
    """What is there. `file` is what all receivers follow."""

    def __init__(self, processes: Processes, api: AsyncKirim, key: str, commands: Commands) -> None:
        self.processes = processes
        self.api = api
        self.commands = commands
        self.file = SecretsFile(processes.secrets_file)
        self.admins: list[str] = []
        self._key = key
        self._serials = itertools.count()

    async def rotate(self, subscription_id: str, *more: str, passed: Sequence[str] | None = None) -> Ran:
        """With all receivers named, unless `more` says otherwise; its JSON on stdout."""
        where = [part for url in self.admins for part in ("--admin", url)]
        fixed = ("--secrets-file", str(self.file.path), "--json", "--key", self._key, "--settle", SETTLE)
        return await self.commands("rotate", subscription_id, *fixed, *(() if "--admin" in more else where), *more,
                                   passed=passed)  # fmt: skip

    async def subscribed(self, url: str, *, noted: bool = True) -> Subscription:
        """To this URL, its secret in the file; receivers have it. `noted`: the line says what it is of."""
        made = await self.api.webhook_subscriptions.create(url=url, events=["contact.created"])
        assert made.initial_secret is not None
        if noted:
            self.file.add(made.initial_secret, made.id, made.secrets[0].id)
        else:
            with self.file.path.open("a") as file:
                file.write(f"{made.initial_secret.reveal()}\n")
        await self.until_all_have(made.initial_secret)
        return made

    async def until_all_have(self, secret: Secret) -> None:
        async with aiohttp.ClientSession() as session:
            for url in self.admins:
                await Admin(session, url).until_all(lambda process: secret.fingerprint in process.matched)

    async def secret_ids(self, subscription_id: str) -> list[str]:
        """Of what the subscription signs with."""
        return [each.id for each in (await self.api.webhook_subscriptions.get(subscription_id)).secrets]

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Callable[[], int]]:
        """Publishers that never pause; how many events they have published."""
        enough = asyncio.Event()
        published = itertools.count()
        count = 0

        async def publish() -> None:
            nonlocal count
            while not enough.is_set():
                data = json.loads(samples.load("contact.created").body)["data"]
                data["contact"]["name"] = f"Ünïcode {next(published)}"
                await self.api.events.publish(type="contact.created", data=data)
                count += 1
                await asyncio.sleep(PAUSE)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(PUBLISHERS):
                tasks.create_task(publish())
            try:
                yield lambda: count
            finally:
                enough.set()

    async def judged(self) -> tuple[Counter[str], Counter[str]]:
        """Once nothing is open: deliveries by status, and requests by what receivers made of them."""
        async with asyncio.timeout(SOON):
            for status in ("pending", "failed"):
                while [each async for each in self.api.webhook_deliveries.list(status=status, limit=1)]:  # noqa: ASYNC110  # in another process
                    await asyncio.sleep(0.1)
        ended = Counter[str]([each.status.value async for each in self.api.webhook_deliveries.list()])
        requests = Counter[str]()
        async with aiohttp.ClientSession() as session:
            for url in self.admins:
                requests.update({key: int(value) for key, value in (await Admin(session, url).requests()).items()})
        return ended, requests


@asynccontextmanager
async def standing(
    processes: Processes, *workers: int, hooks: str = HOOKS
) -> AsyncIterator[tuple[Stand, list[Served]]]:
    """A sender, and a receiver for each of `workers`, of so many processes."""
    certificates = make_certificates(processes.folder)
    tls = ("--tls-cert", str(certificates.certificate), "--tls-key", str(certificates.key))
    sender, key = processes.sender("--ca-bundle", str(certificates.ca), *SENDER)
    receivers = [processes.serve(*tls, "--workers", str(count), hooks=hooks) for count in workers]
    environment = {**os.environ, "KIRIM_API_URL": sender["url"], MARK: processes.environment[MARK]}
    async with AsyncKirim(key, base_url=sender["url"]) as api, _commands(environment) as commands:
        stand = Stand(processes, api, key, commands)
        stand.admins = [receiver.started()["admin_url"] for receiver in receivers]
        yield stand, receivers


@asynccontextmanager
async def _commands(environment: dict[str, str]) -> AsyncIterator[Commands]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.operating.rotation.dying"),
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    try:
        yield Commands(process)
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def shared(*receivers: Served) -> AsyncIterator[str]:
    """One URL for all of them: each connection goes to the next one, byte for byte."""
    ports = itertools.cycle([receiver.started()["port"] for receiver in receivers])
    links: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        links.add(asyncio.create_task(_linked(reader, writer, next(ports))))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}{receivers[0].started()['path']}"
    finally:
        server.close()
        for link in links:
            link.cancel()
        await asyncio.wait(links)


async def _linked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    there, to = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_copied(reader, to))
            tasks.create_task(_copied(there, writer))
    finally:
        writer.close()
        to.close()


async def _copied(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):  # the other end is gone: so is this one
        while part := await source.read(64 * 1024):
            target.write(part)
            await target.drain()
    target.close()


def journal_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.rotation")
