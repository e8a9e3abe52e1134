"""A subscription's URL is https, names a host that everybody may be sent to, and means one thing only."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.sender.transport.addresses import networks
from kirimhook.sender.transport.urls import BadUrl, Resolver, Target, check, parse
from tests.sender.forbidden_hosts import HOSTS, IDS, PUBLIC

PUBLIC_ADDRESS = "93.184.215.14"


def names(*addresses: str) -> Resolver:
    async def resolver(_: str) -> Sequence[str]:
        return addresses

    return resolver


async def nobody(_: str) -> Sequence[str]:
    raise AssertionError("this need not be looked up")


def checked(url: str, resolver: Resolver = nobody, allowed: Sequence[str] = ()) -> str | None:
    """Why it is refused; None where it is not."""
    try:
        asyncio.run(check(url, resolver, networks(allowed), seconds=0.05))
    except BadUrl as refused:
        return str(refused)
    return None


def in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def test_the_table_is_as_long_as_promised() -> None:
    assert len({host for host, _ in HOSTS}) >= 150


@pytest.mark.parametrize("host", [host for host, _ in HOSTS], ids=IDS)
def test_a_forbidden_host_is_refused_without_a_look_up(host: str) -> None:
    assert checked(f"https://{host}/hook")
    assert checked(f"https://{host}:8443/hook")


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_accepted(address: str) -> None:
    assert checked(f"https://{in_url(address)}/hook") is None


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://example.com/", "https"),
        ("ftp://example.com/", "https"),
        ("HTTP://example.com/", "https"),
        ("https:/example.com", "https"),
        ("https:example.com", "https"),
        ("//example.com/", "https"),
        ("example.com", "https"),
        ("", "https"),
        ("javascript:alert(1)//https://example.com", "https"),
        ("https://", "host"),
        ("https:///hook", "host"),
        ("https://:443/", "host"),
        ("https://user@example.com/", "credentials"),
        ("https://user:secret@example.com/", "credentials"),
        ("https://@example.com/", "credentials"),
        ("https://example.com@127.0.0.1/", "credentials"),
        ("https://example.com/#part", "fragment"),
        ("https://example.com/#", "fragment"),
        ("https://example.com#@127.0.0.1/", "fragment"),
        ("https://example.com:0/", "port"),
        ("https://example.com:65536/", "port"),
        ("https://example.com:99999/", "port"),
        ("https://example.com:123456/", "port"),
        ("https://example.com:-1/", "port"),
        ("https://example.com:８443/", "port"),
        ("https://example.com:80:80/", "port"),
        ("https://example.com:x/", "port"),
        ("https://example.com/a b", "blanks"),
        (" https://example.com/", "blanks"),
        ("https://example.com/\n", "control"),
        ("https://exam\tple.com/", "control"),
        ("https://example.com/\r\nX-Injected: 1", "control"),
        ("https://example.com/\x00", "control"),
        ("https://example.com/\u00a0", "blanks"),
        ("https://example.com/\u2028", "control"),
        ("https://example.com\\@127.0.0.1/", "backslash"),
        ("https:\\\\example.com/", "backslash"),
        ("https://exa%6dple.com/", "domain name"),
        ("https://%31%32%37.0.0.1/", "domain name"),
        ("https://example..com/", "domain name"),
        ("https://.example.com/", "domain name"),
        ("https://example.com../", "domain name"),
        ("https://-example.com/", "domain name"),
        ("https://example-.com/", "domain name"),
        ("https://exa!mple.com/", "domain name"),
        ("https://exam\uff0fple.com/", "domain name"),
        ("https://" + "a" * 64 + ".com/", "domain name"),
        ("https://" + "a." * 127 + "com/", "domain name"),
        ("https://" + "a" * 2041, "characters"),
        ("https://example.com/\ud800", "control"),
    ],
)
def test_what_cannot_be_a_webhook_is_refused_and_told_why(url: str, reason: str) -> None:
    told = checked(url)
    assert told is not None
    assert reason in told
    assert len(told) < 100


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.com", Target("example.com", 443, "example.com", "/", False)),
        ("HTTPS://EXAMPLE.com:443/", Target("example.com", 443, "example.com", "/", False)),
        ("https://example.com:/a", Target("example.com", 443, "example.com", "/a", False)),
        ("https://example.com.:8443/a?b=c", Target("example.com", 8443, "example.com:8443", "/a?b=c", False)),
        ("https://example.com?b=/c", Target("example.com", 443, "example.com", "/?b=/c", False)),
        ("https://my_host.example/", Target("my_host.example", 443, "my_host.example", "/", False)),
        ("https://1.1.1.1/ä?ö=%C3%BC", Target("1.1.1.1", 443, "1.1.1.1", "/%C3%A4?%C3%B6=%C3%BC", True)),
        ("https://BÜCHER.example/", Target("xn--bcher-kva.example", 443, "xn--bcher-kva.example", "/", False)),
        ("https://faß.example/", Target("xn--fa-hia.example", 443, "xn--fa-hia.example", "/", False)),
        ("https://例え。テスト/", Target("xn--r8jz45g.xn--zckzah", 443, "xn--r8jz45g.xn--zckzah", "/", False)),
        ("https://1.1.1.1/a%2Fb//c/../d", Target("1.1.1.1", 443, "1.1.1.1", "/a%2Fb//c/../d", True)),
        ("https://[2606:4700:0:0::1111]:8443/", Target("2606:4700::1111", 8443, "[2606:4700::1111]:8443", "/", True)),
        ("https://[::ffff:1.1.1.1]/", Target("::ffff:101:101", 443, "[::ffff:101:101]", "/", True)),
        ("https://1.2.3.4.example/", Target("1.2.3.4.example", 443, "1.2.3.4.example", "/", False)),
        ("https://0x7f.example/", Target("0x7f.example", 443, "0x7f.example", "/", False)),
        ('https://example.com/<">`{|}^', Target("example.com", 443, "example.com", "/%3C%22%3E%60%7B%7C%7D%5E", False)),
        ("https://1.1.1.1/user@x:y;z=1,2!$&'()*+", Target("1.1.1.1", 443, "1.1.1.1", "/user@x:y;z=1,2!$&'()*+", True)),
    ],
)  # fmt: skip
def test_what_a_url_means(url: str, target: Target) -> None:
    parsed = parse(url)
    if "[::ffff:" in url:  # how Python writes a mapped address has changed between its versions
        assert parsed.host in {"::ffff:101:101", "::ffff:1.1.1.1"}
    else:
        assert parsed == target


def test_2048_characters_are_accepted_and_one_more_is_not() -> None:
    url = "https://example.com/" + "a" * 2028
    assert len(url) == 2048
    assert len(parse(url).path) == 2029
    with pytest.raises(BadUrl, match="2048"):
        parse(url + "a")


@given(st.text(alphabet=st.characters(), max_size=60))
def test_any_text_is_a_target_or_a_bad_url(text: str) -> None:
    for url in (text, f"https://{text}", f"https://{text}.example/{text}"):
        try:
            target = parse(url)
        except BadUrl:
            continue
        assert target.host.isascii()
        assert target.host == target.host.lower()
        assert f"{target.authority}{target.path}".isascii()
        assert f"{target.authority}{target.path}".isprintable()
        assert " " not in target.path


@given(st.text(alphabet="aA1.0x-_:[]%@/?#f\u3002\uff11\u00fc", max_size=30))
def test_a_target_written_as_a_url_means_itself_and_the_same_to_the_standard_library(text: str) -> None:
    try:
        target = parse(f"https://{text}")
    except BadUrl:
        return
    written = f"https://{target.authority}{target.path}"
    assert parse(written) == target
    split = urlsplit(written)
    assert (split.hostname, split.port or 443, split.username) == (target.host, target.port, None)


def test_a_name_with_a_public_address_is_accepted_whatever_its_others() -> None:
    assert checked("https://hooks.example/", names(PUBLIC_ADDRESS)) is None
    assert checked("https://hooks.example/", names("10.0.0.1", PUBLIC_ADDRESS, "::1")) is None


@pytest.mark.parametrize("addresses", [("10.0.0.1",), ("127.0.0.1", "::1"), ("169.254.169.254",), ("fd00:ec2::254",)])
def test_a_name_with_forbidden_addresses_only_is_refused_without_saying_which(addresses: tuple[str, ...]) -> None:
    told = checked("https://hooks.example/", names(*addresses))
    assert told is not None
    assert told.startswith("hooks.example has a forbidden address (")
    assert not any(address in told for address in addresses)


def test_an_allowed_network_is_accepted() -> None:
    assert checked("https://hooks.example/", names("10.0.0.1"), ["10.0.0.0/8"]) is None
    assert checked("https://10.0.0.1/", nobody, ["10.0.0.0/8"]) is None
    assert checked("https://localhost/", names("127.0.0.1"), ["127.0.0.0/8"]) is None
    assert checked("https://192.168.0.1/", nobody, ["10.0.0.0/8"]) is not None


def test_a_name_that_does_not_resolve_yet_is_accepted() -> None:
    async def unknown(_: str) -> Sequence[str]:
        raise OSError(-2, "Name or service not known")

    assert checked("https://not-yet.example/", unknown) is None
    assert checked("https://not-yet.example/", names()) is None


def test_a_name_server_that_never_answers_holds_nobody() -> None:
    async def silent(_: str) -> Sequence[str]:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]  # a future that is never done

    assert checked("https://slow.example/", silent) is None


def test_the_name_looked_up_is_the_one_that_will_be_dialled() -> None:
    asked: list[str] = []

    async def resolver(name: str) -> Sequence[str]:
        asked.append(name)
        return [PUBLIC_ADDRESS]

    assert checked("https://BÜCHER.example.:8443/", resolver) is None
    assert asked == [parse("https://BÜCHER.example.:8443/").host]
