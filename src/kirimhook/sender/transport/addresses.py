"""Which addresses may be dialled: those that the whole Internet can reach, and what the operator allows beside them.

The tables are IANA's registries of special-purpose addresses, multicast, what is not allotted, and the metadata
services of clouds. An IPv6 address that carries an IPv4 one is as forbidden as that.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

_FORBIDDEN_4 = tuple(
    (IPv4Network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "cloud platform"),  # Azure's, in every virtual network
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "IETF protocols"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "AS112"),
        ("192.52.193.0/24", "multicast tunnels"),
        ("192.88.99.0/24", "6to4 relays"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "AS112"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_FORBIDDEN_6 = tuple(
    (IPv6Network(network), reason)
    for network, reason in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::/96", "carries an IPv4 address"),  # compatible
        ("::ffff:0:0:0/96", "carries an IPv4 address"),  # translated
        ("64:ff9b:1::/48", "local NAT64"),
        ("100::/64", "discarded"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
        ("2001::/32", "Teredo"),
        ("2001::/23", "IETF protocols"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("2620:4f:8000::/48", "AS112"),
        ("3fff::/20", "documentation"),
    )
)
_UNICAST = IPv6Network("2000::/3")
"""All of IPv6 that was ever allotted to be reached by everybody."""
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP = (0x00005EFE, 0x02005EFE)
_LOW_32_BITS = 0xFFFF_FFFF

RESERVED_NAMES = {
    "ip6-localhost": "::1",
    "ip6-loopback": "::1",
    "localhost": "127.0.0.1",
    "localhost.localdomain": "127.0.0.1",
    "localhost4": "127.0.0.1",
    "localhost6": "::1",
    "instance-data": "169.254.169.254",
    "instance-data.ec2.internal": "169.254.169.254",
    "metadata": "169.254.169.254",
    "metadata.azure.internal": "169.254.169.254",
    "metadata.goog": "169.254.169.254",
    "metadata.google.internal": "169.254.169.254",
    "metadata.oraclecloud.com": "169.254.169.254",
    "metadata.packet.net": "169.254.169.254",
    "metadata.platformequinix.com": "169.254.169.254",
    "metadata.tencentyun.com": "169.254.0.23",
    "rancher-metadata": "169.254.169.250",
}
"""Names that mean an address of one kind wherever they resolve, whatever they resolve to."""
_LOOPBACK = ("127.0.0.1", "::1")
_LOCALHOST = ".localhost"  # RFC 6761: all names below it are loopback


def networks(cidrs: Sequence[str]) -> tuple[Network, ...]:
    """The operator's setting `allow_networks`, parsed. Raises ValueError."""
    return tuple(ip_network(cidr) for cidr in cidrs)


def forbidden(address: str, allowed: Sequence[Network]) -> str | None:
    """Why an address may not be dialled, in a word or two; None where it may. An allowed network wins.

    What is not an address in its plain form is forbidden.
    """
    try:
        ip = _unmapped(ip_address(address))
    except ValueError:
        return "not an address"
    if any(ip in network for network in allowed):
        return None
    return _reason(ip)


def forbidden_name(name: str, allowed: Sequence[Network]) -> str | None:
    """Why a name may not be resolved at all: it means this machine, or the cloud's metadata. As `forbidden`."""
    meant = "127.0.0.1" if name.endswith(_LOCALHOST) else RESERVED_NAMES.get(name)
    if meant is None:
        return None
    if meant in _LOOPBACK:  # a machine says itself which of the two its names mean
        return None if any(forbidden(address, allowed) is None for address in _LOOPBACK) else "loopback"
    return "metadata service" if forbidden(meant, allowed) else None


def _unmapped(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """What the system dials for `::ffff:192.0.2.1`."""
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


@lru_cache(4096)
def _reason(ip: IPv4Address | IPv6Address) -> str | None:
    if isinstance(ip, IPv4Address):
        return next((reason for network, reason in _FORBIDDEN_4 if ip in network), None)
    return next((reason for network, reason in _FORBIDDEN_6 if ip in network), None) or _reason_by_content(ip)


def _reason_by_content(ip: IPv6Address) -> str | None:
    if ip.scope_id is not None:
        return "names a zone"
    number = int(ip)
    carried = IPv4Address(number & _LOW_32_BITS)
    if ip in _NAT64:
        return _reason(carried)
    if ip not in _UNICAST:
        return "not globally routed"
    return _reason(carried) if (number >> 32) & _LOW_32_BITS in _ISATAP else None
