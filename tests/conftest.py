"""What every test runs under: nothing leaves the machine, and nothing is left out in silence.

`@pytest.mark.needs("strace")`: on a user's machine without strace the test is deselected, and the summary
says so; where CI is set it is an error. `tmpfs` stands for being allowed to mount one, `chromium` for any Chrome. Where
CI is set, a skipped or xfailed test fails the run.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
import sys

import pytest
from hypothesis import HealthCheck, settings

CI = bool(os.environ.get("CI"))
LEFT_OUT = pytest.StashKey[dict[str, list[str]]]()

settings.register_profile(
    "kirimhook",
    deadline=None,  # a shared machine is slow now and then; that is not a defect
    derandomize=False,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("kirimhook")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT_OUT] = {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what needs a program that is not here, and remember it."""
    missing = {item: _missing(item) for item in items}
    left_out = [item for item in items if missing[item]]
    if left_out and CI:
        names = sorted({tool for item in left_out for tool in missing[item]})
        raise pytest.UsageError(f"CI must have {', '.join(names)}: .ci/run installs it")
    for item in left_out:
        for tool in missing[item]:
            config.stash[LEFT_OUT].setdefault(tool, []).append(item.nodeid)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not missing[item]]


def _missing(item: pytest.Item) -> list[str]:
    tools = {tool for mark in item.iter_markers("needs") for tool in mark.args}
    return sorted(tool for tool in tools if not _is_here(tool))


def _is_here(tool: str) -> bool:
    if tool == "chromium":
        from tests.browser.chrome import find

        return find() is not None
    if tool != "tmpfs":
        return shutil.which(tool) is not None
    from tests.crash.small_disk import can_mount  # of this repository: not for those who only have this file

    return can_mount()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for tool, tests in sorted(config.stash[LEFT_OUT].items()):
        terminalreporter.section(f"left out: {tool} is not installed", yellow=True)
        for test in tests:
            terminalreporter.line(test)
    if CI and _not_run(terminalreporter):
        terminalreporter.section("not run, which CI does not accept", red=True)
        for test in _not_run(terminalreporter):
            terminalreporter.line(test)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if CI and reporter is not None and _not_run(reporter) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _not_run(reporter: pytest.TerminalReporter) -> list[str]:
    return [report.nodeid for kind in ("skipped", "xfailed", "xpassed") for report in reporter.stats.get(kind, [])]


def _is_this_machine(host: object) -> bool:
    if not isinstance(host, str) or host in {"", "localhost"}:
        return host in {None, "", "localhost"}
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _stay_here(event: str, args: tuple[object, ...]) -> None:
    """An audit hook, which uvloop does not call: refuse to look up or dial anything but this machine."""
    if event == "socket.getaddrinfo":
        host = args[0].decode("ascii", "replace") if isinstance(args[0], bytes) else args[0]
    elif event == "socket.connect" and isinstance(args[0], socket.socket):
        if args[0].family == socket.AF_UNIX or not isinstance(args[1], tuple):
            return
        host = args[1][0]
    else:
        return
    if not _is_this_machine(host):
        raise RuntimeError(f"a test may not leave this machine: {event} {host!r}")


sys.addaudithook(_stay_here)
