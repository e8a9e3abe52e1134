"""How a fuzzing input becomes a request, real requests to start from, and the run itself.

An input is a flag byte, header lines `name:value`, an empty line, and the body. Flag 1 signs it rightly, so that
what lies behind the signature is reached: no fuzzer guesses an HMAC.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import atheris

from kirimhook.contract import headers, samples

SECRETS = ("whsec_fuzzed", "whsec_also")
NOW = 1779530400
CLOCK = NOW + 0.5
SIGN = 1
MAX_INPUT = 8192  # enough for a number, and for a depth, that no parser takes

HERE = Path(__file__).resolve().parent
VECTORS = HERE.parent / "tests/contract/vectors"
CRASHES = HERE / "crashes"


class BrokenInvariantError(Exception):
    """What the fuzzer looks for."""


class Request(NamedTuple):
    """One input, taken apart."""

    flags: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def request(data: bytes) -> Request:
    """Any bytes are a request."""
    flags = data[0] if data else 0
    head, _, body = data[1:].partition(b"\n\n")
    lines = (line.partition(b":") for line in head.split(b"\n"))
    found = [(name, value) for name, colon, value in lines if colon]
    if flags & SIGN:
        found = [pair for pair in found if pair[0].lower() != b"x-kirim-signature"]
        found.append((b"x-kirim-signature", signature(body)))
    return Request(flags, found, body)


def mac(secret: str, stamp: bytes, body: bytes) -> bytes:
    """What a signature should be, in hex, by the standard library's other way to HMAC."""
    return hmac.new(secret.encode(), stamp + b"." + body, hashlib.sha256).hexdigest().encode()


def signature(body: bytes) -> bytes:
    """A header that every secret made."""
    return b",".join([b"t=%d" % NOW, *(b"v1=" + mac(secret, b"%d" % NOW, body) for secret in SECRETS)])


def fuzz(one_input: Callable[[bytes], None]) -> None:
    """Run with the command line's options, on the inputs it names or from seeds in a folder that goes away.

    What breaks the invariant is kept in crashes/, to be run again by its name. The fuzzer ends its process
    without saying goodbye, so it has one of its own.
    """
    CRASHES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kirimhook-fuzz-") as corpus:
        for number, seed in enumerate(seeds()):
            (Path(corpus) / str(number)).write_bytes(seed)
        child = os.fork()
        if child == 0:
            options = [f"-max_len={MAX_INPUT}", f"-artifact_prefix={CRASHES}/"]
            named = any(not argument.startswith("-") for argument in sys.argv[1:])
            atheris.Setup([*sys.argv, *options, *([] if named else [corpus])], one_input)
            atheris.Fuzz()
        _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status))


def seeds() -> Iterator[bytes]:
    """The samples, rightly signed and not, and what the vectors hold of bodies and signatures."""
    for sample in map(samples.load, samples.names()):
        yield from (written(sample, signature(sample.body).decode(), sample.body, flags) for flags in (0, SIGN))
    message = samples.load("message.received")
    for case in _vectors("readings"):
        yield written(message, "", content(case["body"]), SIGN)
    for case in _vectors("signatures"):
        yield written(message, case["header"], content(case["body"]), 0)


def written(sample: samples.Sample, signed: str, body: bytes, flags: int) -> bytes:
    """The input for this request."""
    built = {
        headers.CONTENT_TYPE: headers.JSON_CONTENT_TYPE,
        headers.SOURCE: sample.source,
        headers.EVENT: sample.type,
        headers.EVENT_ID: sample.event_id,
        headers.ATTEMPT: "1",
        headers.SIGNATURE: signed,
    }
    lines = "\n".join(f"{name}:{value}" for name, value in built.items())
    return bytes([flags]) + lines.encode() + b"\n\n" + body


def content(body: Any) -> bytes:
    """The bytes a body in the vectors stands for, no more of them than an input holds."""
    if isinstance(body, str):
        return body.encode()
    if "base64" in body:
        return base64.b64decode(body["base64"])
    return b"".join(piece.encode() * times for piece, times in body["repeat"])[: MAX_INPUT - 1000]


def _vectors(name: str) -> Iterator[dict[str, Any]]:
    for cases in json.loads((VECTORS / f"{name}.json").read_text("utf-8")).values():
        for case in cases if isinstance(cases, list) else ():
            if isinstance(case.get("header", ""), str):
                yield case
