"""What can be set, one frozen object per half. A setting is documented and bounded where it is declared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from ipaddress import ip_network
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

from kirimhook.contract.events import DOCUMENTED_TYPES, Identity, is_type
from kirimhook.contract.retry import SCHEDULE

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
    notify_every: Annotated[
        float, Setting("From one summary that --notify tells to the next; the first goes at once.", 0.01, 86_400)
    ] = 60.0

    def __post_init__(self) -> None:
        check(self)
        _check_delays("retry_delays", self.retry_delays)


def _check_delays(key: str, delays: tuple[float, ...]) -> None:
    for delay in delays:
        if not _fits(delay, float) or not 0 <= delay <= _YEAR:
            raise SettingsError(key, f"must be seconds from 0 to {_YEAR}, not {delay!r}")
    if not delays:
        raise SettingsError(key, "must hold at least one delay")


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """How a sender behaves. Raises `SettingsError`, naming the key, for what cannot be.

    Durations are seconds, sizes bytes. The defaults are contract section 4's.
    """

    catalogue: Annotated[tuple[str, ...], Setting("The event types that exist.")] = DOCUMENTED_TYPES
    max_event: Annotated[int, Setting("Largest body of a publish.", 1, 256 * _MIB)] = 4 * _MIB
    max_request: Annotated[int, Setting("Largest body of any other call.", 1, 16 * _MIB)] = 64 * _KIB
    max_buffered: Annotated[
        int, Setting("All bodies of calls being read at one time; what would exceed it is 503.", 64 * _KIB)
    ] = 64 * _MIB
    max_secrets: Annotated[int, Setting("Secrets in force for one subscription.", 1, 32)] = 5
    writes_per_minute: Annotated[int, Setting("Calls that change something; 0: no limit.", 0)] = 600
    reads_per_minute: Annotated[int, Setting("Calls that read; 0: no limit.", 0)] = 6000
    events_per_minute: Annotated[int, Setting("Calls that publish; 0: no limit.", 0)] = 0
    idempotency_seconds: Annotated[float, Setting("How long an Idempotency-Key is remembered.", 1, _YEAR)] = 86_400.0

    schedule: Annotated[tuple[float, ...], Setting("Seconds before each attempt, the first one first.")] = SCHEDULE
    attempt_timeout: Annotated[float, Setting("One attempt, from resolving the name to the last byte.", 0.01, 60)] = (
        10.0
    )
    max_response: Annotated[int, Setting("How much of an answer is read, and kept.", 0, _MIB)] = 4 * _KIB
    ca_bundle: Annotated[str, Setting("Authorities (PEM file) to trust beside the system's; empty: none.")] = ""
    allow_networks: Annotated[
        tuple[str, ...], Setting("Networks (CIDR) that are dialled although they are not public.")
    ] = ()
    in_flight: Annotated[int, Setting("Attempts under way at one time.", 1, 100_000)] = 2048
    in_flight_per_endpoint: Annotated[int, Setting("… to one subscription.", 1, 10_000)] = 32
    held: Annotated[int, Setting("Deliveries leased at one time, those under way included.", 1, 1_000_000)] = 16_384
    held_per_endpoint: Annotated[int, Setting("… of one subscription.", 1, 100_000)] = 256
    held_background: Annotated[
        int, Setting("… of what waits behind its live traffic: held ones, bulk replays.", 1, 100_000)
    ] = 64
    held_bytes: Annotated[int, Setting("Bodies in memory at one time.", _MIB)] = 64 * _MIB
    lease: Annotated[float, Setting("How long a leased delivery is an engine's own without renewal.", 0.1, 3600)] = 30.0
    poll: Annotated[float, Setting("How often an idle engine looks for work published elsewhere.", 0.001, 60)] = 0.1
    refresh: Annotated[
        float, Setting("How soon an engine sees that a subscription was changed elsewhere.", 0.01, 60)
    ] = 1.0
    drain_timeout: Annotated[float, Setting("How long a stopping engine waits for its attempts.", 0, 3600)] = 15.0

    disable_after: Annotated[int, Setting("Failed deliveries in a row that disable a subscription.", 1)] = 20
    held_bound: Annotated[int, Setting("Open deliveries that a disabled subscription may hold.", 0)] = 100_000
    retention: Annotated[float, Setting("How long a delivery is kept.", 1, 10 * _YEAR)] = 30 * 86_400.0
    session_seconds: Annotated[
        float, Setting("How long one stays signed in to the dashboard; no longer than the key is good.", 60, _YEAR)
    ] = 43_200.0
    keep_interval: Annotated[float, Setting("Between rounds of retention, deletion and expiry.", 0.01, 86_400)] = 60.0
    keep_batch: Annotated[int, Setting("Rows of one step of them.", 1, 100_000)] = 1000
    notify_every: Annotated[
        float, Setting("From one summary that --notify tells to the next; the first goes at once.", 0.01, 86_400)
    ] = 60.0

    def __post_init__(self) -> None:
        check(self)
        _check_delays("schedule", self.schedule)
        for name in self.catalogue:
            if not isinstance(name, str) or not is_type(name):
                raise SettingsError("catalogue", f"an event type is noun.verb in [a-z0-9_.], not {name!r}")
        for network in self.allow_networks:
            _check_network(network)


def _check_network(network: str) -> None:
    try:
        ip_network(network)
    except ValueError as error:
        raise SettingsError("allow_networks", str(error)) from None
