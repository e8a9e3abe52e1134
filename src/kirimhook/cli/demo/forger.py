"""Somebody who knows the receiver's address, and no secret."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable

import aiohttp

from kirimhook.contract.samples import Sample
from kirimhook.contract.signature import Secret
from kirimhook.testing.requests import signed_request

FORGED = Secret("whsec_this_secret_was_never_the_receivers")


async def forge(url: str, events: Iterable[Sample], trust: ssl.SSLContext) -> list[int]:
    """Post them, signed with a secret that the receiver never had. The answers' statuses."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:

        async def post(event: Sample) -> int:
            request = signed_request(event, FORGED)
            async with session.post(url, data=request.body, headers=request.headers) as answer:
                return answer.status

        return list(await asyncio.gather(*(post(event) for event in events)))
