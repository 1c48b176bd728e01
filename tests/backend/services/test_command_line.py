"""The commands as a person at a terminal has them: what is refused is one sentence on stderr, and an exit code."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from socket import create_connection, create_server
from time import monotonic, sleep
from typing import Final

import click
import httpx
import pytest

from sewapay.entrypoints.cli import main
from tests.backend.services.distributions import install

ROOT: Final = Path(__file__).resolve().parents[3]
PROGRAM: Final = (sys.executable, "-c", "from sewapay.entrypoints.cli import main; main()")
OURS: Final = ("SEWAPAY_", "KHALTI_", "ESEWA_", "FAKE_")

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


def test_a_gateway_whose_key_is_missing_is_listed_as_one_that_opens_nothing(run: Run) -> None:
    with_key, without = run("gateways"), run("gateways", KHALTI_SECRET_KEY="")

    assert with_key.stdout.endswith("refunds: partial\n")
    assert without.stdout.endswith("refunds: partial  opens no checkout yet: its settings lack something\n")


def test_a_token_is_for_somebody(run: Run) -> None:
    assert_refused(run("token", "--customer", " "), "customer")


@pytest.mark.parametrize(
    "command", [("serve",), ("serve", "--workers", "2"), ("simulate", "khalti"), ("simulate", "esewa")]
)
def test_a_port_that_is_taken_is_refused(run: Run, command: tuple[str, ...]) -> None:
    with create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert_refused(run(*command, "--port", str(port)), f"port {port}")


@pytest.mark.parametrize("command", [("serve",), ("simulate", "khalti")])
@pytest.mark.parametrize("host", ["192.0.2.1", f"{'a' * 64}.example"])
def test_an_address_that_is_not_ours_is_refused(run: Run, command: tuple[str, ...], host: str) -> None:
    assert_refused(run(*command, "--port", "0", "--host", host), host)


def commands(group: click.Group, *names: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command, by the words that it is called with."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*names, name), command
        if isinstance(command, click.Group):
            yield from commands(command, *names, name)


COMMANDS: Final = dict(commands(main))


@pytest.mark.parametrize("names", list(COMMANDS), ids=" ".join)
def test_every_command_says_what_it_is_for_and_shows_an_example(names: tuple[str, ...]) -> None:
    command = COMMANDS[names]

    assert command.help
    assert command.epilog
    assert f"sewapay {names[0]}" in command.epilog


def a_free_port() -> int:
    with create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@contextmanager
def simulating(tmp_path: Path, name: str, *arguments: str, site: Path | None = None) -> Iterator[str]:
    """Run `sewapay simulate NAME` until the end of the test; its address."""
    path = os.pathsep.join(str(folder) for folder in (ROOT / "src", site) if folder is not None)
    port = a_free_port()
    process = subprocess.Popen(
        [*PROGRAM, "simulate", name, "--port", str(port), *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = monotonic() + 30
    while process.poll() is None and monotonic() < deadline:
        try:
            create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            sleep(0.05)
        else:
            return
    raise AssertionError("the stand-in does not listen")


def initiate(address: str, key: str = "a-key") -> httpx.Response:
    body = {
        "return_url": "https://shop.example/return/",
        "website_url": "https://shop.example",
        "amount": 113000,
        "purchase_order_id": "REF1",
        "purchase_order_name": "House cleaning",
    }
    where = f"{address}/api/v2/epayment/initiate/"
    return httpx.post(where, json=body, headers={"Authorization": f"Key {key}"}, trust_env=False)


def test_a_stand_in_takes_the_key_the_seed_and_the_faults_that_it_is_given(tmp_path: Path) -> None:
    faults = tmp_path / "faults.json"
    faults.write_text(json.dumps([{"fault": "status", "status": 503, "on": "initiate"}]))
    options = ("--secret-key", "the-key", "--seed", "7", "--faults", str(faults))

    pidxs = []
    for _ in range(2):
        with simulating(tmp_path, "khalti", *options) as address:
            assert initiate(address, "the-key").status_code == 503
            assert initiate(address, "another").status_code == 401
            pidxs.append(initiate(address, "the-key").json()["pidx"])

    assert pidxs[0] == pidxs[1]


@pytest.mark.parametrize(
    "faults", ["not JSON", '[{"fault": "no such fault", "on": "initiate"}]', '[{"fault": "drip"}]']
)
def test_a_file_of_faults_that_cannot_be_used_is_a_mistake_in_the_command(
    run: Run, tmp_path: Path, faults: str
) -> None:
    (tmp_path / "faults.json").write_text(faults)

    done = run("simulate", "khalti", "--port", "0", "--faults", "faults.json")

    assert done.returncode == 2
    assert "Invalid value for --faults: faults.json" in done.stderr


STAND_IN_OF_TINYPAY: Final = """
from sewapay.standins.description import Description
from sewapay.standins.exchange import json_reply
from sewapay.standins.server import StandIn

STAND_IN = Description(
    label="TinyPay's stand-in",
    port=8999,
    reference="ticket",
    takes_key=False,
    create_app=lambda options: StandIn(
        lambda request, too_large: json_reply(200, {"seed": options.seed, "shop": options.public_url})
    ),
    environ=lambda address: {"TINYPAY_URL": address},
)
"""


def given_tinypay(tmp_path: Path, simulator: str) -> Path:
    modules = {"tinypay/__init__.py": "", "tinypay/gateway.py": "", "tinypay/simulator.py": simulator}
    install(tmp_path / "site", "tinypay-for-sewapay", {"tinypay": "tinypay.gateway:TinyPay"}, modules)
    return tmp_path / "site"


def with_site(site: Path) -> Mapping[str, str]:
    return {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{site}"}


def test_the_stand_in_of_somebody_elses_gateway_is_found_in_its_package(run: Run, tmp_path: Path) -> None:
    site = given_tinypay(tmp_path, STAND_IN_OF_TINYPAY)

    told = run("simulate", "tinypay", "--help", **with_site(site)).stdout
    with simulating(tmp_path, "tinypay", "--seed", "5", "--public-url", "https://shop.example/", site=site) as address:
        answer = httpx.get(address, trust_env=False).json()

    assert answer == {"seed": 5, "shop": "https://shop.example"}
    assert "TinyPay's stand-in." in told
    assert "default: 8999" in told
    assert "TINYPAY_URL=http://127.0.0.1:8999" in told
    assert "--secret-key" not in told


@pytest.mark.parametrize(
    ("simulator", "why"),
    [
        ("import a_library_that_nobody_has\n", "ModuleNotFoundError, No module named 'a_library_that_nobody_has'"),
        ("", "AttributeError, module 'tinypay.simulator' has no attribute 'STAND_IN'"),
        ("import sys\nsys.exit(0)\n", "SystemExit in tinypay/simulator.py, line 2"),
        ("STAND_IN = 8999\n", "tinypay.simulator.STAND_IN is no Description"),
    ],
)
def test_a_stand_in_that_is_broken_says_so_and_does_not_hide_the_others(
    run: Run, tmp_path: Path, simulator: str, why: str
) -> None:
    site = given_tinypay(tmp_path, simulator)

    listed = run("simulate", "--help", **with_site(site))
    done = run("simulate", "tinypay", "--port", "1", **with_site(site))

    said = f"the stand-in of tinypay of tinypay-for-sewapay 0.1.0 cannot be used: {why}"
    assert_refused(done, said)
    names = [line.split()[0] for line in listed.stdout.partition("Commands:\n")[2].splitlines() if line.strip()]
    assert (listed.returncode, listed.stderr) == (0, "")
    assert {"esewa", "khalti", "tinypay"} <= set(names)


def test_a_package_that_exits_keeps_no_other_stand_in_from_being_listed(run: Run, tmp_path: Path) -> None:
    site = given_tinypay(tmp_path, "")
    (site / "tinypay" / "__init__.py").write_text("raise SystemExit\n")

    listed = run("simulate", "--help", **with_site(site))

    assert listed.returncode == 0
    assert "khalti" in listed.stdout


@pytest.mark.parametrize("name", ["fake", "nopay"])
def test_a_gateway_without_a_stand_in_cannot_be_simulated(run: Run, name: str) -> None:
    done = run("simulate", name)

    assert done.returncode == 2
    assert f"No such command '{name}'" in done.stderr
