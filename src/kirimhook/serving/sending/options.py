"""What `sender` was asked to run. Plain data, checked where it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kirimhook.serving.limits import Limits
from kirimhook.serving.options import OptionsError
from kirimhook.settings import SenderSettings

if TYPE_CHECKING:
    from pathlib import Path

    from kirimhook.serving.options import Address
    from kirimhook.serving.server import Tls


@dataclass(frozen=True, slots=True)
class SenderOptions:
    """One `sender`, of `processes` processes."""

    database: str
    listen: Address | None = None
    """Where the API is. None: engine only."""
    tls: Tls | None = None
    ca: Path | None = None
    """The authority to trust, where the certificate is of our own making."""
    engine: bool = True
    admin: Address | None = None
    processes: int = 1
    master_key_file: Path | None = None
    """None: the environment, or the usual file beside the database."""
    notify: str | None = None
    settings: SenderSettings = field(default_factory=SenderSettings)
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.listen is None and not self.engine:
            raise OptionsError("neither an API nor an engine: there is nothing to run")
        if ":memory:" in self.database:
            raise OptionsError("a database in memory ends with its process: name a file, sqlite:///sender.db")
