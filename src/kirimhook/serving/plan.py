"""What a command runs in its processes, as its supervisor and the process itself see it: one for each half."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Mapping

    from kirimhook.admin.app import AdminApp
    from kirimhook.admin.report import AnyFleet, ProcessReport, Totals
    from kirimhook.observe import Observer


class Sockets(NamedTuple):
    """What a whole command listens on."""

    public: socket.socket | None
    admin: socket.socket | None


class Service(Protocol):
    """What one process runs. Started once, stopped once, on one event loop."""

    @property
    def observer(self) -> Observer: ...

    async def start(self, bound: socket.socket | None) -> None:
        """Raises `ServeError`; then nothing runs."""
        ...

    async def stop(self) -> None:
        """Finish what was begun."""
        ...

    async def refresh(self) -> None:
        """Read anew what is read from files. What cannot be read changes nothing."""
        ...

    async def report(self) -> ProcessReport: ...

    async def counts(self) -> ProcessReport:
        """The same, without a look at the storage: what is said of that was true when it was last asked."""
        ...


class Plan(Protocol):
    """How many processes there are, where they listen, what they say together. Plain: it runs nothing itself."""

    @property
    def processes(self) -> int: ...

    @property
    def drain(self) -> float:
        """Seconds that a process may take to finish what it has begun."""
        ...

    @property
    def totals(self) -> Totals:
        """Of no process."""
        ...

    @property
    def fleet(self) -> Callable[..., AnyFleet]: ...

    def open_sockets(self) -> Sockets:
        """Bound once, before anything starts, so that what cannot be had is said at once. Raises `ServeError`."""
        ...

    def read_report(self, data: Mapping[str, Any]) -> ProcessReport: ...

    def admin(
        self, fleet: Callable[[], Awaitable[Any]], counts: Callable[[], Awaitable[Any]], service: Any
    ) -> AdminApp:
        """`fleet` asks for reports, `counts` for what was counted alone.

        `service` is None where there are several, in processes of their own.
        """
        ...

    def tell_started(self, observer: Observer, sockets: Sockets, service: Any) -> None:
        """The line that says where it listens: for people, and for whoever started it on port 0.

        `service` is None where there are several.
        """
        ...

    def tell_stopping(self, observer: Observer, signal: str | None) -> None: ...

    def tell_stopped(self, observer: Observer) -> None: ...
