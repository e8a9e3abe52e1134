"""The certificate that the API shows: the operator's, or one of a development authority of our own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kirimhook.cli.failure import Failure, misuse

if TYPE_CHECKING:
    from kirimhook.serving.server import Tls

FOLDER = Path("kirimhook-sender-tls")


class Shown(NamedTuple):
    """`ca` is there where whoever calls has to trust it."""

    tls: Tls | None
    ca: Path | None


def certificate(own: bool, chain: Path | None, key: Path | None, host: str) -> Shown:
    """Raises `Failure`."""
    from kirimhook.serving.server import Tls

    if (chain is None) != (key is None):
        raise misuse("--tls-cert and --tls-key go together")
    if chain is None or key is None:
        return _own(host) if own else Shown(None, None)
    if own:
        raise misuse("--tls makes a certificate of its own: give that, or --tls-cert and --tls-key")
    return Shown(Tls(chain, key), None)


def _own(host: str) -> Shown:
    """Made once; later starts, and the other processes of this one, find it."""
    from kirimhook.serving.server import Tls
    from kirimhook.testing.devca import make_certificates

    files = Shown(Tls(FOLDER / "server.pem", FOLDER / "server.key"), (FOLDER / "ca.pem").absolute())
    if not (FOLDER / "server.key").exists():
        names = dict.fromkeys(["localhost", "127.0.0.1", "::1", *([] if host in {"0.0.0.0", "::"} else [host])])  # noqa: S104  # compared with, not bound to
        try:
            FOLDER.mkdir(exist_ok=True)
            make_certificates(FOLDER, *names)
        except OSError as error:
            raise Failure(f"cannot make certificates in {FOLDER}: {error.strerror}") from None
    return files
