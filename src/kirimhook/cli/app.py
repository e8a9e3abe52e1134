"""The command line: where the commands are registered, and where what they could not do becomes one line."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from typer.exceptions import TyperException

from kirimhook import __version__
from kirimhook.cli import (
    deliveries,
    deliveries_bulk,
    doctor,
    explain,
    inbox,
    migrate,
    reconcile,
    rotate,
    secrets,
    serve,
    subscriptions,
    trigger,
    work,
)
from kirimhook.cli.demo import command
from kirimhook.cli.failure import Exit, Failure
from kirimhook.cli.listen.command import EXAMPLES as LISTEN_EXAMPLES
from kirimhook.cli.listen.command import listen
from kirimhook.cli.sender.app import sender

commands = typer.Typer(
    name="kirimhook",
    help="Webhooks done properly: verify, store in one atomic write, ack in milliseconds, work later.",
    epilog="Exit codes: 0 done, 1 the answer is no or it failed, 2 the command line makes no sense.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they show local variables, secrets and bodies among them
    context_settings={"help_option_names": ["-h", "--help"]},
)
deliveries.deliveries.command("bulk-replay", epilog=deliveries_bulk.EXAMPLES)(deliveries_bulk.bulk_replay)

RECEIVING = "Receive"
commands.command(epilog=serve.EXAMPLES, rich_help_panel=RECEIVING)(serve.serve)
commands.command(epilog=work.EXAMPLES, rich_help_panel=RECEIVING)(work.work)
commands.command(epilog=LISTEN_EXAMPLES, rich_help_panel=RECEIVING)(listen)
commands.add_typer(inbox.inbox, name="inbox", rich_help_panel=RECEIVING)

OPERATING = "Operate: with the hosted API, or a sender of ours"
commands.add_typer(subscriptions.subscriptions, name="subscriptions", rich_help_panel=OPERATING)
commands.add_typer(secrets.secrets, name="secrets", rich_help_panel=OPERATING)
commands.command(epilog=rotate.EXAMPLES, rich_help_panel=OPERATING)(rotate.rotate)
commands.add_typer(deliveries.deliveries, name="deliveries", rich_help_panel=OPERATING)
commands.command(epilog=reconcile.EXAMPLES, rich_help_panel=OPERATING)(reconcile.reconcile)

TRYING = "Try and examine"
commands.command(epilog=command.EXAMPLES, rich_help_panel=TRYING)(command.demo)
commands.command(epilog=trigger.EXAMPLES, rich_help_panel=TRYING)(trigger.trigger)
commands.command(epilog=explain.EXAMPLES, rich_help_panel=TRYING)(explain.explain)
commands.command(epilog=doctor.EXAMPLES, rich_help_panel=TRYING)(doctor.doctor)

SENDING = "Send, and bring storage up to date"
commands.add_typer(sender, name="sender", rich_help_panel=SENDING)
commands.command(epilog=migrate.EXAMPLES, rich_help_panel=SENDING)(migrate.migrate)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"kirimhook {__version__}\n")
        raise typer.Exit


@commands.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Shown by `--help`."""


def app() -> None:
    """Run the command line. Always raises SystemExit."""
    command = typer.main.get_command(commands)
    try:
        code = command.main(prog_name="kirimhook", standalone_mode=False)
    except Failure as failure:
        sys.exit(_say(str(failure), failure.code))
    except TyperException as error:
        sys.exit(_refuse(error))
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:  # whoever read our output has seen enough
        sys.stdout = None  # or Python would complain again while exiting
        sys.exit(Exit.NO)
    sys.exit(code if isinstance(code, int) else Exit.OK)


def _refuse(error: TyperException) -> int:
    """A command line that Typer did not understand; for a group alone its message is the help."""
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if not message:  # no arguments at all: Typer has printed the help
        return error.exit_code
    if context is None:
        return _say(message, error.exit_code)
    return _say(f"{message.rstrip('.')} (see {context.command_path} --help)", error.exit_code)


def _say(message: str, code: int) -> int:
    sys.stderr.write(f"kirimhook: {message}\n")
    return int(code)
