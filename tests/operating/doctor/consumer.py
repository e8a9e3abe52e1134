"""A consumer of webhooks that is right in every way (contract section 6), but for the faults it is given.

It verifies by itself, with hmac and hashlib: what the doctor signs is checked by other code than signed it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import re
import ssl
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from kirimhook.contract.events import DOCUMENTED_TYPES
from kirimhook.contract.signature import Secret
from tests.operating.doctor.door import Answers, Asked, Door, Reply, standing
from tests.operating.doctor.faults import Fault

SECRETS = (Secret("whsec_" + "D1o2" * 10 + "one"), Secret("whsec_" + "D3o4" * 10 + "two"))
LIMIT = 4 << 20
SMALL = 1 << 20
AHEAD = {Fault.CLOCK_AHEAD: 200.0, Fault.CLOCK_BEHIND_A_LITTLE: -60.0, Fault.OTHER_TIME: 900.0}
"""Seconds that a clock is ahead; the first two show in the Date alone."""
SLOWNESS = 1.3
COLD = 5
"""Events that are slow while the consumer is cold: those whose time the doctor takes are among them."""
_NAMES = ("localhost", "127.0.0.1")


class CrashedError(Exception):
    """What a web framework turns into a 500."""


@dataclass
class Consumer:
    """Decides what is answered. `stored` holds the bodies it took in, by its dedupe key."""

    faults: frozenset[Fault] = frozenset()
    secrets: tuple[Secret, ...] = SECRETS
    stored: dict[tuple[str, ...], bytes] = field(default_factory=dict)
    asked: threading.Event = field(default_factory=threading.Event)
    """Something has been delivered."""

    def has(self, *faults: Fault) -> bool:
        return not self.faults.isdisjoint(faults)

    async def answer(self, asked: Asked) -> Reply:
        try:
            reply = await self._reply(asked)
        except CrashedError:
            reply = Reply(500, b"internal server error")
        if self.has(Fault.ANSWERS_ALL_ALIKE) and reply.status == 200:
            reply = Reply(204)
        if self.has(Fault.TALKATIVE) and reply.status == 200:
            reply.text += b"." * 10_000
        reply.date = "noon" if self.has(Fault.DATE_IN_WORDS) else ""
        reply.date_ahead = sum(ahead for fault, ahead in AHEAD.items() if self.has(fault))
        reply.says_close = reply.says_close or self.has(Fault.CLOSES)
        reply.closes = self.has(Fault.HANGS_UP)
        return reply

    async def _reply(self, asked: Asked) -> Reply:
        if asked.method != "POST":
            return Reply(200, b"it works") if self.has(Fault.ANSWERS_GET) else Reply(405, headers=[("Allow", "POST")])
        if refusal := await self._refused_at_once(asked):
            return refusal
        body = await self._body(asked)
        if self.has(Fault.SHORT_V1_ENDS_IT) and (asked.header("X-Kirim-Signature") or "")[-5:] == "v1=00":
            return Reply(500, resets=True)  # the process ends, and another takes its place
        if not self._is_authentic(asked, body):
            return Reply(410 if self.has(Fault.REFUSES_WITH_410) else 401, b"invalid signature")
        if astray := await self._astray():
            return astray
        return await self._taken(asked, body)

    async def _refused_at_once(self, asked: Asked) -> Reply | None:
        is_json = asked.header("Content-Type") == "application/json"
        if not is_json and self.has(Fault.CONTENT_TYPE_CRASHES):
            raise CrashedError
        if not is_json and not self.has(Fault.ANY_CONTENT_TYPE):
            return Reply(415, says_close=True)
        if self.has(Fault.BUSY) and asked.open_connections > 8:
            return Reply(503, says_close=True)
        if self.has(Fault.BUSY_RESETS) and asked.open_connections > 8:
            return Reply(503, resets=True)
        if asked.length <= (SMALL if self.has(Fault.SMALL_LIMIT) else LIMIT) or self.has(Fault.NO_LIMIT):
            return None
        if not self.has(Fault.RESETS_LARGE):
            return Reply(413, says_close=True, discards=True)
        return Reply(413, resets=True)

    async def _body(self, asked: Asked) -> bytes:
        if self.has(Fault.FIRST_PIECE_ONLY) and asked.length < 65_536:
            return await asked.reader.read(asked.length)
        return await asked.reader.readexactly(asked.length)

    async def _astray(self) -> Reply | None:
        """Answers that have nothing to do with the event."""
        self.asked.set()
        if self.has(Fault.HANGS):
            await asyncio.Event().wait()
        if self.has(Fault.NOT_HTTP):
            return Reply(200, raw=b"SSH-2.0-OpenSSH_9.9\r\n")
        if self.has(Fault.REDIRECTS):
            return Reply(308, headers=[("Location", "https://localhost/elsewhere")])
        if self.has(Fault.FAILS):
            raise CrashedError
        return Reply(410) if self.has(Fault.GONE) else None

    async def _taken(self, asked: Asked, body: bytes) -> Reply:
        event_id, event_type = asked.header("X-Kirim-Event-Id") or "", asked.header("X-Kirim-Event") or ""
        if self.has(Fault.KNOWN_TYPES_ONLY) and event_type not in DOCUMENTED_TYPES:
            return Reply(400, b"unknown type")
        if self.has(Fault.NOT_JSON_CRASHES):
            self._parsed(body)
        if self.has(Fault.META_CRASHES) and asked.header("X-Kirim-Source") == "meta":
            raise CrashedError  # it reads the id of an envelope
        key: tuple[str, ...] = (asked.header("X-Kirim-Source") or "", event_id)
        if event_type == "message.status" and not self.has(Fault.DEDUPES_STATUSES):
            key = (*key, hashlib.sha256(body).hexdigest())
        if key in self.stored:
            return self._again()
        self.stored[key] = body
        if self.has(Fault.SLOW) and len(self.stored) <= COLD:
            await asyncio.sleep(SLOWNESS)  # what it does before it acknowledges
        return Reply(200, b"ok")

    def _again(self) -> Reply:
        if self.has(Fault.DUPLICATE_CRASHES):
            raise CrashedError
        return Reply(409, b"conflict") if self.has(Fault.DUPLICATE_CONFLICTS) else Reply(200, b"duplicate-ack")

    @staticmethod
    def _parsed(body: bytes) -> object:
        try:
            return json.loads(body)
        except ValueError:
            raise CrashedError from None

    def _is_authentic(self, asked: Asked, body: bytes) -> bool:
        header = asked.header("X-Kirim-Signature", exactly=self.has(Fault.HEADERS_BY_CASE))
        if header is None:
            return self.has(Fault.LETS_UNSIGNED_IN, Fault.VERIFIES_NOTHING)
        several = sum(name.lower() == "x-kirim-signature" for name, _ in asked.headers) > 1
        if several and self.has(Fault.TWO_HEADERS_CRASH):
            raise CrashedError
        if several and self.has(Fault.LAST_HEADER_WINS):
            header = [value for name, value in asked.headers if name.lower() == "x-kirim-signature"][-1]
        return self.has(Fault.VERIFIES_NOTHING) or self._holds(header, body)

    def _holds(self, header: str, body: bytes) -> bool:
        parts = [part.strip().partition("=")[::2] for part in header.split(",")]
        stamps = [value for name, value in parts if name == "t"]
        claimed = [value for name, value in parts if name == "v1"]
        if self.has(Fault.NO_T_CRASHES) and not stamps:
            raise CrashedError
        if self.has(Fault.SHORT_V1_CRASHES) and any(len(value) != 64 for value in claimed):
            raise CrashedError  # crypto.timingSafeEqual throws for buffers of another length
        if self.has(Fault.KNOWN_SCHEMES_ONLY) and {name for name, _ in parts} - {"t", "v1"}:
            return False
        if len(stamps) != 1 or not stamps[0].isdecimal() or not claimed:
            return False
        if any(not re.fullmatch("[0-9a-f]{64}", value) for value in claimed):
            return False
        return self._is_in_time(int(stamps[0])) and self._matches(int(stamps[0]), claimed, body)

    def _is_in_time(self, stamp: int) -> bool:
        age = time.time() + (AHEAD[Fault.OTHER_TIME] if self.has(Fault.OTHER_TIME) else 0) - stamp
        return (age <= 300 or self.has(Fault.NEVER_STALE)) and (age >= -300 or self.has(Fault.NEVER_EARLY))

    def _matches(self, stamp: int, claimed: list[str], body: bytes) -> bool:
        if self.has(Fault.LETS_FORGED_IN):
            return True
        if self.has(Fault.RESERIALISES):
            with contextlib.suppress(ValueError):
                body = json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False).encode()
        if self.has(Fault.FIRST_V1_ONLY):
            claimed = claimed[:1]
        if self.has(Fault.LAST_V1_ONLY):
            claimed = claimed[-1:]
        stamps = [stamp, *(range(stamp - 601, stamp - 598) if self.has(Fault.TRIES_OTHER_TIMES) else ())]
        made = {_mac(secret, at, body) for secret in self._held for at in stamps}
        return any(hmac.compare_digest(mac, value) for mac in made for value in claimed)

    @property
    def _held(self) -> tuple[Secret, ...]:
        if self.has(Fault.OTHER_SECRET):
            return (Secret("whsec_of_somebody_else"),)
        return self.secrets[:1] if self.has(Fault.ONE_SECRET) else self.secrets


def _mac(secret: Secret, stamp: int, body: bytes) -> str:
    return hmac.new(secret.reveal().encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Standing:
    """A consumer under examination. `ca`: the PEM file to trust."""

    url: str
    ca: Path
    asked: threading.Event = field(default_factory=threading.Event)
    """A delivery has reached it."""


@contextlib.contextmanager
def consuming(folder: Path, *faults: Fault) -> Iterator[Standing]:
    """The consumer, on loopback with TLS, in a thread."""
    consumer = Consumer(frozenset(faults))
    with served_by(folder, consumer.answer, trustme.CA(), frozenset(faults)) as standing:
        yield replace(standing, asked=consumer.asked)


@contextlib.contextmanager
def served_by(
    folder: Path,
    answers: Answers,
    authority: trustme.CA,
    faults: frozenset[Fault] = frozenset(),
    breaks_from: int = 1_000_000,
) -> Iterator[Standing]:
    """Whatever answers, behind a door that has the faults of doors."""
    ca = folder / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    tls = None if Fault.PLAIN_ONLY in faults else _context(authority, faults)
    door = Door(tls, Fault.PLAIN_TOO in faults, Fault.SILENT in faults, breaks_from)
    with standing(door, answers, time.time) as port:
        yield Standing(f"https://localhost:{port}/hook", ca)


def _context(authority: trustme.CA, faults: frozenset[Fault]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if Fault.OLD_TLS_TOO in faults:
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that it is out of date is the fault
            context.minimum_version = ssl.TLSVersion.TLSv1
    certificate = _certificate(authority, faults)
    if Fault.NO_INTERMEDIATE in faults:
        with certificate.private_key_pem.tempfile() as key, certificate.cert_chain_pems[0].tempfile() as leaf:
            context.load_cert_chain(leaf, key)
    else:
        certificate.configure_cert(context)
    return context


def _certificate(authority: trustme.CA, faults: frozenset[Fault]) -> trustme.LeafCert:
    now = datetime.now(UTC)
    if Fault.EXPIRED in faults:
        return authority.issue_cert(*_NAMES, not_before=now - timedelta(days=2), not_after=now - timedelta(days=1))
    if Fault.ENDS_SOON in faults:
        return authority.issue_cert(*_NAMES, not_after=now + timedelta(days=10))
    if Fault.OTHER_NAME in faults:
        return authority.issue_cert("somebody-else.example")
    if Fault.UNKNOWN_AUTHORITY in faults:
        return trustme.CA().issue_cert(*_NAMES)
    if Fault.NO_INTERMEDIATE in faults:
        return authority.create_child_ca().issue_cert(*_NAMES)
    return authority.issue_cert(*_NAMES)
