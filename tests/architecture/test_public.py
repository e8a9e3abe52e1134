"""The public door: every name in an `__all__` is there, typed, and imported only when it is used."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import assert_type

import pytest

import kirimhook
from kirimhook import Secret, SignatureError, sign
from tests.architecture.tree import SRC, module_name, sources


@pytest.mark.parametrize("name", [module_name(path) for path in sources() if "__all__ = [" in path.read_text()])
def test_every_public_name_resolves(name: str) -> None:
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__) > 0
    for public in module.__all__:
        assert getattr(module, public) is not None


def test_the_door_names_what_it_opens() -> None:
    assert dir(kirimhook) == sorted(kirimhook.__all__)
    assert {*kirimhook._HOME, "__version__"} == set(kirimhook.__all__)
    for name, home in kirimhook._HOME.items():
        assert getattr(kirimhook, name) is getattr(importlib.import_module(home), name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'kirimhook' has no attribute 'nothing'$"):
        _ = kirimhook.nothing  # type: ignore[attr-defined]  # a name that is not there is the test


def test_the_door_imports_only_what_is_asked_for() -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from kirimhook import verify; "
        "print(*sorted(m for m in sys.modules if m.startswith('kirimhook')))"
    )
    command = [sys.executable, "-I", "-S", "-c", program, str(SRC)]
    loaded = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.split()
    assert "kirimhook.contract.signature" in loaded
    assert [name for name in loaded if not name.startswith("kirimhook.contract")] == ["kirimhook"]


def test_a_type_checker_sees_the_types_through_the_door() -> None:
    header = sign([Secret("whsec_a")], b"{}", 1)
    assert_type(header, str)  # checked by mypy in `make check`; the rest of this test is what runs
    assert header.startswith("t=1,v1=")
    assert issubclass(SignatureError, Exception)
