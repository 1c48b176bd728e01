"""A client that does not wait for its answer: what it asked for is done to the end, and asking again shows it."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.backend.system.serving import a_service, wait_for
from tests.backend.system.world import AS_SITA, AS_STAFF, Khalti, a_booking, environ_for


def hung_up_on(url: str, path: str, body: dict[str, object], seen: Callable[[], bool]) -> None:
    """POST it, wait until Khalti has been asked, and close the connection without reading."""
    parts = urlsplit(url)
    content = json.dumps(body).encode()
    head = [
        f"POST {path} HTTP/1.1",
        f"Host: {parts.netloc}",
        f"Authorization: {AS_STAFF['Authorization']}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
    ]
    with socket.create_connection((str(parts.hostname), int(parts.port or 80)), timeout=10) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode() + content)
        wait_for(seen)


@pytest.mark.fault("F73")
@pytest.mark.invariant("I9")
@pytest.mark.invariant("I15")
def test_what_a_client_that_went_away_asked_for_is_done_to_its_end(khalti: Khalti, tmp_path: Path) -> None:
    environ = environ_for(f"sqlite:///{tmp_path / 'sewapay.db'}", khalti.address)
    with a_service(environ, tmp_path) as service, httpx.Client(base_url=service.url, trust_env=False) as http:
        booking = http.post("/v1/bookings", json=a_booking("42", 113000), headers=AS_STAFF).json()["id"]

        khalti.arm("initiate", "delay", seconds=0.5)
        hung_up_on(
            service.url,
            "/v1/payments",
            {"booking_id": booking, "gateway": "khalti"},
            lambda: khalti.simulator.initiates_seen == 1,
        )
        link = http.post("/v1/payments", json={"booking_id": booking, "gateway": "khalti"}, headers=AS_SITA).json()
        khalti.pay(link["gateway_reference"])
        khalti.arm("lookup", "delay", seconds=0.5)
        looks = khalti.simulator.lookups_seen
        hung_up_on(
            service.url,
            f"/v1/payments/{link['id']}/verification",
            {},
            lambda: khalti.simulator.lookups_seen == looks + 1,
        )
        wait_for(lambda: http.get(f"/v1/bookings/{booking}", headers=AS_STAFF).json()["status"] == "confirmed")
        khalti.arm("refund", "delay", seconds=0.5)
        hung_up_on(
            service.url,
            f"/v1/payments/{link['id']}/refunds",
            {"reason": "the cleaner was ill"},
            lambda: khalti.simulator.refunds_seen == 1,
        )
        wait_for(lambda: http.get(f"/v1/bookings/{booking}", headers=AS_STAFF).json()["status"] == "refunded")
        refunds = http.get(f"/v1/payments/{link['id']}/refunds", headers=AS_STAFF).json()["items"]

    assert khalti.simulator.initiates_seen == 1, "the second request got the link that the first one had opened"
    assert khalti.simulator.lookups_seen <= looks + 3
    assert [(refund["status"], refund["amount"]) for refund in refunds] == [("confirmed", 113000)]
    assert khalti.simulator.refunds_seen == 1
