"""What is dialled is reachable by the whole Internet, or the operator allows it: nothing else.

Held against the registry's ranges written out, and against what Python's `ipaddress` calls global.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.sender.transport.addresses import RESERVED_NAMES, forbidden, forbidden_name, networks
from tests.sender.forbidden_hosts import IPV4_RANGES, IPV6_RANGES, PUBLIC

FIRST_UNICAST, LAST_UNICAST = int(IPv6Address("2000::")), int(IPv6Address("3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))


def spans(ranges: dict[str, tuple[str, str]]) -> list[tuple[int, int]]:
    return [(int(ip_address(first)), int(ip_address(last))) for first, last in ranges.values()]


SPANS_4, SPANS_6 = spans(IPV4_RANGES), spans(IPV6_RANGES)

numbers_4 = st.one_of(
    st.integers(0, 2**32 - 1),
    st.sampled_from(SPANS_4).flatmap(lambda span: st.integers(max(span[0] - 2, 0), min(span[1] + 2, 2**32 - 1))),
)
forbidden_4 = st.sampled_from(SPANS_4).flatmap(lambda span: st.integers(*span)).map(IPv4Address)
unicast_6 = st.one_of(
    st.integers(FIRST_UNICAST, LAST_UNICAST),
    st.sampled_from([span for span in SPANS_6 if FIRST_UNICAST <= span[0] <= LAST_UNICAST]).flatmap(
        lambda span: st.integers(span[0] - 2, span[1] + 2)
    ),
)


def is_listed(number: int, listed: list[tuple[int, int]]) -> bool:
    return any(first <= number <= last for first, last in listed)


@pytest.mark.parametrize("edges", [*IPV4_RANGES.values(), *IPV6_RANGES.values()], ids=str)
def test_the_first_and_the_last_of_each_range_are_forbidden(edges: tuple[str, str]) -> None:
    assert all(forbidden(edge, ()) for edge in edges)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_and_the_neighbours_of_each_range_are_allowed(address: str) -> None:
    assert forbidden(address, ()) is None


@given(numbers_4)
def test_ipv4_is_forbidden_exactly_where_the_registry_says(number: int) -> None:
    assert (forbidden(str(IPv4Address(number)), ()) is not None) == is_listed(number, SPANS_4)


@given(numbers_4)
def test_what_is_allowed_of_ipv4_is_global_to_python(number: int) -> None:
    ip = IPv4Address(number)
    assert forbidden(str(ip), ()) is not None or (ip.is_global and not ip.is_multicast)


@given(unicast_6)
def test_ipv6_unicast_is_forbidden_exactly_where_the_registry_says(number: int) -> None:
    is_isatap = (number >> 32) & 0xFDFFFFFF == 0x5EFE
    assert is_isatap or (forbidden(str(IPv6Address(number)), ()) is not None) == is_listed(number, SPANS_6)


@given(unicast_6)
def test_what_is_allowed_of_ipv6_is_global_to_python(number: int) -> None:
    ip = IPv6Address(number)
    assert forbidden(str(ip), ()) is not None or (ip.is_global and not ip.is_multicast)


@given(st.integers(0, 2**128 - 1).filter(lambda number: not FIRST_UNICAST <= number <= LAST_UNICAST))
def test_ipv6_beyond_unicast_is_forbidden_unless_it_carries_public_ipv4(number: int) -> None:
    ip = IPv6Address(number)
    carries = ip in ip_network("64:ff9b::/96") or ip.ipv4_mapped is not None
    assert carries or forbidden(str(ip), ()) is not None


@given(forbidden_4)
def test_no_carrier_smuggles_a_forbidden_ipv4_address(ip: IPv4Address) -> None:
    number = int(ip)
    carriers = {
        "mapped": 0xFFFF << 32 | number,
        "compatible": number,
        "translated": 0xFFFF << 48 | number,
        "NAT64": 0x64FF9B << 96 | number,
        "local NAT64": 0x64FF9B0001 << 80 | number,
        "6to4": 0x2002 << 112 | number << 80,
        "Teredo server": 0x20010000 << 96 | number << 64,
        "Teredo client": 0x20010000 << 96 | number ^ 0xFFFFFFFF,
        "ISATAP": 0x26001234 << 96 | 0x5EFE << 32 | number,
        "ISATAP, global bit": 0x26001234 << 96 | 0x02005EFE << 32 | number,
    }
    assert {name for name, carrier in carriers.items() if forbidden(str(IPv6Address(carrier)), ()) is None} == set()


def test_an_allowed_network_wins_and_ends_where_it_ends() -> None:
    allowed = networks(["10.1.0.0/16", "fd00:1::/32"])
    for address in ("10.1.0.0", "10.1.255.255", "::ffff:10.1.2.3", "fd00:1::", "fd00:1:ffff::1"):
        assert forbidden(address, allowed) is None
    for address in ("10.0.255.255", "10.2.0.0", "::ffff:10.2.0.0", "fd00:2::", "127.0.0.1"):
        assert forbidden(address, allowed) is not None


@pytest.mark.parametrize("carrier", ["64:ff9b::10.1.2.3", "::10.1.2.3", "2002:a01:203::", "64:ff9b:1::10.1.2.3"])
def test_allowing_ipv4_does_not_allow_what_some_gateway_makes_of_it(carrier: str) -> None:
    assert forbidden(carrier, networks(["10.0.0.0/8"])) is not None


@given(st.text(max_size=40))
def test_what_is_no_address_is_forbidden(text: str) -> None:
    try:
        ip_address(text)
    except ValueError:
        assert forbidden(text, networks(["0.0.0.0/0", "::/0"])) == "not an address"


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.1", "0177.0.0.1", "2130706433", "[::1]", "127.0.0.1 ", "1.2.3.4/8"]
)
def test_another_form_of_an_address_is_no_address(text: str) -> None:
    assert forbidden(text, ()) == "not an address"


def test_a_zone_does_not_hide_an_address() -> None:
    assert forbidden("fe80::1%eth0", ()) == "link-local"
    assert forbidden("2606:4700::1%eth0", ()) == "names a zone"
    assert forbidden("fe80::1%2", networks(["fe80::/10"])) is None


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_a_reserved_name_is_refused_unless_its_address_is_allowed(name: str) -> None:
    assert forbidden_name(name, ()) in {"loopback", "metadata service"}
    assert forbidden_name(name, networks(["10.0.0.0/8"])) is not None
    assert forbidden_name(name, networks(["0.0.0.0/0", "::/0"])) is None


def test_localhost_is_whichever_loopback_is_allowed() -> None:
    assert forbidden_name("localhost", networks(["::1/128"])) is None
    assert forbidden_name("ip6-localhost", networks(["127.0.0.0/8"])) is None
    assert forbidden_name("a.localhost", networks(["127.0.0.0/8"])) is None
    assert forbidden_name("localhost", networks(["169.254.0.0/16"])) == "loopback"


@pytest.mark.parametrize(
    "name", ["example.com", "localhost.example.com", "mylocalhost", "metadata.example.com", "xlocalhost"]
)
def test_other_names_are_not_reserved(name: str) -> None:
    assert forbidden_name(name, ()) is None
