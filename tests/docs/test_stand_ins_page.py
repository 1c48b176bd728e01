"""docs/stand-ins.md does what it says, tells of every fault, and names payers that the pages know."""

import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import which
from typing import Final

import pytest

from sewapay.adapters.connectips.simulator import Simulator as Connectips
from sewapay.adapters.connectips.simulator import pages as connectips_pages
from sewapay.adapters.esewa.simulator import Simulator as Esewa
from sewapay.adapters.esewa.simulator import pages as esewa_pages
from sewapay.adapters.khalti.simulator import Simulator as Khalti
from sewapay.adapters.khalti.simulator import pages as khalti_pages
from sewapay.standins.faults import KINDS, Fault
from sewapay.standins.happenings import HAPPENINGS
from tests.backend.system.serving import free_port
from tests.docs.guides import as_script
from tests.machine import is_missing

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "stand-ins.md"
PORTS: Final = ("8901", "8902", "8911")
PROGRAM: Final = "from sewapay.entrypoints.cli import main; main()"
NOT_PARAMETERS: Final = frozenset({"on", "times", "reference"})
OWN: Final[tuple[type[Fault], ...]] = (*Khalti.own_faults, *Esewa.own_faults, *Connectips.own_faults)
EVERY_KIND: Final[tuple[type[Fault], ...]] = (*KINDS, *HAPPENINGS, *OWN)


def table() -> dict[str, set[str]]:
    """Each fault of the page, and the parameters that it names."""
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|", PAGE.read_text("utf-8"), re.MULTILINE)
    return {fault: set(re.findall(r"`(\w+)`", parameters)) for fault, parameters in rows if fault != "fault"}


def test_whoever_follows_the_page_sees_what_it_says(tmp_path: Path) -> None:
    for program in ("curl", "openssl"):
        if which(program) is None:
            is_missing(program, f"apt-get install {program}")
    text = PAGE.read_text("utf-8")
    for port in PORTS:
        text = text.replace(f":{port}/", f":{(other := free_port())}/").replace(f"--port {port} ", f"--port {other} ")
    (tmp_path / "notes").mkdir()
    sewapay = tmp_path / "bin" / "sewapay"
    sewapay.parent.mkdir()
    sewapay.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{PROGRAM}" "$@"\n')
    sewapay.chmod(0o755)
    environ = {**os.environ, "PATH": f"{sewapay.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src")}

    followed = subprocess.run(
        ["bash", "-c", as_script(text, tmp_path / "notes", sys.executable)],  # noqa: S607
        cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert followed.returncode == 0, followed.stdout[-2000:] + followed.stderr[-2000:]


def test_every_fault_stands_in_the_table_with_all_that_it_takes() -> None:
    takes = {str(kind.__struct_config__.tag): set(kind.__struct_fields__) - NOT_PARAMETERS for kind in EVERY_KIND}

    assert table() == takes


@pytest.mark.parametrize(
    "known",
    [
        *(khalti_pages.MPIN, khalti_pages.OTP, min(khalti_pages.WALLETS), max(khalti_pages.WALLETS)),
        *(esewa_pages.PASSWORD, esewa_pages.OTP, min(esewa_pages.USERS), max(esewa_pages.USERS)),
        f"{connectips_pages.USER}, password {connectips_pages.USERS_PASSWORD}, OTP {connectips_pages.OTP}",
    ],
)
def test_who_to_log_in_as_is_told(known: str) -> None:
    assert known in PAGE.read_text("utf-8").partition("## In a browser")[2]


@pytest.mark.parametrize(
    ("gateway", "company"), [("khalti", "Khalti"), ("esewa", "eSewa"), ("connectips", "connectIPS")]
)
def test_the_ids_of_its_fields_and_buttons_are_those_of_the_pages(gateway: str, company: str) -> None:
    source = ROOT / "src" / "sewapay"
    own, shared = source / "adapters" / gateway / "simulator" / "templates", source / "standins" / "templates"
    pages = "".join(page.read_text("utf-8") for folder in (own, shared) for page in folder.glob("*.html"))
    shown = set(re.findall(r'id="(\w+)"', pages))
    told = PAGE.read_text("utf-8").partition("## In a browser")[2]
    row = re.search(rf"^\| {company} \| [^|]* \|(.*)\|$", told, re.MULTILINE)

    assert row
    assert set(re.findall(r"`(\w+)`", row[1])) <= shown
