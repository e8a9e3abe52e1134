"""`kirimhook sender`: where its commands are registered."""

from __future__ import annotations

import typer

from kirimhook.cli.sender import command, erase, ledger, publish, rekey
from kirimhook.cli.sender.keys import keys

sender = typer.Typer(invoke_without_command=True, epilog=command.EXAMPLES)
sender.callback()(command.sender)
sender.command(epilog=publish.EXAMPLES)(publish.publish)
sender.add_typer(keys, name="keys")
sender.command(epilog=ledger.EXAMPLES)(ledger.ledger)
sender.command(epilog=rekey.EXAMPLES)(rekey.rekey)
sender.command(epilog=erase.EXAMPLES)(erase.erase)
