"""`sewapay demo` does what the first page of the documentation says: one payment, from nothing, with nothing real."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from html import unescape
from pathlib import Path
from socket import create_server
from threading import Timer
from typing import Final

import httpx
import pytest
from attrs import frozen

from sewapay.entrypoints.gateways import REGISTRY
from sewapay.entrypoints.registered import Registered
from sewapay.entrypoints.stand_ins import stand_in_of
from tests.machine import is_missing

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAM: Final = (sys.executable, "-c", "from sewapay.entrypoints.cli import main; main()", "demo")
PATIENCE_SECONDS: Final = 60
FOUND: Final = {name: stand_in_of(Registered.ours(name, module)) for name, module in REGISTRY.items()}
STAND_INS: Final = {name: described for name, described in FOUND.items() if described is not None}
DEFAULT_PORTS: Final = (8000, *(described.port for described in STAND_INS.values()))
OURS: Final = ("SEWAPAY_", "DEMO_", *(f"{name.upper()}_" for name in REGISTRY))
CONFIRMED: Final = "6. Booking 123 is confirmed: Rs 1,130.00 came, once."


@frozen(kw_only=True)
class Pages:
    """One gateway's pages, as a person who has no script pays at them.

    `goes_there` is what the demo's second step tells, `steps` each button with what is typed before it is pressed.
    """

    goes_there: str
    steps: tuple[tuple[str, dict[str, str]], ...]


PAGES: Final = {
    "khalti": Pages(
        goes_there=r"Khalti gave pidx [A-Za-z0-9]{22} and a link that lives 30 minutes\.",
        steps=(
            ('id="continue"', {"mobile": "9800000001", "mpin": "1111"}),
            ('id="pay"', {"otp": "987654"}),
        ),
    ),
    "esewa": Pages(
        goes_there=r"the browser posted a form of 11 fields to eSewa's page, as [A-Z0-9]{20}\.",
        steps=(
            ("<button", {}),
            ('id="login"', {"esewa_id": "9806800001", "password": "Nepal@123"}),
            ('id="pay"', {"otp": "123456"}),
        ),
    ),
    "connectips": Pages(
        goes_there=r"the browser posted a form of 11 fields to connectIPS's page, as [A-Z0-9]{20}\.",
        steps=(
            ("<button", {}),
            ('id="login"', {"bank": "2501", "user": "standin", "password": "standin"}),
            ('id="pay"', {"otp": "123456"}),
        ),
    ),
}
"""Every gateway of ours with a stand-in has its pages here: the tests go by the stand-ins that there are."""


@frozen
class Demo:
    """A running `sewapay demo`, as the person at the terminal has it."""

    process: subprocess.Popen[str]

    def says(self, wanted: str) -> re.Match[str]:
        """Read on until a line matches."""
        assert self.process.stdout
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if found := re.search(wanted, line):
                return found
        raise AssertionError(f"{wanted!r} was not said:\n{''.join(lines)}")

    def ends(self) -> tuple[int, list[str]]:
        """Its exit code, and what it had still to say."""
        said, _ = self.process.communicate()
        return self.process.returncode, said.splitlines()


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator[Demo]:
    """Start it in an empty folder, where no `.env` file is. It is killed when it takes too long."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=folder,
        env=environ | {"PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = Timer(PATIENCE_SECONDS, process.kill)
    deadline.start()
    try:
        with process:
            yield Demo(process)
            if process.poll() is None:
                process.kill()
    finally:
        deadline.cancel()


@frozen
class Browser:
    """A browser without script: it follows the pages' own forms."""

    client: httpx.Client

    def submit(self, page: httpx.Response, button: str, **typed: str) -> httpx.Response:
        """Press the button in the form that has it, with what a person typed and what the page keeps in the form."""
        forms = re.findall(r"<form.*?</form>", page.text, re.DOTALL)
        [form] = [form for form in forms if button in form]
        [pressed] = [tag for tag in re.findall(r"<button[^>]*>[^<]*", form) if button in tag]
        action = re.findall(r' formaction="([^"]+)"', pressed) or re.findall(r'<form[^>]* action="([^"]+)"', form)
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form))
        kept = {name: unescape(value) for name, value in hidden.items()}
        where = str(page.url.join(unescape(action[0])))
        return self.client.post(where, data={**kept, **typed}).raise_for_status()


def pay_by_hand(checkout_url: str, gateway: str) -> str:
    """Walk the pages' own forms as a person does who has no script; the page that comes last."""
    with httpx.Client(follow_redirects=True, trust_env=False, timeout=20) as client:
        browser = Browser(client)
        page = browser.submit(client.get(checkout_url).raise_for_status(), f'id="pay-{gateway}"')
        for button, typed in PAGES[gateway].steps:
            page = browser.submit(page, button, **typed)
        return page.text


def test_each_stand_in_of_ours_has_a_port_of_its_own() -> None:
    assert set(STAND_INS) == set(PAGES)
    assert len(set(DEFAULT_PORTS)) == len(STAND_INS) + 1


@pytest.mark.parametrize("gateway", STAND_INS)
def test_demo_once_walks_a_payment_until_the_booking_is_confirmed(tmp_path: Path, gateway: str) -> None:
    with demo(tmp_path, "--once", "--gateway", gateway) as started:
        code, said = started.ends()

    steps = [line for line in said if re.match(r"\d\. ", line)]
    assert (code, said[-1]) == (0, CONFIRMED), said
    assert [step[:2] for step in steps] == ["1.", "2.", "3.", "4.", "5.", "6."]
    assert re.fullmatch(rf"2\. The customer pressed Pay: {PAGES[gateway].goes_there}", steps[1]), steps[1]
    assert list(tmp_path.iterdir()) == []


def test_a_gateway_that_the_demo_does_not_have_is_refused_in_a_sentence(tmp_path: Path) -> None:
    has = ", ".join(STAND_INS)
    with demo(tmp_path, "--once", "--gateway", "fake") as started:
        assert started.ends() == (2, [f"sewapay: the demo has no gateway 'fake': choose from {has}"])


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        (("DEMO_ONCE=1", "DEMO_GATEWAY=esewa"), ["demo", "--once", "--gateway", '"esewa"']),
        (("DEMO_ONCE=1",), ["demo", "--once"]),
        (("DEMO_ONCE=0",), ["demo"]),
    ],
)
def test_make_hands_on_what_the_demo_is_told(variables: tuple[str, ...], wanted: list[str]) -> None:
    if shutil.which("make") is None:
        is_missing("make", "apt-get install make")
    command = ["make", "--dry-run", "--no-print-directory", "--old-file=.venv/.installed", "demo", *variables]
    environ = {name: value for name, value in os.environ.items() if not name.startswith((*OURS, "MAKE"))}

    printed = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True).stdout

    program, *arguments = printed.replace("\\\n", " ").split()
    assert program.endswith("/sewapay")
    assert arguments == wanted


def test_a_second_demo_beside_the_first_does_not_get_in_its_way(tmp_path: Path) -> None:
    with demo(tmp_path, "--once") as first:
        first.says("^sewapay .*http")  # it has its ports
        with demo(tmp_path, "--once") as second:
            ends = [first.ends(), second.ends()]

    assert [(code, said[-1]) for code, said in ends] == [(0, CONFIRMED)] * 2


def test_a_demo_finds_other_ports_when_its_own_are_taken(tmp_path: Path) -> None:
    with ExitStack() as taken:
        for port in DEFAULT_PORTS:
            with suppress(OSError):  # taken by somebody else: just as well
                taken.enter_context(create_server(("127.0.0.1", port)))
        with demo(tmp_path, "--once") as started:
            code, said = started.ends()

    assert code == 0, said
    assert not any(f":{port} " in line for port in DEFAULT_PORTS for line in said)


@pytest.mark.parametrize("gateway", STAND_INS)
def test_a_person_pays_at_the_demos_pages_and_it_says_that_the_booking_is_confirmed(
    tmp_path: Path, gateway: str
) -> None:
    with demo(tmp_path) as started:
        checkout_url = started.says(r"^ +(http://127\.0\.0\.1:\d+/pay/123\?key=\S+)$")[1]

        last_page = pay_by_hand(checkout_url, gateway)

        assert 'data-state="paid"' in last_page
        assert started.says("Booking 123 is confirmed")
        started.process.send_signal(signal.SIGINT)
        assert started.ends() == (0, ["Stopped; nothing is kept."])


def test_ctrl_c_ends_a_demo_that_nobody_paid_at(tmp_path: Path) -> None:
    with demo(tmp_path) as started:
        checkout_url = started.says(r"^ +(http://\S+/pay/123\?key=\S+)$")[1]
        httpx.get(checkout_url, trust_env=False).raise_for_status()

        started.process.send_signal(signal.SIGINT)

        code, said = started.ends()
        assert (code, said[-1]) == (0, "Stopped; nothing is kept.")
