"""The guide's test runner.

    python -m tests.run_tests                                              every test
    python -m tests.run_tests --unit --verbose                             one kind
    python -m tests.run_tests --backend --integration --coverage -- -k khalti

A kind (--unit, --integration, --api, --e2e) and a side (--backend, --frontend) narrow each other; two of the same sort
add up. What follows `--` goes to pytest as it is. Exit codes: 0 all passed, 1 some failed or none ran, 2 usage.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PYTEST_FOUND_NO_TEST: Final = 5

KINDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "unit": ("tests/backend/unit",),
        "integration": ("tests/backend/services", "tests/backend/api"),
        "api": ("tests/backend/api",),
        "e2e": ("tests/frontend", "tests/backend/system"),
    }
)
SIDES: Final[Mapping[str, str]] = MappingProxyType({"backend": "tests/backend", "frontend": "tests/frontend"})


class NothingToRun(Exception):
    """What was asked for names no folder with tests; the message is the sentence to show."""


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Our flags, and what stands after `--` for pytest."""
    ours, theirs = list(arguments), []
    if "--" in ours:
        cut = ours.index("--")
        ours, theirs = ours[:cut], ours[cut + 1 :]
    parser = argparse.ArgumentParser(
        prog="python -m tests.run_tests",
        description="Run sewapay's tests. What follows -- is handed to pytest.",
        epilog="example: python -m tests.run_tests --backend --integration --coverage -- -k khalti",
    )
    for kind, folders in KINDS.items():
        parser.add_argument(f"--{kind}", action="store_true", help=f"only {' and '.join(folders)}")
    parser.add_argument("--all", action="store_true", help="every kind (also what no flag at all means)")
    for side, folder in SIDES.items():
        parser.add_argument(f"--{side}", action="store_true", help=f"only what is in {folder}")
    parser.add_argument("--coverage", action="store_true", help="measure coverage; htmlcov/ has the pages")
    parser.add_argument("--verbose", action="store_true", help="name every test")
    return parser.parse_args(ours), theirs


def folders(asked: argparse.Namespace) -> list[str]:
    """The folders that these flags mean, each once.

    Raises NothingToRun when the flags exclude each other, such as --frontend --unit.
    """
    kinds = [kind for kind in KINDS if getattr(asked, kind) and not asked.all]
    sides = [SIDES[side] for side in SIDES if getattr(asked, side)]
    if not kinds:
        return sides or ["tests"]
    wanted = dict.fromkeys(folder for kind in kinds for folder in KINDS[kind])
    chosen = [f for f in wanted if not sides or any(PurePosixPath(f).is_relative_to(side) for side in sides)]
    if not chosen:
        flags = " ".join(f"--{name}" for name in (*KINDS, *SIDES) if getattr(asked, name))
        raise NothingToRun(f"No tests are meant by {flags} together.")
    return chosen


def command(arguments: Sequence[str], root: Path = ROOT) -> list[str]:
    """The pytest call that these arguments mean: a list, for no shell to read.

    Raises NothingToRun when a folder that is asked for is not there.
    """
    asked, theirs = parse(arguments)
    chosen = folders(asked)
    for folder in chosen:
        if not (root / folder).is_dir():
            raise NothingToRun(f"The folder {folder} does not exist.")
    call = [sys.executable, "-m", "pytest", *chosen]
    if asked.coverage:
        call += ["--cov=sewapay", "--cov-report=term", "--cov-report=html"]
    if asked.verbose:
        call.append("-v")
    return call + theirs


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Run the tests, say how it went, and return the exit code."""
    try:
        call = command(arguments, root)
    except NothingToRun as reason:
        print(reason, file=sys.stderr)
        return 1
    began = time.monotonic()
    code = subprocess.run(call, cwd=root, check=False).returncode
    print(f"\n{time.monotonic() - began:.1f} seconds")
    if code == PYTEST_FOUND_NO_TEST:
        print("No test ran: nothing there matches what was asked for.")
    print("All tests passed!" if code == 0 else "Some tests failed!")
    return 0 if code == 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
