"""The commands as a person at a terminal has them: what is refused is one sentence on stderr, and an exit code."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from socket import create_server
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[3]
PROGRAM: Final = (sys.executable, "-c", "from sewapay.entrypoints.cli import main; main()")
OURS: Final = ("SEWAPAY_", "KHALTI_", "FAKE_")

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command in an empty folder, with these variables and none of the machine's."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}

    def run_it(*arguments: str | bytes, **variables: str) -> subprocess.CompletedProcess[str]:
        command: Sequence[str | bytes] = (*PROGRAM, *arguments)
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=inherited | {"PYTHONPATH": str(ROOT / "src"), "KHALTI_SECRET_KEY": "k" * 32} | variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run_it


def assert_refused(done: subprocess.CompletedProcess[str], about: str) -> None:
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.startswith("sewapay: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert about in done.stderr


@pytest.mark.parametrize(("command", "log_file"), [("serve", "missing/sewapay.log"), ("check-settings", ".")])
def test_a_log_file_that_cannot_be_written_is_refused(run: Run, command: str, log_file: str) -> None:
    assert_refused(run(command, SEWAPAY_LOG_FILE=log_file), "SEWAPAY_LOG_FILE")


def test_checking_the_settings_makes_no_file(run: Run, tmp_path: Path) -> None:
    done = run("check-settings", SEWAPAY_LOG_FILE="sewapay.log")

    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["serve", "check-settings"])
@pytest.mark.parametrize("url", ["sqlite://", "postgresql://h/n?sslmode=zzz"])
def test_a_database_that_cannot_be_used_is_refused(run: Run, command: str, url: str) -> None:
    assert_refused(run(command, SEWAPAY_DATABASE_URL=url), "SEWAPAY_DATABASE_URL")


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("migrate",)])
def test_a_database_of_a_newer_version_is_refused(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    assert run("migrate").returncode == 0
    database = sqlite3.connect(tmp_path / "sewapay.db")
    database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.commit()
    database.close()

    assert_refused(run(*command), "SEWAPAY_DATABASE_URL: this database is of a newer version")


def test_a_file_of_variables_that_is_not_text_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"SEWAPAY_ENV=\xff\n")

    assert_refused(run("check-settings"), ".env")


@pytest.mark.parametrize(
    "command", [("keys", "create", "--scope", "read", "--label", b"\xff"), ("keys", "revoke", b"\xff")]
)
def test_text_that_cannot_be_shown_is_a_mistake_in_the_command(run: Run, command: tuple[str | bytes, ...]) -> None:
    done = run(*command)

    assert done.returncode == 2
    assert "printable" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_token_is_for_somebody(run: Run) -> None:
    assert_refused(run("token", "--customer", " "), "customer")


@pytest.mark.parametrize("command", [("serve",), ("serve", "--workers", "2"), ("simulate", "khalti")])
def test_a_port_that_is_taken_is_refused(run: Run, command: tuple[str, ...]) -> None:
    with create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert_refused(run(*command, "--port", str(port)), f"port {port}")


@pytest.mark.parametrize("command", [("serve",), ("simulate", "khalti")])
@pytest.mark.parametrize("host", ["192.0.2.1", f"{'a' * 64}.example"])
def test_an_address_that_is_not_ours_is_refused(run: Run, command: tuple[str, ...], host: str) -> None:
    assert_refused(run(*command, "--port", "0", "--host", host), host)
