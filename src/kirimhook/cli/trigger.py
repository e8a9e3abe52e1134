"""`kirimhook trigger`: post signed samples to a receiver."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kirimhook.cli import output
from kirimhook.cli.addressed import checked_url, trust
from kirimhook.cli.failure import Exit, misuse
from kirimhook.cli.secrets_given import FILE_HELP, SECRET_HELP, given_secrets
from kirimhook.contract import samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kirimhook.cli.posting import Answered, Shots
    from kirimhook.contract.samples import Sample

FEW = 20
"""Answers that are shown one by one; of more, a summary."""
EXAMPLES = """Examples:

  kirimhook trigger --list

  kirimhook trigger message.received --url http://127.0.0.1:8080/kirim-webhook --secrets-file secrets.txt

  kirimhook trigger message.status.read --url https://localhost:8443/kirim-webhook --ca-bundle ca.pem --duplicate

  kirimhook trigger contact.created --url https://hooks.example.com/kirim --count 1000 --rate 50

  kirimhook trigger contact.created --url http://127.0.0.1:8080/kirim-webhook --bad-signature

With --json every answer is a line {type, event_id, attempt, status, text, ms, expected}.

Exit codes: 0 every answer was the expected one (2xx, or 401 with --bad-signature), 1 one was not, 2 the command line
makes no sense."""


def trigger(  # noqa: PLR0913  # options
    event: Annotated[
        str | None, typer.Argument(help="An event type, or one of the samples that --list shows.", metavar="EVENT")
    ] = None,
    url: Annotated[str | None, typer.Option("--url", help="Where to post.")] = None,
    secret: Annotated[list[str] | None, typer.Option("--secret", help=SECRET_HELP)] = None,
    secrets_file: Annotated[Path | None, typer.Option("--secrets-file", help=FILE_HELP)] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="Events to post, each with an id of its own.")] = 1,
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.01, help="Events a second; without it: no pause.")
    ] = None,
    connections: Annotated[int, typer.Option("--connections", min=1, max=1000, help="Events in flight.")] = 8,
    event_id: Annotated[str | None, typer.Option("--event-id", help="Post it as this event; for --count 1.")] = None,
    duplicate: Annotated[bool, typer.Option("--duplicate", help="Post every event twice.")] = False,
    bad_signature: Annotated[bool, typer.Option("--bad-signature", help="Sign with a secret that nobody has.")] = False,
    ca_bundle: Annotated[
        Path | None, typer.Option("--ca-bundle", help="Trust the authorities of this file (PEM) only.")
    ] = None,
    as_lines: Annotated[bool, typer.Option("--json", help="Every answer as a line of JSON.")] = False,
    list_samples: Annotated[bool, typer.Option("--list", help="List the samples.")] = False,
) -> None:
    """Sign documented payloads as Kirim does, and post them to a receiver."""
    if list_samples:
        _list(as_lines)
        return
    if event is None or url is None:
        raise misuse("what to post and where: kirimhook trigger EVENT --url URL (or --list)")
    if event_id is not None and count > 1:
        raise misuse("--event-id names one event: --count 1")
    from kirimhook.cli.posting import Shots, another

    sample = _load(event)
    secrets = () if bad_signature and not secret and secrets_file is None else given_secrets(secret or (), secrets_file)
    shots = Shots(checked_url(url), secrets, trust(ca_bundle), duplicate, bad_signature, rate, connections)
    events = (another(sample, event_id) for _ in range(count))
    report = _Report(count * (1 + duplicate), as_lines)
    with report.progress() as tell:
        asyncio.run(_post(shots, events, tell))
    report.summarise()
    raise typer.Exit(Exit.NO if report.unexpected else Exit.OK)


async def _post(shots: Shots, events: Iterable[Sample], tell: Callable[[Answered], None]) -> None:
    from kirimhook.cli.posting import Poster

    async with Poster(shots, tell) as poster:
        await poster.post_all(events)


def _list(as_lines: bool) -> None:
    loaded = [samples.load(name) for name in samples.names()]
    rows: list[dict[str, Any]] = [
        {"name": sample.name, "type": sample.type, "source": sample.source, "bytes": len(sample.body)}
        for sample in loaded
    ]
    if as_lines:
        for row in rows:
            output.line(row)
    else:
        output.table(("SAMPLE", "TYPE", "SOURCE", "BYTES"), [tuple(row.values()) for row in rows])


def _load(event: str) -> Sample:
    try:
        return samples.load(event)
    except LookupError as error:
        raise misuse(str(error.args[0])) from None


class _Report:
    """What is shown of the answers: each of few, the counts of many."""

    def __init__(self, expected_answers: int, as_lines: bool) -> None:
        self._total = expected_answers
        self._as_lines = as_lines
        self._counts: dict[str, int] = {}
        self._seconds: list[float] = []
        self.unexpected = 0

    @contextmanager
    def progress(self) -> Iterator[Callable[[Answered], None]]:
        """What to call with every answer; on a terminal, with a bar of many."""
        if self._total <= FEW or not output.is_terminal():
            yield self._note
            return
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("posting", total=self._total)

            def note(answered: Answered) -> None:
                self._note(answered)
                bar.advance(task)

            yield note

    def _note(self, answered: Answered) -> None:
        what = f"{answered.status} {answered.text}" if answered.status else f"failed: {answered.text}"
        kind = what if answered.expected else f"{what} (unexpected)"
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self._seconds.append(answered.seconds)
        self.unexpected += not answered.expected
        ms = round(answered.seconds * 1000, 1)
        if self._as_lines:
            named = {"type": answered.event_type, "event_id": answered.event_id, "attempt": answered.attempt}
            told = {"status": answered.status, "text": answered.text, "ms": ms, "expected": answered.expected}
            output.line(named | told)
        elif self._total <= FEW:
            output.text(f"{output.printable(kind)}  {answered.event_type}  {answered.event_id}  {ms} ms")

    def summarise(self) -> None:
        if self._as_lines or self._total <= FEW:
            return
        rows = [(str(count), output.printable(what)) for what, count in sorted(self._counts.items())]
        ordered = sorted(self._seconds)
        p50, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1000 for part in (0.5, 0.99))
        output.pairs([*rows, ("p50", f"{p50:.1f} ms"), ("p99", f"{p99:.1f} ms")])
