"""`kirimhook sender rekey`: seal what is stored anew."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated

import typer

from kirimhook.cli import output
from kirimhook.cli.failure import Failure, misuse
from kirimhook.cli.sender.options import DATABASE, DatabaseUrl, MasterKeyFile

EXAMPLES = """Examples:

  KIRIMHOOK_MASTER_KEYS=new,old kirimhook sender rekey --database postgresql://kirim@db/kirim

  kirimhook sender rekey --master-key-file kirimhook-sender.key

To change the master key: put the new one in front of the old ones, restart every sender, rekey, take the old ones out,
restart. One that is leaked has to be followed by new webhook secrets: rotate them.

Exit codes: 0 all is sealed under the first key, 1 it is not, 2 the command line makes no sense."""


def rekey(
    database: DatabaseUrl = DATABASE,
    master_key_file: MasterKeyFile = None,
    as_document: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Seal all secrets anew under the first master key. Senders go on meanwhile; may be run again."""
    from kirimhook.cli.sender.opened import with_sender
    from kirimhook.sender.sealing import MasterKeyError, load
    from kirimhook.serving.sending.storing import usual_key_file

    if master_key_file is not None and not master_key_file.exists():  # or one would be made
        raise misuse(f"--master-key-file {master_key_file}: there is no such file")
    try:
        if master_key_file is not None:
            sealer = load({}, master_key_file)
        else:
            sealer = load(os.environ, usual_key_file(database))
    except MasterKeyError as error:
        raise Failure(f"the master key: {error}") from None
    with _under_way():
        done = with_sender(database, lambda sender: sender.rekey(), sealer)
    if as_document:
        output.document(done._asdict())
    else:
        output.text(f"{done.secrets} secrets and {done.answers} stored answers sealed anew")


def _under_way() -> AbstractContextManager[object]:
    """Something that moves, for somebody who looks: with many subscriptions it takes minutes."""
    if not output.is_terminal():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status("sealing anew")
