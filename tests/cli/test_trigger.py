"""`trigger` posts what Kirim would, to a real receiver, and says by its exit code whether each answer was the one
to expect; a server that answers otherwise, or not at all, is told apart.
"""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kirimhook.cli.posting import is_expected
from kirimhook.contract import samples
from kirimhook.testing.devca import make_certificates
from tests.cli.commands import Ran, kirimhook
from tests.serving.processes import OTHER, SECRET, Serving, serve

APP = """
from kirimhook import Hooks
hooks = Hooks()
"""


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("receiver")
    (folder / "app.py").write_text(APP)
    with serve(folder) as served:
        served.started()
        yield served


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIRIM_WEBHOOK_SECRETS", SECRET.reveal())


class Recorder(http.server.BaseHTTPRequestHandler):
    """Answers as its server is told, and keeps what it got."""

    protocol_version = "HTTP/1.1"
    server: Answering

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), body))
        status, text = self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Not on stderr, where the command's own words are read."""


class Answering(http.server.ThreadingHTTPServer):
    """A server that is no receiver of ours."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Recorder)
        self.answer = (204, b"")
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/hook"


@pytest.fixture
def other() -> Iterator[Answering]:
    with Answering() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def trigger(*arguments: str) -> Ran:
    return kirimhook("trigger", *arguments)


@pytest.mark.parametrize("name", samples.names())
def test_every_sample_is_taken_by_the_receiver(receiver: Serving, name: str) -> None:
    ran = trigger(name, "--url", receiver.url)
    assert ran.code == 0, ran.out
    assert ran.out.startswith(f"200 ok  {samples.load(name).type}  ")


def test_what_is_posted_is_signed_and_named_as_the_contract_says(other: Answering) -> None:
    assert trigger("contact.created", "--url", other.url).code == 0
    (headers, body), *_ = other.got
    timestamp, mac = (part.partition("=")[2] for part in headers["X-Kirim-Signature"].split(","))
    expected = hmac.new(SECRET.reveal().encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert mac == expected
    assert headers["User-Agent"] == "Kirim-Webhook/1.0"
    assert headers["Content-Type"] == "application/json"
    assert (headers["X-Kirim-Event"], headers["X-Kirim-Source"]) == ("contact.created", "kirim")
    assert headers["X-Kirim-Event-Id"] == json.loads(body)["id"]
    assert headers["X-Kirim-Attempt"] == "1"


def test_several_secrets_sign_all(other: Answering) -> None:
    ran = trigger("contact.created", "--url", other.url, "--secret", SECRET.reveal(), "--secret", OTHER.reveal())
    assert ran.code == 0
    assert other.got[0][0]["X-Kirim-Signature"].count("v1=") == 2


def test_each_of_many_is_an_event_of_its_own_and_a_duplicate_is_not(receiver: Serving) -> None:
    ran = trigger("message.received", "--url", receiver.url, "--count", "6", "--duplicate", "--json")
    assert ran.code == 0
    assert len(ran.lines) == 12
    first = [line for line in ran.lines if line["attempt"] == 1]
    again = [line for line in ran.lines if line["attempt"] == 2]
    assert {line["text"] for line in first} == {"ok"}
    assert {line["text"] for line in again} == {"duplicate-ack"}
    assert len({line["event_id"] for line in first}) == 6
    assert sorted(line["event_id"] for line in first) == sorted(line["event_id"] for line in again)


def test_a_bad_signature_is_expected_to_be_refused(receiver: Serving, other: Answering) -> None:
    ran = trigger("contact.created", "--url", receiver.url, "--bad-signature")
    assert (ran.code, ran.out.startswith("401 invalid signature  ")) == (0, True)
    taken = trigger("contact.created", "--url", other.url, "--bad-signature")
    assert (taken.code, taken.out.startswith("204  (unexpected)")) == (1, True)


def test_a_wrong_secret_is_not_what_was_expected(receiver: Serving) -> None:
    ran = trigger("contact.created", "--url", receiver.url, "--secret", OTHER.reveal())
    assert (ran.code, ran.out.startswith("401 invalid signature (unexpected)")) == (1, True)


def test_a_bad_signature_needs_no_secret(receiver: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KIRIM_WEBHOOK_SECRETS")
    assert trigger("contact.created", "--url", receiver.url, "--bad-signature").code == 0
    ran = trigger("contact.created", "--url", receiver.url)
    assert (ran.code, "no secret: give --secret" in ran.errors) == (2, True)


@pytest.mark.parametrize("answer", [(302, b""), (500, b"oops"), (503, b""), (404, b""), (401, b"")])
def test_any_other_answer_is_exit_code_1_and_no_redirect_is_followed(
    other: Answering, answer: tuple[int, bytes]
) -> None:
    other.answer = answer
    ran = trigger("contact.created", "--url", other.url)
    assert ran.code == 1
    assert ran.out.startswith(f"{answer[0]} {answer[1].decode()} (unexpected)")
    assert len(other.got) == 1


def test_no_answer_is_exit_code_1_with_the_cause(other: Answering) -> None:
    other.server_close()
    ran = trigger("contact.created", "--url", other.url, "--json")
    assert ran.code == 1
    (line,) = ran.lines
    assert line["status"] is None
    assert "127.0.0.1" in line["text"]


def test_what_a_server_says_does_not_speak_to_the_terminal(other: Answering) -> None:
    other.answer = (200, b"\x1b[31mred\r\n\xc2\x9b31m")
    out = trigger("contact.created", "--url", other.url).out
    assert "\x1b" not in out
    assert "\x9b" not in out
    assert out.count("\n") == 1
    assert "\\x1b[31mred" in out


def test_many_are_summed_up(other: Answering) -> None:
    ran = trigger("contact.created", "--url", other.url, "--count", "30", "--rate", "1000")
    assert ran.code == 0
    rows = [line.split() for line in ran.out.splitlines()]
    assert rows[0] == ["30", "204"]
    assert [row[0] for row in rows[1:]] == ["p50", "p99"]
    assert all(float(row[1]) > 0 for row in rows[1:])
    assert len(other.got) == 30


def test_the_event_id_can_be_given(other: Answering) -> None:
    assert trigger("message.received", "--url", other.url, "--event-id", "wamid.mine").code == 0
    headers, body = other.got[0]
    assert headers["X-Kirim-Event-Id"] == "wamid.mine"
    assert json.loads(body)["entry"][0]["changes"][0]["value"]["messages"][0]["id"] == "wamid.mine"


def test_tls_is_verified_by_the_bundle_it_is_given(tmp_path: Path) -> None:
    made = make_certificates(tmp_path, "localhost")
    with serve(tmp_path, "--tls-cert", str(made.certificate), "--tls-key", str(made.key)) as served:
        url = f"https://localhost:{served.started()['port']}/kirim-webhook"
        assert trigger("contact.created", "--url", url, "--ca-bundle", str(made.ca)).code == 0
        ran = trigger("contact.created", "--url", url)
        assert (ran.code, "CERTIFICATE_VERIFY_FAILED" in ran.out) == (1, True)


def test_the_samples_are_listed() -> None:
    assert [line["name"] for line in trigger("--list", "--json").lines] == list(samples.names())
    table = trigger("--list").out
    assert all(name in table for name in samples.names())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["contact.created"], "what to post and where"),
        (["contact.deleted", "--url", "http://127.0.0.1:1"], "no sample 'contact.deleted'; there are: contact.created"),
        (["contact.created", "--url", "ftp://x"], "--url 'ftp://x'"),
        (["contact.created", "--url", "http://[::1"], "--url"),
        (["contact.created", "--url", "http://h:99999"], "--url"),
        (["contact.created", "--url", "http://h", "--count", "2", "--event-id", "x"], "--event-id names one event"),
        (
            ["contact.created", "--url", "http://h", "--secrets-file", "/nowhere"],
            "--secrets-file /nowhere: No such file",
        ),
        (["contact.created", "--url", "https://h", "--ca-bundle", "/nowhere"], "--ca-bundle /nowhere: No such file"),
        (["contact.created", "--url", "http://h", "--secret", "has blanks"], "--secret: a secret is printable ASCII"),
    ],
)
def test_what_makes_no_sense_is_exit_code_2(arguments: list[str], message: str) -> None:
    ran = trigger(*arguments)
    assert (ran.code, ran.out, message in ran.errors) == (2, "", True), ran.errors
    assert "has blanks" not in ran.errors


@pytest.mark.parametrize(
    ("status", "text", "attempt", "forged", "expected"),
    [
        (200, "ok", 1, False, True),
        (204, "", 1, False, True),
        (200, "duplicate-ack", 1, False, True),
        (200, "duplicate-ack", 2, False, True),
        (202, "", 2, False, True),
        (200, "ok", 2, False, False),  # the duplicate was taken for a new event
        (401, "", 1, False, False),
        (401, "", 1, True, True),
        (200, "ok", 1, True, False),
        (403, "", 1, True, False),
        (None, "refused", 1, True, False),
        (None, "refused", 1, False, False),
    ],
)
def test_what_is_expected(status: int | None, text: str, attempt: int, forged: bool, expected: bool) -> None:
    assert is_expected(status, text, attempt, forged=forged) is expected
