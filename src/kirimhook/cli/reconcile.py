"""`kirimhook reconcile`: replay the dead letters that the inbox does not hold. Over and over: `reconcile_watch`."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kirimhook.cli import output
from kirimhook.cli.addressed import checked_url, trust
from kirimhook.cli.api_given import ApiKey, ApiUrl, CaBundle, check_id
from kirimhook.cli.failure import Exit, misuse
from kirimhook.cli.inbox_opened import DEFAULT, InboxUrl
from kirimhook.cli.moments import moment
from kirimhook.contract import ids

if TYPE_CHECKING:
    from kirimhook.operating.reconciling.ground import Options
    from kirimhook.operating.reconciling.passing import Pass

EXAMPLES = """Examples:

  kirimhook reconcile wbs_… --dry-run

  kirimhook reconcile wbs_… --inbox postgresql://kirim@db.example.com/kirim --rate 50

  */10 * * * *  kirimhook reconcile wbs_… --metrics-file /var/lib/node_exporter/kirimhook.prom

  kirimhook reconcile wbs_… --watch --admin http://127.0.0.1:9090 --budget 2000 --notify 'mail -s webhooks ops'

A letter is replayed where the inbox does not hold its event. Of a message.status the list does not tell which one it
is: it is replayed, and the receiver's dedupe record decides. What the receiver may have forgotten (--horizon), what it
has parked, and what died again after three replays is reported, and left to you. One letter is replayed first, alone;
the others follow when the endpoint has taken it.

It can be interrupted at any point and run again: what was replayed is not replayed again.

With --json: {subscription_id, letters: {missing, untellable, held, parked, …}, replayed, gone, refused, unsure,
stopped, detail, left, examples}; with --watch a line of JSON for each thing that happens: {at, state, letters,
replayed, gone, refused, detail, trouble, left}.

Exit codes: 0 nothing is left, 1 something is left for you, or it failed, 2 the command line makes no sense, 130
interrupted. With --watch: 0 told to stop and did."""
PANEL = "Over and over"

ByItself = Annotated[
    bool,
    typer.Option("--watch", help="Stay, and do it whenever the endpoint is healthy again.", rich_help_panel=PANEL),
]
Budget = Annotated[
    int | None,
    typer.Option("--budget", min=1, metavar="N", help="Replays an hour, at most; 1000.", rich_help_panel=PANEL),
]
Every = Annotated[
    float | None,
    typer.Option(
        "--every",
        min=0.1,
        metavar="SECONDS",
        help="How often the dead letters are looked at; 60.",
        rich_help_panel=PANEL,
    ),
]
Notify = Annotated[
    str | None,
    typer.Option(
        "--notify",
        metavar="COMMAND|URL",
        help="Told, as one JSON document, when something needs people; once as it begins.",
        rich_help_panel=PANEL,
    ),
]


def reconcile(  # noqa: PLR0913  # options
    subscription: Annotated[str, typer.Argument(help="Whose dead letters.", metavar="wbs_…")],
    inbox: InboxUrl = DEFAULT,
    after: Annotated[
        str, typer.Option("--after", metavar="TIME", help="Only letters created after: ISO 8601, or 2h, 7d (ago).")
    ] = "30d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare and count only.")] = False,
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.01, metavar="N", help="Replays a second, at most.")
    ] = None,
    horizon: Annotated[
        float, typer.Option("--horizon", min=7, metavar="DAYS", help="The receiver's --dedupe-days.")
    ] = 32,
    again: Annotated[bool, typer.Option("--again", help="Also what died again after three replays.")] = False,
    discarded: Annotated[bool, typer.Option("--discarded", help="Also what was discarded on purpose.")] = False,
    enable: Annotated[
        bool,
        typer.Option(
            "--enable", help="Enable the subscription where failures disabled it; never where a person or a 410 did."
        ),
    ] = False,
    admin: Annotated[
        list[str] | None,
        typer.Option(
            "--admin", metavar="URL", help="A receiver's admin port: replay only while it is ready; repeat it."
        ),
    ] = None,
    metrics_file: Annotated[
        Path | None, typer.Option("--metrics-file", help="Write figures for Prometheus here, atomically.")
    ] = None,
    watch: ByItself = False,
    budget: Budget = None,
    every: Every = None,
    notify: Notify = None,
    url: ApiUrl = None,
    key: ApiKey = None,
    ca_bundle: CaBundle = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Compare a subscription's dead letters with the inbox, and replay what the inbox does not hold."""
    check_id(subscription, ids.SUBSCRIPTION)
    _check(dry_run=dry_run, watch=watch, only_watching={"--budget": budget, "--every": every, "--notify": notify})
    from kirimhook.cli.reconcile_joined import Joined

    options = _options(after, horizon, again=again, discarded=discarded, enable=enable)
    joined = Joined((url, key, ca_bundle), inbox, subscription, options, rate, _ready(admin, ca_bundle))
    if watch:
        from kirimhook.cli.reconcile_watch import Watching

        raise typer.Exit(Watching(joined, budget, every, notify, metrics_file).run(as_lines=as_json))
    came = joined.once(dry_run=dry_run, metrics=metrics_file)
    if as_json:
        output.document({"subscription_id": subscription, **came.to_json()})
    else:
        _show(came)
    raise typer.Exit(Exit.OK if came.is_clean else Exit.NO)


def _check(*, dry_run: bool, watch: bool, only_watching: dict[str, Any]) -> None:
    if dry_run and watch:
        raise misuse("--dry-run looks once: it does not go with --watch")
    for option, given in only_watching.items():
        if given is not None and not watch:
            raise misuse(f"{option} goes with --watch")


def _options(after: str, horizon: float, *, again: bool, discarded: bool, enable: bool) -> Options:
    from kirimhook.operating.reconciling.ground import Options
    from kirimhook.operating.reconciling.verdicts import DAY, MOST_ROUNDS, Rules

    moment(after, time.time())  # what is no time is refused before anything is asked
    rules = Rules(horizon * DAY, None if again else MOST_ROUNDS, discarded)
    return Options(lambda now: datetime.fromtimestamp(moment(after, now), UTC), rules, enable)


def _ready(admin: list[str] | None, ca_bundle: Path | None) -> Callable[[], Awaitable[bool]] | None:
    if not admin:
        return None
    from kirimhook.operating.reconciling.ready import AdminPorts

    return AdminPorts([checked_url(one, "--admin") for one in admin], trust(ca_bundle))


def _show(came: Pass) -> None:
    from kirimhook.cli.reconcile_shown import rows, sentence

    if came.plan.looked_at:
        output.table(("verdict", "letters", ""), rows(came.plan), long=("",))
    output.text(sentence(came))
    shown = came.plan.shown()
    if shown:
        output.table(("verdict", "delivery", "type", "event"), [list(one.values()) for one in shown], long=("event",))
