"""A script that sends a delivery once more from a shell, signed anew: bash, curl and openssl.

It holds no secret: it reads `SECRET` from the environment. All that an organisation or a payload says is quoted, or in
base64, so that it is data to the shell and to the terminal that it may be pasted into.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping

from kirimhook.contract.headers import CONTENT_LENGTH, SIGNATURE

MOST = 64 * 1024
"""Bytes of a body that goes into the script; a larger one it reads from a file."""
_MADE_BY_CURL = frozenset(("host", CONTENT_LENGTH.lower(), SIGNATURE.lower()))

_SCRIPT = """\
# Sends this delivery once more, signed now with $SECRET (whsec_…), to see what the endpoint answers.
# To a receiver that has had the event it is a duplicate: it is acknowledged and not handled again.
(
set -eu
: "${{SECRET:?set SECRET to the signing secret, whsec_…}}"
url={url}
{body}
t=$(date +%s)
v1=$({{ printf '%s.' "$t"; cat "$body"; }} | openssl dgst -sha256 -hmac "$SECRET" -r | cut -d ' ' -f 1)
curl --globoff --silent --show-error --include --max-time 10 --url "$url" \\
{headers}
  --header 'Expect:' \\
  --header "{signature}: t=$t,v1=$v1" \\
  --data-binary "@$body"
)
"""
_HERE = """\
body=$(mktemp)
trap 'rm -f "$body"' EXIT
{written}"""
_FILE = """body=${{BODY:?set BODY to the file that the {size} bytes of the body were saved in}}"""


def script(url: str, headers: Mapping[str, str], body: bytes | None, size: int) -> str:
    """A POST of `body` to `url` with these headers, but for those that curl and the signature make.

    `body` None, or more than `MOST` bytes of it: `size` bytes are read from the file that `BODY` names.
    """
    kept = [(name, value) for name, value in headers.items() if name.lower() not in _MADE_BY_CURL]
    lines = [f"  --header {_quoted(f'{name}: {value}')} \\" for name, value in kept]
    written = _FILE.format(size=size) if body is None or len(body) > MOST else _HERE.format(written=_written(body))
    return _SCRIPT.format(url=_quoted(url), body=written, headers="\n".join(lines), signature=SIGNATURE)


def _written(body: bytes) -> str:
    """As text where all of it can be seen; else in base64, as a terminal acts on some characters."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = ""
    if text.isprintable() and text:
        return f"printf '%s' {_quoted(text)} > \"$body\""
    lines = base64.encodebytes(body).decode()
    return f"base64 -d > \"$body\" <<'BODY'\n{lines}BODY"


def _quoted(text: str) -> str:
    """One word of the shell, always in quotes. ValueError where no word can be it."""
    if not text.isprintable():
        raise ValueError("only what can be seen is put into a script")
    return shlex.quote(text) if shlex.quote(text) != text else f"'{text}'"
