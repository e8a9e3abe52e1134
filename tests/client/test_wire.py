"""What comes over a real, hostile wire ends in one of three errors, within bounds; the key reaches nobody but the API.

Real TLS and real bytes, and both drivers.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import socket
import time
from typing import Any

import pytest

from kirimhook.client import (
    ArgumentError,
    AsyncKirim,
    Kirim,
    RateLimited,
    Refused,
    ServiceFailed,
    Unauthenticated,
    UnexpectedAnswer,
    Unreachable,
)
from kirimhook.contract.resources import Delivery
from kirimhook.testing.endpoint import (
    Answer,
    Certificate,
    Door,
    Drip,
    Endless,
    EndlessHead,
    GzipBomb,
    Hang,
    Hurl,
    Raw,
    Redirect,
    Reset,
    Respond,
    Truncated,
)
from tests.architecture.test_base import bare
from tests.client.asking import BOTH, KEY, answering, asking
from tests.client.test_answers import LEAST

FOUND = Respond(200, json.dumps({"data": LEAST[Delivery]}).encode())
SOON = 20.0


def get(kirim: Any) -> Any:
    return kirim.webhook_deliveries.get("wbd_1")


def replay(kirim: Any) -> Any:
    return kirim.webhook_deliveries.replay("wbd_1")


LOST: list[Answer] = [
    Truncated(),
    Reset(),
    Reset(first=b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
    Raw(b"garbage\r\n\r\n"),
    Raw(b""),
    Hurl(size=200_000),
    EndlessHead(),
]


@BOTH
@pytest.mark.parametrize("lost", LOST, ids=lambda answer: type(answer).__name__ + str(LOST.index(answer)))
def test_an_answer_that_breaks_off_is_asked_for_again(kind: str, lost: Answer) -> None:
    with answering(lost, FOUND) as server, asking(kind, server.url, verify=server.trust) as ask:
        assert ask(get).id == "wbd_1"
        assert len(server.requests(2)) == 2


@BOTH
@pytest.mark.parametrize("lost", LOST, ids=lambda answer: type(answer).__name__ + str(LOST.index(answer)))
def test_where_nothing_else_comes_it_is_unreachable(kind: str, lost: Answer) -> None:
    with (
        answering(lost) as server,
        asking(kind, server.url, verify=server.trust, retries=1) as ask,
        pytest.raises(Unreachable, match="cannot be reached"),
    ):
        ask(replay)


@BOTH
def test_retries_of_a_post_carry_one_idempotency_key(kind: str) -> None:
    again = Respond(202, b'{"data": {"id": "wbd_2", "replayed_from": "wbd_1", "status": "pending"}}')
    answers = (Reset(), Respond(503, b""), again)
    with answering(*answers) as server, asking(kind, server.url, verify=server.trust) as ask:
        assert ask(replay).id == "wbd_2"
        requests = server.requests(3)
    assert len({request.header("Idempotency-Key") for request in requests}) == 1
    assert all(request.method == "POST" for request in requests)


@BOTH
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(kind: str, status: int) -> None:
    with (
        answering(FOUND) as elsewhere,
        answering(Redirect(f"{elsewhere.url}/v1/webhook_deliveries/wbd_1", status)) as server,
        asking(kind, server.url, verify=server.trust) as ask,
    ):
        for work in (get, replay):
            with pytest.raises(UnexpectedAnswer, match="a redirect, which is not followed") as caught:
                ask(work)
            assert caught.value.status == status
        assert elsewhere.requests(0) == []


@BOTH
@pytest.mark.parametrize("endless", [Endless(), Endless(announced=1 << 40), Endless(status=500)], ids=range(3))
def test_an_endless_body_is_not_read_to_its_end(kind: str, endless: Endless) -> None:
    with (
        answering(endless) as server,
        asking(kind, server.url, verify=server.trust, retries=0) as ask,
        pytest.raises(UnexpectedAnswer, match="more than 8388608 bytes"),
    ):
        ask(get)
    assert endless.sent < 64 * 1024 * 1024


@BOTH
def test_a_compressed_body_is_refused_not_unpacked(kind: str) -> None:
    packed = Respond(200, gzip.compress(FOUND.body), headers=(("Content-Encoding", "gzip"),))
    for answer in (packed, GzipBomb()):
        with answering(answer) as server, asking(kind, server.url, verify=server.trust) as ask:
            with pytest.raises(UnexpectedAnswer, match="compressed"):
                ask(get)
            assert server.requests(1)[0].header("Accept-Encoding") == "identity"


@BOTH
@pytest.mark.parametrize(
    "slow",
    [
        Hang(),
        Hang(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
        Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x" * 9999, 0.05),
    ],
    ids=["silent", "half", "drip"],
)
def test_a_slow_answer_is_given_up(kind: str, slow: Answer) -> None:
    with (
        answering(slow) as server,
        asking(kind, server.url, verify=server.trust, timeout=0.4, retries=0) as ask,
    ):
        began = time.monotonic()
        with pytest.raises(Unreachable, match=r"did not answer within 0\.4 s"):
            ask(get)
        assert time.monotonic() - began < SOON


def test_a_head_that_never_ends_is_given_up_by_the_async_client() -> None:
    drip = Drip(b"HTTP/1.1 200 OK\r\nX-Filler: ", b"v" * 9999, 0.05)
    with (
        answering(drip) as server,
        asking("async", server.url, verify=server.trust, timeout=0.3, retries=0) as ask,
    ):
        began = time.monotonic()
        with pytest.raises(Unreachable, match="did not answer"):
            ask(get)
        assert time.monotonic() - began < SOON


@BOTH
@pytest.mark.parametrize("door", [Door.SILENT, Door.SHUT])
def test_a_door_that_does_not_open_is_unreachable(kind: str, door: Door) -> None:
    with (
        answering(FOUND, door=door) as server,
        asking(kind, server.url, verify=server.trust, timeout=0.5, retries=1) as ask,
        pytest.raises(Unreachable),
    ):
        ask(get)


@BOTH
@pytest.mark.parametrize("certificate", [one for one in Certificate if one is not Certificate.GOOD])
def test_a_certificate_that_cannot_be_trusted_is_said_at_once(kind: str, certificate: Certificate) -> None:
    """No retry: it would be the same. With the usual four there would be waits of 3 s."""
    with (
        answering(FOUND, certificate=certificate) as server,
        asking(kind, server.url, verify=server.trust) as ask,
    ):
        with pytest.raises(Unreachable, match="its certificate is not trusted") as caught:
            ask(replay)
        assert server.requests(0) == []
    assert KEY not in str(caught.value)


@BOTH
def test_nobody_there_is_said_in_the_words_of_the_system(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    with (
        asking(kind, url, retries=1) as ask,
        pytest.raises(Unreachable, match=rf"^{url} cannot be reached: Connection refused$"),
    ):
        ask(get)


@BOTH
def test_retry_after_is_waited_for(kind: str) -> None:
    """Half a second: a server may say fractions, and a test need not be slow."""
    answers = (Respond(429, b"", retry_after="0.5"), Respond(503, b"", retry_after="0.5"), FOUND)
    with answering(*answers) as server, asking(kind, server.url, verify=server.trust) as ask:
        began = time.monotonic()
        assert ask(get).id == "wbd_1"
        assert time.monotonic() - began >= 1.0


@BOTH
def test_to_wait_longer_than_it_was_told_is_left_to_the_caller(kind: str) -> None:
    for status, error in ((429, RateLimited), (503, ServiceFailed)):
        refusal = Respond(status, b"", retry_after=61)
        with answering(refusal) as server, asking(kind, server.url, verify=server.trust) as ask:
            with pytest.raises(error) as caught:
                ask(get)
            assert isinstance(caught.value, Refused)
            assert caught.value.retry_after == 61
            assert len(server.requests(1)) == 1


@BOTH
def test_no_call_left_means_a_wait_before_the_next(kind: str) -> None:
    reset = (("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", str(int(time.time()) + 2)))
    spent = Respond(200, FOUND.body, headers=reset)
    with answering(spent, FOUND) as server, asking(kind, server.url, verify=server.trust) as ask:
        ask(get)
        began = time.monotonic()
        ask(get)
        assert time.monotonic() - began >= 0.9  # it was between one second and two ago that it had two to go
        assert len(server.requests(2)) == 2


@BOTH
def test_the_key_is_in_its_header_and_nowhere_else(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    refused = Respond(401, b'{"error": {"code": "invalid_api_key", "message": "no"}}')
    answers = (FOUND, Respond(500, b""), Reset(), refused)
    with answering(*answers) as server, asking(kind, server.url, verify=server.trust) as ask:
        ask(get)
        with pytest.raises(Unauthenticated) as caught:
            ask(get)
        requests = server.requests(4)
    for request in requests:
        assert request.header("Authorization") == f"Bearer {KEY}"
        assert request.head.count(KEY.encode()) == 1
    assert KEY not in repr(caught.value) + str(caught.value) + caplog.text
    assert "webhook_deliveries" in caplog.text  # it was recorded at all


def test_no_part_of_a_client_shows_the_key() -> None:
    with Kirim(KEY, base_url="http://127.0.0.1:1") as kirim:
        shown = [repr(kirim), str(kirim), repr(vars(kirim)), repr(vars(kirim.driver)), repr(kirim.driver._wire.account)]
        assert all(KEY not in one for one in shown)


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("{}", "/v1/"),
        ("{}/", "/v1/"),
        ("{}/v1", "/v1/"),
        ("{}/v1/", "/v1/"),
        ("{}/behind/a/proxy/v1", "/behind/a/proxy/v1/"),
    ],
)
def test_the_url_may_end_in_v1_or_not(url: str, asked: str) -> None:
    with answering(FOUND) as server, Kirim(KEY, base_url=url.format(server.url), verify=server.trust) as kirim:
        get(kirim)
        assert server.requests(1)[0].target == f"{asked}webhook_deliveries/wbd_1"


@pytest.mark.parametrize(
    "url", ["", "ftp://a", "https://", "a.example.com", "https://u:p@a", "https://a/?x=1", "https://[", "https://a#x"]
)
def test_a_url_that_is_none_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIRIM_API_URL", url or "x")
    with pytest.raises(ValueError, match="the API's URL is"):
        Kirim(KEY, base_url=url or None)


@pytest.mark.parametrize("kind", [Kirim, AsyncKirim])
@pytest.mark.parametrize("url", ["http://..", "https://\u00fc..de", "https://\u2603.net", f"https://{'a' * 64}.de"])
def test_a_host_that_can_be_none_is_refused_before_it_is_called(kind: Any, url: str) -> None:
    with pytest.raises(ArgumentError):
        kind(KEY, base_url=url)


@pytest.mark.parametrize("kind", [Kirim, AsyncKirim])
@pytest.mark.parametrize("proxy", ["socks5://u:pass@127.0.0.1:1", "foo://u:pass@127.0.0.1:1"])
def test_a_proxy_that_cannot_be_used_is_said_and_not_quoted(
    kind: Any, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ArgumentError, match="proxy") as refused:
        kind(KEY, base_url="http://127.0.0.1:1")
    assert "pass@" not in str(refused.value)


@pytest.mark.parametrize(
    "options", [{"timeout": 0}, {"timeout": float("nan")}, {"retries": -1}, {"longest_wait": -1}], ids=str
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Kirim(KEY, **options)


def test_without_its_extra_the_client_says_which_one() -> None:
    program = "import sys; sys.path.insert(0, sys.argv[1]); from kirimhook.client import Kirim; Kirim('k')"
    done = bare(program)
    assert done.returncode == 1
    assert done.stderr.endswith("ImportError: the client needs the extra \"client\": pip install 'kirimhook[client]'\n")


@pytest.mark.parametrize("key", ["", "  ", "two words", "k\u00e9y", "key\nX: y", "k" * 300])
def test_a_key_that_is_none_is_refused_and_not_quoted(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KIRIM_KEY", raising=False)
    with pytest.raises(ValueError, match="API key") as caught:
        AsyncKirim(key)
    assert not key.strip() or key not in str(caught.value)


def test_the_environment_says_which_api_and_as_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(FOUND) as server:
        monkeypatch.setenv("KIRIM_API_URL", server.url)
        monkeypatch.setenv("KIRIM_KEY", f" {KEY}\n")
        with Kirim(verify=server.trust) as kirim:
            assert get(kirim).id == "wbd_1"
        assert server.requests(1)[0].header("Authorization") == f"Bearer {KEY}"
    monkeypatch.delenv("KIRIM_API_URL")
    with Kirim() as kirim:
        assert kirim.driver._wire.account.url == "https://api-kckit.kirim.chat/v1"


def test_a_client_that_is_cancelled_lets_go_of_its_call() -> None:
    async def cancelled() -> None:
        async with AsyncKirim(KEY, base_url=server.url, verify=server.trust) as kirim:
            call = asyncio.create_task(kirim.webhook_deliveries.get("wbd_1"))
            await asyncio.to_thread(server.requests, 1)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    with answering(Hang()) as server:
        asyncio.run(asyncio.wait_for(cancelled(), SOON))
        assert len(server.requests(1)) == 1
