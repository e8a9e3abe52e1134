"""Nothing is dialled that was not vetted: whatever was checked before, whatever the name server says, no proxy.

Proof is that no socket is made, and that a listener at hand sees nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import unicodedata
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from kirimhook.sender.transport import BadUrl, Transport, check, networks
from kirimhook.sender.transport.dialler import Dialler, ForbiddenAddress
from kirimhook.sender.transport.exchange import Trip
from kirimhook.sender.transport.urls import Target
from kirimhook.testing.endpoint import Authority, Certificate, Door, Endpoint, Redirect, Respond
from tests.sender.forbidden_hosts import HOSTS, IPV4_RANGES, IPV6_RANGES
from tests.sender.posting import BODY, HEADERS, LOOP_NAMES, LOOPS, names, opened, posted, run, settings, sockets_made

Loop = Callable[[], asyncio.AbstractEventLoop]
both_loops = pytest.mark.parametrize("loop", LOOPS, ids=LOOP_NAMES)
READ_AS_PUBLIC = ("8.0.0.1", "1.2.3.4", "8.8.8.8")
LOOPBACK_NETWORKS = ("127.0.0.0/8", "::1/128")


def naive(name: str) -> list[str]:
    """What a careless resolver makes of a spelling: inet_aton's reading of its compatible form."""
    plain = unicodedata.normalize("NFKC", name).replace("\u3002", ".").strip("[].")
    try:
        return [socket.inet_ntoa(socket.inet_aton(plain))]
    except OSError:
        return [plain.lower()]


async def careless(name: str) -> Sequence[str]:
    return naive(name)


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[tuple[int, list[object]]]:
    """A listener on every loopback address; its port and whoever came."""
    seen: list[object] = []

    def met(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peername"))
        writer.close()

    server = await asyncio.start_server(met, "0.0.0.0", 0)
    port = server.sockets[0].getsockname()[1]
    other = await asyncio.start_server(met, "::1", port)
    try:
        yield port, seen
    finally:
        server.close()
        other.close()


@both_loops
def test_no_spelling_of_a_forbidden_host_makes_a_socket(loop: Loop) -> None:
    """Creation's check is not asked: the raw URL goes to the transport, and the resolver is as careless as can be."""

    async def main() -> dict[str, str | None]:
        dialled = {}
        async with listening() as (port, seen), opened(resolver=careless, allow_networks=()) as transport:
            for host, _ in HOSTS:
                with sockets_made() as made:
                    exchange = await transport.post(f"https://{host}:{port}/hook", HEADERS, BODY)
                refused = (exchange.error or "").startswith(("forbidden", "the URL "))
                if made or not refused or exchange.status is not None or exchange.address is not None:
                    dialled[host] = exchange.error
            assert seen == []
        return dialled

    assert run(main(), loop) == {}


@both_loops
def test_the_dialler_alone_makes_no_socket_for_them_either(loop: Loop) -> None:
    """Not even the transport's reading of URLs is in the way: the host goes to the dialler as it was written.

    Left out is what a careless reading makes a public address of.
    """

    async def main() -> list[str]:
        dialled: list[str] = []
        async with listening() as (port, seen):
            dialler = Dialler(ssl.create_default_context(), careless, ())
            hosts = [host for host, _ in HOSTS if naive(host)[0] not in READ_AS_PUBLIC]
            assert len(HOSTS) - len(hosts) == len(READ_AS_PUBLIC)
            for host in hosts:
                for is_address in (False, True):
                    trip = Trip(asyncio.get_running_loop().time() + 10)
                    trip.target = Target(host.strip("[]"), port, host, "/", is_address)
                    with sockets_made() as made:
                        try:
                            await dialler._create_connection(trip)
                        except ForbiddenAddress:
                            pass
                        else:
                            dialled.append(host)
                    if made:
                        dialled.append(host)
            await dialler.close()
            assert seen == []
        return dialled

    assert run(main(), loop) == []


def test_the_guard_alone_makes_no_socket_for_a_forbidden_address() -> None:
    async def main() -> None:
        dialler = Dialler(ssl.create_default_context(), careless, ())
        edges = [edge for span in (*IPV4_RANGES.values(), *IPV6_RANGES.values()) for edge in span]
        for address in [*edges, "::ffff:127.0.0.1", "fe80::1%1"]:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with sockets_made() as made, pytest.raises(ForbiddenAddress):
                dialler._guard((family, socket.SOCK_STREAM, 0, "", (address, 443)))
            assert made == []
        await dialler.close()

    run(main())


@both_loops
def test_the_proof_sees_a_socket_where_one_is_made(loop: Loop) -> None:
    async def main() -> None:
        async with Endpoint() as endpoint, opened(endpoint) as transport:
            with sockets_made() as made:
                exchange = await transport.post(endpoint.url_of("127.0.0.1"), HEADERS, BODY)
            assert exchange.status == 200
            assert socket.AF_INET in made

    run(main(), loop)


@both_loops
@pytest.mark.parametrize("flipped", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "10.0.0.1"])
def test_a_name_that_flips_between_check_and_dial_is_not_dialled(loop: Loop, flipped: str) -> None:
    answers = ["93.184.215.14"]

    async def flipping(_: str) -> Sequence[str]:
        return [answers.pop() if answers else flipped]

    async def main() -> None:
        async with listening() as (port, seen), opened(resolver=flipping, allow_networks=()) as transport:
            url = f"https://rebound.example:{port}/"
            await check(url, flipping, ())
            assert answers == []
            with sockets_made() as made:
                exchange = await transport.post(url, HEADERS, BODY)
            assert (made, seen) == ([], [])
            assert exchange.error is not None
            assert exchange.error.startswith("forbidden address (")
            assert flipped not in exchange.error, "what a name means in here is not told"
            assert exchange.address is None

    run(main(), loop)


@both_loops
def test_a_name_is_looked_up_once_and_that_address_is_dialled(loop: Loop) -> None:
    """Between vetting and dialling there is no second look-up that could say something else."""
    asked: list[str] = []

    async def flipping(name: str) -> Sequence[str]:
        asked.append(name)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    async def main() -> None:
        async with Endpoint() as endpoint, opened(endpoint, resolver=flipping) as transport:
            exchange = await transport.post(endpoint.url, HEADERS, BODY)
        assert (exchange.status, exchange.address, asked) == (200, "127.0.0.1", ["localhost"])

    run(main(), loop)


@both_loops
def test_of_a_mixed_answer_only_vetted_addresses_are_dialled(loop: Loop) -> None:
    """None but 127.0.0.1 may be dialled; the others would be listened to, had anybody asked them."""

    async def main() -> None:
        async with Endpoint() as endpoint:
            mixed = names("10.0.0.1", "127.0.0.2", "::1", "169.254.169.254", "127.0.0.1", "::ffff:127.0.0.2")
            async with opened(endpoint, resolver=mixed, allow_networks=("127.0.0.1/32",)) as transport:
                with sockets_made() as made:
                    exchange = await transport.post(endpoint.url, HEADERS, BODY)
            assert (exchange.status, exchange.address) == (200, "127.0.0.1")
            assert made.count(socket.AF_INET) == 2, "the client's, and the one the server accepted"
            assert socket.AF_INET6 not in made

    run(main(), loop)


@both_loops
@pytest.mark.parametrize("door", [Door.SHUT, Door.SILENT, Door.SLAMMED, Door.PLAIN, None], ids=str)
def test_all_vetted_addresses_are_tried_within_the_timeout(loop: Loop, door: Door | None) -> None:
    """The first of two addresses refuses, hangs or cannot speak TLS: the second has its share of the time."""

    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            good = await stack.enter_async_context(Endpoint())
            if door is not None:
                bad = Endpoint(door=door, authority=good.authority, address=("127.0.0.2", good.port))
                await stack.enter_async_context(bad)
            exchange = await posted(good, names("127.0.0.2", "127.0.0.1"), attempt_timeout=1.5)
            assert (exchange.status, exchange.address, exchange.error) == (200, "127.0.0.1", None)

    run(main(), loop)


def test_an_address_with_a_bad_certificate_gives_way_to_one_with_a_good_one() -> None:
    async def main() -> None:
        async with Endpoint() as good:
            at = ("127.0.0.2", good.port)
            async with Endpoint(certificate=Certificate.EXPIRED, authority=good.authority, address=at) as bad:
                exchange = await posted(good, names("127.0.0.2", "127.0.0.1"))
                assert (exchange.status, exchange.address) == (200, "127.0.0.1")
                assert bad.requests == []

    run(main())


def test_where_all_addresses_fail_the_failure_of_the_one_that_came_furthest_is_told() -> None:
    async def main() -> None:
        async with Endpoint(certificate=Certificate.EXPIRED) as endpoint:
            for order in (("127.0.0.2", "127.0.0.1"), ("127.0.0.1", "127.0.0.2")):
                exchange = await posted(endpoint, names(*order))
                assert exchange.error == "certificate: certificate has expired"

    run(main())


@both_loops
def test_private_networks_are_dialled_where_they_are_allowed_and_nowhere_else(loop: Loop) -> None:
    async def main() -> None:
        async with Endpoint() as endpoint:
            url = endpoint.url_of("127.0.0.1")
            for allowed, error in (
                ((), "forbidden address 127.0.0.1 (loopback)"),
                (("10.0.0.0/8", "::1/128"), "forbidden address 127.0.0.1 (loopback)"),
                (("127.0.0.2/32",), "forbidden address 127.0.0.1 (loopback)"),
                (("127.0.0.1/32",), None),
                (LOOPBACK_NETWORKS, None),
            ):
                async with opened(endpoint, allow_networks=allowed) as transport:
                    assert (await transport.post(url, HEADERS, BODY)).error == error
            assert len(endpoint.requests) == 2

    run(main(), loop)


def test_check_and_dial_agree_on_what_is_allowed() -> None:
    async def main() -> None:
        async with Endpoint() as endpoint, opened(endpoint) as transport:
            await check(endpoint.url, names("127.0.0.1"), networks(["127.0.0.0/8"]))
            assert (await transport.post(endpoint.url, HEADERS, BODY)).status == 200
            with pytest.raises(BadUrl):
                await check(endpoint.url, names("127.0.0.1"), ())

    run(main())


@both_loops
def test_a_redirect_is_not_followed(loop: Loop) -> None:
    async def main() -> None:
        async with Endpoint() as target, Endpoint(Redirect(target.url, 307), authority=target.authority) as endpoint:
            exchange = await posted(endpoint)
            assert (exchange.status, exchange.headers["Location"]) == (307, target.url)
            assert (target.connections, target.requests) == (0, [])

    run(main(), loop)


@both_loops
def test_proxies_of_the_environment_are_ignored(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with listening() as (port, seen), Endpoint() as endpoint:
            for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
            monkeypatch.setenv("NO_PROXY", "")
            assert (await posted(endpoint)).status == 200
            assert seen == []

    run(main(), loop)


@both_loops
def test_tls_keeps_the_name_whatever_the_address(loop: Loop, tmp_path: Path) -> None:
    """Server name, certificate and Host header are the URL's; the socket goes to the vetted address."""
    asked: list[str | None] = []

    class Watching(Authority):
        def server_context(self, kind: Certificate = Certificate.GOOD) -> ssl.SSLContext:
            context = super().server_context(kind)
            context.sni_callback = lambda _object, name, _context: asked.append(name)
            return context

    async def main() -> None:
        endpoint = Endpoint(authority=Watching(tmp_path, "hooks.example"))
        async with endpoint, opened(endpoint, resolver=names("127.0.0.1")) as transport:
            exchange = await transport.post(endpoint.url_of("HOOKS.example."), HEADERS, BODY)
            assert (exchange.status, exchange.address) == (200, "127.0.0.1")
            assert endpoint.requests[0].header("Host") == f"hooks.example:{endpoint.port}"
            other = await transport.post(endpoint.url_of("other.example"), HEADERS, BODY)
            assert (other.error or "").startswith("certificate: Hostname mismatch")
            by_address = await transport.post(endpoint.url_of("127.0.0.1"), HEADERS, BODY)
            assert (by_address.error or "").startswith("certificate: IP address mismatch")
        assert asked == ["hooks.example", "other.example", None]

    run(main(), loop)


def test_ipv6_is_dialled_as_such() -> None:
    async def main() -> None:
        async with Endpoint(address=("::1", 0)) as endpoint, opened(endpoint, allow_networks=("::1/128",)) as transport:
            exchange = await transport.post(endpoint.url_of("[::1]"), HEADERS, BODY)
            assert (exchange.status, exchange.address) == (200, "::1")
            assert endpoint.requests[0].header("Host") == f"[::1]:{endpoint.port}"

    run(main())


def test_the_operators_authorities_come_beside_the_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        (tmp_path / "system").mkdir()
        (tmp_path / "own").mkdir()
        system, own = Authority(tmp_path / "system"), Authority(tmp_path / "own")
        monkeypatch.setenv("SSL_CERT_FILE", str(system.ca))
        async with Endpoint(authority=system) as one, Endpoint(authority=own) as other:
            for bundle, errors in (
                (str(own.ca), [None, None]),
                ("", [None, "certificate: unable to get local issuer certificate"]),
            ):
                async with Transport(settings(ca_bundle=bundle)) as transport:
                    exchanges = [await transport.post(endpoint.url, HEADERS, BODY) for endpoint in (one, other)]
                    assert [exchange.error for exchange in exchanges] == errors

    run(main())


@both_loops
@pytest.mark.parametrize("certificate", [kind for kind in Certificate if kind is not Certificate.GOOD])
def test_nothing_is_sent_to_who_cannot_prove_its_name(loop: Loop, certificate: Certificate) -> None:
    async def main() -> None:
        async with Endpoint(Respond(), certificate=certificate) as endpoint:
            exchange = await posted(endpoint)
            assert (exchange.error or "").startswith("certificate: ")
            assert (exchange.status, exchange.address) == (None, "127.0.0.1")
            assert exchange.timing.connect is not None
            assert exchange.timing.tls is None
            assert endpoint.requests == []

    run(main(), loop)


def test_an_attempt_to_a_name_that_hangs_does_not_hold_its_neighbour() -> None:
    async def resolver(name: str) -> Sequence[str]:
        if name == "hangs.example":
            await asyncio.get_running_loop().create_future()
        return ["127.0.0.1"]

    async def main() -> None:
        async with Endpoint(Respond()) as endpoint, opened(endpoint, resolver=resolver) as transport:
            hanging = asyncio.create_task(transport.post(endpoint.url_of("hangs.example"), HEADERS, BODY))
            assert (await transport.post(endpoint.url, HEADERS, BODY)).status == 200
            assert not hanging.done()
            hanging.cancel()
            with pytest.raises(asyncio.CancelledError):
                await hanging

    run(main())
