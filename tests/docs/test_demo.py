"""`sewapay demo` does what the first page of the documentation says: one payment, from nothing, with nothing real."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from socket import create_server
from threading import Timer
from typing import Final

import httpx
from attrs import frozen

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAM: Final = (sys.executable, "-c", "from sewapay.entrypoints.cli import main; main()", "demo")
DEFAULT_PORTS: Final = (8000, 8901)
PATIENCE_SECONDS: Final = 60


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
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("SEWAPAY_", "KHALTI_"))}
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


def pay_by_hand(checkout_url: str) -> str:
    """Walk the pages' own forms as a browser without script would; the page that comes last."""
    with httpx.Client(follow_redirects=True, trust_env=False, timeout=20) as browser:
        checkout = browser.get(checkout_url).raise_for_status()
        [action] = re.findall(r'<form method="post" action="([^"]+)"', checkout.text)
        sign_in = browser.post(str(checkout.url.join(action)), data={"gateway": "khalti"}).raise_for_status()
        pidx = sign_in.url.params["pidx"]
        steps = str(sign_in.url.join(f"/pay/{pidx}/"))
        confirm = browser.post(f"{steps}continue", data={"mobile": "9800000001", "mpin": "1111"}).raise_for_status()
        [ticket] = re.findall(r'name="ticket" value="([^"]+)"', confirm.text)
        paid = {"mobile": "9800000001", "ticket": ticket, "otp": "987654"}
        return browser.post(f"{steps}pay", data=paid).raise_for_status().text


def test_demo_once_walks_a_payment_until_the_booking_is_confirmed(tmp_path: Path) -> None:
    with demo(tmp_path, "--once") as started:
        code, said = started.ends()

    assert (code, said[-1]) == (0, "6. Booking 123 is confirmed: Rs 1,130.00 came, once.")
    assert list(tmp_path.iterdir()) == []


def test_a_second_demo_beside_the_first_does_not_get_in_its_way(tmp_path: Path) -> None:
    with demo(tmp_path, "--once") as first:
        first.says("^sewapay .*http")  # it has its ports
        with demo(tmp_path, "--once") as second:
            ends = [first.ends(), second.ends()]

    assert [(code, said[-1]) for code, said in ends] == [
        (0, "6. Booking 123 is confirmed: Rs 1,130.00 came, once.")
    ] * 2


def test_a_demo_finds_other_ports_when_its_own_are_taken(tmp_path: Path) -> None:
    with ExitStack() as taken:
        for port in DEFAULT_PORTS:
            with suppress(OSError):  # taken by somebody else: just as well
                taken.enter_context(create_server(("127.0.0.1", port)))
        with demo(tmp_path, "--once") as started:
            code, said = started.ends()

    assert code == 0, said
    assert not any(f":{port} " in line for port in DEFAULT_PORTS for line in said)


def test_a_person_pays_at_the_demos_pages_and_it_says_that_the_booking_is_confirmed(tmp_path: Path) -> None:
    with demo(tmp_path) as started:
        checkout_url = started.says(r"^ +(http://127\.0\.0\.1:\d+/pay/123\?key=\S+)$")[1]

        last_page = pay_by_hand(checkout_url)

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
