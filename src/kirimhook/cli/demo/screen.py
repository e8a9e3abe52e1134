"""What the demo shows while it runs, and its account at the end."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import sys
import threading
from collections import deque
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kirimhook.cli.demo.account import Balance
from kirimhook.cli.demo.platform import Platform
from kirimhook.cli.demo.stage import Stage
from kirimhook.client import ApiError, UnexpectedAnswer, Unreachable
from kirimhook.contract.resources import Delivery

SHOWN = 6
"""Lines of what the handlers print, and deliveries."""
STYLES = {"succeeded": "green", "dead": "bold red", "failed": "yellow", "pending": "dim"}
MOST = 32
"""Characters of a value."""


class Screen:
    """Live tables on a terminal; off one, a line for each step, and the newest deliveries now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed: deque[str] = deque(maxlen=SHOWN)
        self._handled = 0
        self._published = 0
        self._newest: tuple[Delivery, ...] = ()
        self._step = ""
        self._echo = False
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def step(self, text: str) -> None:
        self._step = text
        self._console.print(Text(f"• {text}"))

    def pages(self, stage: Stage) -> None:
        """Where a browser shows both sides, from now on."""
        dashboard, inbox = stage.pages
        self._console.print(Text(f"  dashboard  {dashboard}   sign in with {stage.key}", style="bold"))
        self._console.print(Text(f"  inbox      {inbox}", style="bold"))

    def published(self) -> None:
        self._published += 1

    def printed(self, line: str) -> None:
        """A line of a handler."""
        self._handled += 1
        self._printed.append(line)
        if self._echo:
            self._console.print(Text(f"  {line}", style="dim"))

    async def watch(self, platform: Platform) -> None:
        """Keep the newest deliveries in sight, until cancelled."""
        while self._console.is_terminal:
            with contextlib.suppress(ApiError, Unreachable, UnexpectedAnswer):
                self._newest = await platform.deliveries(SHOWN)
            await asyncio.sleep(0.4)

    async def deliveries(self, platform: Platform) -> None:
        """The newest ones, to stay on the page."""
        self._console.print(_deliveries(await platform.deliveries(SHOWN)))

    def _render(self) -> Group:
        counts = Text(f"published {self._published}   handled {self._handled}", style="bold")
        handled = Text("\n".join(self._printed), style="dim")
        return Group(Text(self._step, style="bold"), counts, _deliveries(self._newest), handled)

    def account(self, balance: Balance) -> None:
        table = Table(title="The account", title_justify="left", show_header=False)
        table.add_column()
        table.add_column(justify="right")
        for name, count in balance.rows():
            table.add_row(name, str(count))
        self._console.print(table)
        verdict = "it balances" if balance.holds else "IT DOES NOT BALANCE"
        self._console.print(Text(verdict, style="bold green" if balance.holds else "bold red"))

    def stay(self, stage: Stage) -> None:
        """Show how to go on, print what the handlers print, and wait for Ctrl-C."""
        say = self._console.print
        say(Text("\nBoth are still up. In a browser:\n", style="bold"))
        self.pages(stage)
        say(Text("\nFrom a second terminal:", style="bold"))
        say(
            Text(f"""
  export KIRIM_API_URL={stage.api} KIRIM_KEY={stage.key}
  {sys.argv[0]} sender publish --sample message.received.text
  {sys.argv[0]} deliveries list --status dead
  {sys.argv[0]} sender ledger --database {stage.database}
  {sys.argv[0]} inbox list --inbox {shlex.quote(stage.store.url)}
  curl {stage.admin_url}/status
""")
        )
        say("Ctrl-C ends it.")
        self._echo = True
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


def _deliveries(newest: tuple[Delivery, ...]) -> Table:
    table = Table.grid(padding=(0, 2))
    for delivery in newest:
        came = delivery.response_status or delivery.last_error or ""
        number = f"attempt {delivery.attempt_count}" if delivery.attempt_count else ""
        values = (delivery.event_type, delivery.kind, delivery.status, number, came)
        table.add_row("  →", *map(_short, values), style=STYLES[delivery.status])
    return table


def _short(value: object) -> Text:
    text = str(value)
    return Text(text if len(text) <= MOST else text[: MOST - 1] + "…", no_wrap=True)
