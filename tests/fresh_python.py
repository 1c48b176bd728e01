"""A Python of its own, as a stranger's machine has it: sewapay and others' distributions as wheels, and no network."""

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from attrs import frozen

ROOT: Final = Path(__file__).resolve().parents[1]
TINYPAY: Final = ROOT / "examples" / "tinypay"
STEERING: Final = ("SEWAPAY_", "KHALTI_", "ESEWA_", "FAKE_", "TINYPAY_", "PYTEST_", "COV_", "PYTHON", "VIRTUAL_ENV")
NO_MORE: Final[Mapping[str, str]] = MappingProxyType({})


@frozen
class FreshPython:
    """A virtual environment whose libraries are borrowed and whose sewapay is its own."""

    folder: Path

    @classmethod
    def made(cls, folder: Path, *projects: Path) -> Self:
        """One in which these projects are installed from wheels that are built now.

        Libraries are those of the Python that runs: their folders are on its path, after its own. What is installed
        there for editing is not found by it.
        """
        venv.create(folder, symlinks=True)
        wheels = [str(built_wheel(project, folder / "wheels" / project.name)) for project in projects]
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(folder / "bin" / "python"))
        if wheels:
            done(*pip, "install", "-q", "--no-index", "--no-deps", *wheels)
        fresh = cls(folder)
        lent = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
        (fresh.site / "lent.pth").write_text("".join(f"{path}\n" for path in lent))
        return fresh

    @property
    def python(self) -> Path:
        """The program."""
        return self.folder / "bin" / "python"

    @property
    def site(self) -> Path:
        """Where its own distributions are."""
        return Path(sysconfig.get_path("purelib", "venv", {"base": str(self.folder), "platbase": str(self.folder)}))

    def environ(self, variables: Mapping[str, str]) -> Mapping[str, str]:
        """What a process of it is started with: its programs first, nothing that would steer it, no network."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(STEERING)}
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return {**inherited, "PATH": path, "PIP_NO_INDEX": "1", **variables}

    def run(
        self, *command: str, cwd: Path, variables: Mapping[str, str] = NO_MORE, seconds: float = 120
    ) -> "subprocess.CompletedProcess[str]":
        """A command that ended, found among its programs first, and what it wrote."""
        own = self.folder / "bin" / command[0]
        return subprocess.run(
            [str(own) if own.exists() else command[0], *command[1:]],
            cwd=cwd, env=dict(self.environ(variables)), capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip


def built_wheel(project: Path, into: Path) -> Path:
    """The wheel of a project, alone in a folder, made without a network by the builder that is installed here."""
    done(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into), cwd=project)
    (wheel,) = into.glob("*.whl")
    return wheel


def done(*command: str, cwd: Path = ROOT) -> str:
    """What a command wrote that went well. Raises with all that it said otherwise."""
    ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    if ran.returncode != 0:
        raise RuntimeError(f"{command} failed:\n{ran.stdout}\n{ran.stderr}")
    return ran.stdout
