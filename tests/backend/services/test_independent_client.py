"""Somebody else's Khalti client works against our stand-in: the two agree on the wire without sharing a line.

`nepal-gateways` has Khalti's hosts built in, so its two endpoint attributes are pointed here; nothing else is changed.
Its least amount is 1001 paisa.
"""

from collections.abc import Iterator

import pytest
from nepal_gateways import KhaltiClient

from sewapay.adapters.khalti.simulator import Simulator, create_app
from tests.servers import run_in_thread


@pytest.fixture
def simulator() -> Simulator:
    return Simulator(secret_key="ffffffffffffffffffffffffffffffff")


@pytest.fixture
def address(simulator: Simulator) -> Iterator[str]:
    with run_in_thread(create_app(simulator)) as address:
        yield address


@pytest.fixture
def client(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[KhaltiClient]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    client = KhaltiClient(
        {
            "mode": "sandbox",
            "live_secret_key": "ffffffffffffffffffffffffffffffff",
            "return_url_config": "https://shop.example/return/77/",
            "website_url_config": "https://shop.example",
        }
    )
    client.initiation_endpoint = f"{address}/api/v2/epayment/initiate/"
    client.lookup_endpoint = f"{address}/api/v2/epayment/lookup/"
    yield client
    client.http_session.close()


def test_it_initiates_and_verifies(client: KhaltiClient, simulator: Simulator, address: str) -> None:
    opened = client.initiate_payment(amount=1001, order_id="booking-77", description="House cleaning")
    [payment] = simulator.payments()
    before = client.verify_payment({"pidx": payment.pidx})

    paid = simulator.pay(payment.pidx)

    after = client.verify_payment({"pidx": payment.pidx, "status": "Completed"})
    assert opened.redirect_url == f"{address}/?pidx={payment.pidx}"
    assert (before.is_successful, before.status_code) == (False, "Initiated")
    assert (after.is_successful, after.status_code) == (True, "Completed")
    assert (after.verified_amount, after.transaction_id) == (1001, paid.transaction_id)


def test_it_is_told_what_is_wrong_in_khaltis_words(client: KhaltiClient, simulator: Simulator) -> None:
    client.http_session.headers["Authorization"] = "Key eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"

    with pytest.raises(Exception, match=r"Invalid token\."):
        client.initiate_payment(amount=1001, order_id="booking-77", description="House cleaning")

    assert simulator.payments() == ()
