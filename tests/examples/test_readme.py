"""What the README shows works as it stands there: the receiver, its test suite, the mounted one, every command."""

from __future__ import annotations

import ast
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from kirimhook.testing.nats import nats_cluster
from kirimhook.testing.postgres import postgres_server
from kirimhook.testing.requests import TEST_SECRET, signed_request
from kirimhook.testing.served import Served
from tests.architecture.tree import ROOT

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder: the README's receiver in `receiver.py`, its test suite beside it."""
    receiver, suite, mounted, client, outbox = blocks("python")
    (tmp_path / "receiver.py").write_text(receiver)
    (tmp_path / "test_receiver.py").write_text(suite)
    (tmp_path / "application.py").write_text("from receiver import hooks\n" + mounted)
    (tmp_path / "replay.py").write_text(client)
    (tmp_path / "orders.py").write_text(outbox)
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_receiver_has_ten_lines(folder: Path) -> None:
    lines = [line for line in (folder / "receiver.py").read_text().splitlines() if line.strip()]
    assert len(lines) <= 10


def test_the_suite_sends_every_sample_through_the_plugin_and_passes(folder: Path) -> None:
    done = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert re.search(r"^21 passed", done.stdout, re.MULTILINE), done.stdout + done.stderr


def test_the_suite_fails_when_a_handler_does(folder: Path) -> None:
    receiver = folder / "receiver.py"
    receiver.write_text(receiver.read_text().replace('message["from"]', 'message["nothing of this name"]'))
    done = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 1
    assert "KeyError: 'nothing of this name'" in done.stdout


def test_the_mounted_receiver_is_made(folder: Path) -> None:
    ast.parse((folder / "application.py").read_text())
    done = run(folder, "-c", "import application; print(type(application.receiver).__name__)")
    assert done.stdout.strip() == "Receiver", done.stderr


PLACE_TWO_ORDERS = """
import asyncio, sys
from orders import place_order
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from kirimhook.sender import open_sender
from kirimhook.settings import SenderSettings


async def main(url):
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE orders (id text PRIMARY KEY)"))
    async with open_sender(url, SenderSettings(catalogue=("order.created",))) as sender:
        organisation = await sender.organisation("acme")
        await place_order(engine, sender, organisation, {"id": "first"})
        try:
            await place_order(engine, sender, organisation, {"id": "first"})
        except Exception as error:
            print(type(error).__name__)
        await place_order(engine, sender, organisation, {"id": "second"})
    async with engine.connect() as connection:
        print(await connection.scalar(text("SELECT count(*) FROM orders")))
        print(await connection.scalar(text("SELECT count(*) FROM events WHERE type = 'order.created'")))
    await engine.dispose()


asyncio.run(main(sys.argv[1]))
"""


def test_an_order_and_its_event_commit_together(folder: Path) -> None:
    with postgres_server() as server:
        for words in (["migrate"], ["sender", "keys", "create", "--org", "acme"]):
            done = run(folder, "-m", "kirimhook", *words, "--database", server.url())
            assert done.returncode == 0, done.stderr
        done = run(folder, "-c", PLACE_TWO_ORDERS, server.url())
    assert done.stdout.split() == ["IntegrityError", "2", "2"], done.stderr


def test_the_first_steps_with_a_sender_work_as_shown(folder: Path) -> None:
    """Every line of the README's shell blocks about it, in one shell, in their order; on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    start, use = (block.replace("8090", str(port)) for block in blocks("sh") if "KIRIM_API_URL" in block)
    first, exports = start.split("\n", 1)
    assert first.startswith("kirimhook sender ")
    begin = f"{sys.executable} -m kirimhook sender --port {port} --admin-port 0 2>sender.log & pid=$!"
    ready = f"until curl -s http://127.0.0.1:{port}/v1/health >health; do sleep 0.1; done"
    command = f'kirimhook() {{ {sys.executable} -m kirimhook "$@"; }}'
    client = f"{sys.executable} replay.py"
    script = "\n".join(["set -e", command, begin, ready, exports, use, client, "kill -TERM $pid", "wait $pid"])
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr + (folder / "sender.log").read_text()
    assert '"initial_secret":"whsec_' in done.stdout
    assert "it balances" in done.stderr


def test_a_sender_on_postgresql_starts_as_shown(folder: Path) -> None:
    [shown] = (block for block in blocks("sh") if "--master-key-file" in block)
    with postgres_server() as server:
        migrate, start = shown.replace("postgresql://kirim@db/kirim", server.url()).strip().splitlines()
        assert run(folder, "-m", *migrate.split()).returncode == 0
        with Served([*start.split()[1:], "--port", "0", "--admin-port", "0"], folder=folder) as served:
            assert served.started()["processes"] == 4
            assert served.terminate() == 0
    assert (folder / "kirimhook.key").stat().st_mode & 0o777 == 0o600


def past_one_machine(**places: str) -> list[list[str]]:
    """The commands that the README shows of it, each as words, on these inboxes instead of its own."""
    shown = "\n".join(block for block in blocks("sh") if "kirimhook inbox copy" in block)
    for place, url in places.items():
        shown = shown.replace(SHOWN[place], url)
    return [shlex.split(line, comments=True) for line in shown.splitlines() if line]


SHOWN = {
    "with_replicas": "nats://n1,n2,n3/kirim?replicas=3",
    "nats": "nats://n1,n2,n3/kirim",
    "postgresql": "postgresql://kirim@db/kirim",
}


def test_past_one_machine_every_command_works_as_shown(folder: Path) -> None:
    """On SQLite something is received and handled; then it moves to PostgreSQL, and on to NATS, and serves there."""
    secret = {"KIRIM_WEBHOOK_SECRETS": TEST_SECRET.reveal()}
    with postgres_server() as server, nats_cluster(3) as cluster:
        nats = cluster.url("kirim")
        commands = past_one_machine(with_replicas=nats, nats=nats, postgresql=server.url())
        assert [words[1] for words in commands] == ["migrate", "inbox", "serve", "work", "migrate", "inbox", "serve"]
        with Served(["serve", "receiver:hooks", *ANY_PORT], folder=folder, environment=secret) as served:
            assert trigger(served) == "ok"
            assert served.terminate() == 0
        for words in commands:
            if words[1] not in ("serve", "work"):
                done = run(folder, "-m", *words)
                assert done.returncode == 0, done.stderr
                assert words[1] == "migrate" or done.stdout.startswith("1 copied, 0 were there already")
                continue
            ports = ["--admin-port", "0"] if words[1] == "work" else ANY_PORT
            with Served([*words[1:], *ports], folder=folder, environment=secret) as served:
                served.started()
                assert words[1] == "work" or trigger(served) == "duplicate-ack"
                assert served.terminate() == 0


ANY_PORT = ["--port", "0", "--admin-port", "0"]


def trigger(served: Served) -> str:
    """The answer to the one event that this test sends."""
    request = signed_request("message.received.text")
    url = str(served.started()["url"])
    with urlopen(Request(url, request.body, request.headers), timeout=30) as answer:
        return str(answer.read().decode())
