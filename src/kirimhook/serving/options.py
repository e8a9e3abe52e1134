"""What `serve` and `work` were asked to run. Plain data, checked where it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kirimhook.serving.limits import Limits
from kirimhook.settings import ReceiverSettings
from kirimhook.telling.tellers import teller_of

if TYPE_CHECKING:
    import os

    from kirimhook.serving.server import Tls


TOKEN_VARIABLE = "KIRIMHOOK_ADMIN_TOKEN"  # noqa: S105  # its name, not the token


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


LEAST_TOKEN = 16
"""Characters."""


@dataclass(frozen=True, slots=True)
class PagesOptions:
    """Who may see the pages of the admin port."""

    token: str | None = field(default=None, repr=False)
    """None: whoever is on this machine, where the port is on loopback; else nobody."""
    hosts: tuple[str, ...] = ()
    """Names in the Host header that are let in without a token, beside this machine's own."""

    def __post_init__(self) -> None:
        token = self.token
        if token is not None and (len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable()):
            raise OptionsError(f"the admin port's token must be {LEAST_TOKEN} or more printable ASCII characters")


def read_token(file: os.PathLike[str] | None, environ: Mapping[str, str]) -> str | None:
    """The token of the admin port's pages: of the file, else of the environment. Raises `OptionsError`."""
    if file is None:
        return environ.get(TOKEN_VARIABLE) or None
    try:
        return Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionsError(f"--admin-token-file: cannot read {file}: {error}") from error


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
    pages: PagesOptions | None = field(default_factory=PagesOptions)
    """None: the admin port is for programs alone."""
    processes: int = 1
    settings: ReceiverSettings = field(default_factory=ReceiverSettings)
    limits: Limits = field(default_factory=Limits)
    notify: str | None = None
    """Who is told of parked events: a command or a URL."""

    def __post_init__(self) -> None:
        check_notify(self.notify)
        if self.processes > 1 and ":memory:" in self.inbox:
            raise OptionsError("an inbox in memory belongs to one process")
