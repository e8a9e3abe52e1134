"""TLS: whether there is any, whose certificate it shows and for how long, and what else is let in."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from kirimhook.operating.doctor import tls
from kirimhook.operating.doctor.check import Check
from kirimhook.operating.doctor.finding import Finding, failed, left_out, passed, warned
from kirimhook.operating.doctor.wire import NoAnswer, Request, describe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from kirimhook.operating.doctor.visit import Visit

    Run = Callable[[Visit], Awaitable[Finding]]

_DAY = 86_400
_OUT_OF_TIME = {9, 10}
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""
_OTHER_NAME = {62, 64}
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_UNABLE = {"NO_PROTOCOLS_AVAILABLE", "NO_CIPHERS_AVAILABLE"}
_NO_ISSUER = {20, 21}
"""X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY and X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE."""


def _of_tls(run: Run) -> Run:
    async def checked(visit: Visit) -> Finding:
        return left_out("the URL is plain http") if visit.is_plain else await run(visit)

    return checked


@_of_tls
async def _handshake(visit: Visit) -> Finding:
    try:
        async with await visit.dial(tls.unverified()) as connection:
            version = connection.tls.version() if connection.tls else None
            return passed(f"{version}")
    except OSError as error:
        return failed(describe(error))


async def _certificate(visit: Visit, context: ssl.SSLContext) -> dict[str, Any]:
    """The leaf's, once its chain is verified. Raises OSError."""
    async with await visit.dial(context) as connection:
        return (connection.tls.getpeercert() if connection.tls else None) or {}


@_of_tls
async def _chain(visit: Visit) -> Finding:
    try:
        found = await _certificate(visit, tls.any_name(visit.order.authorities))
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _OUT_OF_TIME:
            return passed("whole; but see its time")
        missing = ": the server sends no intermediate certificate, or nobody knows its authority"
        return failed(describe(error) + (missing if error.verify_code in _NO_ISSUER else ""))
    issuer = dict(pair for group in found.get("issuer", ()) for pair in group)
    return passed(f"issued by {issuer.get('organizationName') or issuer.get('commonName') or 'an unnamed authority'}")


@_of_tls
async def _time(visit: Visit) -> Finding:
    try:
        found = await _certificate(visit, tls.any_name(visit.order.authorities))
    except ssl.SSLCertVerificationError as error:
        return failed(describe(error))
    ends = str(found.get("notAfter", ""))
    days = (ssl.cert_time_to_seconds(ends) - visit.order.clock()) / _DAY
    return (warned if days < visit.bounds.certificate_days else passed)(f"it ends in {days:.0f} days, {ends}")


@_of_tls
async def _name(visit: Visit) -> Finding:
    try:
        await _certificate(visit, tls.strict(visit.order.authorities))
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _OTHER_NAME:
            return failed(describe(error))
        raise
    return passed(f"it names {visit.place.host}")


@_of_tls
async def _out_of_date(visit: Visit) -> Finding:
    unable = left_out("this machine speaks no TLS 1.1 itself")
    try:
        context = tls.out_of_date()
    except (ssl.SSLError, ValueError):
        return unable
    try:
        async with await visit.dial(context) as connection:
            return warned(f"{connection.tls.version() if connection.tls else 'TLS'} is accepted")
    except OSError as error:
        if isinstance(error, ssl.SSLError) and error.reason in _UNABLE:
            return unable
        return passed(f"TLS 1.0 and 1.1 are refused ({describe(error)})")


@_of_tls
async def _plain(visit: Visit) -> Finding:
    """Says nothing that is signed: what is plain, anybody on the way can read."""
    try:
        async with await visit.dial(None) as connection:
            answer = await visit.ask_over(connection, Request([(b"Content-Type", b"application/json")], b"{}"))
    except NoAnswer as error:
        return passed(str(error))
    if answer.is_success or answer.status == 401:
        return warned(f"the webhook answers plain HTTP on port {visit.place.port}: {answer.status}")
    return passed(f"plain HTTP on port {visit.place.port} is answered {answer.status}")


ROWS = (
    Check(
        id="tls",
        tries="Shakes hands as a sender does (TLS 1.2 or later, http/1.1).",
        right="A TLS connection.",
        section="4 [seed]",
        cost="Every attempt fails; every delivery is dead after 8 of them.",
        run=_handshake,
        needs="connect",
    ),
    Check(
        id="chain",
        tries="Verifies the certificate chain.",
        right="It leads to an authority that senders trust, intermediate certificates included.",
        section="4 [seed]",
        cost="Every attempt fails, while browsers, which know the missing certificate, show no error.",
        run=_chain,
        needs="tls",
    ),
    Check(
        id="expiry",
        tries="Reads until when the certificate holds.",
        right="Three weeks or more.",
        section="4 [seed]",
        cost="From that moment every attempt fails; an automatic renewal has stopped working.",
        run=_time,
        needs="chain",
    ),
    Check(
        id="name",
        tries="Compares the certificate's names with the URL's.",
        right="One of them is the URL's host.",
        section="4 [seed]",
        cost="Every attempt fails; every delivery is dead after 8 of them.",
        run=_name,
        needs="expiry",
    ),
    Check(
        id="old_tls",
        tries="Offers TLS 1.0 and 1.1 alone.",
        right="They are refused.",
        section="4 [ours]",
        cost="Nothing is lost: senders use a later version. Audits complain (RFC 8996).",
        run=_out_of_date,
        needs="tls",
    ),
    Check(
        id="plain_http",
        tries="Posts in clear to the same port, unsigned.",
        right="No answer of the webhook's.",
        section="4 [seed]",
        cost="Nothing is lost: senders use TLS. Whoever is given the wrong URL sends customers' data in clear.",
        run=_plain,
        needs="tls",
    ),
)
