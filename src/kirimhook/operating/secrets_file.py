"""A secrets file as commands change it: the list that receivers read, with what each secret is of beside it.

One secret a line, as `receiver.secrets.listing` reads it. A line that a command adds is preceded by a comment
`# wbs_… sec_…`, so that a file with the secrets of several subscriptions stays sorted out.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kirimhook.contract.signature import Secret
from kirimhook.operating.files import write_atomically
from kirimhook.receiver.secrets import listing
from kirimhook.receiver.secrets.sources import MAX_FILE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

_BOM = "\ufeff"
_NOTE = re.compile(r"#\s*(wbs_\w+)\s+(sec_\w+)")


class SecretsFileError(Exception):
    """The file cannot be read, taken or written. One line that names the file and quotes nothing of it."""


class Entry(NamedTuple):
    """One secret of the file, and what the comment before it says, if it says anything."""

    secret: Secret
    subscription_id: str | None = None
    secret_id: str | None = None


class _Line(NamedTuple):
    text: str
    """As it stands, without its newline."""
    entry: Entry | None
    """None: blank, or a comment."""


class SecretsFile:
    """Changed by one command at a time, whole or not at all; what is no line of theirs stays as it stands.

    A file that receivers would not take is not changed, and none is made that they would not take.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def entries(self) -> list[Entry]:
        """In their order, each secret once: as its comment says, where it has one. Raises SecretsFileError."""
        found: dict[Secret, Entry] = {}
        for line in self._lines():
            if line.entry and (line.entry.subscription_id or line.entry.secret not in found):
                found[line.entry.secret] = line.entry
        return list(found.values())

    def add(self, secret: Secret, subscription_id: str, secret_id: str) -> None:
        """Have this secret in it, said to be of this subscription; a file that is not there is made, mode 0600.

        Nothing is written where it is there and says so. Raises SecretsFileError, and ValueError for ids that a
        comment cannot carry.
        """
        note = f"# {subscription_id} {secret_id}"
        if not _NOTE.fullmatch(note):
            raise ValueError("the comment takes the id of a subscription and the id of a secret")
        added = [_Line(note, None), _Line(secret.reveal(), Entry(secret, subscription_id, secret_id))]

        def change(lines: list[_Line]) -> list[_Line]:
            return lines if added[1].entry in _entries(lines) else [*_without(lines, [secret]), *added]

        self._change(change, may_be_empty=True)

    def drop(self, secrets: Collection[Secret]) -> None:
        """Have none of these in it, nor the comments that say what they are of.

        Nothing is written where it holds none of them. Raises SecretsFileError: also where no secret would be left.
        """
        self._change(lambda lines: _without(lines, secrets))

    def check(self) -> None:
        """Show that a secret could be added now: there is room for it, and the file can be written.

        Raises SecretsFileError.
        """
        another = Secret("whsec_" + "A" * 64)
        try:
            with _alone(self.path.resolve().parent):
                lines = self._lines(may_be_empty=True)
                self._check(_content([*lines, _Line(another.reveal(), Entry(another))]))
                with tempfile.TemporaryFile(dir=self.path.resolve().parent):
                    pass
                if lines:
                    write_atomically(self.path, _content(lines))
        except OSError as error:
            raise self._error(f"it cannot be written: {error.strerror or type(error).__name__}") from None

    def _change(self, change: Callable[[list[_Line]], list[_Line]], *, may_be_empty: bool = False) -> None:
        try:
            with _alone(self.path.resolve().parent):
                lines = self._lines(may_be_empty=may_be_empty)
                changed = change(lines)
                if changed != lines:
                    content = _content(changed)
                    self._check(content)
                    write_atomically(self.path, content)
        except OSError as error:
            raise self._error(f"it cannot be written: {error.strerror or type(error).__name__}") from None

    def _lines(self, *, may_be_empty: bool = False) -> list[_Line]:
        """What the file holds. `may_be_empty`: it may be missing, and have no secret in it."""
        try:
            with self.path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            if may_be_empty:
                return []
            raise self._error("there is no such file") from None
        except OSError as error:
            raise self._error(f"it cannot be read: {error.strerror or type(error).__name__}") from None
        text = content.decode("utf-8", "replace")  # what is not UTF-8 does not pass the check
        if not (may_be_empty and _has_no_secret(text)):
            self._check(content)
        return list(_parsed(text))

    def _check(self, content: bytes) -> None:
        """Receivers would take it."""
        if len(content) > MAX_FILE_BYTES:
            raise self._error(f"it is larger than {MAX_FILE_BYTES} bytes")
        try:
            listing.from_file(content, ())
        except listing.UnusableListError as error:
            raise self._error(str(error)) from None

    def _error(self, problem: str) -> SecretsFileError:
        return SecretsFileError(f"{self.path}: {problem}")


def _parsed(text: str) -> Iterator[_Line]:
    note: re.Match[str] | None = None
    for line in text.removesuffix("\n").split("\n") if text else ():
        entry = line.removeprefix(_BOM).strip()
        if _counts(entry):
            yield _Line(line, Entry(Secret(entry), *(note.groups() if note else ())))
            note = None
        else:
            note = _NOTE.fullmatch(entry)
            yield _Line(line, None)


def _content(lines: list[_Line]) -> bytes:
    return "".join(f"{line.text}\n" for line in lines).encode()


def _counts(entry: str) -> bool:
    return bool(entry) and not entry.startswith("#")


def _has_no_secret(text: str) -> bool:
    return not any(_counts(line.strip()) for line in text.removeprefix(_BOM).split("\n"))


def _entries(lines: list[_Line]) -> list[Entry | None]:
    return [line.entry for line in lines]


def _without(lines: list[_Line], secrets: Collection[Secret]) -> list[_Line]:
    kept: list[_Line] = []
    for line in lines:
        if line.entry is None or line.entry.secret not in secrets:
            kept.append(line)
        elif line.entry.subscription_id is not None:
            kept.pop()  # the comment that says so
    return kept


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One command at a time, by a lock on the folder: the file itself is replaced, and nothing is left behind."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
