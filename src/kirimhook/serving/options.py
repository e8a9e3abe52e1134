"""What `serve` and `work` were asked to run. Plain data, checked where it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kirimhook.serving.limits import Limits
from kirimhook.settings import ReceiverSettings
from kirimhook.telling.tellers import teller_of

if TYPE_CHECKING:
    import os

    from kirimhook.serving.server import Tls


class ServeError(Exception):
    """It cannot be run so, and a new start will not help until somebody changes something. One line."""


class OptionsError(ServeError):
    """What was asked for makes no sense."""


def check_notify(given: str | None) -> None:
    """Raises `OptionsError` for what is neither a command nor a URL."""
    try:
        if given is not None:
            teller_of(given)
    except ValueError as error:
        raise OptionsError(f"--notify: {error}") from None


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int
    """0 takes any free one."""

    def url(self, scheme: str, path: str = "") -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}{path}"


@dataclass(frozen=True, slots=True)
class Listen:
    """Where webhooks are received."""

    address: Address
    path: str
    tls: Tls | None = None

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or not self.path.isprintable() or set("?# ") & set(self.path):
            raise OptionsError(f"the path {self.path!r} must begin with / and hold no blank, ? or #")


@dataclass(frozen=True, slots=True)
class Options:
    """One `serve` (`listen` set) or `work` (`listen` None), of `processes` processes."""

    inbox: str
    inbox_options: Mapping[str, Any] = field(default_factory=dict)
    listen: Listen | None = None
    work: bool = True
    secrets_file: str | os.PathLike[str] | None = None
    """None: from the environment."""
    admin: Address | None = None
    processes: int = 1
    settings: ReceiverSettings = field(default_factory=ReceiverSettings)
    limits: Limits = field(default_factory=Limits)
    notify: str | None = None
    """Who is told of parked events: a command or a URL."""

    def __post_init__(self) -> None:
        check_notify(self.notify)
        if self.processes > 1 and ":memory:" in self.inbox:
            raise OptionsError("an inbox in memory belongs to one process")
