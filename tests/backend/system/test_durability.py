"""What is acknowledged is on the disk: nothing is answered before its group was synchronized."""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from sewapay.adapters.sql.migrations import migrate
from tests.backend.system.serving import Service, a_service, wait_for
from tests.backend.system.world import AS_SITA, AS_STAFF, Khalti, a_booking, environ_for
from tests.machine import is_missing

STRACE: Final = shutil.which("strace")
TRACED: Final = "trace=fdatasync,fsync,write,writev,sendto,sendmsg"
SYNCHRONIZED: Final = re.compile(r"(fdatasync|fsync)(\(\d+\)| resumed>\)) += 0")
ACKNOWLEDGED: Final = "HTTP/1.1 20"
GIVES_BACK: Final = "POST /api/mercha"
TIMES: Final = 5


@contextmanager
def traced(service: Service, folder: Path) -> Iterator[Path]:
    """What the service writes and synchronizes, in its order, one call a line."""
    calls = folder / "calls"
    command = [str(STRACE), "-f", "-s", "16", "-e", TRACED, "-o", str(calls), "-p", str(service.pid)]
    tracer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        assert tracer.stderr is not None
        said = tracer.stderr.readline().decode()
        if "attached" not in said:
            is_missing("leave to look into processes", f"allow ptrace; strace said {said.strip()}")
        yield calls
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(20)
        if tracer.stderr is not None:
            tracer.stderr.close()


@pytest.mark.fault("F78")
def test_every_acknowledgement_follows_a_synchronization_of_its_own(khalti: Khalti, tmp_path: Path) -> None:
    if STRACE is None:
        is_missing("strace, which tells what a process synchronizes,", "apt-get install strace")
    url = f"sqlite:///{tmp_path / 'sewapay.db'}"
    migrate(url)
    with a_service(environ_for(url, khalti.address), tmp_path, with_worker=False) as service:
        with traced(service, tmp_path) as calls, httpx.Client(base_url=service.url, trust_env=False) as http:
            for number in range(TIMES):
                a_customer_who_gets_the_money_back(http, khalti, number)
            wait_for(lambda: calls.read_text().count(ACKNOWLEDGED) >= TIMES * 4)

        lines = calls.read_text().splitlines()
    synchronized = [number for number, line in enumerate(lines) if SYNCHRONIZED.search(line)]
    told = [number for number, line in enumerate(lines) if ACKNOWLEDGED in line]
    sent = [number for number, line in enumerate(lines) if GIVES_BACK in line]
    assert (len(told), len(sent)) == (TIMES * 4, TIMES)
    for before, now in zip([-1, *told], told, strict=False):
        assert any(before < number < now for number in synchronized), lines
    for now in sent:  # the intent is on the disk before Khalti hears of it
        before = max(number for number in told if number < now)
        assert any(before < number < now for number in synchronized), lines


def a_customer_who_gets_the_money_back(http: httpx.Client, khalti: Khalti, number: int) -> None:
    """Four requests, one after the other, each of which changes something."""

    def post(path: str, body: dict[str, Any], who: Any) -> dict[str, Any]:
        answer = http.post(path, json=body, headers={**who, "Idempotency-Key": f"{path}-{number}"})
        assert answer.is_success, answer.text
        told: dict[str, Any] = answer.json()
        return told

    booking = post("/v1/bookings", a_booking("42", 113000), AS_STAFF)
    payment = post("/v1/payments", {"booking_id": booking["id"], "gateway": "khalti"}, AS_SITA)
    khalti.pay(payment["gateway_reference"])
    verified = post(f"/v1/payments/{payment['id']}/verification", {}, AS_STAFF)
    refund = post(f"/v1/payments/{payment['id']}/refunds", {"reason": "asked for"}, AS_STAFF)
    assert (verified["status"], refund["status"]) == ("completed", "confirmed")
