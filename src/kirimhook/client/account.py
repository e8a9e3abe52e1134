"""Whom a client calls, and as whom."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from kirimhook.contract.signature import Secret

HOSTED = "https://api-kckit.kirim.chat"
"""The hosted API."""
KEY_VARIABLE = "KIRIM_KEY"
URL_VARIABLE = "KIRIM_API_URL"

_VERSION = "/v1"


@dataclass(frozen=True, slots=True)
class Account:
    """`url` ends in `/v1`."""

    url: str
    key: Secret
    """Shows itself to nobody who prints it."""


def account(api_key: str | None, base_url: str | None) -> Account:
    """What is given, else what the environment says, else the hosted API.

    Raises ValueError where there is no key, and for a key or URL that cannot be one. It never quotes the key.
    """
    key = (api_key if api_key is not None else os.environ.get(KEY_VARIABLE, "")).strip()
    if not key:
        raise ValueError(f"no API key: give one, or set {KEY_VARIABLE}")
    return Account(api_url(base_url or os.environ.get(URL_VARIABLE) or HOSTED), _key(key))


def _key(given: str) -> Secret:
    try:
        return Secret(given)
    except ValueError:
        raise ValueError("an API key has no blanks and no letters but ASCII's") from None


def api_url(given: str) -> str:
    """Of the API, with `/v1`, from a URL with or without it. Raises ValueError."""
    try:
        parts = urlsplit(given.strip())
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("the API's URL is http://… or https://…, without user, query and fragment")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix(_VERSION)}{_VERSION}"
