"""The house rules that no tool knows.

Banned words are spelled in two halves here, so that a search for them stays empty.
"""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCE = ROOT / "src" / "sewapay"
LONGEST_MODULE = 400

MOCKING = (
    "unittest." + "mock",
    "from unittest import " + "mock",
    "import " + "mock",
    "Magic" + "Mock",
    "Async" + "Mock",
    "mock" + "er.",
    "pytest_" + "mock",
    "pytest-" + "mock",
    "respx." + "mock",
    "import " + "responses",
)
REGISTRIES = (
    "py" + "pi.org",
    "python" + "hosted.org",
    "npm" + "js.",
    "yarn" + "pkg.com",
    "deb." + "debian.org",
    "--index-" + "url",
    "--extra-index-" + "url",
    "--find-" + "links",
)
MACHINE_PATHS = re.compile(
    "|".join(
        (
            "/wo" + r"rk/[a-z.]",
            "/ro" + "ot/",
            "/ho" + r"me/[a-z]+/",
            "/Us" + r"ers/[A-Za-z]+/",
            "/tm" + r"p/[a-z]+_jobs",
        )
    )
)


def tracked_files() -> list[Path]:
    """What is in the repository or about to be; outside a clone, what lies in the folders that matter."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 (git is on the PATH)
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0:
        files = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        folders = ("src", "tests", "docs", "examples", "bench", ".ci")
        files = [path for folder in folders for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts]
        files += [path for path in ROOT.iterdir() if not path.name.startswith(".")]
    return [path for path in files if path.is_file()]


def lines(files: list[Path]) -> Iterator[tuple[str, str]]:
    """Every line of every text file, with its place."""
    for path in files:
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:  # a picture
            continue
        for number, line in enumerate(text.splitlines(), 1):
            yield f"{path.relative_to(ROOT)}:{number}", line


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def project() -> dict[str, list[str]]:
    """The names of what we depend on: `runtime` and `dev`."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return {
        "runtime": [_name(text) for text in declared["project"]["dependencies"]],
        "dev": [_name(text) for text in declared["dependency-groups"]["dev"]],
    }


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return found[0].lower()


def locked() -> dict[str, str]:
    """Each requirement of the lock: its name, and all that is said about it."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)
    entries = text.replace("\\\n", " ").splitlines()
    return {_name(entry): entry for entry in entries if entry.strip()}


def test_no_test_and_no_module_mocks() -> None:
    modules = [path for path in tracked_files() if path.suffix == ".py"]

    found = [place for place, line in lines(modules) for word in MOCKING if word in line]

    assert found == [], "a fake that keeps state and passes the contract is wanted instead"


def test_no_file_names_a_registrys_address() -> None:
    makefile = ROOT / "Makefile"  # tells uv to leave addresses out

    found = [
        place for place, line in lines(tracked_files()) for word in REGISTRIES
        if word in line and not (place.startswith(f"{makefile.name}:") and "--no-emit-" in line)
    ]  # fmt: skip

    assert found == []


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    found = [place for place, line in lines(tracked_files()) if MACHINE_PATHS.search(line)]

    assert found == []


def test_no_module_holds_two_ideas() -> None:
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules()}

    assert {name: length for name, length in long.items() if length > LONGEST_MODULE} == {}


def test_a_folders_init_is_empty_unless_the_folder_is_a_gateway() -> None:
    inits = [path for path in modules() if path.name == "__init__.py"]
    inside_gateways = [path.parent for path in SOURCE.glob("adapters/*/gateway.py")]
    others = [path for path in inits if not any(path.is_relative_to(folder) for folder in inside_gateways)]

    assert [str(path.relative_to(ROOT)) for path in others if path.read_text().strip()] == []


def test_every_folder_of_the_package_is_a_package() -> None:
    run_by_alembic = {SOURCE / "adapters/sql/migrations", SOURCE / "adapters/sql/migrations/versions"}
    folders = {path.parent for path in modules()} - run_by_alembic

    assert [str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_every_locked_requirement_is_pinned_and_has_hashes() -> None:
    entries = locked()

    assert len(entries) > 20
    assert [name for name, entry in entries.items() if not re.match(r"\S+==\S+ ", entry)] == []
    assert [name for name, entry in entries.items() if "--hash=sha256:" not in entry] == []


def test_the_lock_holds_no_address() -> None:
    text = (ROOT / "requirements.lock").read_text()

    assert "://" not in text
    assert [line for line in text.splitlines() if line.startswith("-")] == []


@pytest.mark.parametrize("group", ["runtime", "dev"])
def test_everything_that_we_depend_on_is_locked(group: str) -> None:
    entries = locked()

    assert [name for name in project()[group] if name not in entries] == [], "make lock"


def test_every_library_that_we_run_on_has_its_reason_written_down() -> None:
    page = (ROOT / "docs" / "decisions" / "0002-libraries.md").read_text().lower()
    named = set(re.findall(r"[a-z0-9][a-z0-9_-]*", page))

    assert [name for name in project()["runtime"] if name not in named] == []
