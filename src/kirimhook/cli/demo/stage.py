"""The demo's own place: a folder with certificates, secrets and database, the inbox, and the two processes at it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kirimhook.cli.demo.stores import Store
from kirimhook.testing.devca import make_certificates
from kirimhook.testing.served import Served, ServeFailed

LEASE = 5.0
"""Seconds; 30 by default, which is long to wait for in front of a screen."""
SCHEDULE = "0,0.5,1,1.5,2"
"""Seconds before each attempt; eight over 31 hours by default."""
ORGANISATION = "demo"


class Stage:
    """The receiver can be killed and started again: on the same ports, with the same inbox."""

    def __init__(self, folder: Path, store: Store, printed: Callable[[str], None]) -> None:
        self.folder = folder
        self.store = store
        self.certificates = make_certificates(folder)
        self.secrets_file = folder / "secrets.txt"
        self.database = f"sqlite:///{folder / 'sender.db'}"
        self._printed = printed
        self._receiver: Served | None = None
        self._sender: Served | None = None
        self._port = self._admin_port = 0
        self.url = self.admin_url = self.api = self.key = ""

    def start_sender(self) -> None:
        """Start it, and make a key. Raises ServeFailed."""
        where = ("--port", "0", "--admin-port", "0", "--database", self.database, "--schedule", SCHEDULE)
        trusted = ("--ca-bundle", str(self.certificates.ca), "--allow-network", "127.0.0.0/8")
        self._sender = Served(["sender", *where, *trusted], folder=self.folder)
        self.api = self._sender.started()["url"]
        self.key = self._command("sender", "keys", "create", "--org", ORGANISATION)["key"]

    def start_receiver(self) -> None:
        """Start it, and wait until it listens. Raises ServeFailed."""
        self._receiver = Served(self._receiver_arguments(), folder=self.folder, printed=self._printed)
        started = self._receiver.started()
        self._port, self.url = started["port"], started["url"]
        self._admin_port, self.admin_url = started["admin_port"], started["admin_url"]

    @property
    def pages(self) -> tuple[str, str]:
        """Where to look: the sender's dashboard, the receiver's inbox."""
        return f"{self.api}/dashboard", f"{self.admin_url}/inbox"

    def hand_over(self, secret: str) -> None:
        """Store the subscription's secret where the receiver reads it, and wait until it has. Raises ServeFailed."""
        self.secrets_file.touch(mode=0o600)
        self.secrets_file.write_text(secret + "\n")
        if self._receiver is not None:
            self._receiver.logged("secrets_loaded")

    def kill_receiver(self) -> None:
        if self._receiver is not None:
            self._receiver.kill()

    def stop_receiver(self) -> None:
        if self._receiver is not None:
            self._receiver.terminate()

    def ledger(self) -> dict[str, Any]:
        """The sender's account, as its command gives it. Raises ServeFailed."""
        return self._command("sender", "ledger")

    def stop(self) -> None:
        for process in (self._receiver, self._sender):
            if process is not None:
                process.end()
        self.store.stop()

    def _command(self, *words: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "kirimhook", *words, "--database", self.database, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        try:
            said: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            raise ServeFailed(f"kirimhook {' '.join(words)}: {done.stderr.strip()}") from None
        return said

    def _receiver_arguments(self) -> list[str]:
        certificates = self.certificates
        return [
            *("serve", f"kirimhook.cli.demo.hooks:{self.store.hooks}", "--inbox", self.store.url),
            *("--port", str(self._port), "--admin-port", str(self._admin_port), "--lease", f"{LEASE:g}"),
            *("--secrets-file", str(self.secrets_file)),
            *("--tls-cert", str(certificates.certificate), "--tls-key", str(certificates.key)),
        ]
