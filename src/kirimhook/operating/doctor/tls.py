"""The TLS contexts of an examination: as strict as a sender, strict but for the name, not strict, out of date."""

from __future__ import annotations

import ssl
import warnings

_ALPN = ["http/1.1"]


def strict(authorities: str | None) -> ssl.SSLContext:
    """As a sender has it. `authorities`: a PEM file to trust instead of the system's. Raises OSError."""
    context = ssl.create_default_context(cafile=authorities)
    context.set_alpn_protocols(_ALPN)
    return context


def any_name(authorities: str | None) -> ssl.SSLContext:
    """The chain counts, whomever it names. Raises OSError."""
    context = strict(authorities)
    context.check_hostname = False
    return context


def unverified() -> ssl.SSLContext:
    """Only to see whether there is TLS at all: nothing is ever sent over it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(_ALPN)
    return context


def out_of_date() -> ssl.SSLContext:
    """TLS 1.0 and 1.1 alone, as unverified as above. Raises ssl.SSLError or ValueError where OpenSSL has neither."""
    context = unverified()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that they are out of date is why they are asked for
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context
