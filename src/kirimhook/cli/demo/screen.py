"""What the demo shows while it runs, and its account at the end."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections import deque
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kirimhook.cli.demo.account import Balance
from kirimhook.cli.demo.provider import Account
from kirimhook.cli.demo.stage import Stage

SHOWN = 8
"""Lines of what the handlers print."""


class Screen:
    """A live table on a terminal; off one, a line for each step."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed: deque[str] = deque(maxlen=SHOWN)
        self._handled = 0
        self._step = ""
        self._echo = False
        self._account: Account | None = None
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

    def watch(self, account: Account) -> None:
        self._account = account

    def printed(self, line: str) -> None:
        """A line of a handler."""
        self._handled += 1
        self._printed.append(line)
        if self._echo:
            self._console.print(Text(f"  {line}", style="dim"))

    def _render(self) -> Group:
        table = Table.grid(padding=(0, 3))
        account = self._account
        if account is not None:
            table.add_row("requests", "acked", "duplicates", "forgeries refused", "resent", "handled")
            counts = (account.posts, len(account.acked), account.duplicates, account.refused_forgeries, account.resent)
            table.add_row(*(f"[bold]{count}[/]" for count in (*counts, self._handled)))
        return Group(Text(self._step, style="bold"), table, Text("\n".join(self._printed), style="dim"))

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
        say(Text("\nThe receiver is still up. From a second terminal, in this folder:", style="bold"))
        say(
            Text(f"""
  {sys.argv[0]} trigger message.received --url {stage.url} \\
      --secrets-file {stage.secrets_file} --ca-bundle {stage.certificates.ca}
  {sys.argv[0]} inbox list --inbox sqlite:///{stage.database}
  curl {stage.admin_url}/status
""")
        )
        say("Ctrl-C ends it.")
        self._echo = True
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
