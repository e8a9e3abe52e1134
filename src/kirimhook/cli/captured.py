"""Headers as people have them: raw lines, what `curl -i` or `-v` shows, JSON of a log, a WSGI environment."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from kirimhook.cli.failure import misuse

Header = tuple[bytes, bytes]

_FIRST_LINE = re.compile(rb"[A-Z]+ \S+ HTTP/[\d.]+|HTTP/[\d.]+ \d{3}.*")
_END = re.compile(rb"\r?\n\r?\n")
_CGI = "HTTP_"
_CGI_TOO = {"CONTENT_TYPE", "CONTENT_LENGTH"}


class Captured(NamedTuple):
    """`body`: what follows the headers after a blank line, or None where nothing does."""

    headers: list[Header]
    body: bytes | None


def read_headers(raw: bytes) -> Captured:
    """Raises `Failure`, naming the line, for what is none of the known forms."""
    start = raw.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start[:1] in (b"{", b"["):
        return Captured(list(_from_json(start)), None)
    parts = _END.split(start, maxsplit=1)
    body = parts[1] if len(parts) > 1 and parts[1].strip() else None
    return Captured(list(_from_lines(parts[0].splitlines())), body)


def _from_lines(lines: list[bytes]) -> Iterator[Header]:
    if any(line.startswith((b"> ", b"< ")) for line in lines):  # curl -v: what was sent
        lines = [line.removeprefix(b"> ") for line in lines if line.startswith(b"> ")]
    for number, line in enumerate(lines, 1):
        if not line.strip() or (number == 1 and _FIRST_LINE.fullmatch(line.strip())):
            continue
        name, colon, value = line.partition(b":")
        if not colon or not name.strip():
            raise misuse(f"--headers: line {number} is no `Name: value`")
        yield name.strip(), value.strip()


def _from_json(raw: bytes) -> Iterator[Header]:
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise misuse(f"--headers: it begins like JSON, but is none: {error}") from None
    for name, value in _pairs(data):
        for single in value if isinstance(value, list) else [value]:
            if not isinstance(name, str) or not isinstance(single, str | int):
                raise misuse(f"--headers: {name!r} is not a name with a text")
            yield _spelt(name).encode("utf-8", "replace"), str(single).strip().encode("utf-8", "replace")


def _pairs(data: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(data, dict):
        yield from data.items()
        return
    for entry in data:
        match entry:
            case [name, value]:
                yield name, value
            case {"name": name, "value": value}:
                yield name, value
            case _:
                raise misuse("--headers: a JSON list holds [name, value] or {name, value}")


def _spelt(name: str) -> str:
    """`HTTP_X_KIRIM_EVENT` of an environment is X-KIRIM-EVENT."""
    if name.startswith(_CGI) or name in _CGI_TOO:
        return name.removeprefix(_CGI).replace("_", "-")
    return name
