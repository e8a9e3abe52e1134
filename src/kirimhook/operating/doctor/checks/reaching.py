"""Whether a sender gets as far as the consumer's TLS: the URL, its name, its addresses."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from kirimhook.operating.doctor.check import Check
from kirimhook.operating.doctor.finding import Finding, failed, passed, warned
from kirimhook.operating.doctor.wire import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kirimhook.operating.doctor.visit import Visit

MOST_ADDRESSES = 8


async def _https(visit: Visit) -> Finding:
    return failed("it begins with http://") if visit.is_plain else passed("it begins with https://")


async def _dns(visit: Visit) -> Finding:
    place = visit.place
    if place.is_address:
        visit.addresses = (place.host,)
        return passed(_kind(visit.addresses) or "an address: there is no name to look up")
    try:
        visit.addresses = (await visit.order.resolver(place.host, place.port))[:MOST_ADDRESSES]
    except OSError as error:
        return failed(f"{place.host} has no address ({describe(error)})")
    listed = ", ".join(visit.addresses)
    if len({_is_public(address) for address in visit.addresses}) > 1:
        return failed(f"{listed}: some are public, some private")
    return passed(f"{listed} ({_kind(visit.addresses)})" if _kind(visit.addresses) else listed)


async def _connect(visit: Visit) -> Finding:
    """Every address, one after the other; the first that accepts is the one that all else is sent to."""
    refused: dict[str, str] = {}
    for address in visit.addresses:
        was, visit.address = visit.address, address
        try:
            await (await visit.dial(None)).close()
        except OSError as error:
            refused[address] = describe(error)
            visit.address = was
        else:
            visit.address = was or address
    return reached(len(visit.addresses), visit.address, refused)


def reached(count: int, accepting: str, refused: dict[str, str]) -> Finding:
    """Of `count` addresses, the first that accepts, and those that do not with the reason.

    Where localhost has two addresses, a server commonly listens on one.
    """
    said = ", ".join(f"{address}: {why}" for address, why in refused.items())
    if not accepting:
        return failed(said)
    if any(not ip_address(address.partition("%")[0]).is_loopback for address in refused):
        return warned(f"{accepting} accepts; {said}")
    return passed(f"{count - len(refused)} of {count} accept")


def _is_public(address: str) -> bool:
    return ip_address(address.partition("%")[0]).is_global


def _kind(addresses: Sequence[str]) -> str:
    """What is to be said of addresses that a provider on the internet cannot reach."""
    return "" if all(map(_is_public, addresses)) else "private: only a sender in this network reaches it"


ROWS = (
    Check(
        id="https",
        tries="Reads the URL.",
        right="It begins with https://.",
        section="4 [seed]",
        cost="No subscription can have this URL: 400 invalid_webhook_url. Payloads would travel in clear.",
        run=_https,
    ),
    Check(
        id="dns",
        tries="Looks the name up.",
        right="It has addresses, all public or all private.",
        section="4 [seed]",
        cost="Every attempt fails, or those to some of the addresses: they are dead after 8 attempts, in 31 hours.",
        run=_dns,
    ),
    Check(
        id="connect",
        tries="Connects to each address.",
        right="Each accepts.",
        section="4 [seed]",
        cost="Attempts that go to such an address fail, or lose the time until the next address is tried.",
        run=_connect,
        needs="dns",
    ),
)
