"""`subscriptions` and `secrets` against a real sender over TLS: what the API says, as a table or as JSON; a secret is
in its file or shown once, and nowhere else; and nothing is asked of the API where its secret could not be kept.
"""

from __future__ import annotations

import json
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from kirimhook.operating.secrets_file import Entry, SecretsFile
from tests.cli.commands import kirimhook
from tests.cli.sending import Platform, platform
from tests.serving.senders import is_signed


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with platform(tmp_path_factory.mktemp("platform")) as opened:
        yield opened


def create(there: Platform, *arguments: str) -> tuple[str, ...]:
    return ("subscriptions", "create", "--url", there.consumer.url, "--event", "contact.created", *arguments)


def ids(there: Platform) -> list[str]:
    return [one["id"] for one in there.run("subscriptions", "list", "--json").lines]


def test_the_first_secret_goes_into_the_file_and_nowhere_else(there: Platform, tmp_path: Path) -> None:
    file = tmp_path / "secrets.txt"
    ran = there.run(*create(there, "--description", "Production", "--secrets-file", str(file), "--json"))
    assert ran.code == 0, ran.errors
    made = ran.data
    (entry,) = SecretsFile(file).entries()
    assert entry == Entry(entry.secret, made["id"], made["secrets"][0]["id"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (made["description"], made["status"], made["events"]) == ("Production", "active", ["contact.created"])
    assert "whsec_" not in ran.out + ran.errors
    for command in (("list",), ("list", "--json"), ("show", made["id"]), ("show", made["id"], "--json")):
        shown = there.run("subscriptions", *command)
        assert (shown.code, shown.errors) == (0, "")
        assert made["id"] in shown.out
        assert "whsec_" not in shown.out


def test_deliveries_are_signed_with_the_secret_in_the_file(there: Platform, tmp_path: Path) -> None:
    file = tmp_path / "secrets.txt"
    made = there.run(*create(there, "--secrets-file", str(file), "--json")).data
    before = len(there.consumer.received(0))
    tried = there.run("subscriptions", "test", made["id"], "--wait", "30", "--json")
    assert (tried.code, tried.data["status"], tried.data["kind"]) == (0, "succeeded", "test")
    (request,) = there.consumer.received(before + 1)[before:]
    (entry,) = SecretsFile(file).entries()
    assert is_signed(request, entry.secret.reveal())
    assert json.loads(request.body)["livemode"] is False


def test_without_a_file_the_secret_is_shown_once_with_a_warning(there: Platform) -> None:
    ran = there.run(*create(there))
    assert ran.code == 0
    assert ran.out.count("whsec_") == 1
    assert "keep it" in ran.errors
    assert "whsec_" not in ran.errors
    ran = there.run(*create(there, "--json"))
    assert ran.data["initial_secret"].startswith("whsec_")
    assert "keep it" in ran.errors


@pytest.mark.parametrize(
    "content", [b"short\n", b"whsec_" + b"a" * 43 + b"\nwhsec_half", b"\xff\xfe", "folder", "nowhere"]
)
def test_a_file_that_cannot_be_written_asks_nothing_of_the_api(
    there: Platform, tmp_path: Path, content: bytes | str
) -> None:
    file = tmp_path / "secrets.txt"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content == "folder":
        file.mkdir()
    else:
        file = tmp_path / "nowhere" / "secrets.txt"
    subscription, before = there.subscribe(), ids(there)
    secrets = there.run("secrets", "list", subscription, "--json").lines
    for ran in (
        there.run(*create(there, "--secrets-file", str(file))),
        there.run("secrets", "add", subscription, "--secrets-file", str(file)),
    ):
        assert (ran.code, ran.out, ran.errors.count("\n")) == (1, "", 1)
        assert "nothing was asked of the API" in ran.errors
    assert ids(there) == sorted({*before, subscription}, reverse=True)
    assert there.run("secrets", "list", subscription, "--json").lines == secrets
    assert not isinstance(content, bytes) or file.read_bytes() == content


def test_a_file_that_is_full_asks_nothing_of_the_api(there: Platform, tmp_path: Path) -> None:
    file = tmp_path / "secrets.txt"
    file.write_text("".join(f"whsec_{number:043}\n" for number in range(64)))
    before = ids(there)
    ran = there.run(*create(there, "--secrets-file", str(file)))
    assert (ran.code, "more than 64" in ran.errors) == (1, True)
    assert ids(there) == before


def test_secrets_are_added_listed_and_removed(there: Platform, tmp_path: Path) -> None:
    file = tmp_path / "secrets.txt"
    subscription = there.subscribe("--secrets-file", str(file))
    (first,) = there.run("secrets", "list", subscription, "--json").lines
    ran = there.run("secrets", "add", subscription, "--secrets-file", str(file), "--expires-in-hours", "2", "--json")
    assert (ran.code, "whsec_" in ran.out + ran.errors, ran.data["object"]) == (0, False, "webhook_secret")
    assert [entry.secret_id for entry in SecretsFile(file).entries()] == [first["id"], ran.data["id"]]
    shown = there.run("secrets", "add", subscription)
    assert (shown.code, shown.out.count("whsec_"), "keep it" in shown.errors) == (0, 1, True)
    assert len(there.run("secrets", "list", subscription, "--json").lines) == 3
    assert first["id"] in there.run("secrets", "list", subscription).out
    assert there.run("secrets", "remove", subscription, first["id"], "--yes").code == 0
    assert len(there.run("secrets", "list", subscription, "--json").lines) == 2
    gone = there.run("secrets", "remove", subscription, first["id"], "--yes")
    assert (gone.code, "refused with 404 resource_not_found" in gone.errors) == (1, True)


def test_the_last_secret_stays(there: Platform) -> None:
    subscription = there.subscribe()
    (only,) = there.run("secrets", "list", subscription, "--json").lines
    ran = there.run("secrets", "remove", subscription, only["id"], "--yes")
    assert (ran.code, "refused with 409 last_active_secret" in ran.errors) == (1, True)


def test_update_changes_what_is_given(there: Platform) -> None:
    subscription = there.subscribe("--description", "before")
    changed = there.run("subscriptions", "update", subscription, "--event", "contact.updated", "--json").data
    assert (changed["events"], changed["description"]) == (["contact.updated"], "before")
    other = there.consumer.url.replace("/hook", "/other")
    changed = there.run("subscriptions", "update", subscription, "--url", other, "--description", "", "--json").data
    assert (changed["url"], changed["events"]) == (other, ["contact.updated"])
    assert not changed["description"]


def test_disable_and_enable(there: Platform) -> None:
    subscription = there.subscribe()
    off = there.run("subscriptions", "disable", subscription, "--json").data
    assert (off["status"], off["disabled_reason"]) == ("disabled", "manual")
    assert "disabled (manual)" in there.run("subscriptions", "list").out
    there.publish(f"evt_{subscription}")
    assert there.run("subscriptions", "enable", subscription, "--discard-held", "--json").data["status"] == "active"
    (dead,) = there.run("deliveries", "list", "--subscription", subscription, "--json").lines
    assert (dead["status"], dead["dead_reason"]) == ("dead", "discarded")


def test_a_test_that_fails_is_1_and_says_why(there: Platform) -> None:
    subscription = there.subscribe()
    there.run("subscriptions", "update", subscription, "--url", "https://localhost:1/hook")
    ran = there.run("subscriptions", "test", subscription, "--wait", "30")
    assert ran.code == 1
    assert "attempt" in ran.out.lower()
    started = there.run("subscriptions", "test", subscription)
    assert (started.code, "kirimhook deliveries show wbd_" in started.out) == (0, True)


def test_delete_needs_a_yes(there: Platform) -> None:
    subscription = there.subscribe()
    ran = there.run("subscriptions", "delete", subscription)
    assert (ran.code, "needs --yes" in ran.errors) == (2, True)
    assert subscription in ids(there)
    ran = there.run("subscriptions", "delete", subscription, "--yes", "--json")
    assert (ran.code, ran.data) == (0, {"id": subscription, "deleted": True})
    assert subscription not in ids(there)
    assert there.run("subscriptions", "show", subscription).code == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("subscriptions", "show", "wbd_1"), "no id of this kind: wbs_…"),
        (("subscriptions", "update", "wbs_1"), "what to change"),
        (("secrets", "remove", "wbs_1", "wbs_2", "--yes"), "no id of this kind: sec_…"),
        (("secrets", "remove", "wbs_1", "sec_2"), "needs --yes"),
        (("subscriptions", "list", "--api-url", "ftp://a"), "the API's URL is http://… or https://…"),
        (("subscriptions", "list", "--key", "two words"), "an API key has no blanks"),
        (("subscriptions", "list", "--ca-bundle", "nowhere.pem"), "--ca-bundle nowhere.pem"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_makes_no_sense_is_2(arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIRIM_KEY", "kdv_live_x")
    monkeypatch.setenv("KIRIM_API_URL", "http://127.0.0.1:1")
    ran = kirimhook(*arguments)
    assert (ran.code, ran.out, ran.errors.count("\n")) == (2, "", 1)
    assert message in ran.errors


def test_without_a_key_it_says_where_to_put_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KIRIM_KEY", raising=False)
    ran = kirimhook("subscriptions", "list")
    assert (ran.code, "set KIRIM_KEY" in ran.errors) == (2, True)


def test_the_environment_is_enough(there: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIRIM_API_URL", f"{there.sending.url}/v1")
    monkeypatch.setenv("KIRIM_KEY", there.sending.key)
    assert kirimhook("subscriptions", "list", "--ca-bundle", str(there.ca)).code == 0


def test_what_the_api_refuses_is_its_words_with_the_request_s_id(there: Platform) -> None:
    ran = there.run("subscriptions", "create", "--url", "http://plain.example.com", "--event", "contact.created")
    assert (ran.code, ran.out, ran.errors.count("\n")) == (1, "", 1)
    assert ran.errors.startswith("kirimhook: refused with 400 invalid_webhook_url (url): ")
    assert ran.errors.rstrip().endswith("]")
    assert "[req_" in ran.errors


def test_nobody_there_says_that_it_may_be_done_all_the_same(there: Platform) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    ran = kirimhook(*create(there), "--api-url", url, "--key", "k")
    assert (ran.code, ran.errors.count("\n")) == (1, 1)
    assert f"{url} cannot be reached: Connection refused; it may be there all the same" in ran.errors
