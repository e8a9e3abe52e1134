"""What both drivers have to say to httpx, and how they read what it says. Needs the extra "client"."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from typing import Any, TypeVar

import httpx

from kirimhook.client.account import Account
from kirimhook.client.answers import MAX_BYTES, Answer
from kirimhook.client.calls import Call
from kirimhook.client.errors import ArgumentError
from kirimhook.client.exchange import Lost

C = TypeVar("C", httpx.Client, httpx.AsyncClient)

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


class Wire:
    """One API, by one key. `timeout` in seconds: for each step of an attempt, and for the body of its answer in all."""

    def __init__(self, account: Account, timeout: float, verify: ssl.SSLContext | None) -> None:
        try:
            (httpx.URL(account.url).host or "").encode("idna")
        except (httpx.InvalidURL, UnicodeError):
            raise ArgumentError("the API's URL names a host that cannot be one") from None
        self.account = account
        self.timeout = timeout
        self._verify = verify

    def opened(self, kind: type[C]) -> C:
        """Raises ArgumentError for a proxy in the environment that cannot be used; it is not quoted."""
        try:
            return kind(**self.options())
        except (ImportError, ValueError, httpx.InvalidURL):
            why = "its URL is http://… or https://…, or socks5://… with httpx[socks]"
            raise ArgumentError(f"the proxy that the environment names cannot be used: {why}") from None

    def options(self) -> dict[str, Any]:
        """For `httpx.Client` and `httpx.AsyncClient`."""
        headers = {
            "Authorization": f"Bearer {self.account.key.reveal()}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # what is compressed has no bound until it is read
            "User-Agent": "kirimhook-client",
        }
        trust = self._verify or ssl.create_default_context()
        return {"headers": headers, "timeout": self.timeout, "verify": trust, "follow_redirects": False}

    def request(self, call: Call[Any]) -> dict[str, Any]:
        """For `stream`."""
        url = self.account.url + call.target
        return {"method": call.method, "url": url, "headers": dict(call.headers), "content": call.body}

    def lost(self, error: Exception) -> Lost:
        """An attempt that ended in this error."""
        if isinstance(error, (httpx.TimeoutException, TimeoutError)):
            return Lost(f"{self.shown} did not answer within {self.timeout:g} s", _was_sent(error), may_pass=True)
        causes = list(_causes(error))
        may_pass = not any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes)
        return Lost(f"{self.shown} cannot be reached: {_reason(causes)}", _was_sent(error), may_pass)

    @property
    def shown(self) -> str:
        """The API's URL, for people."""
        return self.account.url.removesuffix("/v1")


class Collected:
    """The body of an answer as it arrives: never more than it may have, nor later than `until` (by time.monotonic)."""

    def __init__(self, response: httpx.Response, until: float) -> None:
        self._response = response
        self._until = until
        self._body = bytearray()

    def add(self, part: bytes, now: float) -> None:
        """Raises UnexpectedAnswer for one that is too long, TimeoutError for one that takes too long."""
        self._body += part
        if now > self._until:
            raise TimeoutError
        if len(self._body) > MAX_BYTES:
            raise self._answer(b"").unexpected(f"more than {MAX_BYTES} bytes")

    def answer(self) -> Answer:
        """All of it. Raises UnexpectedAnswer for a body that is compressed."""
        if self._response.headers.get("content-encoding", "identity").lower() != "identity":
            raise self._answer(b"").unexpected("a compressed body, which was not asked for")
        return self._answer(bytes(self._body))

    def _answer(self, body: bytes) -> Answer:
        return Answer(self._response.status_code, dict(self._response.headers), body)


def _was_sent(error: Exception) -> bool:
    return not isinstance(error, _NOT_SENT)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on: the innermost one last."""
    found: BaseException | None = error
    for _ in range(16):
        if found is None:
            return
        yield found
        found = found.__cause__ or found.__context__


def _reason(causes: list[BaseException]) -> str:
    """What the system said, where it said something: the wrappers only repeat it, or less."""
    for cause in reversed(causes):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, OSError) and cause.strerror:
            number = 0 if isinstance(cause, ssl.SSLError) else cause.errno or 0
            return os.strerror(number) if number > 0 else cause.strerror
    return str(causes[0]) or type(causes[0]).__name__
