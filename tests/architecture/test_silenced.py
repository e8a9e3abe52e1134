"""Where a check is silenced, the reason stands beside it: `# noqa: RULE  # why`, `# type: ignore[code]  # why`."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT

SILENCED = re.compile(r"#\s*(?:noqa|type:\s*ignore|pragma)\b")
REASON = re.compile(r"#\s*(?:noqa: [A-Z0-9, ]+|type: ignore\[[a-z, -]+\])\s+# \S.*")


def without_reason(text: str) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    return [comment for comment in comments if SILENCED.search(comment) and not REASON.search(comment)]


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks", "fuzz"])
def test_every_silenced_check_has_its_reason_beside_it(folder: str) -> None:
    files: list[Path] = sorted((ROOT / folder).rglob("*.py"))
    found = {str(file.relative_to(ROOT)): without_reason(file.read_text()) for file in files}
    assert files
    assert {name: comments for name, comments in found.items() if comments} == {}


def test_one_without_a_reason_would_be_found() -> None:
    bare = ["# no" + "qa: S101", "# no" + "qa", "# type: " + "ignore[misc]", "# type: " + "ignore"]
    told = ["# no" + "qa: S101, T20  # a reason", "# type: " + "ignore[misc]  # a reason"]
    assert without_reason("\n".join([*bare, *told])) == bare
