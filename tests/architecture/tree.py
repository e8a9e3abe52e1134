"""The project's own files, as the architecture tests see them (git is not needed)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
PACKAGE = SRC / "kirimhook"
_NOT_OURS = {".git", ".venv", ".hypothesis", "__pycache__", "build", "dist", "corpus", "crashes"}


def ours() -> Iterator[Path]:
    """Every text file of the project: not what tools leave behind."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in _NOT_OURS and not name.endswith("_cache")]
        for name in names:
            path = Path(folder, name)
            if not name.startswith(".coverage") and b"\0" not in path.read_bytes():
                yield path


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
