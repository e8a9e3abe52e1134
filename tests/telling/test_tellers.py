"""Whom the operator names is told by a real process or over real HTTP, within a bound; who did not take it says why,
on one line, and never the password of a URL.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import BasicAuth, web

from kirimhook.telling import NotToldError, tellers
from kirimhook.telling.tellers import Command, Url, teller_of

SOON = 20.0
KEEP = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_bytes(sys.stdin.buffer.read())"
DOCUMENT = {"version": 1, "text": "tiga surat mati \N{HEAVY BLACK HEART}", "notices": [{"count": 3}]}
Handle = Callable[[web.Request], Any]


@asynccontextmanager
async def listening(handle: Handle) -> AsyncIterator[str]:
    """A real HTTP endpoint; gives host and port."""
    app = web.Application()
    app.router.add_post("/{path:.*}", handle)
    server = web.AppRunner(app)
    await server.setup()
    try:
        await web.TCPSite(server, "127.0.0.1", 0).start()
        yield f"127.0.0.1:{server.addresses[0][1]}"
    finally:
        await server.cleanup()


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """Whatever is sent, these bytes come back; then it says nothing more."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def test_a_command_gets_the_document_as_one_line(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    asyncio.run(asyncio.wait_for(Command((sys.executable, "-c", KEEP, str(kept))).tell(DOCUMENT), SOON))
    assert kept.read_bytes().count(b"\n") == 1
    assert json.loads(kept.read_text("utf-8")) == DOCUMENT


@pytest.mark.parametrize(
    ("arguments", "why"),
    [((sys.executable, "-c", "raise SystemExit(3)"), "exit code 3"), (("/no/such/program",), "not started")],
)
def test_a_command_that_did_not_take_it_says_why(arguments: tuple[str, ...], why: str) -> None:
    with pytest.raises(NotToldError, match=why):
        asyncio.run(asyncio.wait_for(Command(arguments).tell(DOCUMENT), SOON))


def test_a_command_that_reads_nothing_may_still_take_it() -> None:
    large = {"text": "x" * 1_000_000}
    asyncio.run(asyncio.wait_for(Command(("true",)).tell(large), SOON))
    assert len(json.dumps(large)) > 65_536  # more than a pipe holds


def test_a_command_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tellers, "TIMEOUT", 1.0)
    pid = tmp_path / "pid"
    hang = f"import os, pathlib, time; pathlib.Path({str(pid)!r}).write_text(str(os.getpid())); time.sleep(600)"
    with pytest.raises(NotToldError, match="not done within"):
        asyncio.run(asyncio.wait_for(Command((sys.executable, "-c", hang)).tell(DOCUMENT), SOON))
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_url_is_posted_the_document() -> None:
    async def main() -> None:
        seen: list[Any] = []

        async def handle(request: web.Request) -> web.Response:
            given = BasicAuth.decode(request.headers["Authorization"])
            seen.append((request.path_qs, request.content_type, given.login, given.password, await request.json()))
            return web.Response(status=204)

        async with listening(handle) as address:
            await Url(f"http://ops:a%40b@{address}/hooks?room=1").tell(DOCUMENT)
        assert seen == [("/hooks?room=1", "application/json", "ops", "a@b", DOCUMENT)]

    asyncio.run(asyncio.wait_for(main(), SOON))


def test_a_text_that_has_no_utf_8_is_told_all_the_same() -> None:
    """An inbox of somebody's own may keep half a character in a reason: nobody would be told anything any more."""
    document = {**DOCUMENT, "text": "half \ud83d"}

    async def main() -> None:
        seen: list[bytes] = []

        async def handle(request: web.Request) -> web.Response:
            seen.append(await request.read())
            return web.Response(status=204)

        async with listening(handle) as address:
            await Url(f"http://{address}/").tell(document)
        assert [json.loads(body) for body in seen] == [document]

    asyncio.run(asyncio.wait_for(main(), SOON))


@pytest.mark.parametrize("status", [301, 302, 400, 410, 500, 503])
def test_only_2xx_has_taken_it(status: int) -> None:
    async def main() -> None:
        async with answering(b"HTTP/1.1 %d Whatever\r\nLocation: /elsewhere\r\n\r\n" % status) as url:
            with pytest.raises(NotToldError, match=f"answered {status}"):
                await Url(url).tell(DOCUMENT)

    asyncio.run(asyncio.wait_for(main(), SOON))


def test_interim_answers_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> int:
        before = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        async with answering(before * 2 + b"HTTP/1.1 200\r\n\r\n") as url:
            await Url(url).tell(DOCUMENT)
        monkeypatch.setattr(tellers, "TIMEOUT", 0.5)
        async with answering(before * 100) as url:
            with pytest.raises(NotToldError, match="no answer within"):
                await Url(url).tell(DOCUMENT)
        return 2

    assert asyncio.run(asyncio.wait_for(main(), SOON)) == 2


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n", b"x" * 100_000, b"HTTP/1.1 abc\r\n\r\n", b"\r\n"])
def test_what_is_no_http_has_not_taken_it(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tellers, "TIMEOUT", 0.5)  # of some it may still become HTTP

    async def main() -> None:
        async with answering(answer) as url:
            with pytest.raises(NotToldError) as told:
                await Url(url).tell(DOCUMENT)
        assert "\n" not in str(told.value)

    asyncio.run(asyncio.wait_for(main(), SOON))


def test_an_endpoint_that_says_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tellers, "TIMEOUT", 0.3)

    async def main() -> None:
        async with answering(b"") as url:
            with pytest.raises(NotToldError, match="no answer within"):
                await Url(url).tell(DOCUMENT)
        with pytest.raises(NotToldError):
            await Url(url).tell(DOCUMENT)  # nobody listens any more

    asyncio.run(asyncio.wait_for(main(), SOON))


def test_what_notify_takes() -> None:
    assert teller_of("http://[::1]:8080/x") == Url("http://[::1]:8080/x")
    assert teller_of("https://ops.example.com/x") == Url("https://ops.example.com/x")
    assert teller_of("mail -s 'it is dead' ops") == Command(("mail", "-s", "it is dead", "ops"))
    for nothing in ("", "   ", "'half", "http://", "http:///x", "https://a:99999/", "http://a:0/", "http://a/ b"):
        with pytest.raises(ValueError) as refused:
            teller_of(nothing)
        assert "\n" not in str(refused.value)


def test_a_password_is_not_shown() -> None:
    assert "hunter2" not in repr(teller_of("https://ops:hunter2@ops.example.com/x"))
    with pytest.raises(ValueError) as refused:
        teller_of("https://ops:hunter2@ops.example.com:99999/x")
    assert "hunter2" not in str(refused.value)
