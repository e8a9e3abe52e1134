"""Version, changelog, requirements and lock agree, and the base package requires nothing."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import kirimhook
from tests.architecture.tree import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKED = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; (.*?))? \\$", re.MULTILINE)


def locked(lock: Path) -> dict[str, set[str]]:
    versions: dict[str, set[str]] = {}
    for name, version, _marker in LOCKED.findall(lock.read_text()):
        versions.setdefault(name, set()).add(version)
    return versions


def requirements(*groups: list[str]) -> list[Requirement]:
    found = [Requirement(line) for group in groups for line in group]
    return [requirement for requirement in found if requirement.name != "kirimhook"]


def test_the_newest_entry_of_the_changelog_is_this_version() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == kirimhook.__version__


def test_the_base_package_requires_nothing() -> None:
    assert PROJECT["project"]["dependencies"] == []


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        (
            "dev.lock",
            requirements(*PROJECT["project"]["optional-dependencies"].values(), PROJECT["dependency-groups"]["dev"]),
        ),
        ("fuzz.lock", requirements(PROJECT["dependency-groups"]["fuzz"])),
        ("bench.lock", requirements(PROJECT["dependency-groups"]["bench"])),
    ],
)
def test_the_lock_holds_every_requirement(lock: str, wanted: list[Requirement]) -> None:
    versions = locked(ROOT / "requirements" / lock)
    assert len(wanted) > 1
    for requirement in wanted:
        have = versions.get(canonicalize_name(requirement.name), set())
        assert any(requirement.specifier.contains(version) for version in have), str(requirement)


def test_what_is_installed_for_the_benchmarks_replaces_nothing_of_the_gate() -> None:
    gate, bench = (locked(ROOT / "requirements" / lock) for lock in ("dev.lock", "bench.lock"))
    assert {name: bench[name] for name in gate.keys() & bench.keys()} == {
        name: gate[name] for name in gate.keys() & bench.keys()
    }
    assert "requests" in gate.keys() & bench.keys(), "or this compares nothing"


@pytest.mark.parametrize("lock", sorted((ROOT / "requirements").glob("*.lock")), ids=lambda lock: lock.name)
def test_every_pin_is_hashed_and_no_lock_names_a_place(lock: Path) -> None:
    text = lock.read_text()
    assert len(re.findall(r" \\\n    --hash=sha256:[0-9a-f]{64}", text)) >= len(LOCKED.findall(text)) > 0
    assert re.findall(r"^[a-z0-9-]+==[^\\\n]*$", text, re.MULTILINE) == []
    assert re.findall(r"://|--index-url|--extra-index|--find-links /|@ file", text) == []
