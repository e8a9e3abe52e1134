"""Contract sections 1 and 7, both ends of ours and one that is not: through a rotation every delivery verifies.

A sender delivers every event to two subscriptions: to `kirimhook serve`, and to a bare HTTPS server whose requests
are judged by `openssl` alone. Secrets are rotated over the API while events are published without a pause. The
receiver refuses nothing, no delivery needs a second attempt, and openssl finds in every signature exactly the
secrets that were in force.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

from kirimhook.contract import samples
from kirimhook.contract.signature import Secret
from kirimhook.testing.devca import make_certificates
from kirimhook.testing.endpoint import Authority, Endpoint, Request, Respond
from tests.crash.openssl_verifier import Judged, Refused, judge, mac
from tests.crash.processes import Processes
from tests.crash.test_rotation import Admin
from tests.crash.waiting import SOON

BEFORE, DURING, AFTER, BETWEEN = "before", "during", "after", "between"
PUBLISHERS = 2
A_WHILE = 40
"""Deliveries for which each state lasts."""


class Subscribed(NamedTuple):
    id: str
    secret: str
    secret_id: str


class Api:
    """The sender's API, as far as it takes to rotate."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._serials = itertools.count()

    async def call(self, method: str, path: str, said: Any = None) -> Any:
        async with self._session.request(method, f"/v1/{path}", json=said) as answer:
            text = await answer.text()
            assert answer.status < 300, text
            return json.loads(text)["data"] if text else None

    async def subscribe(self, url: str) -> Subscribed:
        made = await self.call("POST", "webhook_subscriptions", {"url": url, "events": ["contact.created"]})
        return Subscribed(made["id"], made["initial_secret"], made["secrets"][0]["id"])

    async def add_secret(self, subscribed: Subscribed) -> Subscribed:
        made = await self.call("POST", f"webhook_subscriptions/{subscribed.id}/secrets", {})
        return Subscribed(subscribed.id, made["secret"], made["id"])

    async def remove_secret(self, old: Subscribed) -> None:
        await self.call("DELETE", f"webhook_subscriptions/{old.id}/secrets/{old.secret_id}")

    async def deliveries(self) -> AsyncIterator[dict[str, Any]]:
        """All of them, page by page."""
        cursor: str | None = ""
        while cursor is not None:
            async with self._session.get(f"/v1/webhook_deliveries?limit=100{cursor}") as answer:
                page = await answer.json()
            for delivery in page["data"]:
                yield delivery
            cursor = f"&cursor={page['next_cursor']}" if page["has_more"] else None

    async def publish(self) -> None:
        serial = next(self._serials)
        data = json.loads(samples.load("contact.created").body)["data"]
        data["contact"]["name"] = f"Ünïcode {serial}"
        await self.call("POST", "events", {"type": "contact.created", "data": data})


class Witness:
    """The bare server: what arrived, and what the rotation was at when it did."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._stages: list[tuple[int, str]] = []

    async def stage(self, name: str, signatures: int) -> None:
        """Wait until the sender signs with so many secrets; then, for a while, what arrives belongs to this stage."""
        async with asyncio.timeout(SOON):
            while _signatures(await self._a_few()) != {signatures}:
                pass
            self._stages.append((len(self._endpoint.requests), name))
            await self._endpoint.received(len(self._endpoint.requests) + A_WHILE)
            self._stages.append((len(self._endpoint.requests), BETWEEN))

    async def _a_few(self) -> list[Request]:
        begin = len(self._endpoint.requests)
        return (await self._endpoint.received(begin + PUBLISHERS * 2))[begin:]

    def judged(self, secrets: list[str]) -> dict[str, Counter[Judged]]:
        """What openssl says of each request, by the stage in which it arrived."""
        found: dict[str, Counter[Judged]] = {}
        bounds = [(0, BETWEEN), *self._stages, (len(self._endpoint.requests), BETWEEN)]
        for (begin, stage), (end, _) in itertools.pairwise(bounds):
            judgements = (_judge(request, secrets) for request in self._endpoint.requests[begin:end])
            found.setdefault(stage, Counter()).update(judgements)
        return found


def _signatures(requests: list[Request]) -> set[int]:
    return {(request.header("X-Kirim-Signature") or "").count("v1=") for request in requests}


def _judge(request: Request, secrets: list[str]) -> Judged:
    return judge(request.header("X-Kirim-Signature") or "", request.body, time.time(), secrets)


class Stand(NamedTuple):
    """Who takes part, up and subscribed."""

    api: Api
    admin: Admin
    witness: Witness
    file: Path


async def rotate(stand: Stand, ours: Subscribed, theirs: Subscribed) -> list[str]:
    """The guide's step 7, for both subscriptions, under load. The secrets of the witness, the old one first."""
    api, admin, witness, file = stand
    async with _publishing(api):
        await witness.stage(BEFORE, 1)
        added, added_theirs = await api.add_secret(ours), await api.add_secret(theirs)
        file.write_text(f"{ours.secret}\n{added.secret}\n")
        await admin.until_verified_by(Secret(added.secret))
        await witness.stage(DURING, 2)
        await api.remove_secret(ours)
        await api.remove_secret(theirs)
        await witness.stage(AFTER, 1)
        file.write_text(f"{added.secret}\n")
        await admin.until_all(lambda process: process.matched.keys() == {Secret(added.secret).fingerprint})
        await witness.stage(AFTER, 1)
    return [theirs.secret, added_theirs.secret]


@asynccontextmanager
async def _publishing(api: Api) -> AsyncIterator[None]:
    """Publishers that never pause: each publishes its next event when the last one was accepted."""
    enough = asyncio.Event()

    async def publish() -> None:
        while not enough.is_set():
            await api.publish()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(PUBLISHERS):
            tasks.create_task(publish())
        try:
            yield
        finally:
            enough.set()


async def delivered(api: Api) -> Counter[tuple[str, int]]:
    """Once nothing is open: how deliveries ended, and after how many attempts."""
    async with asyncio.timeout(SOON):
        while await api.call("GET", "webhook_deliveries?status=pending"):  # noqa: ASYNC110  # in another process
            await asyncio.sleep(0.1)
    ended: Counter[tuple[str, int]] = Counter()
    async for delivery in api.deliveries():
        ended[delivery["status"], delivery["attempt_count"]] += 1
    return ended


@pytest.mark.needs("openssl")
def test_every_delivery_verifies_at_every_moment_of_a_rotation(
    processes: Processes, tmp_path: Path, say: Callable[[str], None]
) -> None:
    certificates = make_certificates(tmp_path)
    (tmp_path / "witness").mkdir()
    authority = Authority(tmp_path / "witness")
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(certificates.ca.read_bytes() + authority.ca.read_bytes())
    receiver = processes.serve(
        *("--tls-cert", str(certificates.certificate), "--tls-key", str(certificates.key), "--workers", "2")
    ).started()
    sender, key = processes.sender("--ca-bundle", str(bundle))

    async def play() -> None:
        headers = {"Authorization": f"Bearer {key}"}
        async with (
            Endpoint(Respond(200), authority=authority) as endpoint,
            aiohttp.ClientSession(sender["url"], headers=headers) as session,
            aiohttp.ClientSession() as bare,
        ):
            api, admin = Api(session), Admin(bare, receiver["admin_url"])
            ours, theirs = await api.subscribe(receiver["url"]), await api.subscribe(endpoint.url)
            processes.secrets_file.write_text(f"{ours.secret}\n")
            await admin.until_all(lambda process: process.matched.keys() == {Secret(ours.secret).fingerprint})
            witness = Witness(endpoint)
            old, new = await rotate(Stand(api, admin, witness, processes.secrets_file), ours, theirs)
            ended = await delivered(api)
            counted = await admin.requests()
            judged = witness.judged([old, new])
            total = sum(ended.values()) // 2
            say(f"rotation with a real sender: {total} events, deliveries {dict(ended)}, receiver {counted}")
            say(f"openssl, by stage: { {stage: sum(found.values()) for stage, found in judged.items()} }")
            assert ended == {("succeeded", 1): 2 * total}
            assert counted == {"fresh": total}
            assert len(endpoint.requests) == total
            assert judged[BEFORE].keys() == {Judged(frozenset({old}), 1)}
            assert judged[DURING].keys() == {Judged(frozenset({old, new}), 2)}
            assert judged[AFTER].keys() == {Judged(frozenset({new}), 1)}
            for verdict in judged[BETWEEN]:
                assert len(verdict.matched) == verdict.signatures > 0

    asyncio.run(play())


@pytest.mark.needs("openssl")
def test_openssl_agrees_with_a_known_mac() -> None:
    """RFC 4231, test case 2."""
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert mac("Jefe", b"what do ya want for nothing?") == expected


@pytest.mark.needs("openssl")
def test_openssl_finds_no_secret_in_a_changed_body() -> None:
    header = f"t=1000,v1={mac('whsec_a', b'1000.{}')}"
    assert judge(header, b"{}", 1001, ["whsec_a", "whsec_b"]) == Judged(frozenset({"whsec_a"}), 1)
    assert judge(header, b"{ }", 1001, ["whsec_a"]) == Judged(frozenset(), 1)
    with pytest.raises(Refused):
        judge(header, b"{}", 1301, ["whsec_a"])
