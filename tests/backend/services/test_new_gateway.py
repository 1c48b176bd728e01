"""`sewapay new-gateway` writes a distribution that imports, is red, and says what to write where."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[3]
PROGRAM: Final = (sys.executable, "-c", "from sewapay.entrypoints.cli import main; main()")
OURS: Final = ("SEWAPAY_", "KHALTI_", "ESEWA_", "FAKE_", "TINY_PAY_")

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run Python in a folder, where the new gateway's `src` is on the path too."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith((*OURS, "PYTEST_", "COV_"))}

    def run_it(*command: str, cwd: Path = tmp_path, **variables: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(str(folder) for folder in (ROOT / "src", tmp_path / "site", tmp_path / "made" / "src"))
        return subprocess.run(
            command,
            cwd=cwd,
            env=inherited | {"PYTHONPATH": path} | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run_it


@pytest.fixture
def made(run: Run, tmp_path: Path) -> Path:
    done = run(*PROGRAM, "new-gateway", "tiny_pay", "--path", "made")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return tmp_path / "made"


def test_it_writes_a_distribution_that_names_its_gateway(made: Path) -> None:
    files = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
    project = tomllib.loads((made / "pyproject.toml").read_text())["project"]

    assert files == {
        "README.md",
        "pyproject.toml",
        "src/tiny_pay/__init__.py",
        "src/tiny_pay/config.py",
        "src/tiny_pay/gateway.py",
        "src/tiny_pay/protocol.py",
        "src/tiny_pay/simulator.py",
        "tests/test_contract.py",
    }
    assert project["name"] == "sewapay-tiny-pay"
    assert project["entry-points"]["sewapay.gateways"] == {"tiny_pay": "tiny_pay"}
    assert project["dependencies"] == [f"sewapay>={version('sewapay')}"]
    assert not any("$" in path.read_text() for path in made.rglob("*.*") if path.is_file())


def test_what_it_writes_passes_our_own_linter_and_type_checker(run: Run, made: Path, tmp_path: Path) -> None:
    settings = str(ROOT / "pyproject.toml")

    linted = run(sys.executable, "-m", "ruff", "check", "--no-cache", "--config", settings, ".", cwd=made)
    formatted = run(sys.executable, "-m", "ruff", "format", "--no-cache", "--check", "--config", settings, cwd=made)
    typed = run(
        *(sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "src", "tests"),
        cwd=made,
        MYPYPATH=f"src{os.pathsep}{ROOT / 'src'}",
    )

    assert linted.returncode == 0, linted.stdout
    assert formatted.returncode == 0, formatted.stdout
    assert typed.returncode == 0, typed.stdout


def test_its_tests_are_red_with_sentences_that_say_what_to_write_where(run: Run, made: Path) -> None:
    plugin = ("-p", "no:cacheprovider", "-p", "no:sewapay", "-p", "sewapay.testing.plugin")

    done = run(sys.executable, "-m", "pytest", "-q", *plugin, cwd=made)

    told = set(re.findall(r"^E +(?:NotImplementedError|AssertionError): (\S+, \w+): ", done.stdout, re.MULTILINE))
    assert done.returncode == 1, done.stdout[-2000:]
    assert told == {
        "src/tiny_pay/gateway.py, capabilities",
        "src/tiny_pay/protocol.py, checkout_body",
        "src/tiny_pay/protocol.py, look_up_body",
        "src/tiny_pay/protocol.py, read_return",
        "tests/test_contract.py, DOCUMENTED",
    }


def test_it_cannot_be_enabled_before_it_is_written(run: Run, made: Path, tmp_path: Path) -> None:
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--no-index")
    installed = run(*pip, "--no-deps", "--no-build-isolation", "--target", "site", str(made))
    assert installed.returncode == 0, installed.stderr

    done = run(*PROGRAM, "check-settings", SEWAPAY_GATEWAYS="tiny_pay")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "sewapay: SEWAPAY_GATEWAYS cannot name tiny_pay of sewapay-tiny-pay 0.1.0: its capabilities cannot be read:"
        " NotImplementedError, src/tiny_pay/gateway.py, capabilities: say what Tiny Pay can do"
    )


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Tiny-Pay", "a gateway's name is 1 to 32 of a-z, 0-9 and _, and begins with a letter"),
        ("khalti", "there is a gateway by this name already: khalti"),
        ("class", "class is a word of Python's own, and cannot name a package"),
        ("json", "there is a Python package called json already, which the new one would hide"),
        ("sewapay", "there is a Python package called sewapay already, which the new one would hide"),
    ],
)
def test_a_name_that_cannot_be_used_is_a_mistake_in_the_command(run: Run, tmp_path: Path, name: str, why: str) -> None:
    done = run(*PROGRAM, "new-gateway", name)

    assert done.returncode == 2
    assert f"Invalid value for NAME: {why}\n" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(run: Run, tmp_path: Path) -> None:
    (tmp_path / "tinypay").mkdir()
    (tmp_path / "tinypay" / "notes.txt").write_text("mine")

    done = run(*PROGRAM, "new-gateway", "tinypay", "--path", "tinypay")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "sewapay: tinypay is not empty, and nothing is overwritten: name another with --path\n"
    assert [path.name for path in (tmp_path / "tinypay").iterdir()] == ["notes.txt"]


def test_a_folder_that_cannot_be_written_is_told_in_a_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")

    done = run(*PROGRAM, "new-gateway", "tinypay", "--path", "notes.txt")

    assert done.returncode == 1
    assert done.stderr == "sewapay: notes.txt cannot be written: File exists\n"


def test_without_a_path_the_folder_is_called_like_the_gateway(run: Run, tmp_path: Path) -> None:
    done = run(*PROGRAM, "new-gateway", "tinypay")

    assert done.returncode == 0
    assert (tmp_path / "tinypay" / "src" / "tinypay" / "gateway.py").exists()
