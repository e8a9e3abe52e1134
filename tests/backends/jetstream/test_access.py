"""Who may connect: TLS, passwords, tokens, permissions; and what a system account tells."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kirimhook.backends.jetstream.link import Link
from kirimhook.backends.jetstream.promise import promise_of
from kirimhook.backends.jetstream.settings import JetStreamSettings
from kirimhook.backends.jetstream.streams import Layout
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.testing.devca import make_certificates
from kirimhook.testing.nats import NatsCluster, NatsFailed, NatsNode, nats_cluster

START_TIMEOUT = 30.0


class ConfiguredNode(NatsNode):
    """A server with more in its configuration."""

    more = ""

    def _configuration(self) -> str:
        return super()._configuration() + self.more


@contextlib.contextmanager
def configured(folder: Path, more: str) -> Iterator[NatsNode]:
    plain = NatsCluster(folder, 1, sync_always=True).nodes[0]
    node = ConfiguredNode(
        "n0", folder / "n0", (plain.port, 0, int(plain.monitor.rpartition(":")[2])), [], sync_always=True
    )
    node.more = more
    node.start()
    try:
        end = time.monotonic() + START_TIMEOUT
        while node.ask("healthz").get("status") != "ok":
            if time.monotonic() > end:
                raise NatsFailed(node.log)
            time.sleep(0.02)
        yield node
    finally:
        node.kill()


def asked(url: str, **options: object) -> str:
    """What JetStream says of itself to who connects so; or the reason why not."""

    async def play() -> str:
        link = Link(
            JetStreamSettings.from_url(url, **{"commit_bound": 1.0, "patience": 1.0, "timeout": 0.5, **options})
        )
        try:
            await link.connect()
            return "streams" if "streams" in await link.api("INFO", None) else "nothing"
        except InboxUnavailable as error:
            return error.reason
        finally:
            await link.close()

    return asyncio.run(play())


def test_tls_is_checked_against_the_authority_that_was_named(tmp_path: Path) -> None:
    """And spoken to a server that asks for it, whatever the scheme says."""
    files = make_certificates(tmp_path)
    (tmp_path / "other").mkdir()
    other = make_certificates(tmp_path / "other")
    with configured(tmp_path, f'tls {{ cert_file: "{files.certificate}", key_file: "{files.key}" }}\n') as node:
        for scheme in ("tls", "nats"):
            url = f"{scheme}://localhost:{node.port}/x"
            assert asked(url, ca=str(files.ca)) == "streams"
            assert asked(url, ca=str(other.ca)) == "refused"
            assert asked(url) == "refused"
        assert asked(url, ca=str(tmp_path / "none.pem")) == "refused"
        assert asked(url, credentials=str(tmp_path / "none.creds")) == "refused"


def test_only_who_is_known_is_served(tmp_path: Path) -> None:
    """And what is wrong is told as such, not as an outage."""
    users = '{user: u, password: "p"}, {user: reader, password: "p", permissions: {publish: ["other"]}}'
    with configured(tmp_path, f"authorization {{ users: [{users}] }}\n") as node:
        address = f"127.0.0.1:{node.port}/x"
        assert asked(f"nats://u:p@{address}") == "streams"
        assert asked(f"nats://u:wrong@{address}") == "refused"
        assert asked(f"nats://{address}") == "refused"
        assert asked(f"nats://reader:p@{address}") == "refused"


def test_a_token_is_a_user_without_a_password(tmp_path: Path) -> None:
    with configured(tmp_path, 'authorization { token: "s3cret" }\n') as node:
        assert asked(f"nats://s3cret@127.0.0.1:{node.port}/x") == "streams"
        assert asked(f"nats://other@127.0.0.1:{node.port}/x") == "refused"


@pytest.mark.parametrize("imported", [True, False])
def test_servers_tell_how_they_sync_to_an_account_that_may_ask(tmp_path: Path, *, imported: bool) -> None:
    """Without a monitoring URL, where the account imports that service; else it stays unknown."""
    ping = "$SYS.REQ.SERVER.PING.VARZ"
    imports = f'imports: [{{service: {{account: SYS, subject: "{ping}"}}}}]' if imported else ""
    accounts = f"""
accounts {{
  SYS: {{ users: [{{user: s, password: s}}], exports: [{{service: "{ping}", response: stream}}] }}
  APP: {{ jetstream: enabled, users: [{{user: u, password: p}}], {imports} }}
}}
system_account: SYS
"""

    async def play(url: str) -> bool:
        settings = JetStreamSettings.from_url(url)
        link = Link(settings)
        await link.connect()
        try:
            return (await promise_of(link, settings, Layout(8, 1, frozenset({"n0"})))).durable
        finally:
            await link.close()

    with configured(tmp_path, accounts) as node:
        assert asyncio.run(play(f"nats://u:p@127.0.0.1:{node.port}/x")) is imported


def test_links_are_spread_over_the_servers() -> None:
    """Not all at the first that the URL names."""

    async def play(cluster: NatsCluster) -> None:
        links = [Link(JetStreamSettings.from_url(cluster.url("x"))) for _ in range(24)]
        await asyncio.gather(*(link.connect() for link in links))
        counts = [node.ask("varz")["connections"] for node in cluster.nodes]
        await asyncio.gather(*(link.close() for link in links))
        assert sum(counts) == 24
        assert all(counts)

    with nats_cluster(3) as cluster:
        asyncio.run(play(cluster))
