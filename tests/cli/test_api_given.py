"""What commands say of an API that does not do as it should: one line, and no secret that nobody asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from kirimhook.cli import secret_kept
from kirimhook.cli.failure import Failure
from kirimhook.contract.signature import Secret
from kirimhook.testing.endpoint import Redirect, Respond
from tests.cli.commands import kirimhook
from tests.cli.terminal import on_a_terminal
from tests.serving.senders import consumer

UNWELL = [
    (Respond(200, b"<html>"), "the API: it answered 200 and no JSON"),
    (Respond(200, b'{"data": 7}'), "the API: it answered 200 and its data is no list"),
    (Redirect("https://elsewhere.example.com"), "the API: it answered 302 and a redirect, which is not followed"),
    (Respond(403, b"<html>Forbidden"), "refused with 403 http_403: the answer was 403 without an error in it"),
    (Respond(404, b'{"error": {"code": "x", "message": "a\\u001b[31mb\\nc"}}'), "x: a\\x1b[31mb\\nc"),
]


@pytest.mark.parametrize(("answer", "message"), UNWELL, ids=range(len(UNWELL)))
def test_an_api_that_is_none_is_one_line_and_1(answer: Respond | Redirect, message: str) -> None:
    with consumer(answer) as endpoint:
        url, ca = endpoint.url.removesuffix("/hook"), endpoint.trusting[1]
        ran = kirimhook("subscriptions", "list", "--api-url", url, "--key", "k", "--ca-bundle", ca)
    assert (ran.code, ran.out, ran.errors.count("\n")) == (1, "", 1)
    assert message in ran.errors


def test_a_secret_that_no_file_took_is_shown_after_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file was fine when it was checked. Nobody else has the secret: not to show it would lose it."""
    secret = Secret("whsec_" + "a" * 43)
    with pytest.raises(Failure, match="wbs_1 is signed with sec_1 all the same"):
        secret_kept.keep(tmp_path, secret, "wbs_1", "sec_1")
    said = capsys.readouterr()
    assert (said.out, said.err.count(secret.reveal())) == ("", 1)


def test_a_long_wait_is_said_to_somebody_who_looks(tmp_path: Path) -> None:
    """Three seconds that the API asks for; off a terminal nothing is said of them."""
    answers = (Respond(429, b"", retry_after=3), Respond(200, b'{"data": []}'))
    with consumer(*answers) as endpoint:
        code, said = on_a_terminal(("subscriptions", "list", *told(endpoint.url, endpoint.trusting[1])))
    assert code == 0
    assert "waiting 3.0 s: http_429" in said
    assert "Ctrl-C ends it" in said


def told(url: str, ca: str) -> tuple[str, ...]:
    return ("--api-url", url.removesuffix("/hook"), "--key", "k", "--ca-bundle", ca)
