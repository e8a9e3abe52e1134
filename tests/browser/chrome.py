"""Which browser the tests drive: a Chrome or Chromium that is installed. None is downloaded."""

from __future__ import annotations

import os
import shutil

VARIABLE = "KIRIMHOOK_CHROME"
"""Names one that is not on the path."""
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find() -> str | None:
    """Its path; None where there is none."""
    given = os.environ.get(VARIABLE)
    return given or next(filter(None, map(shutil.which, NAMES)), None)
