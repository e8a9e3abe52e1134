"""What cannot be undone is asked for on a terminal first: no leaves everything as it was, yes does it."""

from __future__ import annotations

from pathlib import Path

from tests.cli.sending import Platform, platform
from tests.cli.terminal import on_a_terminal


def asked(there: Platform, answer: bytes, *arguments: str) -> tuple[int, str]:
    """Exit code of a command on a terminal, where this is answered, and what was shown."""
    which = ("--api-url", there.sending.url, "--key", there.sending.key, "--ca-bundle", str(there.ca))
    return on_a_terminal((*arguments, *which), answer)


def test_to_delete_and_to_remove_is_asked_for(tmp_path: Path) -> None:
    with platform(tmp_path) as there:
        subscription = there.subscribe()
        secret = there.run("secrets", "add", subscription, "--json").data["id"]

        code, said = asked(there, b"n\n", "secrets", "remove", subscription, secret)
        assert (code, "Does every receiver verify with another one?" in said) == (1, True)
        assert "nothing was removed" in said
        code, said = asked(there, b"n\n", "subscriptions", "delete", subscription)
        assert (code, f"which delivers to {there.consumer.url}?" in said) == (1, True)
        assert len(there.run("secrets", "list", subscription, "--json").lines) == 2

        assert asked(there, b"y\n", "secrets", "remove", subscription, secret)[0] == 0
        assert len(there.run("secrets", "list", subscription, "--json").lines) == 1
        assert asked(there, b"y\n", "subscriptions", "delete", subscription)[0] == 0
        assert there.run("subscriptions", "list", "--json").lines == []
