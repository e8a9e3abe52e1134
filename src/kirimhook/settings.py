"""What can be set, one frozen object per half. A setting is documented and bounded where it is declared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, NamedTuple, get_args, get_type_hints

from kirimhook.contract.events import Identity

_KIB = 1024
_MIB = 1024 * _KIB


class SettingsError(ValueError):
    """A setting is out of bounds. `key` names it."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}")
        self.key = key


class Setting(NamedTuple):
    """What a setting is for, and the range that it must lie in."""

    about: str
    least: float = float("-inf")
    most: float = float("inf")


@cache
def described(settings: type[Any]) -> dict[str, tuple[type, Setting]]:
    """Type and description of every setting of a settings class, for validation, documents and `--help`."""
    hints = get_type_hints(settings, include_extras=True)
    return {name: get_args(hint) for name, hint in hints.items() if len(get_args(hint)) == 2}


def check(settings: Any) -> None:
    """Raise `SettingsError` for the first setting that is of another type or out of its range."""
    for name, (expected, setting) in described(settings.__class__).items():
        value = getattr(settings, name)
        if not _fits(value, expected):
            raise SettingsError(name, f"must be of type {expected.__name__}, not {value!r}")
        if isinstance(value, int | float) and not setting.least <= value <= setting.most:  # NaN is refused too
            raise SettingsError(name, f"must be from {setting.least} to {setting.most}, not {value!r}")


def _fits(value: object, expected: type) -> bool:
    if isinstance(value, bool) and expected is not bool:
        return False
    return isinstance(value, (int, float) if expected is float else expected)


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    """How a receiver behaves. Raises `SettingsError`, naming the key, for what cannot be.

    Durations are seconds, sizes bytes.
    """

    identity: Annotated[Identity, Setting("Deduplicate by the id in the header, or the one in the signed body.")] = (
        Identity.HEADER
    )
    tolerance: Annotated[float, Setting("How old a signature may be, or how far ahead.", 1, 86_400)] = 300.0
    max_body: Annotated[int, Setting("Largest body; a larger one is 413, for ever.", 1, 256 * _MIB)] = 4 * _MIB
    max_buffered: Annotated[
        int, Setting("All bodies being read at one time; what would exceed it is 503.", 64 * _KIB)
    ] = 128 * _MIB
    commit_timeout: Annotated[float, Setting("How long a commit may take before the answer is 503.", 0.01, 9)] = 5.0
    retry_after: Annotated[int, Setting("Retry-After of a 503 for which storage names none.", 1, 3600)] = 5
    off_loop_from: Annotated[
        int, Setting("Bodies of this size and more are verified in a thread: nobody waits for them.", 1)
    ] = 256 * _KIB

    def __post_init__(self) -> None:
        check(self)
