"""Fill in what the vectors expect of cryptography, with openssl: never with the code under test.

    python regenerate.py [DIRECTORY]            compute every signature and digest and write the files
    python regenerate.py --check [DIRECTORY]    write nothing; exit 1 and name the files that differ

Only the fields named in README.md as computed are touched. Standard library and the `openssl` program.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

PLACEHOLDER = re.compile(r"<(\d+)( upper)?>")


def openssl(data: bytes, *options: str) -> str:
    """What `openssl dgst -sha256` says of these bytes, in hex."""
    done = subprocess.run(["openssl", "dgst", "-sha256", *options], input=data, capture_output=True, check=True)
    return done.stdout.decode().split()[-1]


def mac(secret: str, message: bytes) -> str:
    """HMAC-SHA256 with the bytes of the secret as the key."""
    return openssl(message, "-mac", "HMAC", "-macopt", f"hexkey:{secret.encode().hex()}")


def content(body: Any) -> bytes:
    """The bytes a body stands for: text, base64, or pieces with how often each is repeated."""
    if isinstance(body, str):
        return body.encode()
    if "base64" in body:
        return base64.b64decode(body["base64"])
    return b"".join(piece.encode() * times for piece, times in body["repeat"])


def signed_message(case: dict[str, Any]) -> bytes:
    """What the signers of a case signed: the timestamp, a dot and the body; the body alone without timestamp."""
    body = content(case.get("signed_body", case["body"]))
    return body if case["signed_at"] is None else case["signed_at"].encode() + b"." + body


def fill_header(case: dict[str, Any]) -> None:
    """`header` is the template with `<n>` replaced by the signature of the n-th signer."""
    template = case["template"]
    if not isinstance(template, str):
        case["header"] = template
        return
    macs = [mac(signer, signed_message(case)) for signer in case["signers"]]

    def written(match: re.Match[str]) -> str:
        found = macs[int(match[1])]
        return found.upper() if match[2] else found

    case["header"] = PLACEHOLDER.sub(written, template)


def fill_signing(case: dict[str, Any]) -> None:
    """`header` as a sender writes it: the time, then one signature for each secret."""
    message = f"{case['now']}.".encode() + content(case["body"])
    case["header"] = ",".join([f"t={case['now']}", *(f"v1={mac(secret, message)}" for secret in case["secrets"])])


def fill_identity(case: dict[str, Any]) -> None:
    """`dedupe_key` is half a SHA-256 of source, newline and id; for a status with half a SHA-256 of the body."""
    expect = case["expect"]
    if "refused" not in expect:
        named = openssl(f"{expect['source']}\n{expect['event_id']}".encode())[:32]
        expect["dedupe_key"] = named + (openssl(content(case["body"]))[:32] if expect["with_body"] else "")


def fill_reading(case: dict[str, Any]) -> None:
    """The ordering key of a case with `digest_of` is the SHA-256 of what that names."""
    if "digest_of" in case:
        case["expect"]["ordering_key"] = "sha256:" + openssl(content(case["digest_of"]))


COMPUTED = {
    "signatures.json": fill_header,
    "tolerance.json": fill_header,
    "signing.json": fill_signing,
    "identities.json": fill_identity,
    "readings.json": fill_reading,
}


def regenerated(path: Path) -> str:
    """The file as it should be."""
    vectors = json.loads(path.read_text("utf-8"))
    for cases in vectors.values():
        for case in cases if isinstance(cases, list) else ():
            COMPUTED[path.name](case)
    return json.dumps(vectors, indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Fill in the vectors with openssl.")
    parser.add_argument("directory", nargs="?", type=Path, default=Path(__file__).parent)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file differs")
    options = parser.parse_args()
    different = []
    for path in (options.directory / name for name in COMPUTED):
        text = regenerated(path)
        if text != path.read_text("utf-8"):
            different.append(path.name)
            if not options.check:
                path.write_text(text, "utf-8")
    print(f"{len(COMPUTED)} files computed with openssl; different: {', '.join(different) or 'none'}")
    return 1 if options.check and different else 0


if __name__ == "__main__":
    sys.exit(main())
