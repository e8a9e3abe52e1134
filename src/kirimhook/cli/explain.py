"""`kirimhook explain`: why a signature does or does not verify."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from kirimhook.cli import output
from kirimhook.cli.captured import read_headers
from kirimhook.cli.diagnosis import Diagnosis, diagnose
from kirimhook.cli.failure import Exit, misuse
from kirimhook.cli.moments import moment
from kirimhook.cli.secrets_given import FILE_HELP, SECRET_HELP, given_secrets

EXAMPLES = """Examples:

  kirimhook explain --headers headers.txt --body body.bin --secrets-file secrets.txt

  kirimhook explain --headers request.txt --now 2026-05-23T10:00:03Z

  kirimhook explain --headers headers.json --body body.bin --json | jq .reason

Exit codes: 0 it verifies, 1 it does not, 2 the command line or a file makes no sense."""

HeadersFile = Annotated[
    Path,
    typer.Option(
        "--headers",
        help="Headers as `Name: value` lines, as curl -i or -v shows them, or as JSON; -: standard input.",
    ),
]
BodyFile = Annotated[
    Path | None,
    typer.Option("--body", help="The body, byte for byte. Without it: what follows the headers after a blank line."),
]


def explain(
    headers: HeadersFile,
    body: BodyFile = None,
    secret: Annotated[list[str] | None, typer.Option("--secret", help=SECRET_HELP)] = None,
    secrets_file: Annotated[Path | None, typer.Option("--secrets-file", help=FILE_HELP)] = None,
    now: Annotated[
        str | None, typer.Option("--now", metavar="TIME", help="When it arrived: ISO 8601, unix seconds, or 2h (ago).")
    ] = None,
    as_document: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Say why a captured request verifies or does not: wrong secret, changed body, clock, missing part.

    Shows secrets by fingerprint only: the first 12 hex digits of their SHA-256, as logs and /status do.
    """
    captured = read_headers(_read(headers, "--headers"))
    content = _read(body, "--body") if body is not None else captured.body
    if content is None:
        raise misuse("no body: give --body, or a --headers file that holds it after a blank line")
    at = time.time() if now is None else moment(now, time.time())
    diagnosis = diagnose(captured.headers, content, given_secrets(secret or (), secrets_file), at)
    if as_document:
        output.document(diagnosis.to_json())
    else:
        _show(diagnosis)
    raise typer.Exit(Exit.OK if diagnosis.verifies else Exit.NO)


def _read(file: Path, option: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise misuse(f"{option} {file}: {error.strerror}") from None


def _show(diagnosis: Diagnosis) -> None:
    output.text(f"{'verifies' if diagnosis.verifies else 'does not verify'}: {diagnosis.explanation}")
    for hint in diagnosis.hints:
        output.text(f"  - {output.printable(hint)}")
    output.text("")
    output.pairs(
        [
            *((f"secret {known.fingerprint}", "matches" if known.matches else "no") for known in diagnosis.secrets),
            ("signed at", diagnosis.signed_at),
            ("our clock", _clock(diagnosis.skew_seconds)),
            ("a receiver answers", diagnosis.receiver_answers),
            *((name.replace("_", " "), value) for name, value in diagnosis.headers.items()),
            ("body", f"{diagnosis.body['bytes']} bytes, SHA-256 {diagnosis.body['sha256']}"),
            ("body is", _kind(diagnosis)),
            *((f"identity={mode}", _identity(found)) for mode, found in diagnosis.identity.items()),
            ("ordering key", diagnosis.ordering_key),
        ]
    )


def _clock(skew: float | None) -> str | None:
    if skew is None:
        return None
    return f"{abs(skew):.0f} s {'after' if skew >= 0 else 'before'} the time of signing"


def _kind(diagnosis: Diagnosis) -> str:
    found = diagnosis.body
    return found["problem"] or f"{found['source'] or 'of no known source'}: {', '.join(found['types']) or 'no type'}"


def _identity(found: dict[str, str] | None) -> str:
    return "refused" if found is None else f"{found['event_id']} (dedupe key {found['dedupe_key']})"
