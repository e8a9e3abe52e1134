"""Texts from outside."""

from __future__ import annotations


def is_storable(text: str) -> bool:
    """Whether every database takes it: PostgreSQL knows no NUL, and nobody stores a lone surrogate."""
    return "\0" not in text and text.encode("utf-8", "replace") == text.encode("utf-8", "surrogatepass")
