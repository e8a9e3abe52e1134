"""What a bookmark may be called, and how long it may be."""

from __future__ import annotations

import re

MOST_CHARACTERS = 4096
_NAME = re.compile(r"[a-z0-9_-]{1,64}")


def check(name: str, *texts: str | None) -> None:
    """Raises ValueError for a name, or a text, that no inbox takes."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"bookmark {name!r}: a name is 1 to 64 of a-z, 0-9, _ and -")
    if any(text is not None and len(text) > MOST_CHARACTERS for text in texts):
        raise ValueError(f"bookmark {name!r}: a text has at most {MOST_CHARACTERS} characters")
