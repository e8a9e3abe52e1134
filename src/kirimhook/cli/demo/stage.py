"""The demo's own place: a folder with certificates, secret and inbox, and the receiver that runs in it."""

from __future__ import annotations

import base64
import secrets
import ssl
from collections.abc import Callable
from pathlib import Path

from kirimhook.contract.signature import Secret
from kirimhook.testing.devca import make_certificates
from kirimhook.testing.served import Served

LEASE = 5.0
"""Seconds; 30 by default, which is long to wait for in front of a screen."""


class Stage:
    """The receiver can be killed and started again: on the same port, with the same inbox."""

    def __init__(self, folder: Path, printed: Callable[[str], None]) -> None:
        self.folder = folder
        self.certificates = make_certificates(folder)
        self.secret = Secret("whsec_" + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
        self.secrets_file = folder / "secrets.txt"
        self.secrets_file.touch(mode=0o600)
        self.secrets_file.write_text(self.secret.reveal() + "\n")
        self.database = folder / "inbox.db"
        self._printed = printed
        self._served: Served | None = None
        self._port = 0
        self.url = ""
        self.admin_url = ""

    @property
    def trust(self) -> ssl.SSLContext:
        """Of the demo's own authority, and of nothing else."""
        return self.certificates.client_context()

    def start(self) -> None:
        """Start the receiver, and wait until it listens. Raises ServeFailed."""
        self._served = Served(self._arguments(), folder=self.folder, printed=self._printed)
        started = self._served.started()
        self._port, self.url, self.admin_url = started["port"], started["url"], started["admin_url"]

    def kill(self) -> None:
        if self._served is not None:
            self._served.kill()

    def stop(self) -> None:
        if self._served is not None:
            self._served.end()

    def _arguments(self) -> list[str]:
        return [
            *("serve", "kirimhook.cli.demo.hooks:hooks", "--inbox", f"sqlite:///{self.database}"),
            *(
                "--port",
                str(self._port),
                "--admin-port",
                "0",
                "--lease",
                f"{LEASE:g}",
                "--secrets-file",
                str(self.secrets_file),
            ),
            *("--tls-cert", str(self.certificates.certificate), "--tls-key", str(self.certificates.key)),
        ]
