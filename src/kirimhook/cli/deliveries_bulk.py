"""`kirimhook deliveries bulk-replay`: many dead letters sent once more, each once, also over an interruption."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kirimhook.cli import output
from kirimhook.cli.api_given import ApiKey, ApiUrl, CaBundle, check_id, failed, with_api_async
from kirimhook.cli.deliveries import After, Before, moment_given
from kirimhook.cli.failure import Exit, Failure, misuse
from kirimhook.contract import ids
from kirimhook.contract.resources import DeliveryKind

if TYPE_CHECKING:
    from kirimhook.client import AsyncKirim
    from kirimhook.operating.replaying import Selection, Snapshot

EXAMPLES = """Examples:

  kirimhook deliveries bulk-replay wbs_… --after 7d --dry-run

  kirimhook deliveries bulk-replay wbs_… --after 7d --rate 50

  kirimhook deliveries bulk-replay wbs_… --resume

What is to be replayed is listed first, shown as a number, and kept on disk: each is replayed once, however many there
are, and what dies again is not taken up. After an interruption --resume goes on. Over the hosted API, which takes no
ids, it is one request for each.

With --json: {subscription_id, dry_run, selected, replayed, gone, refused, unsure, left, seconds}. gone: ended
otherwise, or replayed by somebody else meanwhile. unsure: interrupted more than 23 hours ago, and not asked again.

Exit codes: 0 all that was selected is replayed or gone, 1 something is not, 2 the command line makes no sense,
130 interrupted."""


def bulk_replay(  # noqa: PLR0913  # options
    subscription: Annotated[str, typer.Argument(help="The subscription's id.", metavar="wbs_…")],
    status: Annotated[
        Literal["dead", "failed"], typer.Option("--status", help="Those in this state; failed: tried, and due again.")
    ] = "dead",
    event_type: Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Only of this event type.")] = None,
    kind: Annotated[DeliveryKind | None, typer.Option("--kind", help="Only of this kind.")] = None,
    event_id: Annotated[str | None, typer.Option("--event-id", metavar="ID", help="Only of this event.")] = None,
    after: After = None,
    before: Before = None,
    again: Annotated[bool, typer.Option("--again", help="Also those that were replayed before.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count them, and replay none.")] = False,
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.001, metavar="N", help="At most so many a second.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what was interrupted.")] = False,
    discard: Annotated[bool, typer.Option("--discard", help="Forget what was interrupted.")] = False,
    url: ApiUrl = None,
    key: ApiKey = None,
    ca_bundle: CaBundle = None,
    as_document: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Send many dead letters of a subscription once more, oldest first, behind its live traffic."""
    from kirimhook.operating.files import HeldError, turn
    from kirimhook.operating.replaying import Selection, SnapshotError, place

    wanted = check_id(subscription, ids.SUBSCRIPTION)
    selection = Selection(
        wanted, status, event_type, event_id, kind, moment_given(after), moment_given(before), again=again
    )
    if resume and (discard or dry_run or selection != Selection(wanted)):
        raise misuse("--resume goes on as it was begun: it goes with --rate, --yes and --json alone")
    course = _Course(selection, rate, dry_run, resume, discard, yes)
    try:
        path = place(wanted)
        with turn(path.with_suffix(".lock")):
            shown = with_api_async(url, key, ca_bundle, lambda kirim: course.run(kirim, path))
    except HeldError:
        raise Failure("another bulk-replay of this subscription is running") from None
    except (OSError, SnapshotError) as error:
        raise Failure(f"{output.printable(str(error))}{course.so_far()}") from error
    except KeyboardInterrupt:
        output.note(f"kirimhook: interrupted{course.so_far()}")
        raise
    _show(shown, as_document)


class _Course:
    """One run of the command."""

    def __init__(
        self, selection: Selection, rate: float | None, dry_run: bool, resume: bool, discard: bool, yes: bool
    ) -> None:
        self._selection = selection
        self._rate = rate
        self._dry_run = dry_run
        self._resume = resume
        self._discard = discard
        self._yes = yes
        self._snapshot: Snapshot | None = None

    def so_far(self) -> str:
        """What to say when it ends early."""
        if self._snapshot is None:
            return "; nothing was replayed"
        return f"; {_standing(self._snapshot)}: go on with --resume"

    async def run(self, kirim: AsyncKirim, path: Path) -> dict[str, Any]:
        """What came of it, for people and programs. Raises `Failure`, OSError, SnapshotError."""
        from kirimhook.client import ApiError, UnexpectedAnswer, Unreachable

        began = time.monotonic()
        try:
            if self._dry_run:
                return self._shown(len(await self._collected(kirim)), began)
            snapshot = self._found(path) or await self._made(kirim, path)
            if snapshot is None:
                return self._shown(0, began)
            with snapshot:
                await self._replay(kirim, snapshot)
                snapshot.remove()
        except (ApiError, Unreachable, UnexpectedAnswer) as error:
            raise Failure(f"{failed(error)}{self.so_far()}") from error
        return {**self._shown(snapshot.total, began), **snapshot.tally._asdict()}

    def _found(self, path: Path) -> Snapshot | None:
        """What an earlier run left, where it is to be gone on with."""
        from kirimhook.operating.files import remove
        from kirimhook.operating.replaying import Snapshot

        if self._discard:
            remove(path)
        found = Snapshot.find(path)
        if found is None and self._resume:
            raise Failure("there is nothing to go on with: no run was interrupted here")
        if found is not None and not self._resume:
            found.close()
            raise Failure(f"a run was interrupted, {_standing(found)}: --resume goes on, --discard forgets it")
        self._snapshot = found
        return found

    async def _collected(self, kirim: AsyncKirim) -> list[str]:
        from kirimhook.operating.replaying import collect

        return await collect(kirim, self._selection)

    async def _made(self, kirim: AsyncKirim, path: Path) -> Snapshot | None:
        """A new one; None where there is nothing to replay."""
        from kirimhook.operating.replaying import Snapshot

        selected = await self._collected(kirim)
        if not selected:
            return None
        self._confirm(len(selected))
        self._snapshot = Snapshot.create(
            path,
            selected,
            subscription_id=self._selection.subscription_id,
            status=self._selection.status,
            unreplayed=not self._selection.again,
            about={"begun_at": datetime.now(UTC).isoformat(timespec="seconds")},
        )
        return self._snapshot

    def _confirm(self, count: int) -> None:
        if self._yes:
            return
        if not output.is_terminal():
            raise misuse(f"{count} would be replayed: say --yes, or --dry-run to count alone")
        typer.confirm(f"Replay {count}?", abort=True, err=True)

    async def _replay(self, kirim: AsyncKirim, snapshot: Snapshot) -> None:
        from kirimhook.cli.replay_shown import progress
        from kirimhook.operating.replaying import replay

        with progress(snapshot.total) as tell:
            await replay(kirim, snapshot, rate=self._rate, tell=tell)

    def _shown(self, selected: int, began: float) -> dict[str, Any]:
        counts = {"selected": selected, "replayed": 0, "gone": 0, "refused": 0, "unsure": 0, "left": 0}
        about = {"subscription_id": self._selection.subscription_id, "dry_run": self._dry_run}
        return {**about, **counts, "seconds": round(time.monotonic() - began, 3)}


def _standing(snapshot: Snapshot) -> str:
    return f"{snapshot.done} of {snapshot.total} done (begun {snapshot.about.get('begun_at', 'at an unknown time')})"


def _show(shown: dict[str, Any], as_document: bool) -> None:
    if as_document:
        output.document(shown)
    elif shown["dry_run"]:
        output.text(f"{shown['selected']} would be replayed")
    elif not shown["selected"]:
        output.text("nothing to replay")
    else:
        parts = [f"{shown[name]} {name}" for name in ("gone", "refused", "unsure") if shown[name]]
        output.text(", ".join([f"{shown['replayed']} of {shown['selected']} replayed", *parts]))
    if shown["refused"] or shown["unsure"]:
        raise typer.Exit(Exit.NO)
