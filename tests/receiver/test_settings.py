"""Settings are checked when they are made: what cannot be is refused with the name of its key."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract.events import Identity
from kirimhook.settings import ReceiverSettings, SettingsError, described

NAMES = [field.name for field in fields(ReceiverSettings)]


def test_the_defaults_are_the_contracts() -> None:
    settings = ReceiverSettings()
    assert (settings.identity, settings.tolerance, settings.commit_timeout) == (Identity.HEADER, 300, 5)
    assert (settings.max_body, settings.max_buffered) == (4 * 2**20, 128 * 2**20)


def test_every_setting_is_described_and_its_default_lies_in_its_range() -> None:
    assert list(described(ReceiverSettings)) == NAMES
    for name, (_, setting) in described(ReceiverSettings).items():
        assert setting.about.endswith("."), name
        assert setting.least <= setting.most


@pytest.mark.parametrize(
    "bad",
    [
        {"max_body": 0},
        {"max_body": 1.5},
        {"max_body": True},
        {"max_body": "4"},
        {"max_body": 2**40},
        {"tolerance": float("nan")},
        {"tolerance": 0},
        {"commit_timeout": 60},
        {"identity": "header"},
        {"retry_after": None},
    ],
)
def test_what_cannot_be_is_refused_by_name(bad: dict[str, Any]) -> None:
    [key] = bad
    with pytest.raises(SettingsError, match=f"^{key}: ") as refused:
        ReceiverSettings(**bad)
    assert refused.value.key == key


def test_a_whole_number_is_a_duration_too_and_nothing_changes_afterwards() -> None:
    settings = ReceiverSettings(commit_timeout=2, identity=Identity.SIGNED)
    assert settings.commit_timeout == 2
    with pytest.raises(FrozenInstanceError):
        settings.max_body = 1  # type: ignore[misc]  # it is frozen: that is the test


@given(st.sampled_from(NAMES), st.none() | st.booleans() | st.integers() | st.floats() | st.text())
def test_any_value_is_kept_as_it_is_or_refused_by_name(name: str, value: object) -> None:
    refused_by, kept = name, value
    try:
        kept = getattr(ReceiverSettings(**{name: value}), name)  # type: ignore[arg-type]  # any setting by its name
    except SettingsError as refused:
        refused_by = refused.key
    assert refused_by == name
    assert kept is value
