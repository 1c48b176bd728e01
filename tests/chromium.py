"""Finding a Chromium for the tests that look at the pages as a person does."""

import os
import shutil
from pathlib import Path

from tests.machine import is_missing

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> Path | None:
    """The browser to run: the one named in SEWAPAY_TEST_CHROMIUM, else the first on the PATH, else None."""
    named = os.environ.get("SEWAPAY_TEST_CHROMIUM")
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, NAMES)), None)
    return Path(found) if found else None


def require_chromium() -> Path:
    """The browser to run; without one the test is red in CI and skipped elsewhere."""
    found = find_chromium()
    if found is None:
        is_missing("Chromium", "apt-get install chromium, or name the program in SEWAPAY_TEST_CHROMIUM")
    return found
