"""A certificate authority for development: real TLS on loopback, verified, without touching the system's trust.

Needs the extra `cli` (trustme).
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DevCertificates:
    """PEM files: the authority to trust, and a server's chain and key."""

    ca: Path
    certificate: Path
    key: Path

    def client_context(self) -> ssl.SSLContext:
        """Trusts this authority and nothing else."""
        return ssl.create_default_context(cafile=str(self.ca))


def make_certificates(folder: Path, *names: str) -> DevCertificates:
    """A new authority and a certificate for `names` (default: localhost, 127.0.0.1, ::1), in `folder`.

    The key is readable by its owner only. Raises OSError.
    """
    import trustme

    authority = trustme.CA()
    server = authority.issue_cert(*(names or ("localhost", "127.0.0.1", "::1")))
    files = DevCertificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    authority.cert_pem.write_to_path(files.ca)
    files.certificate.write_bytes(b"".join(part.bytes() for part in server.cert_chain_pems))
    with os.fdopen(os.open(files.key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as key:
        key.write(server.private_key_pem.bytes())
    return files
