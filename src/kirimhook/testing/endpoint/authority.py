"""Certificates, good and bad, of an authority that exists for one test."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import trustme

NAMES = ("localhost", "127.0.0.1", "::1")


class Certificate(StrEnum):
    """What an endpoint shows."""

    GOOD = "good"
    EXPIRED = "expired"
    WRONG_NAME = "wrong_name"
    SELF_SIGNED = "self_signed"
    UNTRUSTED = "untrusted"
    """Of an authority that nobody knows."""


class Authority:
    """A new authority; several endpoints can share one. `ca` is the PEM file to trust. Raises OSError."""

    def __init__(self, folder: Path, *names: str) -> None:
        """Issues for `names` (default: localhost, 127.0.0.1, ::1); `folder` must exist."""
        self.ca = folder / "ca.pem"
        self._names = names or NAMES
        self._authority = trustme.CA()
        self._authority.cert_pem.write_to_path(self.ca)

    def server_context(self, kind: Certificate = Certificate.GOOD) -> ssl.SSLContext:
        """A server's context that shows a certificate of this kind."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if kind is Certificate.SELF_SIGNED:
            self._self_signed(context)
        else:
            self._issue(kind).configure_cert(context)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Trusts this authority and nothing else."""
        return ssl.create_default_context(cafile=str(self.ca))

    def _issue(self, kind: Certificate) -> trustme.LeafCert:
        if kind is Certificate.EXPIRED:
            now = datetime.now(UTC)
            return self._authority.issue_cert(
                *self._names, not_before=now - timedelta(days=2), not_after=now - timedelta(days=1)
            )
        if kind is Certificate.WRONG_NAME:
            return self._authority.issue_cert("somebody-else.example")
        return (trustme.CA() if kind is Certificate.UNTRUSTED else self._authority).issue_cert(*self._names)

    @staticmethod
    def _self_signed(context: ssl.SSLContext) -> None:
        own = trustme.CA()
        with own.cert_pem.tempfile() as certificate, own.private_key_pem.tempfile() as key:
            context.load_cert_chain(certificate, key)
