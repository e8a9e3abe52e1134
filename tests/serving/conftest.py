"""A PostgreSQL of these tests' own; see `tests.sender.conftest`."""

from __future__ import annotations

from tests.sender.conftest import postgres, postgres_template, postgres_url

__all__ = ["postgres", "postgres_template", "postgres_url"]
