"""`module:hooks` is found from the working folder; what is not there, or is no Hooks, is said in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from kirimhook.cli.failure import Failure
from kirimhook.cli.hooks_found import find_hooks
try:
    print("found", len(find_hooks(sys.argv[1]).handlers))
except Failure as failure:
    print(f"{int(failure.code)} {failure}")
"""

START = "from kirimhook import Hooks\nhooks = Hooks()\n"
MODULES = {
    "app.py": START + "@hooks.on('*')\ndef f(event): ...\nclass holder:\n    inner = hooks\nseven = 7\n",
    "package/__init__.py": "",
    "package/webhooks.py": START,
    "lacks.py": "import not_installed_anywhere.at_all\n",
    "tie.py": START + "@hooks.on('a.b')\ndef f(event): ...\n@hooks.on('a.b')\ndef g(event): ...\n",
    "broken.py": "def f(:\n",
    "raises.py": "def boom():\n    raise RuntimeError('the cause')\nboom()\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    for name, text in MODULES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def find(folder: Path, where: str) -> subprocess.CompletedProcess[str]:
    """As the console script does: the working folder is not on the path by itself (-P)."""
    command = [sys.executable, "-P", "-c", PROGRAM, where]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=True)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("app:hooks", "found 1"),
        ("app:holder.inner", "found 1"),
        ("package.webhooks:hooks", "found 0"),
        ("nothing:hooks", "2 there is no module 'nothing' in "),
        ("package.nothing:hooks", "2 there is no module 'package.nothing' in "),
        ("app:nothing", "2 app has no 'nothing'; it has: hooks"),
        ("app:holder.nothing", "2 app has no 'holder.nothing'; it has: hooks"),
        ("app:seven", "2 app:seven is an int, not a kirimhook.Hooks"),
        ("app", "2 'app': write module:attribute, as in receiver:hooks"),
        (":hooks", "2 ':hooks': write module:attribute"),
        ("app:", "2 'app:': write module:attribute"),
        ("app.py:hooks", "2 'app.py:hooks': write the module's name, app:hooks"),
        ("package/webhooks.py:hooks", "the module's name, package.webhooks:hooks"),
        ("./app:hooks", "2 './app' is no module name"),
        (".app:hooks", "2 '.app' is no module name"),
        ("lacks:hooks", "2 lacks imports 'not_installed_anywhere', which is not installed here"),
        ("tie:hooks", "2 tie: both tie.f and tie.g are registered for 'a.b'"),
        ("broken:hooks", "2 broken cannot be imported: SyntaxError"),
        ("raises:hooks", "2 raises cannot be imported: RuntimeError"),
    ],
)
def test_what_is_found_or_said(folder: Path, where: str, said: str) -> None:
    assert said in find(folder, where).stdout


def test_the_traceback_of_a_module_shows_its_own_frames_only(folder: Path) -> None:
    trace = find(folder, "raises:hooks").stderr
    assert trace.startswith("Traceback (most recent call last):\n")
    assert trace.endswith("RuntimeError: the cause\n")
    assert trace.count("File ") == trace.count("raises.py") == 2
