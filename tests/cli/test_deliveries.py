"""`deliveries` against a real sender over TLS: filters, pages and windows list what they say; one delivery is
shown with its attempts; a replay is a fresh delivery of the same event.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.commands import kirimhook
from tests.cli.sending import Platform, platform

EVENTS = 7


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with platform(tmp_path_factory.mktemp("platform")) as opened:
        yield opened


@pytest.fixture(scope="module")
def dead(there: Platform) -> str:
    """A subscription with seven dead letters, newest last."""
    subscription = there.subscribe()
    there.run("subscriptions", "disable", subscription)
    for number in range(EVENTS):
        there.publish(f"evt_dead_{number}")
    assert there.run("subscriptions", "enable", subscription, "--discard-held").code == 0
    return subscription


def listed(there: Platform, *arguments: str) -> list[str]:
    ran = there.run("deliveries", "list", "--json", *arguments)
    assert ran.code == 0, ran.errors
    return [one["event_id"] for one in ran.lines]


def test_a_list_is_what_its_filters_say(there: Platform, dead: str) -> None:
    newest_first = [f"evt_dead_{number}" for number in reversed(range(EVENTS))]
    assert listed(there, "--subscription", dead, "--status", "dead") == newest_first
    assert listed(there, "--subscription", dead, "--status", "succeeded") == []
    assert listed(there, "--subscription", dead, "--event-id", "evt_dead_3") == ["evt_dead_3"]
    assert listed(there, "--subscription", dead, "--type", "contact.updated") == []
    assert listed(there, "--subscription", dead, "--kind", "test") == []
    assert listed(there, "--subscription", dead, "--after", "1h") == newest_first
    assert listed(there, "--subscription", dead, "--before", "1h") == []
    assert listed(there, "--subscription", dead, "--after", "2001-01-01", "--before", "2001-01-02T00:00:00Z") == []


def test_a_list_ends_at_its_limit_and_goes_on_at_its_cursor(there: Platform, dead: str) -> None:
    first = there.run("deliveries", "list", "--subscription", dead, "--limit", "3", "--json")
    assert len(first.lines) == 3
    cursor = first.errors.partition("--cursor ")[2].partition(",")[0]
    rest = listed(there, "--subscription", dead, "--cursor", cursor)
    whole = listed(there, "--subscription", dead, "--all")
    assert [one["event_id"] for one in first.lines] + rest == whole
    assert len(whole) == EVENTS
    ran = there.run("deliveries", "list", "--subscription", dead, "--all", "--json")
    assert ran.errors == ""


def test_the_table_has_what_matters(there: Platform, dead: str) -> None:
    ran = there.run("deliveries", "list", "--subscription", dead, "--limit", "2")
    head, *rows, _ = ran.out.split("\n")
    assert head.split()[:3] == ["ID", "STATUS", "KIND"]
    assert len(rows) == 2
    assert all("dead" in row and "contact.created" in row and "discarded" in row for row in rows)


def test_one_is_shown_replayed_and_then_told_so(there: Platform, dead: str) -> None:
    (delivery,) = there.run("deliveries", "list", "--subscription", dead, "--event-id", "evt_dead_0", "--json").lines
    before = len(there.consumer.received(0))
    ran = there.run("deliveries", "replay", delivery["id"], "--json")
    assert ran.code == 0
    assert ran.data == {
        "object": "webhook_delivery",
        "id": ran.data["id"],
        "replayed_from": delivery["id"],
        "status": "pending",
    }
    assert there.consumer.ids(before + 1)[before:] == ["evt_dead_0"]
    old = there.run("deliveries", "show", delivery["id"], "--json").data
    assert (old["status"], old["replayed_by"], old["attempts"]) == ("dead", ran.data["id"], [])
    assert "evt_dead_0" not in listed(there, "--subscription", dead, "--status", "dead", "--unreplayed")
    assert "dead, replayed" in there.run("deliveries", "list", "--event-id", "evt_dead_0").out
    assert there.run("deliveries", "replay", delivery["id"]).out.startswith("wbd_")


def test_attempts_are_shown_with_what_came_of_each(there: Platform) -> None:
    subscription = there.subscribe()
    tried = there.run("subscriptions", "test", subscription, "--wait", "30", "--json").data
    ran = there.run("deliveries", "show", tried["id"])
    assert ran.code == 0
    assert "ATTEMPT" in ran.out
    assert "event type" in ran.out
    (attempt,) = there.run("deliveries", "show", tried["id"], "--json").data["attempts"]
    assert (attempt["number"], attempt["response_status"]) == (1, 200)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("list", "--after", "yesterday"), "is no time"),
        (("list", "--subscription", "wbd_1"), "no id of this kind: wbs_…"),
        (("list", "--status", "lost"), "'--status'"),
        (("show", "evt_1"), "no id of this kind: wbd_…"),
        (("replay", "wbd_a/../b"), "no id of this kind: wbd_…"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_makes_no_sense_is_2(arguments: tuple[str, ...], message: str) -> None:
    ran = kirimhook("deliveries", *arguments, "--key", "k", "--api-url", "http://127.0.0.1:1")
    assert (ran.code, ran.out, ran.errors.count("\n")) == (2, "", 1)
    assert message in ran.errors


def test_a_cursor_of_another_list_is_the_api_s_to_refuse(there: Platform) -> None:
    ran = there.run("deliveries", "list", "--cursor", "nonsense")
    assert (ran.code, "refused with 400 invalid_cursor (cursor)" in ran.errors) == (1, True)


def test_what_is_not_there_is_1(there: Platform) -> None:
    for command in ("show", "replay"):
        ran = there.run("deliveries", command, "wbd_01HXYZ0000000000000000000A")
        assert (ran.code, "refused with 404 resource_not_found" in ran.errors) == (1, True)
