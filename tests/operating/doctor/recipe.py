"""The guide's own consumer, steps 4 and 5, rebuilt: what Express, Redis and the handler do, in their order.

`express.raw({ type: 'application/json' })` takes 100 KiB, as it does where no limit is given, drops what is larger and
refuses it when it has come to its end, and gives the handler what is no JSON by its type as `{}` (Express 4) or as
nothing at all (Express 5). Express 4.22 and 5.3 themselves were examined, with these findings. Redis is a dict that is
asked as `SET key 1 NX` asks; the table is a list. The guide leaves the verification to another page: here it is a right
one.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import time
from collections.abc import Iterator
from pathlib import Path

import trustme

from kirimhook.contract.signature import Secret
from tests.operating.doctor.consumer import SECRETS, Standing, served_by
from tests.operating.doctor.door import Asked, Reply

LIMIT = 100 * 1024


class Recipe:
    """`express` is the major version."""

    def __init__(self, express: int, secrets: tuple[Secret, ...] = SECRETS) -> None:
        self._express = express
        self._secrets = [secret.reveal() for secret in secrets]
        self.redis: dict[str, str] = {}
        self.raw_events: list[tuple[str, str, str, bytes]] = []

    async def answer(self, asked: Asked) -> Reply:
        if asked.method != "POST":
            return Reply(404, b"Cannot GET /hook")
        if (asked.header("Content-Type") or "").partition(";")[0] != "application/json":
            await asked.reader.readexactly(asked.length)
            return Reply(401, b"invalid signature") if self._express == 4 else Reply(500, b"TypeError")
        if asked.length > LIMIT:
            await asked.reader.readexactly(asked.length)
            return Reply(413, b"PayloadTooLargeError")
        return self._handled(asked, await asked.reader.readexactly(asked.length))

    def _handled(self, asked: Asked, body: bytes) -> Reply:
        if not self._verified(body, asked.header("X-Kirim-Signature")):
            return Reply(401, b"invalid signature")
        event_id = asked.header("X-Kirim-Event-Id") or "undefined"
        if not self._claimed(event_id):
            return Reply(200, b"duplicate-ack")
        named = (asked.header("X-Kirim-Event") or "", asked.header("X-Kirim-Source") or "")
        self.raw_events.append((event_id, *named, body))
        return Reply(200, b"ok")

    def _claimed(self, event_id: str) -> bool:
        key = f"webhook:event:{event_id}"
        fresh = key not in self.redis
        self.redis.setdefault(key, "1")
        return fresh

    def _verified(self, body: bytes, header: str | None) -> bool:
        stamps: list[str] = []
        claimed: list[str] = []
        for part in (header or "").split(","):
            name, _, value = part.strip().partition("=")
            {"t": stamps, "v1": claimed}.get(name, []).append(value)
        if len(stamps) != 1 or not stamps[0].isdecimal() or abs(time.time() - int(stamps[0])) > 300:
            return False
        message = f"{stamps[0]}.".encode() + body
        made = [hmac.new(secret.encode(), message, hashlib.sha256).hexdigest() for secret in self._secrets]
        return any(hmac.compare_digest(mac.encode(), value.encode()) for mac in made for value in claimed)


@contextlib.contextmanager
def cooked(folder: Path, express: int) -> Iterator[tuple[Standing, Recipe]]:
    """The recipe, on loopback with TLS, in a thread."""
    recipe = Recipe(express)
    with served_by(folder, recipe.answer, trustme.CA()) as standing:
        yield standing, recipe
