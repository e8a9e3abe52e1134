"""What a form sends: `application/x-www-form-urlencoded`, bounded and strict. Files are not taken."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.requests import Request

FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 1000


class BadForm(Exception):
    """What was sent is not a form of ours. `status` is that of the answer, `text` says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Form:
    """The fields of a form, in the order they came."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def one(self, name: str, default: str | None = None) -> str:
        """The value of a field. Raises BadForm where it came twice, or not at all and there is no default."""
        values = self._values.get(name, [])
        if len(values) == 1:
            return values[0]
        if not values and default is not None:
            return default
        raise BadForm(400, f"the field {name!r} came {len(values)} times, not once")

    def many(self, name: str) -> list[str]:
        """The values of a field that may come any number of times."""
        return list(self._values.get(name, []))

    def allow(self, *names: str) -> Form:
        """Itself. Raises BadForm where it has a field of another name."""
        unknown = sorted(set(self._values) - set(names))
        if unknown:
            raise BadForm(400, f"unknown field {unknown[0]!r}")
        return self

    def typed(self) -> Mapping[str, list[str]]:
        """All that was sent, by name: to show a form again as it was filled in."""
        return self._values


async def read_form(request: Request, *, most: int = 64 * 1024) -> Form:
    """The form in a request's body of at most `most` bytes.

    Raises BadForm: 415 for another content type, 413 for too much, 400 for what does not decode as UTF-8, has more
    than 1000 fields, or a NUL (which no database here keeps in a text).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        raise BadForm(415, f"a form is sent as {FORM}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise BadForm(413, f"a form has at most {most} bytes")
    return Form(_parsed(bytes(body)))


def _parsed(body: bytes) -> list[tuple[str, str]]:
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            encoding="utf-8",
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError as error:  # UnicodeDecodeError is one
        raise BadForm(400, "this is not a form") from error
    if any("\0" in name or "\0" in value for name, value in pairs):
        raise BadForm(400, "a field holds a NUL")
    return [(name, value.replace("\r\n", "\n")) for name, value in pairs]
