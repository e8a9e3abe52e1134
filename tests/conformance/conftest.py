"""The suite's assertions explain themselves here too."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("kirimhook.testing.conformance")
