"""What went wrong, in one short line for the one whose endpoint it is. Says nothing the peer sent, and no URL."""

from __future__ import annotations

import os
import socket
import ssl

from aiohttp.client_exceptions import ClientPayloadError, ServerDisconnectedError
from aiohttp.http_exceptions import BadStatusLine, HttpProcessingError, LineTooLong

from kirimhook.sender.transport.dialler import ForbiddenAddress
from kirimhook.sender.transport.urls import BadUrl
from kirimhook.sender.transport.wire import HeadTooLarge

MOST = 200
"""Characters."""


def describe(error: Exception) -> str:
    """The error of an attempt that had no usable answer; a timeout is described by who knows its phase."""
    text = _described(error)
    return "".join(character if character.isprintable() else "?" for character in text)[:MOST]


def _described(error: Exception) -> str:
    match error:
        case BadUrl():
            return f"the URL {error}"
        case ForbiddenAddress():
            return str(error)
        case socket.gaierror():
            return f"dns: {(error.strerror or 'failed').lower()}"
        case ssl.SSLCertVerificationError():
            return f"certificate: {error.verify_message.rstrip('.')}"
        case ssl.SSLError():
            return f"tls: {(error.reason or 'failed').lower().replace('_', ' ')}"
        case HeadTooLarge() | LineTooLong():
            return "the head of the answer is too large"
        case ClientPayloadError():
            return "the answer broke off"
        case ServerDisconnectedError():
            return "the connection was closed before an answer"
        case HttpProcessingError():
            return _not_http(error)
        case OSError():
            return _system(error)
        case _:
            return f"unexpected {type(error).__name__}"


def _not_http(error: HttpProcessingError) -> str:
    cause = error.__cause__
    if isinstance(cause, LineTooLong) or "many headers" in str(cause).lower():
        return "the head of the answer is too large"
    return "the answer is not HTTP" if isinstance(cause, BadStatusLine) else "the answer is malformed"


def _system(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else "the connection failed"
