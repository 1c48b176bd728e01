"""Plant each bug in a copy of the tree and see a test turn red. Exit code 1 when one survives."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from attrs import frozen

from tests.planted.patches import Bug, Unusable, all_bugs, copy_of_the_tree

_FAILED: Final = re.compile(r"^(?:FAILED|ERROR) \S*?(?P<file>[^/\s]+\.py)::(?P<test>.+?)(?: - .*)?$", re.MULTILINE)
RAN_AND_FAILED: Final = 1


@frozen
class Outcome:
    """What became of a bug: the test that caught it, or in how far none did."""

    bug: Bug
    is_caught: bool
    told: str
    seconds: float


def tried(bug: Bug, tree: Path) -> Outcome:
    """Plant it in a fresh copy of `tree`, and run the tests that have to catch it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        root = Path(folder) / "tree"
        shutil.copytree(tree, root)
        try:
            bug.plant(root)
            is_caught, told = _judged(bug, root)
        except Unusable as unusable:
            is_caught, told = False, str(unusable)
    return Outcome(bug, is_caught, told, time.monotonic() - began)


def _judged(bug: Bug, root: Path) -> tuple[bool, str]:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider", *bug.tests]
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTEST_ADDOPTS")}
    try:
        ran = subprocess.run(
            command, cwd=root, env=environ, capture_output=True, text=True, timeout=bug.seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return False, f"the tests did not end within {bug.seconds} s"
    failed = _FAILED.search(ran.stdout)
    if ran.returncode != RAN_AND_FAILED or failed is None:
        last = (ran.stdout.strip() or ran.stderr.strip() or "nothing was said").splitlines()[-1]
        return False, f"SURVIVED ({last})"
    return True, f"{failed['file']}::{failed['test']}"


def main(arguments: list[str] | None = None) -> int:
    """Plant the named bugs, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a bug, by the name of its patch")
    parser.add_argument("--list", action="store_true", help="tell what there is, and plant nothing")
    asked = parser.parse_args(arguments)
    try:
        bugs = all_bugs(asked.names)
    except Unusable as unusable:
        sys.stderr.write(f"{unusable}\n")
        return 2
    if asked.list:
        sys.stdout.writelines(f"{bug.name:<34} {bug.what}\n" for bug in bugs)
        return 0
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        tree = copy_of_the_tree(Path(folder))
        for bug in bugs:
            outcome = tried(bug, tree)
            survivors += not outcome.is_caught
            sys.stdout.write(f"{bug.name:<34} {outcome.seconds:5.1f} s  {outcome.told}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(bugs) - survivors} of {len(bugs)} planted bugs were caught\n")
    return int(survivors > 0)


if __name__ == "__main__":
    sys.exit(main())
