"""The planted bugs still fit the tree, and name tests that are there. `make planted` sees each of them caught."""

from pathlib import Path
from typing import Final

import pytest

from tests.backend.architecture.test_faults import names_in
from tests.planted.patches import BUGS, ROOT, Bug, Unusable, all_bugs

FEWEST: Final = 30


@pytest.mark.parametrize("path", sorted(BUGS.glob("*.patch")), ids=lambda path: path.stem)
def test_a_planted_bug_still_applies(path: Path) -> None:
    Bug.read(path).plant(ROOT, only_check=True)


def test_every_test_that_has_to_catch_a_bug_is_there() -> None:
    for bug in all_bugs():
        for test in bug.tests:
            file, _, name = test.partition("::")
            assert name.partition("[")[0] in names_in(ROOT / file), f"{bug.name}: there is no {test}"


def test_enough_bugs_are_planted_and_each_is_another_one() -> None:
    told = [bug.what for bug in all_bugs()]

    assert len(told) >= FEWEST
    assert len(set(told)) == len(told)


def test_a_patch_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "it.patch"
    path.write_text(
        "Bug: nothing at all\nCaught by: tests/it.py::test_it\nWithin: 1 s\n\n"
        "--- a/src/sewapay/domain/money.py\n+++ b/src/sewapay/domain/money.py\n@@ -1,1 +1,1 @@\n-not there\n+there\n"
    )

    with pytest.raises(Unusable, match="does not apply"):
        Bug.read(path).plant(ROOT, only_check=True)


@pytest.mark.parametrize(
    "text", ["", "Bug: it\n\n--- a/src/it\n", "Bug: it\nCaught by: t\nWithin: soon\n\n--- a/src/x"]
)
def test_a_patch_that_does_not_say_what_it_is_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "it.patch"
    path.write_text(text)

    with pytest.raises(Unusable, match="begins with"):
        Bug.read(path)


def test_a_name_that_no_bug_has_is_an_error() -> None:
    with pytest.raises(Unusable, match="no-such-bug"):
        all_bugs(["no-such-bug"])
