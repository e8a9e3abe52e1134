"""Whom a command calls: a URL that makes sense, and the authorities it trusts."""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import urlsplit

from kirimhook.cli.failure import misuse


def checked_url(url: str, option: str = "--url") -> str:
    """Raises `Failure` for what is no http or https URL with a host."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise misuse(f"{option} {url!r}: write http://… or https://…")
    return url


def trust(bundle: Path | None) -> ssl.SSLContext | None:
    """Of the authorities in this file and no others; None for no file. Raises `Failure`."""
    if bundle is None:
        return None
    try:
        return ssl.create_default_context(cafile=str(bundle))
    except (OSError, ssl.SSLError) as error:
        raise misuse(f"--ca-bundle {bundle}: {getattr(error, 'strerror', None) or error}") from None
