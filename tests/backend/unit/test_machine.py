import shutil
import sys
from pathlib import Path

import pytest

from tests import machine
from tests.chromium import find_chromium, require_chromium


@pytest.mark.parametrize(("in_ci", "outcome"), [(True, pytest.fail.Exception), (False, pytest.skip.Exception)])
def test_what_is_missing_is_red_in_ci_and_a_skip_elsewhere(
    monkeypatch: pytest.MonkeyPatch, in_ci: bool, outcome: type[BaseException]
) -> None:
    monkeypatch.setattr(machine, "IN_CI", in_ci)

    with pytest.raises(outcome, match="A teapot is missing: buy one"):
        machine.is_missing("A teapot", "buy one")


def test_the_named_browser_comes_before_the_one_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEWAPAY_TEST_CHROMIUM", sys.executable)

    assert find_chromium() == Path(sys.executable)


def test_a_named_browser_that_is_not_there_is_not_replaced_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEWAPAY_TEST_CHROMIUM", "/no/such/chromium")

    assert find_chromium() is None


def test_without_a_browser_the_way_to_one_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SEWAPAY_TEST_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(machine, "IN_CI", False)
    assert shutil.which("chromium") is None

    with pytest.raises(pytest.skip.Exception, match="Chromium is missing: apt-get install chromium"):
        require_chromium()
