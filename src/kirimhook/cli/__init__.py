"""The `kirimhook` command. Everything behind `main` may need the extra `cli`; `main` itself needs nothing."""

from __future__ import annotations

import sys

__all__ = ["main"]

MISSING_EXTRA = 2

_EXTRA_MODULES = frozenset({
    "aiohttp", "httptools", "prometheus_client", "rich", "structlog", "trustme", "typer", "uvicorn", "uvloop",
})  # fmt: skip


def main() -> int:
    """Run the command line and return its exit code: 2, and the cure on stderr, where an extra is missing."""
    try:
        from kirimhook.cli.app import app

        app()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA_MODULES:
            raise
        sys.stderr.write("kirimhook: this command needs the extra \"cli\": pip install 'kirimhook[cli]'\n")
        return MISSING_EXTRA
    return 0
