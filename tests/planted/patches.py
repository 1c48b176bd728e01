"""The planted bugs as they lie in `bugs/`: read, and applied to a copy of the tree."""

import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Self

from attrs import frozen

__all__ = ["BUGS", "ROOT", "Bug", "Unusable", "all_bugs", "copy_of_the_tree"]

ROOT: Final = Path(__file__).resolve().parents[2]
BUGS: Final = Path(__file__).resolve().parent / "bugs"
LEFT_OUT: Final = shutil.ignore_patterns("planted", "frontend", ".hypothesis", ".pytest_cache")

_HEADER: Final = re.compile(
    r"Bug: (?P<what>.+)\n(?P<tests>(?:Caught by: .+\n)+)Within: (?P<seconds>\d+) s\n\n--- a/src/"
)


class Unusable(Exception):
    """A patch that is not written as it should be, or does not apply to the tree any more."""


@frozen
class Bug:
    """One planted bug. `tests` are pytest's names of those that have to catch it, within `seconds`."""

    path: Path
    what: str
    tests: tuple[str, ...]
    seconds: int

    @classmethod
    def read(cls, path: Path) -> Self:
        """The bug in this file. Raises `Unusable`."""
        found = _HEADER.match(path.read_text("utf-8"))
        if found is None:
            raise Unusable(f"{path.name} begins with Bug:, Caught by: and Within:, an empty line, and then the diff")
        tests = tuple(line.removeprefix("Caught by: ") for line in found["tests"].splitlines())
        return cls(path, found["what"], tests, int(found["seconds"]))

    @property
    def name(self) -> str:
        """How it is called on the command line."""
        return self.path.stem

    def plant(self, root: Path, *, only_check: bool = False) -> None:
        """Apply it to the tree at `root`, or see whether it would apply. Raises `Unusable`."""
        how = ["--check"] if only_check else []
        applied = subprocess.run(
            ["git", "apply", *how, str(self.path)],  # noqa: S607 (the git of whoever runs the tests)
            cwd=root, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if applied.returncode:
            raise Unusable(f"{self.path.name} does not apply any more: {applied.stderr.strip()}")


def all_bugs(names: Iterable[str] = ()) -> Sequence[Bug]:
    """Those of these names, or all of them. Raises `Unusable`, also for a name that none has."""
    bugs = [Bug.read(path) for path in sorted(BUGS.glob("*.patch"))]
    wanted = set(names)
    if unknown := wanted - {bug.name for bug in bugs}:
        raise Unusable(f"no bug is called {', '.join(sorted(unknown))}")
    return [bug for bug in bugs if not wanted or bug.name in wanted]


def copy_of_the_tree(to: Path) -> Path:
    """What the tests need, in a folder of its own: the code, the tests, and their settings."""
    shutil.copytree(ROOT / "src", to / "src")
    shutil.copytree(ROOT / "tests", to / "tests", ignore=LEFT_OUT)
    shutil.copytree(ROOT / "docs", to / "docs")
    shutil.copy(ROOT / "pyproject.toml", to)
    return to
