"""The wheel, installed with no index into an empty environment, brings nothing else; and from it a program verifies,
receives, commits and handles, and a type checker finds `py.typed`."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.architecture.tree import PACKAGE, ROOT

SHIPPED = {".css", ".html", ".js", ".json", ".py", ".svg"}
PROGRAM = """
import asyncio, contextlib, sqlite3, time
from kirimhook import Hooks, Keyring, Receiver, Secret, Worker, open_inbox, sign, verify

SECRET = Secret("whsec_a_test")
BODY = b'{"id":"evt_1","type":"order.created","created_at":"2026-05-23T10:00:00Z","livemode":true,"data":{"n":7}}'
hooks = Hooks()
seen, handled = [], asyncio.Event()


async def main():
    loop = asyncio.get_running_loop()

    @hooks.on("order.created")
    async def order(event):
        seen.append((event.id, event.attempt, event.data))
        loop.call_soon_threadsafe(handled.set)

    now = int(time.time())
    header = sign([SECRET], BODY, now)
    assert verify([SECRET], header, BODY, now).matched == (SECRET,)

    inbox = open_inbox("sqlite:///inbox.db")
    headers = {"X-Kirim-Source": "kirim", "X-Kirim-Event": "order.created", "X-Kirim-Event-Id": "evt_1",
               "X-Kirim-Signature": header, "Content-Type": "application/json"}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    async with Receiver(inbox, Keyring.static(SECRET)) as receiver:
        answers = [await receiver.receive("POST", raw, BODY) for _ in range(2)]
        forged = await receiver.receive("POST", raw, BODY + b" ")
        print("answers", *(answer.status for answer in answers), forged.status)
        with contextlib.closing(sqlite3.connect("file:inbox.db?mode=ro", uri=True)) as other:
            print("committed", *other.execute("SELECT count(*) FROM events").fetchone())
        async with Worker(inbox, hooks) as worker:
            await asyncio.wait_for(handled.wait(), 20)
            await worker.idle()
        print("handled", seen)
        print("states", {state.name: count for state, count in (await inbox.stats()).counts.items() if count})


asyncio.run(main())
"""


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    arguments = [str(part) for part in command]
    return subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    assert built.returncode == 0, built.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel: Path) -> Path:
    """The interpreter of an environment that holds the wheel and nothing else."""
    environment = wheel.parent / "venv"
    assert run(sys.executable, "-m", "venv", environment, cwd=wheel.parent).returncode == 0
    python = environment / "bin" / "python"
    before = packages(python)
    installed = run(python, "-m", "pip", "install", "-q", "--no-index", wheel, cwd=wheel.parent)
    assert installed.returncode == 0, installed.stderr
    assert packages(python) - before == {"kirimhook"}
    return python


def packages(python: Path) -> set[str]:
    listed = run(python, "-m", "pip", "list", "--format", "freeze", cwd=python.parent)
    return {line.partition("==")[0].partition(" @")[0] for line in listed.stdout.splitlines()}


def test_the_wheel_holds_the_package_and_its_type_marker(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = {f"kirimhook/{path.relative_to(PACKAGE)}" for path in PACKAGE.rglob("*") if path.suffix in SHIPPED}
    assert "kirimhook/py.typed" in names
    assert {name for name in names if "dist-info" not in name} == ours | {"kirimhook/py.typed"}


def test_from_it_a_program_verifies_receives_commits_and_handles(python: Path, tmp_path: Path) -> None:
    done = run(python, "-W", "error", "-c", PROGRAM, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.split()[:2] for line in done.stderr.splitlines()] == [["refused", "status=401"]]  # the forged one
    assert done.stdout.splitlines() == [
        "answers 200 200 401",
        "committed 1",
        "handled [('evt_1', 1, {'n': 7})]",
        "states {'DONE': 1}",
    ]


def test_its_command_names_the_missing_extra(python: Path, tmp_path: Path) -> None:
    done = run(python.parent / "kirimhook", "serve", "app:hooks", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'kirimhook[cli]'" in done.stderr
