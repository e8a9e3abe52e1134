"""`kirimhook rotate`: the guide's step 7 in one command."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from kirimhook.cli import api_given as given
from kirimhook.cli import output
from kirimhook.cli.addressed import checked_url, trust
from kirimhook.cli.failure import Failure, misuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from kirimhook.client import AsyncKirim
    from kirimhook.operating.rotation import Outcome, Stage, Step

EXAMPLES = """Examples:

  kirimhook rotate wbs_01HXYZ… --secrets-file secrets.txt --admin http://127.0.0.1:9090 --dry-run

  kirimhook rotate wbs_01HXYZ… --secrets-file secrets.txt --admin http://10.0.0.1:9090 --admin http://10.0.0.2:9090

  kirimhook rotate wbs_01HXYZ… --secrets-file secrets.txt --abort

What it does: adds a secret to the subscription and to the file; waits until every process of every receiver named has
loaded it and a delivery has verified with it at each (it sends test deliveries, livemode false, where live traffic
does not do; where the API has no such call it waits for live traffic); waits until nothing is on its way that the old
ones alone signed; deletes the old ones, drops them from the file, and waits until receivers have dropped them.

Name every receiver of the subscription: of one that is not named nothing is known, and it may refuse what it should
not. A receiver of several processes has one admin port.

Interrupted at any moment, the same command goes on, and --abort takes it back until the first old secret is deleted.
What it needs for that is beside the file: FILE.rotation, without a secret, while it is under way; FILE.rotation.lock.

With --json: {subscription_id, result (rotated, rolled_back or planned), step, resumed, added {id, fingerprint}, removed
[ids], dropped [fingerprints], seconds}.

Exit codes: 0 done, 1 it did not go on and says how, 2 the command line makes no sense, 130 interrupted."""


class _Given(NamedTuple):
    subscription_id: str
    file: Path
    timeout: float
    settle: float
    old: tuple[str, ...]
    dry_run: bool
    abort: bool


def rotate(  # noqa: PLR0913  # options
    subscription: Annotated[str, typer.Argument(metavar="SUBSCRIPTION", help="Its id, wbs_….")],
    secrets_file: Annotated[
        Path,
        typer.Option("--secrets-file", metavar="FILE", help="The file of one secret a line that the receivers follow."),
    ],
    admin: Annotated[
        list[str] | None,
        typer.Option("--admin", metavar="URL", help="The admin port of a receiver; several: repeat it."),
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, metavar="SECONDS", help="How long a step waits for receivers.")
    ] = 300.0,
    settle: Annotated[
        float,
        typer.Option(
            "--settle",
            min=0,
            metavar="SECONDS",
            help="How long a delivery that was signed before can be on its way: an attempt is 10 s.",
        ),
    ] = 15.0,
    old: Annotated[
        list[str] | None,
        typer.Option(
            "--old",
            metavar="FINGERPRINT",
            help="An old secret in the file whose line does not say what it is of; several: repeat it.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, change nothing.")] = False,
    abort: Annotated[bool, typer.Option("--abort", help="Take back a rotation that is under way.")] = False,
    as_document: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
    api_url: given.ApiUrl = None,
    key: given.ApiKey = None,
    ca_bundle: given.CaBundle = None,
) -> None:
    """Replace the secrets of a subscription by a new one, without a moment in which a delivery would be refused."""
    given.check_id(subscription, "wbs_")
    if abort and dry_run:
        raise misuse("--abort and --dry-run: give one of them")
    if not admin and not abort:
        raise misuse("--admin is missing: the admin port of every receiver, or nobody knows when the old one can go")
    urls = [checked_url(url, "--admin") for url in admin or ()]
    asked = _Given(subscription, secrets_file, timeout, settle, tuple(old or ()), dry_run, abort)
    began = time.monotonic()

    async def work(api: AsyncKirim) -> Outcome:
        from kirimhook.operating.rotation import AdminPorts

        async with AdminPorts(urls, trust(ca_bundle)) as receivers:
            return await _turned(asked, _stage(asked, api, receivers))

    outcome = _ran(asked, lambda: given.with_api_async(api_url, key, ca_bundle, work))
    document = _document(outcome, dry_run=dry_run, seconds=time.monotonic() - began)
    if as_document:
        output.document(document)
    else:
        output.text(_summary(document))


def _stage(asked: _Given, api: AsyncKirim, receivers: Any) -> Stage:
    from kirimhook.operating.rotation import JournalFile, Pace, Stage
    from kirimhook.operating.secrets_file import SecretsFile

    return Stage(
        api,
        receivers,
        SecretsFile(asked.file),
        JournalFile(_beside(asked.file, ".rotation")),
        Pace(asked.timeout, asked.settle),
        time.time,
        asyncio.sleep,
        _tell,
    )


def _beside(file: Path, suffix: str) -> Path:
    """Of what a link names: the same file has one rotation, whatever it is called."""
    real = file.resolve()
    return real.with_name(real.name + suffix)


async def _turned(asked: _Given, stage: Stage) -> Outcome:
    """One rotation at a time with one file."""
    from kirimhook.operating import rotation
    from kirimhook.operating.files import HeldError, turn

    if asked.dry_run:
        return await rotation.planned(stage, asked.subscription_id, asked.old)
    try:
        with turn(_beside(asked.file, ".rotation.lock")):
            if asked.abort:
                return await rotation.abort(stage, asked.subscription_id)
            return await rotation.rotate(stage, asked.subscription_id, asked.old)
    except HeldError:
        raise Failure(f"another process is rotating with {asked.file}") from None


def _ran(asked: _Given, work: Callable[[], Outcome]) -> Outcome:
    """What it comes to. Raises `Failure`, saying how to go on, and KeyboardInterrupt, having said so."""
    from kirimhook.operating.rotation import RefusedError, RotationError
    from kirimhook.operating.secrets_file import SecretsFileError

    try:
        return work()
    except KeyboardInterrupt:
        output.note(f"kirimhook: interrupted{_how_to_go_on(asked)}")
        raise
    except RefusedError as error:
        raise Failure(output.printable(str(error))) from error
    except (RotationError, SecretsFileError) as error:
        raise Failure(f"{output.printable(str(error))}{_how_to_go_on(asked)}") from error
    except Failure as failure:
        raise Failure(f"{failure}{_how_to_go_on(asked)}", failure.code) from failure
    except OSError as error:
        raise Failure(f"{asked.file}: {error.strerror or type(error).__name__}") from error


def _how_to_go_on(asked: _Given) -> str:
    """After what was said: where it stands, if it has begun."""
    from kirimhook.operating.rotation import JournalFile, RotationError, can_abort

    try:
        journal = JournalFile(_beside(asked.file, ".rotation")).load()
    except RotationError:
        return ""
    if journal is None or asked.dry_run or journal.subscription_id != asked.subscription_id:
        return ""
    back = ", --abort takes it back" if can_abort(journal.step) else ""
    return f" (at step {journal.step}: the same command goes on{back})"


def _tell(step: Step, words: str) -> None:
    output.note(output.printable(f"{step}: {words}"))


def _document(outcome: Outcome, *, dry_run: bool, seconds: float) -> dict[str, Any]:
    from kirimhook.operating.rotation import Step

    journal = outcome.journal
    is_rotated = journal.step is Step.ROTATED
    added = {"id": journal.new_id, "fingerprint": journal.new_fingerprint}
    return {
        "subscription_id": journal.subscription_id,
        "result": "planned" if dry_run else journal.step.value,
        "step": journal.step.value,
        "resumed": outcome.resumed.value if outcome.resumed is not None else None,
        "added": added if journal.new_id is not None and journal.step is not Step.ROLLED_BACK else None,
        "removed": list(journal.before) if is_rotated or dry_run else [],
        "dropped": list(journal.old) if is_rotated or dry_run else [],
        "seconds": round(seconds, 3),
    }


def _summary(document: dict[str, Any]) -> str:
    name, removed, dropped = document["subscription_id"], ", ".join(document["removed"]), ", ".join(document["dropped"])
    if document["result"] == "rotated":
        return f"{name} is rotated: {document['added']['id']} in place of {removed}"
    if document["result"] == "rolled_back":
        return f"{name} is as it was before the rotation"
    if document["resumed"]:
        return f"{name}: a rotation is under way and would go on at step {document['step']}"
    return f"{name} can be rotated: a new secret would take the place of {removed} ({dropped} in the file)"
