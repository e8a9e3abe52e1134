"""What `listen` keeps on this machine: certificates that a sender can be told to trust once, and who it is.

Events and the secret are kept while it runs; what a killed one left of them goes when the next one begins. A path that
holds a secret of the machine tells our subscriptions from those of others with the same host name.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kirimhook.client.account import Account
from kirimhook.operating.files import state_folder, turn, write_atomically
from kirimhook.testing.devca import DevCertificates, make_certificates

PATH = "/kirim-webhook"


class Place(NamedTuple):
    """Of one account, on this machine."""

    certificates: DevCertificates
    path: str
    """Where webhooks are received: nobody else's ends so."""
    folder: Path
    """Empty at first, and gone afterwards."""


@contextlib.contextmanager
def of(account: Account) -> Iterator[Place]:
    """One process at a time. Raises HeldError, OSError."""
    folder = state_folder() / "listen"
    folder.mkdir(mode=0o700, exist_ok=True)
    machine = _machine(folder / "machine")
    who = hmac.new(machine, f"{account.url}\n{account.key.reveal()}".encode(), hashlib.sha256).hexdigest()[:16]
    with turn(folder / f"{who}.lock"):
        running = folder / who
        shutil.rmtree(running, ignore_errors=True)
        running.mkdir(mode=0o700)
        try:
            yield Place(_certificates(folder / "certificates"), f"{PATH}/{who}", running)
        finally:
            shutil.rmtree(running, ignore_errors=True)


def _machine(path: Path) -> bytes:
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    write_atomically(path, secrets.token_bytes(32))
    return path.read_bytes()


def _certificates(folder: Path) -> DevCertificates:
    """Those that are there, or new ones: a whole folder or none."""
    if not folder.is_dir():
        new = Path(tempfile.mkdtemp(dir=folder.parent))
        make_certificates(new)
        with contextlib.suppress(OSError):  # somebody else was faster
            new.rename(folder)
    return DevCertificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
