"""What a rotation keeps on disk to go on after an interruption. No secret is in it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from kirimhook.operating.files import remove, write_atomically
from kirimhook.operating.rotation.errors import RotationError
from kirimhook.operating.rotation.steps import Step

if TYPE_CHECKING:
    from pathlib import Path

VERSION = 1
_MOST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Journal:
    """Times are unix seconds, fingerprints as `Secret.fingerprint` gives them."""

    subscription_id: str
    step: Step
    key: str
    """The Idempotency-Key of the call that adds the secret: whoever calls again gets the same one."""
    before: tuple[str, ...]
    """Ids of the secrets that were in force, and will be deleted."""
    old: tuple[str, ...]
    """Fingerprints of their lines in the file."""
    unsaid: tuple[str, ...] = ()
    """Those of `old` whose lines do not say what they are of, nor did anybody: to be proven."""
    posted_at: float | None = None
    """When the call that adds the secret was made first; None before."""
    added_at: float | None = None
    """When it had been answered, at the latest."""
    new_id: str | None = None
    new_fingerprint: str | None = None


class JournalFile:
    """Beside the secrets file. Raises `RotationError`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> Journal | None:
        """None where no rotation is under way."""
        try:
            with self.path.open("rb") as file:
                content = file.read(_MOST)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._error("read", error) from None
        try:
            return _journal(json.loads(content))
        except (ValueError, TypeError, KeyError, RecursionError):
            raise RotationError(f"{self.path}: it is not what this version writes down of a rotation") from None

    def save(self, journal: Journal) -> None:
        """On disk when this returns."""
        content = json.dumps({"version": VERSION, **asdict(journal)}, indent=1)
        try:
            write_atomically(self.path, f"{content}\n".encode())
        except OSError as error:
            raise self._error("written", error) from None

    def remove(self) -> None:
        try:
            remove(self.path)
        except OSError as error:
            raise self._error("removed", error) from None

    def _error(self, what: str, error: OSError) -> RotationError:
        return RotationError(f"{self.path}: it cannot be {what}: {error.strerror or type(error).__name__}")


def _journal(found: dict[str, Any]) -> Journal:
    if found.pop("version") != VERSION:
        raise ValueError("another version's")
    lists = {name: tuple(found[name]) for name in ("before", "old", "unsaid")}
    return Journal(**{**found, **lists, "step": Step(found["step"])})
