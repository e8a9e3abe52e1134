"""Two API processes and three engines on one PostgreSQL, any of which can be killed and started again."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from kirimhook.testing.served import Served
from tests.crash.processes import Processes

LEASE = 5
"""Seconds until another engine may have what a killed one held."""
SCHEDULE = "0,0.3,0.5,1,1,1,1,1"
APIS = 2
ENGINES = 3


@dataclass(slots=True)
class Member:
    """One process, and the options to start it again with."""

    options: tuple[str, ...]
    is_engine: bool
    served: Served
    url: str


@dataclass(slots=True)
class Fleet:
    """`kills`: when an engine was killed, in unix seconds; API processes are only counted."""

    processes: Processes
    database: str
    members: list[Member] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
    api_kills: int = 0

    def start(self, *options: str) -> None:
        """All of them, one after the other. Raises ServeFailed."""
        engine = ("--engine-only", "--schedule", SCHEDULE, "--set", f"lease={LEASE}", *options)
        for arguments, count in ((("--api-only", "--set", "writes_per_minute=0"), APIS), (engine, ENGINES)):
            for _ in range(count):
                self.members.append(self._member(arguments))

    @property
    def urls(self) -> list[str]:
        return [member.url for member in self.members if not member.is_engine]

    def kill(self, index: int) -> None:
        """SIGKILL to one of them, and a new one in its place. Returns when that runs. Raises ServeFailed."""
        member = self.members[index]
        member.served.kill()
        if member.is_engine:
            self.kills.append(time.time())
        else:
            self.api_kills += 1
        self.members[index] = self._member(member.options)

    def _member(self, options: tuple[str, ...]) -> Member:
        served = self.processes.start_sender(*options, database=self.database)
        return Member(options, "--engine-only" in options, served, served.started().get("url", ""))
