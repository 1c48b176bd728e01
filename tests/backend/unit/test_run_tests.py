import subprocess
import sys
from pathlib import Path

import pytest

from tests.run_tests import ROOT, NothingToRun, command, main

FOLDERS = ("backend/unit", "backend/services", "backend/api", "backend/system", "frontend")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with one test a folder; its name says where it lies. It needs none of our plugins, which take seconds."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for folder in FOLDERS:
        place = tmp_path / "tests" / folder
        place.mkdir(parents=True)
        name = folder.replace("/", "_")
        (place / f"test_{name}.py").write_text(f"def test_{name}():\n    pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "folders"),
    [
        ("", ["tests"]),
        ("--all", ["tests"]),
        ("--backend", ["tests/backend"]),
        ("--frontend", ["tests/frontend"]),
        ("--backend --frontend", ["tests/backend", "tests/frontend"]),
        ("--unit", ["tests/backend/unit"]),
        ("--backend --unit", ["tests/backend/unit"]),
        ("--integration", ["tests/backend/services", "tests/backend/api"]),
        ("--backend --integration", ["tests/backend/services", "tests/backend/api"]),
        ("--api", ["tests/backend/api"]),
        ("--api --integration", ["tests/backend/services", "tests/backend/api"]),
        ("--e2e", ["tests/frontend", "tests/backend/system"]),
        ("--frontend --e2e", ["tests/frontend"]),
        ("--backend --e2e", ["tests/backend/system"]),
        ("--all --unit", ["tests"]),
    ],
)
def test_the_flags_choose_the_folders(tree: Path, flags: str, folders: list[str]) -> None:
    assert command(flags.split(), tree) == [sys.executable, "-m", "pytest", *folders]


def test_what_follows_the_dashes_goes_to_pytest_as_it_is(tree: Path) -> None:
    call = command(["--api", "--", "-k", "khalti and not esewa", "--", "-x"], tree)

    assert call == [sys.executable, "-m", "pytest", "tests/backend/api", "-k", "khalti and not esewa", "--", "-x"]


def test_coverage_and_verbose_come_before_what_goes_to_pytest(tree: Path) -> None:
    call = command(["--api", "--coverage", "--verbose", "--", "-k", "khalti"], tree)

    asked_of_pytest = call[call.index("tests/backend/api") + 1 :]
    assert asked_of_pytest == ["--cov=sewapay", "--cov-report=term", "--cov-report=html", "-v", "-k", "khalti"]


def test_a_folder_that_is_not_there_is_one_sentence(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "tests/backend/api/test_backend_api.py").unlink()
    (tree / "tests/backend/api").rmdir()

    code = main(["--api"], tree)

    assert (code, capsys.readouterr().err) == (1, "The folder tests/backend/api does not exist.\n")


def test_a_kind_and_a_side_without_a_common_folder_are_refused(tree: Path) -> None:
    with pytest.raises(NothingToRun, match="No tests are meant by --unit --frontend together"):
        command(["--frontend", "--unit"], tree)


def test_a_flag_that_does_not_exist_is_a_usage_error(tree: Path) -> None:
    with pytest.raises(SystemExit) as refused:
        command(["--khalti"], tree)

    assert refused.value.code == 2


def test_passing_tests_are_said_to_have_passed(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = main(["--backend", "--integration", "--verbose", "--", "-p", "no:cacheprovider"], tree)

    told = capfd.readouterr().out
    assert code == 0
    assert "2 passed" in told
    assert "test_backend_services PASSED" in told
    assert "test_backend_unit" not in told
    assert told.splitlines()[-2].endswith(" seconds")
    assert told.splitlines()[-1] == "All tests passed!"


def test_a_failing_test_is_said_to_have_failed(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tree / "tests/frontend/test_frontend.py").write_text("def test_frontend():\n    assert 1 == 2\n")

    code = main([], tree)

    told = capfd.readouterr().out
    assert code == 1
    assert "1 failed, 4 passed" in told
    assert told.splitlines()[-1] == "Some tests failed!"


def test_running_nothing_is_a_failure(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = main(["--unit", "--", "-k", "no_such_name"], tree)

    told = capfd.readouterr().out
    assert code == 1
    assert "No test ran" in told
    assert "All tests passed!" not in told


def test_the_guides_own_command_line_is_understood() -> None:
    call = [sys.executable, "-m", "tests.run_tests", "--backend", "--unit", "--", "--collect-only", "-q", "-k"]

    ran = subprocess.run([*call, "the_guides_own"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "test_the_guides_own_command_line_is_understood" in ran.stdout
