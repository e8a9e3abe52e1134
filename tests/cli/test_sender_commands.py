"""The commands of the sender do what they say on a database that is there, and say in one line what they cannot: a
key is shown once, a ledger that does not balance is exit code 1, what makes no sense is 2.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from kirimhook.contract.events import DOCUMENTED_TYPES
from kirimhook.sender.database import open_database
from kirimhook.sender.sealing import Sealer
from kirimhook.sender.service import KirimEvent, Sender
from kirimhook.settings import SenderSettings
from tests.cli.commands import Ran, kirimhook

ORG = ("--org", "acme")


@pytest.fixture
def url(tmp_path: Path) -> str:
    made = f"sqlite:///{tmp_path}/sender.db"
    assert kirimhook("migrate", "--database", made).code == 0
    return made


def keys(url: str, command: str, *arguments: str) -> Ran:
    return kirimhook("sender", "keys", command, *arguments, "--database", url)


def changed(url: str, statement: str) -> None:
    """Behind the sender's back."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
        assert connection.execute(statement).rowcount > 0


def filled(url: str, key_file: Path) -> None:
    """A subscription and two events on their way to it, under a master key of their own."""

    async def fill() -> None:
        database = open_database(url)
        await database.open()
        try:
            key_file.touch(0o600)
            key_file.write_text(Sealer.new_key())
            sender = Sender(database, SenderSettings(), Sealer([key_file.read_text()]))
            await sender.check_master_key()
            made = await sender.create_organisation_key("acme")
            tenant = sender.tenant(made.organisation_id)
            await tenant.create_subscription("https://hooks.example.com/a", list(DOCUMENTED_TYPES))
            await tenant.publish([KirimEvent("contact.created", {}), KirimEvent("contact.updated", {})])
        finally:
            await database.close()

    asyncio.run(fill())


def test_a_key_alone_is_on_stdout_and_the_warning_is_not(url: str) -> None:
    ran = keys(url, "create", *ORG)
    assert ran.code == 0
    assert ran.out.startswith("kdv_live_")
    assert len(ran.out.strip()) == len("kdv_live_") + 24
    assert "nobody can show it again" in ran.errors


def test_a_key_as_json(url: str) -> None:
    ran = keys(url, "create", *ORG, "--json", "--expires-in-days", "2")
    assert ran.errors == ""
    assert ran.data["key"].startswith("kdv_live_")
    assert ran.data["expires_at"] is not None
    [listed] = keys(url, "list", *ORG, "--json").lines
    assert listed["id"] == ran.data["id"]
    assert ran.data["key"] not in json.dumps(listed)
    assert ran.data["key"].startswith(listed["first"])


def test_keys_are_listed_newest_first_and_revoked(url: str) -> None:
    made = [keys(url, "create", *ORG, "--json").data["id"] for _ in range(2)]
    assert [line["id"] for line in keys(url, "list", *ORG, "--json").lines] == made[::-1]
    assert made[0] in keys(url, "list", *ORG).out
    assert "is revoked" in keys(url, "revoke", made[0], *ORG).out
    revoked = {line["id"]: line["revoked_at"] for line in keys(url, "list", *ORG, "--json").lines}
    assert revoked[made[1]] is None
    assert revoked[made[0]] is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("list", "--org", "nobody"), "there is no organisation of this name"),
        (("revoke", "key_x", "--org", "acme"), "there is no such API key"),
    ],
    ids=["organisation", "key"],
)
def test_what_does_not_exist_is_one_line_and_1(url: str, arguments: tuple[str, ...], message: str) -> None:
    keys(url, "create", *ORG)
    ran = keys(url, *arguments)
    assert (ran.code, ran.out, ran.errors) == (1, "", f"kirimhook: {message}\n")


@pytest.mark.parametrize("command", [["keys", "list", *ORG], ["ledger"], ["keys", "create", *ORG]])
def test_a_database_that_is_not_there_is_not_made(tmp_path: Path, command: list[str]) -> None:
    ran = kirimhook("sender", *command, "--database", f"sqlite:///{tmp_path}/typo.db")
    assert (ran.code, ran.out) == (1, "")
    assert f"there is no database {tmp_path}/typo.db" in ran.errors
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_behind_is_refused_with_what_to_do(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "old.db").close()
    ran = kirimhook("sender", "ledger", "--database", f"sqlite:///{tmp_path}/old.db")
    assert ran.code == 1
    assert f"run kirimhook migrate --database sqlite:///{tmp_path}/old.db" in ran.errors


def test_the_ledger_is_a_table_and_balances(url: str, tmp_path: Path) -> None:
    filled(url, tmp_path / "key")
    ran = kirimhook("sender", "ledger", "--database", url)
    assert ran.code == 0
    head, line = ran.out.splitlines()
    assert head.split()[:6] == ["ORGANISATION", "SUBSCRIPTION", "STATUS", "ORIGINALS", "SUCCEEDED", "DEAD"]
    assert line.split()[0] == "acme"
    assert line.split()[2:] == ["active", "2", "0", "0", "2", "0", "0", "0"]
    assert "it balances" in ran.errors
    document = kirimhook("sender", "ledger", "--database", url, "--json").data
    assert document["balances"] is True
    assert document["subscriptions"][0]["originals"] == document["subscriptions"][0]["open"] == 2
    assert document["organisations"][0]["matched"] == 2


def test_a_ledger_that_does_not_balance_is_1_and_says_what(url: str, tmp_path: Path) -> None:
    filled(url, tmp_path / "key")
    changed(url, "DELETE FROM queue WHERE delivery_id = (SELECT min(delivery_id) FROM queue)")
    ran = kirimhook("sender", "ledger", "--database", url)
    assert ran.code == 1
    assert ran.errors.count("\n") >= 1
    assert "wbd_" in ran.errors
    assert "it balances" not in ran.errors
    told = kirimhook("sender", "ledger", "--database", url, "--json")
    assert (told.code, told.data["balances"]) == (1, False)
    assert told.data["problems"][0]["times"] == 1


def test_rekey_seals_everything_under_the_first_key(url: str, tmp_path: Path) -> None:
    old = tmp_path / "key"
    filled(url, old)
    new = Sealer.new_key()
    both = tmp_path / "both"
    both.touch(0o600)
    both.write_text(f"{new}\n{old.read_text()}\n")
    rekey = ("sender", "rekey", "--database", url, "--json", "--master-key-file")
    ran = kirimhook(*rekey, str(both))
    assert (ran.code, ran.data["secrets"]) == (0, 1)
    assert kirimhook(*rekey, str(both)).data == {"secrets": 0, "answers": 0}
    refused = kirimhook(*rekey, str(old))
    assert refused.code == 1
    assert "do not open what is stored" in refused.errors
    missing = kirimhook(*rekey, str(tmp_path / "typo"))
    assert (missing.code, (tmp_path / "typo").exists()) == (2, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--api-only", "--engine-only"], "--api-only and --engine-only"),
        (["--schedule", "0,soon"], "--schedule '0,soon'"),
        (["--schedule", "0,-5"], "--schedule: "),
        (["--allow-network", "10.0.0.0/99"], "--allow-network: "),
        (["--catalogue", "nothing.txt"], "--catalogue nothing.txt"),
        (["--ca-bundle", "nothing.pem"], "--ca-bundle nothing.pem"),
        (["--set", "lease"], "--set 'lease'"),
        (["--set", "catalogue=a.b"], "--set 'catalogue=a.b'"),
        (["--set", "lease=soon"], "'soon' is no number"),
        (["--set", "lease=0"], "--set lease: must be from 0.1"),
        (["--drain", "-1"], "--drain: "),
        (["--tls-cert", "a.pem"], "--tls-cert and --tls-key go together"),
        (["--tls", "--tls-cert", "a.pem", "--tls-key", "a.key"], "--tls makes a certificate of its own"),
        (["--database", "mysql://x"], "database URL: write sqlite:///file.db, or postgresql://"),
        (["--database", "nonsense"], "database URL: write sqlite:///file.db, or postgresql://"),
        (["--database", "sqlite:///:memory:"], "a database in memory ends with its process"),
        (["--notify", "'half"], "--notify"),
        (["--workers", "0"], "--workers"),
        (["publish"], "TYPE with --data, or --sample"),
        (["publish", "--sample", "contact.created"], "no API key"),
        (["publish", "--key", "k", "--data", "{}"], "--data needs the event's type"),
        (["publish", "a.b", "--key", "k", "--data", "[1]"], "--data: a JSON object"),
        (["publish", "a.b", "--key", "k", "--data", "{"], "--data is no JSON"),
        (["publish", "a.b", "--key", "k", "--data", '{"a": NaN}'], "NaN is no number of JSON"),
        (["publish", "--sample", "message.received", "--id", "wamid\u00e9", "--key", "k"], "printable ASCII"),
        (["publish", "a.b", "--key", "two words", "--data", "{}"], "an API key has no blanks"),
        (["publish", "a.b", "--key", "k", "--data", "@nothing.json"], "--data @nothing.json: No such file"),
        (["publish", "--key", "k", "--sample", "nothing"], "no sample 'nothing'"),
        (["publish", "a.b", "--key", "k", "--sample", "contact.created"], "is of the type contact.created"),
        (
            ["publish", "a.b", "--key", "k", "--data", "{}", "--url", "ftp://x"],
            "the API's URL is http://… or https://…",
        ),
        (["keys", "create"], "--org"),
        (["keys", "create", "--org", "a", "--database", "mysql://x"], "--database: "),
        (["frobnicate"], "No such command 'frobnicate'"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None,
)
def test_what_makes_no_sense_is_one_line_and_2(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KIRIM_KEY", raising=False)
    ran = kirimhook("sender", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.errors.startswith("kirimhook: ")
    assert ran.errors.count("\n") == 1
    assert message in ran.errors
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".db"] == []
