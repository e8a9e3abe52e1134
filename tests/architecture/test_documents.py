"""What a document names is there: make targets, files, folders, links. No file names a place on a machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from kirimhook.cli.app import commands
from tests.architecture.tree import PACKAGE, ROOT, ours

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])
TARGETS = ["demo", "test", "check", "bench", "fuzz", "chaos", "clean"]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
SUFFIXES = (".py", ".md", ".toml", ".lock", ".json", ".sql", ".txt")

# In pieces, so that this file does not find itself.
REGISTRIES = [
    f"{name}.{end}" for name, end in [("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("crates", "io")]
]
PLACES = "|".join(["work", "root", "opt/wheels", r"home/\w+"])
MACHINE = re.compile(rf"(?<![\w.}}])/(?:{PLACES})/")


def code_in(text: str) -> str:
    """The fenced and indented blocks and the spans of a document (no span here is broken over lines)."""
    fenced = re.findall(r"```.*?```", text, re.DOTALL)
    return "\n".join(fenced + re.findall(r"`[^`\n]+`|^ {4}.*$", text, re.MULTILINE))


def targets_named(text: str) -> set[str]:
    return set(re.findall(r"\bmake ([a-z]+)", code_in(text)))


def commands_named(text: str) -> set[tuple[str, str]]:
    return set(re.findall(r"(?<!from )\bkirimhook ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", code_in(text)))


def is_a_command(name: str, sub: str) -> bool:
    """`name` is a command, and where it is a group of commands, `sub` is one of them."""
    known = getattr(typer.main.get_command(commands), "commands", {})
    below = getattr(known.get(name), "commands", {})
    return name in known and (not below or sub in {"", *below})


def paths_named(text: str) -> set[str]:
    """Code spans that can only be a path of this project: `contract/`, `docs/x.md`, `pyproject.toml`."""
    spans = re.findall(r"`([\w.*/-]+)`", text)
    return {span for span in spans if not span.startswith("/") and looks_like_ours(span)}


def looks_like_ours(span: str) -> bool:
    top, slash, rest = span.partition("/")
    if not slash:
        return span.endswith((".md", ".toml", ".lock"))
    known = (ROOT / top).is_dir() or (PACKAGE / top).is_dir()
    return known or not rest or span.endswith(SUFFIXES)


def exists(span: str, document: Path) -> bool:
    return any(True for base in (ROOT, PACKAGE, document.parent) for _ in base.glob(span.rstrip("/")))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_names_only_what_is_there(document: Path) -> None:
    text = document.read_text()
    assert targets_named(text) <= set(TARGETS)
    assert [names for names in sorted(commands_named(text)) if not is_a_command(*names)] == []
    assert [span for span in sorted(paths_named(text)) if not exists(span, document)] == []
    links = [link for link in LINK.findall(text) if "://" not in link]
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_a_stale_name_would_be_found() -> None:
    text = "`make nothing` `docs/nothing.md` `scripts/` `application/json` `/healthz` `.ci/run` `make demo`"
    assert targets_named(text) == {"nothing", "demo"}
    assert commands_named("`kirimhook serve app:hooks` `kirimhook inbox lost`") == {("serve", "app"), ("inbox", "lost")}
    assert [is_a_command(*names) for names in (("serve", "app"), ("inbox", "lost"), ("nothing", ""))] == [
        True,
        False,
        False,
    ]
    assert paths_named(text) == {"docs/nothing.md", "scripts/", ".ci/run"}
    assert [span for span in sorted(paths_named(text)) if not exists(span, ROOT / "x.md")] == [
        "docs/nothing.md",
        "scripts/",
    ]


def test_make_alone_lists_exactly_the_targets() -> None:
    listed = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert listed == TARGETS


def test_no_file_names_a_registry_or_a_place_on_some_machine() -> None:
    found = []
    for path in ours():
        text = path.read_text(errors="replace")
        found += [f"{path.relative_to(ROOT)}: {host}" for host in REGISTRIES if host in text]
        found += [f"{path.relative_to(ROOT)}: {place}" for place in MACHINE.findall(text)]
    assert found == []


def test_such_a_place_would_be_found() -> None:
    assert MACHINE.search("cd " + "/work" + "/main")
    assert not MACHINE.search("a/" + "work" + "/b kirimhook serve/work")
