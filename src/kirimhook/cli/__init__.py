"""The `kirimhook` command. Everything behind `main` may need the extra `cli`; `main` itself needs nothing."""

from __future__ import annotations

import sys

__all__ = ["main"]

MISSING_EXTRA = 2

_EXTRAS = {
    "cli": {
        "aiohttp",
        "h11",
        "httptools",
        "httpx",
        "prometheus_client",
        "rich",
        "structlog",
        "trustme",
        "typer",
        "uvicorn",
        "uvloop",
    },
    "sender": {"alembic", "cryptography", "fastapi", "pydantic", "sqlalchemy", "starlette"},
    "postgres": {"asyncpg", "greenlet"},
}


def main() -> int:
    """Run the command line and return its exit code: 2, and the cure on stderr, where an extra is missing."""
    try:
        from kirimhook.cli.app import app

        app()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        extra = next((name for name, modules in _EXTRAS.items() if missing in modules), None)
        if extra is None:
            raise
        wanted = "cli" if extra == "cli" else f"cli,{extra}"
        sys.stderr.write(f"kirimhook: this command needs the extra \"{extra}\": pip install 'kirimhook[{wanted}]'\n")
        return MISSING_EXTRA
    return 0
