"""Every command explains itself, with examples and exit codes; what makes no sense is one line on stderr and 2."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kirimhook import __version__
from tests.cli.commands import kirimhook

COMMANDS = ["serve", "work", "trigger", "explain", "doctor", "rotate", "migrate", "demo", "listen"]
INBOX = ["list", "show", "put-back", "pause", "resume", "stats", "purge", "copy", "erase"]
SENDER = ["publish", "ledger", "rekey"]
KEYS = ["create", "list", "revoke"]
SUBSCRIPTIONS = ["list", "show", "create", "update", "enable", "disable", "delete", "test"]
SECRETS = ["list", "add", "remove"]
DELIVERIES = ["list", "show", "replay"]
GROUPS = [["inbox"], ["sender", "keys"], ["subscriptions"], ["secrets"], ["deliveries"]]
ALL = [
    *([name] for name in [*COMMANDS, "sender"]),
    *(["inbox", name] for name in INBOX),
    *(["sender", name] for name in SENDER),
    *(["sender", "keys", name] for name in KEYS),
    *(["subscriptions", name] for name in SUBSCRIPTIONS),
    *(["secrets", name] for name in SECRETS),
    *(["deliveries", name] for name in DELIVERIES),
]


@pytest.mark.parametrize("command", ALL, ids=" ".join)
def test_help_has_examples(command: list[str]) -> None:
    for flag in ("--help", "-h"):
        ran = kirimhook(*command, flag)
        assert (ran.code, ran.errors) == (0, "")
        assert "Example" in ran.out
        assert f"kirimhook {' '.join(command)}" in ran.out


@pytest.mark.parametrize(
    "command",
    [[], *([name] for name in [*COMMANDS, "sender"]), *(["sender", name] for name in SENDER), *GROUPS],
    ids=" ".join,
)
def test_exit_codes_are_documented(command: list[str]) -> None:
    assert "Exit codes: 0 " in kirimhook(*command, "--help").out


def test_the_root_lists_every_command_and_its_version() -> None:
    listed = kirimhook("--help").out
    assert all(f" {name} " in listed for name in [*COMMANDS, "sender", *(group[0] for group in GROUPS)])
    assert kirimhook("--version").out == f"kirimhook {__version__}\n"


@pytest.mark.parametrize("command", [[], *GROUPS], ids=lambda command: "-".join(command) or "root")
def test_no_arguments_at_all_show_the_help(command: list[str]) -> None:
    ran = kirimhook(*command)
    assert ran.code == 2
    assert "Usage: kirimhook" in ran.out
    assert ran.errors == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["xyzzy"], "No such command 'xyzzy' (see kirimhook --help)"),
        (["serve"], "Missing argument 'HOOKS' (see kirimhook serve --help)"),
        (["inbox", "show", "x"], "(see kirimhook inbox show --help)"),
        (["inbox", "list", "--state", "lost"], "'--state'"),
        (["trigger", "--nothing"], "No such option: --nothing (see kirimhook trigger --help)"),
        (["inbox", "list", "--inbox", "sqlite:///:memory:"], "an inbox in memory ends with its process"),
        (["inbox", "list", "--inbox", "mysql://x"], "the scheme must be sqlite"),
        (["inbox", "purge", "--dedupe-days", "1"], "dedupe_days: at least 7"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_2(arguments: list[str], message: str) -> None:
    ran = kirimhook(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.errors.startswith("kirimhook: ")
    assert ran.errors.count("\n") == 1
    assert message in ran.errors


def test_the_module_runs_as_the_command_does() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kirimhook", "--version"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"kirimhook {__version__}\n", "")


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = [sys.executable, "-m", "kirimhook", "trigger", "--list", "--json"]
    done = subprocess.run(
        ["sh", "-c", '"$@" | true', "sh", *command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""


def test_help_does_not_load_the_server() -> None:
    program = (
        "import sys, kirimhook.cli; sys.argv = ['kirimhook', '--help']\n"
        "try:\n    kirimhook.cli.main()\nexcept SystemExit:\n    pass\n"
        "heavy = ('uvicorn', 'aiohttp', 'httpx', 'prometheus_client', 'sqlalchemy', 'fastapi')\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.strip() == "[]"
