"""What a test needs from the machine, and what happens when the machine does not have it."""

import os
from typing import NoReturn

import pytest

IN_CI = os.environ.get("CI", "").lower() not in {"", "0", "false", "no"}


def is_missing(what: str, how_to_get_it: str) -> NoReturn:
    """Red in CI, where everything is installed; elsewhere a skip that says how to get it."""
    message = f"{what} is missing: {how_to_get_it}"
    if IN_CI:
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
