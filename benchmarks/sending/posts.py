"""(f) A bare aiohttp loop: the same bytes to the same server, signed beforehand, and nothing kept."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import NamedTuple

import aiohttp

from kirimhook.contract.events import KIRIM
from kirimhook.contract.headers import build
from kirimhook.contract.signature import Secret, sign

EVENT_TYPE = "contact.created"
BODY_BYTES = 1024
LOOPBACK = "127.0.0.0/8"
"""The network that a sender is told to dial although it is not public."""
SECRET = Secret("whsec_" + base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("="))


class Rate(NamedTuple):
    """How fast it went, once its connections were open; and CPU time in microseconds for each."""

    posts: int
    per_second: float
    cpu_us: float


def body() -> bytes:
    """What travels, in every case: an event of a contact, 1 KiB."""
    payload = {
        "id": "evt_01J00000000000000000000000",
        "type": EVENT_TYPE,
        "created_at": "2026-05-23T10:00:00Z",
        "livemode": True,
        "data": {"contact": {"id": "con_1", "object": "contact", "phone_number": "+6281234567890", "note": ""}},
    }
    payload["data"]["contact"]["note"] = "." * (BODY_BYTES - len(_encoded(payload)))  # type: ignore[index]  # the sample has it
    return _encoded(payload)


def _encoded(payload: object) -> bytes:
    return json.dumps(payload, separators=(",", ":")).encode()


def delivery_id(label: str, number: int) -> str:
    return f"wbd_{label}{number:0{26 - len(label)}}"


def labels(label: str, warm_up: int, count: int) -> tuple[tuple[str, int], tuple[str, int]]:
    """What is in the ids, and how many: of the warm-up, and of what is measured."""
    return (f"{label}W", warm_up), (f"{label}B", count)


def requests(urls: Sequence[str], label: str, content: bytes, count: int) -> Iterator[tuple[str, dict[str, str]]]:
    """URLs in turn, each with the headers of a delivery."""
    now = int(time.time())
    signature = sign([SECRET], content, now)
    for number, url in enumerate(islice(cycle(urls), count)):
        yield (
            url,
            build(
                source=KIRIM,
                event_type=EVENT_TYPE,
                event_id="evt_01J00000000000000000000000",
                delivery_id=delivery_id(label, number),
                attempt=1,
                signature=signature,
            ),
        )


async def post(urls: Sequence[str], label: str, *, count: int, warm_up: int, in_flight: int, authority: str) -> Rate:
    """Post `warm_up` and then `count`, so many at a time. Raises RuntimeError for any answer but a success."""
    content = body()
    context = ssl.create_default_context(cafile=authority)
    connector = aiohttp.TCPConnector(limit=0, ssl=context)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(10),
    ) as session:
        warming, measured = (list(requests(urls, part, content, some)) for part, some in labels(label, warm_up, count))
        await _run(session, warming, content, in_flight)
        since, cpu = time.perf_counter(), time.process_time()
        await _run(session, measured, content, in_flight)
        return Rate(count, count / (time.perf_counter() - since), (time.process_time() - cpu) / count * 1e6)


async def _run(
    session: aiohttp.ClientSession, prepared: Sequence[tuple[str, dict[str, str]]], content: bytes, in_flight: int
) -> None:
    left = iter(prepared)

    async def work() -> None:
        for url, headers in left:
            async with session.post(url, data=content, headers=headers, allow_redirects=False) as answer:
                await answer.read()
                if answer.status != 200:
                    raise RuntimeError(f"answered {answer.status}")

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(work())
