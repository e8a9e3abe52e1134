"""Where a secret goes that the API shows once: into a file of secrets, or before the eyes of whoever asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kirimhook.cli import output
from kirimhook.cli.failure import Failure

if TYPE_CHECKING:
    from kirimhook.contract.signature import Secret

SecretsFileOption = Annotated[
    Path | None,
    typer.Option(
        "--secrets-file",
        metavar="FILE",
        help="Add the secret to this file, which receivers read; made for its owner only where there is none. "
        "Without it the secret is shown, this once.",
    ),
]


def check(path: Path | None) -> None:
    """Before a secret is asked for: it could be kept. Raises `Failure`."""
    if path is None:
        return
    from kirimhook.operating.secrets_file import SecretsFile, SecretsFileError

    try:
        SecretsFile(path).check()
    except SecretsFileError as error:
        raise Failure(f"--secrets-file {error}; nothing was asked of the API") from None


def keep(path: Path, secret: Secret, subscription_id: str, secret_id: str) -> None:
    """Add it to the file. Where that fails after all it is shown: nobody else has it. Raises `Failure`."""
    from kirimhook.operating.secrets_file import SecretsFile, SecretsFileError

    try:
        SecretsFile(path).add(secret, subscription_id, secret_id)
    except (SecretsFileError, ValueError) as error:
        output.note(f"this is the secret, which no file has: {secret.reveal()}")
        raise Failure(f"--secrets-file {error}; {subscription_id} is signed with {secret_id} all the same") from None


def warn() -> None:
    """Beside a secret that was shown."""
    output.note("keep it: the API cannot show it again; --secrets-file would have kept it from screens and logs")
