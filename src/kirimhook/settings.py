"""What can be set, one frozen object per half. A setting is documented and bounded where it is declared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

from kirimhook.contract.events import Identity

_KIB = 1024
_MIB = 1024 * _KIB
_YEAR = 366 * 86_400


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
        if not _fits(value, get_origin(expected) or expected):
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

    concurrency: Annotated[int, Setting("Handlers that run at one time in a worker process.", 1, 1000)] = 16
    max_leased: Annotated[
        int, Setting("Runs of events a worker may have leased, those that wait for a handler included.", 1, 100_000)
    ] = 1024
    lease: Annotated[
        float, Setting("How long an event is a worker's own without renewal; it renews every third.", 0.1, 3600)
    ] = 30.0
    handler_timeout: Annotated[float, Setting("How long a handler may take, unless it says.", 0.01, 86_400)] = 60.0
    attempts: Annotated[int, Setting("Attempts before an event is parked, unless its handler says.", 1, 1000)] = 10
    retry_delays: Annotated[
        tuple[float, ...], Setting("Seconds before the second attempt, the third …; the last is repeated.")
    ] = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0, 21_600.0, 50_400.0)
    drain_timeout: Annotated[float, Setting("How long a stopping worker waits for its handlers.", 0, 3600)] = 20.0
    dispatch_test_events: Annotated[bool, Setting("Hand events with livemode false to handlers too.")] = False
    purge_interval: Annotated[float, Setting("Between removals of what is past its retention.", 0.01, 86_400)] = 60.0
    purge_batch: Annotated[int, Setting("Events of one step of a removal.", 1, 100_000)] = 1000

    def __post_init__(self) -> None:
        check(self)
        _check_delays("retry_delays", self.retry_delays)


def _check_delays(key: str, delays: tuple[float, ...]) -> None:
    for delay in delays:
        if not _fits(delay, float) or not 0 <= delay <= _YEAR:
            raise SettingsError(key, f"must be seconds from 0 to {_YEAR}, not {delay!r}")
    if not delays:
        raise SettingsError(key, "must hold at least one delay")
