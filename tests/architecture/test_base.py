"""The base package imports with the standard library alone, and the command says which extra it misses."""

from __future__ import annotations

import subprocess
import sys

from tests.architecture.tree import SRC, module_name, sources

# What needs an extra, or pytest. Everything else is the base package.
NEEDS_MORE = (
    "kirimhook.__main__",
    "kirimhook.backends.jetstream.",
    "kirimhook.backends.postgres.",
    "kirimhook.cli.",
    "kirimhook.client.wire",
    "kirimhook.migrations",
    "kirimhook.operating.doctor",
    "kirimhook.operating.rotation",
    "kirimhook.pages",
    "kirimhook.receiver.pages.",
    "kirimhook.sender",
    "kirimhook.serving",
    "kirimhook.testing.devca",
    "kirimhook.testing.endpoint",
    "kirimhook.testing.postgres",
    "kirimhook.testing.plugin",
    "kirimhook.testing.conformance",
)

AND_YET = ("handle", "loopback", "rates", "tries")
"""Of the receiver's pages: what `serve` imports before anybody looks at them."""

IMPORT_ALL = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    importlib.import_module(name)
"""

COMMAND = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from kirimhook.cli import main
sys.exit(main())
"""


def bare(program: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a program on an interpreter that sees no site-packages and no environment."""
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", program, str(SRC), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_every_base_module_imports_without_any_dependency() -> None:
    modules = [name for name in map(module_name, sources()) if not name.startswith(NEEDS_MORE)]
    modules += [f"kirimhook.receiver.pages.{name}" for name in AND_YET]
    assert "kirimhook.contract.signature" in modules
    assert "kirimhook.cli" in modules
    done = bare(IMPORT_ALL, *modules)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_interpreter_of_that_test_sees_no_dependency() -> None:
    assert "No module named 'pytest'" in bare(IMPORT_ALL, "pytest").stderr


def test_the_command_names_the_missing_extra() -> None:
    done = bare(COMMAND, "--help")
    assert done.returncode == 2
    assert done.stderr == "kirimhook: this command needs the extra \"cli\": pip install 'kirimhook[cli]'\n"
