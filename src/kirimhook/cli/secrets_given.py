"""The secrets that a command was given: on the command line, in a file, or in the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from kirimhook.cli.failure import misuse
from kirimhook.contract.signature import Secret
from kirimhook.receiver.secrets import ENVIRONMENT_VARIABLE
from kirimhook.receiver.secrets.listing import UnusableListError, from_file, from_text

if TYPE_CHECKING:
    from collections.abc import Sequence

SECRET_HELP = "A secret; several: repeat it. Others on this machine can read it: --secrets-file is better."  # noqa: S105  # says what it is
FILE_HELP = f"A file of one secret a line. Without it and --secret: ${ENVIRONMENT_VARIABLE}."


def given_secrets(values: Sequence[str], file: Path | None) -> tuple[Secret, ...]:
    """Those of `--secret` and `--secrets-file` together, else of the environment. Raises `Failure`."""
    try:
        found = [Secret(value.strip()) for value in values]
    except ValueError as error:
        raise misuse(f"--secret: {error}") from None
    if file is not None:
        found += _from_file(file)
    if not found:
        found += _from_environment()
    return tuple(dict.fromkeys(found))


def _from_file(file: Path) -> tuple[Secret, ...]:
    try:
        return from_file(file.read_bytes(), ())
    except OSError as error:
        raise misuse(f"--secrets-file {file}: {error.strerror}") from None
    except UnusableListError as error:
        raise misuse(f"--secrets-file {file}: {error}") from None


def _from_environment() -> tuple[Secret, ...]:
    listed = os.environ.get(ENVIRONMENT_VARIABLE)
    if listed is None:
        raise misuse(f"no secret: give --secret, --secrets-file, or set {ENVIRONMENT_VARIABLE}")
    try:
        return from_text(listed)
    except UnusableListError as error:
        raise misuse(f"{ENVIRONMENT_VARIABLE}: {error}") from None
