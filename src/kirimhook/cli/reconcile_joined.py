"""The parts of a reconciling, joined: client, inbox, memory, and the turn that one process at a time has."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from kirimhook.cli import output
from kirimhook.cli.api_given import with_api_async
from kirimhook.cli.failure import Failure
from kirimhook.cli.inbox_opened import opened, unusable
from kirimhook.operating.files import HeldError, state_folder, turn
from kirimhook.operating.reconciling.announcing import write_metrics
from kirimhook.operating.reconciling.ground import Ground, Options
from kirimhook.operating.reconciling.looking import Place
from kirimhook.operating.reconciling.memory import Memory
from kirimhook.operating.reconciling.metrics import Figures
from kirimhook.operating.reconciling.passing import Pass, reconcile
from kirimhook.operating.reconciling.plan import Plan
from kirimhook.operating.reconciling.replays import Progress, Resumed
from kirimhook.operating.replaying import SnapshotError
from kirimhook.receiver.inbox import InboxUnavailable

if TYPE_CHECKING:
    from kirimhook.client import AsyncKirim

T = TypeVar("T")

EVERY = 10.0
"""Seconds between two lines of progress."""


@dataclass(frozen=True, slots=True)
class Joined:
    """`api`: its URL, a key, and whom to trust, as they were given."""

    api: tuple[str | None, str | None, Path | None]
    inbox: str
    subscription_id: str
    options: Options
    rate: float | None
    ready: Callable[[], Awaitable[bool]] | None

    def once(self, *, dry_run: bool, metrics: Path | None) -> Pass:
        """One pass. Raises `Failure`, and KeyboardInterrupt having said how to go on."""
        from kirimhook.cli.replay_shown import progress

        async def work(place: Place) -> Pass:
            ground = self.ground(place, progress, _looked())
            came = await reconcile(ground, dry_run=dry_run)
            if metrics is not None:
                spent, is_clean = ground.spent(), came.is_clean and not (dry_run and came.plan.wanted)
                figures = Figures(self.subscription_id, time.time(), came.plan, came.left, spent, is_clean)
                write_metrics(metrics, figures, output.note)
            return came

        try:
            return self.run(work, alone=not dry_run)
        except KeyboardInterrupt:
            output.note("kirimhook: interrupted: run it again, what was replayed is not replayed again")
            raise

    def ground(
        self, place: Place, shown: Progress | None = None, looked: Callable[[Plan], None] | None = None
    ) -> Ground:
        """`shown` and `looked`: progress of replaying and of looking."""
        replayer = Resumed(place, time.time, self.rate, shown)
        return Ground(place, self.options, replayer, time.time, ready=self.ready, progress=looked or (lambda _: None))

    def run(self, work: Callable[[Place], Awaitable[T]], *, alone: bool = True) -> T:
        """What `work` comes to. `alone`: no other process reconciles this subscription meanwhile. Raises `Failure`."""

        async def called(client: AsyncKirim) -> T:
            async with self._place(client) as place:
                return await work(place)

        with self._state(), self._turn() if alone else contextlib.nullcontext():
            return with_api_async(*self.api, called)

    @contextlib.asynccontextmanager
    async def _place(self, client: AsyncKirim) -> AsyncIterator[Place]:
        async with opened(self.inbox) as inbox:
            with Memory(state_folder() / f"reconcile-{self.subscription_id}.db") as memory:
                try:
                    yield Place(client, inbox, memory, self.subscription_id)
                except InboxUnavailable as error:
                    raise unusable(self.inbox, error) from error

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        try:
            with turn(state_folder() / f"reconcile-{self.subscription_id}.lock"):
                yield
        except HeldError:
            raise Failure(f"another process reconciles {self.subscription_id} now") from None

    @contextlib.contextmanager
    def _state(self) -> Iterator[None]:
        try:
            yield
        except SnapshotError as error:
            raise Failure(str(error)) from error
        except (OSError, sqlite3.Error) as error:
            raise Failure(f"what reconcile keeps on disk ({_folder()}) cannot be used: {error}") from error


def _folder() -> str:
    try:
        return str(state_folder())
    except OSError as error:
        return str(error.filename)


def _looked() -> Callable[[Plan], None]:
    """A line now and then, while a look lasts."""
    began = following = time.monotonic()

    def tell(plan: Plan) -> None:
        nonlocal following
        now = time.monotonic()
        if now - began >= EVERY and now >= following:
            following = now + EVERY
            output.note(f"{plan.looked_at} dead letters looked at, {len(plan.wanted)} to replay")

    return tell
