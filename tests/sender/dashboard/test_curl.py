"""The script of a delivery sends exactly its bytes, with its headers and a signature of now, and is data to the shell.

It is run by a real shell, curl and openssl, against a real receiver, and against an endpoint that keeps every byte.
"""

from __future__ import annotations

import base64
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract import headers
from kirimhook.contract.samples import load
from kirimhook.contract.signature import Secret, verify
from kirimhook.sender.dashboard.curl import MOST, script
from tests.serving.processes import SECRET, serve
from tests.serving.senders import Consumer, consumer, is_signed

SENT = headers.build(
    source="kirim",
    event_type="contact.updated",
    event_id="evt_1",
    delivery_id="wbd_1",
    attempt=3,
    signature="t=1,v1=********",
)
RECORDED = {"Host": "example.com", **SENT, "Content-Length": "17"}
"""As an attempt's headers are kept."""
TRAPS = ["$(touch pwned)", "`touch pwned`", "'; touch pwned; '", '"; touch pwned; "', "\\", "!!", "*", "~", "a\nb"]


def ran(text: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """By a shell in an empty folder, with an environment of its own."""
    with_path = {"PATH": os.environ["PATH"], "TMPDIR": str(folder), **environment}
    return subprocess.run(
        ["bash"], input=text, env=with_path, cwd=folder, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.fixture(scope="module")
def there() -> Iterator[Consumer]:
    with consumer() as made:
        yield made


def test_a_real_receiver_takes_it(tmp_path: Path) -> None:
    """And hands the event to its handler; the second time it is a duplicate."""
    body = load("contact.updated").renewed(event_id="evt_curl").body
    name = {**RECORDED, headers.EVENT_ID: "evt_curl"}
    with serve(tmp_path) as served:
        text = script(served.url, name, body, len(body))
        for _ in range(2):
            done = ran(text, tmp_path, SECRET=SECRET.reveal())
            assert done.returncode == 0, done.stderr
            assert done.stdout.startswith("HTTP/1.1 200"), done.stdout
        served.prints("handled evt_curl")
        wrong = ran(text, tmp_path, SECRET="whsec_" + "w" * 43)
        assert wrong.stdout.startswith("HTTP/1.1 401"), wrong.stdout


BODIES = [
    b'{"a":1}',
    '{"name":"Zoë 💬 O\'Hara"}'.encode(),
    b"",
    b"\n",
    b"\x00\xff\x1b[201~; touch pwned\r\n",
    "\u202eevil".encode(),
    b"@/etc/passwd",
    b"-e \\n %s $SECRET `id`",
    b"x" * MOST,
    b"'\\''" * 500,
]


@pytest.mark.parametrize("number", range(len(BODIES)))
def test_the_very_bytes_are_sent_and_signed(there: Consumer, tmp_path: Path, number: int) -> None:
    body = BODIES[number]
    before = len(there.received(0))
    done = ran(
        script(there.url, RECORDED, body, len(body)),
        tmp_path,
        SECRET=SECRET.reveal(),
        CURL_CA_BUNDLE=there.trusting[1],
    )
    assert done.stdout.startswith("HTTP/1.1 200"), done.stderr
    request = there.received(before + 1)[before]
    assert (request.method, request.body) == ("POST", body)
    assert is_signed(request, SECRET.reveal())
    verify([SECRET], request.header("X-Kirim-Signature"), body, time.time())
    kept = {name: value for name, value in SENT.items() if name != headers.SIGNATURE}
    given_names = [name.lower() for name, _ in request.headers]
    assert {name: request.header(name) for name in kept} == kept
    assert sorted(given_names) == sorted([*[name.lower() for name in SENT], "host", "accept", "content-length"])
    assert list(tmp_path.iterdir()) == []  # neither what a trap would make, nor the file with the body


def test_a_large_body_comes_from_a_file(there: Consumer, tmp_path: Path) -> None:
    body = os.urandom(MOST + 1)
    text = script(there.url, RECORDED, body, len(body))
    assert text == script(there.url, RECORDED, None, len(body))
    assert len(text) < 4000
    alone = ran(text, tmp_path, SECRET=SECRET.reveal())
    assert alone.returncode != 0
    assert f"{len(body)} bytes" in alone.stderr
    before = len(there.received(0))
    (tmp_path / "body").write_bytes(body)
    environment = {"SECRET": SECRET.reveal(), "CURL_CA_BUNDLE": there.trusting[1], "BODY": "body"}
    assert ran(text, tmp_path, **environment).stdout.startswith("HTTP/1.1 200")
    request = there.received(before + 1)[before]
    assert request.body == body
    assert is_signed(request, SECRET.reveal())


def test_without_a_secret_nothing_is_sent(there: Consumer, tmp_path: Path) -> None:
    before = len(there.received(0))
    done = ran(script(there.url, RECORDED, b"{}", 2) + "echo still here\n", tmp_path)
    assert "set SECRET to the signing secret" in done.stderr
    assert done.stdout == "still here\n"  # a shell that it was pasted into goes on
    assert len(there.received(0)) == before


def test_it_holds_no_secret_and_no_signature() -> None:
    text = script("https://example.com/hook", {**RECORDED, headers.SIGNATURE: "t=1,v1=deadbeef"}, b"{}", 2)
    assert "deadbeef" not in text
    assert Secret("whsec_x").reveal() not in text


@pytest.mark.parametrize("trap", TRAPS[:-1])
def test_a_trap_is_data(there: Consumer, tmp_path: Path, trap: str) -> None:
    """In the URL, in a header and in the body alike."""
    before = len(there.received(0))
    text = script(f"{there.url}?{trap.replace(' ', '+')}[1-3]{{a,b}}", {"X-Trap": f"a {trap} b"}, trap.encode(), 9)
    done = ran(text, tmp_path, SECRET="$(touch pwned)`touch pwned`", CURL_CA_BUNDLE=there.trusting[1])
    assert done.stdout.startswith("HTTP/1.1 200"), done.stderr
    request = there.received(before + 1)[before]
    assert len(there.received(0)) == before + 1
    assert (request.header("X-Trap"), request.body) == (f"a {trap} b", trap.encode())
    assert request.target.endswith("[1-3]{a,b}")
    assert list(tmp_path.iterdir()) == []


@given(st.binary(max_size=200))
def test_what_a_terminal_acts_on_is_never_in_it(body: bytes) -> None:
    text = script("https://example.com/hook", RECORDED, body, len(body))
    assert all(line.isprintable() for line in text.split("\n"))
    if not body.decode("utf-8", "replace").isprintable():
        assert base64.b64encode(body)[:60].decode() in text


@pytest.mark.parametrize("url", ["https://example.com/\x1b[2J", "https://example.com/\na", "https://e.com/\u202e"])
def test_what_cannot_be_quoted_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="can be seen"):
        script(url, RECORDED, b"", 0)
