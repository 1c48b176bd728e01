"""Gateways of other distributions: found by their entry points, and refused at the start when they are broken."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx
import pytest

from sewapay.domain.identifiers import GatewayName
from sewapay.entrypoints.gateways import REGISTRY, build_gateways
from sewapay.entrypoints.held import HeldGateway
from tests.backend.services.distributions import TINYPAY, install

ROOT: Final = Path(__file__).resolve().parents[3]
PROGRAM: Final = (sys.executable, "-c", "from sewapay.entrypoints.cli import main; main()")
OURS: Final = ("SEWAPAY_", "KHALTI_", "ESEWA_", "FAKE_")

NOT_THERE: Final = "import a_library_that_nobody_has\n"
WITHOUT_BUILD: Final = "name = 'tinypay'\n"
CANNOT_BUILD: Final = """
def build(environ, client, *, is_production):
    raise ValueError(environ["TINYPAY_KEY"])
"""
EXITS: Final = "import sys\nsys.exit(0)\n"
EXITS_WHEN_BUILT: Final = """
import sys

def build(environ, client, *, is_production):
    sys.exit(environ["TINYPAY_KEY"])
"""
EXITS_WHEN_READ: Final = (
    TINYPAY
    + """
import sys

class Exits(FakeGateway):
    capabilities = property(lambda self: sys.exit(0), lambda self, value: None)

def build(environ, client, *, is_production):
    return Exits(name=GatewayName("tinypay"))
"""
)
TAKES_LESS: Final = "def build(environ):\n    return None\n"
RETURNS_NOTHING: Final = "def build(environ, client, *, is_production):\n    return None\n"
BUILDS_LATER: Final = "async def build(environ, client, *, is_production):\n    return None\n"
REFUSES: Final = """
from sewapay.application.errors import UnusableSetting

def build(environ, client, *, is_production):
    raise UnusableSetting("TINYPAY_KEY is not set")
"""
CALLED_OTHERWISE: Final = TINYPAY.replace('GatewayName("tinypay")', 'GatewayName("giantpay")')
TAKES_NO_REFERENCE_OF_OURS: Final = TINYPAY.replace('label="TinyPay"', "reference_length=16")

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command where the folder `site` is on the path, with these variables and none of the machine's."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    (tmp_path / "work").mkdir()

    def run_it(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        path = f"{ROOT / 'src'}{os.pathsep}{tmp_path / 'site'}"
        return subprocess.run(
            [*PROGRAM, *arguments],
            cwd=tmp_path / "work",
            env=inherited | {"PYTHONPATH": path, "SEWAPAY_GATEWAYS": "tinypay"} | variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run_it


def given_tinypay(tmp_path: Path, text: str = TINYPAY) -> None:
    install(tmp_path / "site", "tinypay-for-sewapay", {"tinypay": "tinypay"}, {"tinypay.py": text})


def test_a_gateway_of_another_distribution_is_enabled_by_its_name(run: Run, tmp_path: Path) -> None:
    given_tinypay(tmp_path)

    done = run("gateways")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[:2] == ["tinypay", "TinyPay"]


def test_an_object_with_a_build_is_as_good_as_a_module(run: Run, tmp_path: Path) -> None:
    text = TINYPAY + "class Offered:\n    build = staticmethod(build)\n"
    install(tmp_path / "site", "tinypay-for-sewapay", {"tinypay": "tinypay:Offered"}, {"tinypay.py": text})

    assert run("check-settings").stdout.endswith("with the gateways tinypay.\n")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (NOT_THERE, "tinypay cannot be imported: ModuleNotFoundError, No module named 'a_library_that_nobody_has'"),
        ("def build(:\n", "tinypay cannot be imported: SyntaxError, invalid syntax (tinypay.py, line 1)"),
        (WITHOUT_BUILD, "tinypay has no callable build"),
        (CANNOT_BUILD, "its build failed: ValueError in site/tinypay.py, line 3"),
        (EXITS, "tinypay cannot be imported: SystemExit in site/tinypay.py, line 2"),
        (EXITS_WHEN_BUILT, "its build failed: SystemExit in site/tinypay.py, line 5"),
        (EXITS_WHEN_READ, "its capabilities cannot be read: SystemExit in site/tinypay.py, line 13"),
        (TAKES_LESS, "its build failed: TypeError, build() got an unexpected keyword argument 'is_production'"),
        (BUILDS_LATER, "build of tinypay is async, and has to be a plain function"),
        (RETURNS_NOTHING, "its build returned no PaymentGateway: it has no name, environment, capabilities, refunds,"),
        (CALLED_OTHERWISE, "it is registered as tinypay and calls itself 'giantpay'"),
        (
            TAKES_NO_REFERENCE_OF_OURS,
            "its capabilities' reference_length is less than 20, the length of our references",
        ),
    ],
)
def test_a_broken_gateway_stops_the_start_with_its_distribution_and_the_reason(
    run: Run, tmp_path: Path, text: str, why: str
) -> None:
    given_tinypay(tmp_path, text)

    done = run("serve", "--port", "0", TINYPAY_KEY="S3CRET")

    assert (done.returncode, done.stdout) == (1, "")
    said = f"sewapay: SEWAPAY_GATEWAYS cannot name tinypay of tinypay-for-sewapay 0.1.0: {why}"
    assert done.stderr.startswith(said), done.stderr
    assert done.stderr.count("\n") == 1
    assert "S3CRET" not in done.stderr


def test_settings_are_not_in_order_because_a_gateway_exits(run: Run, tmp_path: Path) -> None:
    given_tinypay(tmp_path, EXITS)

    done = run("check-settings")

    assert (done.returncode, done.stdout) == (1, "")
    assert "tinypay of tinypay-for-sewapay 0.1.0: tinypay cannot be imported: SystemExit" in done.stderr


def test_who_presses_control_c_while_a_gateway_is_imported_is_obeyed(run: Run, tmp_path: Path) -> None:
    given_tinypay(tmp_path, "raise KeyboardInterrupt\n")

    assert run("check-settings").stderr.endswith("Aborted!\n")


def test_what_a_gateway_says_of_its_own_settings_is_told_with_its_name(run: Run, tmp_path: Path) -> None:
    given_tinypay(tmp_path, REFUSES)

    done = run("serve", "--port", "0")

    assert done.returncode == 1
    assert done.stderr == "sewapay: tinypay of tinypay-for-sewapay 0.1.0: TINYPAY_KEY is not set\n"


def test_a_module_that_is_not_there_stops_the_start(run: Run, tmp_path: Path) -> None:
    install(tmp_path / "site", "tinypay-for-sewapay", {"tinypay": "tinypay.gateway"})

    assert "tinypay.gateway cannot be imported: ModuleNotFoundError" in run("check-settings").stderr


def test_two_distributions_with_one_name_stop_the_start(run: Run, tmp_path: Path) -> None:
    given_tinypay(tmp_path)
    install(tmp_path / "site", "another", {"tinypay": "another"}, {"another.py": TINYPAY})

    done = run("check-settings")

    assert (done.returncode, done.stderr) == (
        1,
        "sewapay: SEWAPAY_GATEWAYS cannot name tinypay of tinypay-for-sewapay 0.1.0:"
        " another 0.1.0 offers a gateway by this name too: uninstall one of them\n",
    )


def test_nobody_takes_the_place_of_a_gateway_of_ours(run: Run, tmp_path: Path) -> None:
    install(tmp_path / "site", "better-khalti", {"khalti": "tinypay"}, {"tinypay.py": TINYPAY})

    done = run("check-settings", SEWAPAY_GATEWAYS="khalti")

    assert (done.returncode, done.stderr) == (
        1,
        "sewapay: SEWAPAY_GATEWAYS cannot name khalti of better-khalti 0.1.0:"
        " sewapay has a gateway by this name too: uninstall one of them\n",
    )


def test_a_name_that_no_gateway_can_have_is_told_with_its_distribution(run: Run, tmp_path: Path) -> None:
    install(tmp_path / "site", "tiny-pay", {"tiny-pay": "tinypay"}, {"tinypay.py": TINYPAY})

    done = run("check-settings", SEWAPAY_GATEWAYS="tiny-pay")

    assert (done.returncode, done.stderr) == (
        1,
        "sewapay: SEWAPAY_GATEWAYS cannot name tiny-pay of tiny-pay 0.1.0:"
        " a gateway's name is 1 to 32 of a-z, 0-9 and _, and begins with a letter\n",
    )


def test_everything_that_is_wrong_is_told_at_once(run: Run, tmp_path: Path) -> None:
    given_tinypay(tmp_path, WITHOUT_BUILD)

    done = run("check-settings", SEWAPAY_GATEWAYS="tinypay,nopay")

    names = ", ".join(sorted([*REGISTRY, "tinypay"]))
    assert done.stderr.splitlines() == [
        "sewapay: SEWAPAY_GATEWAYS cannot name tinypay of tinypay-for-sewapay 0.1.0: tinypay has no callable build",
        f"SEWAPAY_GATEWAYS names nopay, which is not registered: choose from {names}",
    ]


def test_a_broken_gateway_that_is_not_enabled_is_not_even_imported(run: Run, tmp_path: Path) -> None:
    given_tinypay(tmp_path, "raise SystemExit('imported')\n")

    done = run("check-settings", SEWAPAY_GATEWAYS="fake")

    assert (done.returncode, done.stdout) == (0, "The settings are fine for development, with the gateways fake.\n")


def test_all_gateways_are_listed_with_what_stands_against_each(run: Run, tmp_path: Path) -> None:
    given_tinypay(tmp_path)
    install(tmp_path / "site", "broken", {"brokenpay": "broken"}, {"broken.py": WITHOUT_BUILD})
    install(tmp_path / "site", "exits", {"exitpay": "exits"}, {"exits.py": EXITS})

    done = run("gateways", "--all", SEWAPAY_GATEWAYS="fake")

    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert (done.returncode, set(lines)) == (0, {*REGISTRY, "tinypay", "brokenpay", "exitpay"})
    assert lines["fake"].endswith("refunds: partial  enabled")
    assert lines["tinypay"].endswith("refunds: partial  can be enabled, by tinypay-for-sewapay 0.1.0")
    why = "SEWAPAY_GATEWAYS cannot name brokenpay of broken 0.1.0: broken has no callable build"
    assert lines["brokenpay"] == f"brokenpay    cannot be enabled: {why}"


def test_listing_all_is_red_when_one_that_is_enabled_is_broken(run: Run, tmp_path: Path) -> None:
    given_tinypay(tmp_path, WITHOUT_BUILD)

    done = run("gateways", "--all")

    assert done.returncode == 1
    assert "tinypay      cannot be enabled: " in done.stdout


def test_a_gateway_of_another_distribution_is_held_to_the_port_and_ours_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_tinypay(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "site")
    names = (GatewayName("tinypay"), GatewayName("fake"))

    gateways = build_gateways(names, {}, httpx.AsyncClient(), is_production=False)

    del sys.modules["tinypay"]  # this process is to know no such package when the test is over
    assert [isinstance(gateway, HeldGateway) for gateway in gateways.values()] == [True, False]
