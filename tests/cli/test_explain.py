"""`explain` names the one thing that is wrong with a request that was damaged in one way, whatever form its headers
come in; it exits 0 for what verifies, and never shows a secret.

The requests are signed by the vectors' own independent code, not by the code under test.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.cli.captured import read_headers
from kirimhook.cli.diagnosis import diagnose
from kirimhook.cli.failure import Failure
from kirimhook.contract.signature import Reason, Secret
from tests.cli.commands import Ran, kirimhook
from tests.receiver.deliveries import NOW, OTHER, SECRET, signature

BODY = json.dumps(
    {"id": "evt_1", "type": "contact.created", "livemode": True, "data": {"contact": {"name": "Zoë", "id": "con_7"}}},
    ensure_ascii=False,
    separators=(",", ":"),
).encode()
FINGERPRINT = Secret(SECRET).fingerprint


def headers(signed: bytes, **changed: str | None) -> dict[str, str]:
    given: dict[str, str | None] = {
        "Content-Type": "application/json",
        "X-Kirim-Source": "kirim",
        "X-Kirim-Event": "contact.created",
        "X-Kirim-Event-Id": "evt_1",
        "X-Kirim-Delivery-Id": "wbd_1",
        "X-Kirim-Attempt": "3",
        "X-Kirim-Signature": signed.decode(),
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }
    return {name: value for name, value in given.items() if value is not None}


def explain(
    folder: Path, named: dict[str, str], body: bytes, *more: str, secrets: tuple[str, ...] = (SECRET,), now: float = NOW
) -> Ran:
    (folder / "headers.json").write_text(json.dumps(named))
    (folder / "body.bin").write_bytes(body)
    (folder / "secrets.txt").write_text("\n".join(secrets) + "\n")
    files = ("--headers", str(folder / "headers.json"), "--body", str(folder / "body.bin"))
    return kirimhook("explain", *files, "--secrets-file", str(folder / "secrets.txt"), "--now", str(now), *more)


def explained(folder: Path, named: dict[str, str], body: bytes, **more: Any) -> dict[str, Any]:
    ran = explain(folder, named, body, "--json", **more)
    found: dict[str, Any] = ran.data
    assert ran.code == (0 if found["verifies"] else 1)
    return found


def test_what_verifies_is_exit_code_0_and_says_by_which_secret(tmp_path: Path) -> None:
    named = headers(signature(SECRET, BODY, NOW))
    found = explained(tmp_path, named, BODY, secrets=(OTHER, SECRET), now=NOW + 12)
    assert found["reason"] == "verified"
    assert {known["fingerprint"]: known["matches"] for known in found["secrets"]} == {
        Secret(OTHER).fingerprint: False,
        FINGERPRINT: True,
    }
    assert found["skew_seconds"] == 12
    assert found["signed_at"] == "2027-01-15T08:00:00.000Z"
    assert found["receiver_answers"].startswith("200")
    assert found["headers"]["delivery_id"] == "wbd_1"
    assert found["headers"]["attempt"] == 3
    assert found["body"]["sha256"] == hashlib.sha256(BODY).hexdigest()
    assert found["ordering_key"] == "contact:con_7"
    key = hashlib.sha256(b"kirim\nevt_1").digest()[:16].hex()
    assert found["identity"]["header"] == found["identity"]["signed"] == {"event_id": "evt_1", "dedupe_key": key}


@pytest.mark.parametrize(
    ("skew", "reason", "words"),
    [
        (301, Reason.STALE, "signed 301 s (5 min) ago"),
        (86_400, Reason.STALE, "signed 86400 s (24 h) ago"),
        (-301, Reason.FUTURE, "signed 301 s (5 min) in the future"),
    ],
)
def test_a_clock_that_is_off_is_said_with_seconds_and_direction(
    tmp_path: Path, skew: int, reason: Reason, words: str
) -> None:
    found = explained(tmp_path, headers(signature(SECRET, BODY, NOW)), BODY, now=NOW + skew)
    assert found["reason"] == reason
    assert words in found["explanation"]
    assert found["skew_seconds"] == skew
    assert found["secrets"] == [{"fingerprint": FINGERPRINT, "matches": True}]
    assert found["receiver_answers"] == "401 invalid signature"


def test_a_wrong_secret(tmp_path: Path) -> None:
    found = explained(tmp_path, headers(signature(OTHER, BODY, NOW)), BODY)
    assert found["reason"] == Reason.NO_MATCH
    assert any("wrong secret" in hint for hint in found["hints"])
    assert found["secrets"] == [{"fingerprint": FINGERPRINT, "matches": False}]


def rewritten(**how: Any) -> Callable[[bytes], bytes]:
    return lambda body: json.dumps(json.loads(body), **how).encode()


DAMAGED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "blanks added": ("compact JSON", rewritten(separators=(", ", ": "), ensure_ascii=False)),
    "blanks and escapes added": ("compact JSON", rewritten()),
    "indented by 2": ("compact JSON", rewritten(indent=2)),
    "indented by 4": ("compact JSON", rewritten(indent=4, ensure_ascii=False)),
    "line end added": ("without the line end", lambda body: body + b"\n"),
    "CRLF added": ("without the line end", lambda body: body + b"\r\n"),
    "byte order mark added": ("without the byte order mark", lambda body: b"\xef\xbb\xbf" + body),
    "blanks around it": ("without the blanks", lambda body: b"  " + body + b" "),
    "decoded wrongly": ("before it was read as latin-1", lambda body: body.decode("latin-1").encode()),
}


@pytest.mark.parametrize(("words", "damage"), DAMAGED.values(), ids=DAMAGED)
def test_a_body_that_was_changed_on_its_way(tmp_path: Path, words: str, damage: Callable[[bytes], bytes]) -> None:
    assert damage(BODY) != BODY
    found = explained(tmp_path, headers(signature(SECRET, BODY, NOW)), damage(BODY), secrets=(OTHER, SECRET))
    assert found["reason"] == Reason.NO_MATCH
    assert "not the body that was signed" in found["explanation"]
    assert any(words in hint and FINGERPRINT in hint for hint in found["hints"]), found["hints"]


LONG = BODY.replace(b"Zo", b"a/b Zo").replace(b',"type"', b',\n"type"')
SIGNED_AS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "blanks": ("JSON with blanks after commas and colons", rewritten(ensure_ascii=False)),
    "indented": ("JSON indented by 2, characters escaped", rewritten(indent=2)),
    "sorted": ("keys sorted", rewritten(sort_keys=True, separators=(",", ":"), ensure_ascii=False)),
    "line end": ("with a line end that it has lost", lambda body: body + b"\n"),
    "byte order mark": ("with the byte order mark", lambda body: b"\xef\xbb\xbf" + body),
    "CRLF": ("CRLF", lambda body: body.replace(b"\n", b"\r\n")),
    "slashes": (
        "slashes escaped",
        lambda body: json.dumps(json.loads(body), ensure_ascii=False).replace("/", "\\/").encode(),
    ),
}


@pytest.mark.parametrize(("words", "original"), SIGNED_AS.values(), ids=SIGNED_AS)
def test_a_body_that_lost_the_form_in_which_it_was_signed(
    tmp_path: Path, words: str, original: Callable[[bytes], bytes]
) -> None:
    found = explained(tmp_path, headers(signature(SECRET, original(LONG), NOW)), LONG)
    assert any(words in hint for hint in found["hints"]), found


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (SECRET.removeprefix("whsec_").encode(), "without its whsec_ prefix"),
        (base64.b64decode(SECRET.removeprefix("whsec_") + "="), "base64-decoded secret"),
        (SECRET.encode() + b"\n", "a line end behind it"),
    ],
)
def test_a_key_that_is_not_the_whole_secret(tmp_path: Path, key: bytes, words: str) -> None:
    mac = hmac.new(key, b"%d." % NOW + BODY, "sha256").hexdigest()
    found = explained(tmp_path, headers(f"t={NOW},v1={mac}".encode()), BODY)
    assert words in found["explanation"]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (BODY, "without the timestamp"),
        (b"%d" % NOW + BODY, "without the dot"),
        (b"evt_1.%d." % NOW + BODY, "Standard Webhooks"),
    ],
)
def test_another_message_than_the_contracts(tmp_path: Path, message: bytes, words: str) -> None:
    mac = hmac.new(SECRET.encode(), message, "sha256").hexdigest()
    found = explained(tmp_path, headers(f"t={NOW},v1={mac}".encode()), BODY)
    assert words in found["explanation"]


MAC = "a" * 64


@pytest.mark.parametrize(
    ("signed", "reason"),
    [
        (None, Reason.MISSING),
        ("", Reason.MISSING),
        (f"v1={MAC}", Reason.NO_TIMESTAMP),
        (f"t=1,t=2,v1={MAC}", Reason.MANY_TIMESTAMPS),
        (f"t=soon,v1={MAC}", Reason.BAD_TIMESTAMP),
        (f"t={NOW}", Reason.NO_SIGNATURE),
        (f"t={NOW},v2={MAC}", Reason.NO_SIGNATURE),
        (f"t={NOW},v1=abc", Reason.BAD_SIGNATURE),
        (f"t={NOW}," + ",".join([f"v1={MAC}"] * 32), Reason.TOO_MANY_PARTS),
        ("x" * 4097, Reason.TOO_LONG),
    ],
)
def test_a_part_that_is_missing_or_malformed(tmp_path: Path, signed: str | None, reason: Reason) -> None:
    found = explained(tmp_path, headers(b"", X_Kirim_Signature=signed), BODY)
    assert found["reason"] == reason
    assert "signature" in found["explanation"].lower() or "header" in found["explanation"]
    assert found["receiver_answers"].startswith("401")


def test_milliseconds_are_recognised(tmp_path: Path) -> None:
    found = explained(tmp_path, headers(f"t={NOW}123,v1={MAC}".encode()), BODY)
    assert any("milliseconds" in hint for hint in found["hints"])


def test_authentic_but_without_what_a_receiver_needs(tmp_path: Path) -> None:
    signed = signature(SECRET, BODY, NOW)
    nameless = explained(tmp_path, headers(signed, X_Kirim_Event_Id=None), BODY)
    assert nameless["verifies"]
    assert nameless["receiver_answers"].startswith("400")
    assert any("X-Kirim-Event-Id is missing" in hint for hint in nameless["hints"])
    assert nameless["identity"]["header"] is None
    other = explained(tmp_path, headers(signed, Content_Type="text/plain"), BODY)
    assert other["receiver_answers"].startswith("415")
    forged = explained(tmp_path, headers(signed, X_Kirim_Event_Id="evt_2"), BODY)
    assert forged["identity"]["signed"] is None
    assert forged["identity"]["header"]["event_id"] == "evt_2"


def test_people_get_a_verdict_first_and_no_secret(tmp_path: Path) -> None:
    good = explain(tmp_path, headers(signature(SECRET, BODY, NOW)), BODY)
    bad = explain(tmp_path, headers(signature(OTHER, BODY, NOW)), BODY)
    assert (good.code, good.out.startswith("verifies: ")) == (0, True)
    assert (bad.code, bad.out.startswith("does not verify: ")) == (1, True)
    for out in (good.out, bad.out):
        assert FINGERPRINT in out
        assert SECRET.removeprefix("whsec_")[:12] not in out
        assert OTHER.removeprefix("whsec_")[:12] not in out


@given(
    st.lists(st.tuples(st.binary(max_size=30), st.binary(max_size=60)), max_size=6),
    st.binary(max_size=80),
    st.binary(max_size=120),
)
def test_it_says_something_of_anything(named: list[tuple[bytes, bytes]], signed: bytes, body: bytes) -> None:
    raw = [*named, (b"x-kirim-signature", signed)]
    found = diagnose(raw, body, [Secret(SECRET)], NOW)
    assert not found.verifies
    assert json.loads(json.dumps(found.to_json()))["reason"] in set(Reason)


PAIRS = [("Content-Type", "application/json"), ("X-Kirim-Event", "a.b"), ("X-Kirim-Signature", "t=1,v1=ab")]
LINES = "\n".join(f"{name}: {value}" for name, value in PAIRS)
SENT = "\n".join(f"> {line}" for line in LINES.split("\n"))
FORMS = {
    "lines": LINES,
    "CRLF": LINES.replace("\n", "\r\n") + "\r\n\r\n",
    "request": f"POST /hook HTTP/1.1\n{LINES}",
    "curl -i": f"HTTP/1.1 200 OK\r\n{LINES}\n\n",
    "byte order mark": f"\ufeff{LINES}",
    "curl -v": f"* Connected\n> POST /hook HTTP/1.1\n{SENT}\n>\n< HTTP/1.1 200 OK",
    "object": json.dumps(dict(PAIRS)),
    "object of lists": json.dumps({name: [value] for name, value in PAIRS}),
    "pairs": json.dumps(PAIRS),
    "HAR": json.dumps([{"name": name, "value": value} for name, value in PAIRS]),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_headers_in_every_form(form: str) -> None:
    assert [(n.decode(), v.decode()) for n, v in read_headers(form.encode()).headers] == PAIRS


def test_headers_of_an_environment() -> None:
    dumped = {"CONTENT_TYPE": "application/json", "HTTP_X_KIRIM_EVENT": "a.b"}
    found = read_headers(json.dumps(dumped).encode()).headers
    assert found == [(b"CONTENT-TYPE", b"application/json"), (b"X-KIRIM-EVENT", b"a.b")]


def test_a_whole_request_holds_its_body(tmp_path: Path) -> None:
    lines = "\r\n".join(f"{name}: {value}" for name, value in headers(signature(SECRET, BODY, NOW)).items())
    request = b"POST /hook HTTP/1.1\r\n" + lines.encode() + b"\r\n\r\n" + BODY
    assert read_headers(request).body == BODY
    ran = kirimhook("explain", "--headers", "-", "--secret", SECRET, "--now", str(NOW), stdin=request)
    assert (ran.code, ran.out.startswith("verifies")) == (0, True)


@pytest.mark.parametrize("raw", [b"no colon here", b": no name", b"{", b"[1]", b'{"a": {"b": 1}}', b'[["a", null]]'])
def test_headers_in_no_form_are_said(raw: bytes) -> None:
    with pytest.raises(Failure, match="--headers"):
        read_headers(raw)


@given(st.binary(max_size=200))
def test_any_bytes_are_headers_or_one_failure(raw: bytes) -> None:
    try:
        found = read_headers(raw)
    except Failure:
        return
    assert all(isinstance(part, bytes) for header in found.headers for part in header)


def test_no_body_and_no_file_are_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "headers.txt").write_text(LINES)
    bodiless = kirimhook("explain", "--headers", str(tmp_path / "headers.txt"), "--secret", SECRET)
    assert (bodiless.code, "no body: give --body" in bodiless.errors) == (2, True)
    missing = kirimhook("explain", "--headers", str(tmp_path / "none"), "--secret", SECRET)
    assert (missing.code, "No such file" in missing.errors) == (2, True)
