"""Somebody else's eSewa client works against our stand-in: the two agree on the wire without sharing a line.

`nepal-gateways` has eSewa's hosts built in, so its two endpoint attributes are pointed here; nothing else is changed.
What it does wrong is shown too, since its mistakes are the ones that an adapter is easily written with:

- A total that is shown with a comma fails its check of the signature (captures of 2024 and 2025 have such totals).
- So does a total of ten million rupees that comes as a JSON number.
- It lets the return choose what is signed, and takes one for signed that was made from our own form.
- It asks about the payment that the return names, and does not compare that with the order it was asked about.
- An outage that comes with HTTP 200 is to it a payment that did not succeed.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from nepal_gateways import EsewaClient
from nepal_gateways.core.exceptions import APIConnectionError, InvalidSignatureError

from sewapay.adapters.esewa.simulator import Quirks, Simulator, create_app
from sewapay.testing.servers import run_in_thread


@pytest.fixture
def simulator() -> Simulator:
    return Simulator()


@pytest.fixture
def address(simulator: Simulator) -> Iterator[str]:
    with run_in_thread(create_app(simulator)) as address:
        yield address


@pytest.fixture
def client(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[EsewaClient]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    client = EsewaClient(
        {
            "mode": "sandbox",
            "product_code": "EPAYTEST",
            "success_url": "https://shop.example/return/77/",
            "failure_url": "https://shop.example/return/77/failed/",
        }
    )
    client.initiation_endpoint = f"{address}/api/epay/main/v2/form"
    client.status_check_endpoint = f"{address}/api/epay/transaction/status/"
    yield client
    client.http_session.close()


def entered(client: EsewaClient, reference: str, amount: float) -> Mapping[str, str]:
    """The fields of its form, which a browser posted."""
    opened = client.initiate_payment(amount=amount, order_id=reference)
    page = httpx.post(opened.redirect_url, data=opened.form_fields, trust_env=False)
    assert page.status_code == 200, page.text
    fields: Mapping[str, str] = opened.form_fields
    return fields


def came_back(simulator: Simulator, reference: str) -> dict[str, str]:
    """The query with which the browser comes back."""
    return dict(parse_qsl(urlsplit(simulator.left(reference).return_url).query))


@pytest.mark.parametrize("amount", [110, 399.99, 10_000_000], ids=["whole", "with paisa", "shown as 1.0E7"])
def test_it_opens_and_verifies(client: EsewaClient, simulator: Simulator, amount: float) -> None:
    entered(client, "BOOKING-77", amount)

    paid = simulator.pay("BOOKING-77")

    result = client.verify_payment(came_back(simulator, "BOOKING-77"))
    assert (result.is_successful, result.status_code) == (True, "COMPLETE")
    assert (result.order_id, result.transaction_id) == ("BOOKING-77", paid.transaction_code)
    assert result.verified_amount == amount


def test_tax_and_charges_are_part_of_its_total(client: EsewaClient, simulator: Simulator, address: str) -> None:
    opened = client.initiate_payment(
        amount=100, order_id="BOOKING-77", tax_amount=13, product_service_charge=1.5, product_delivery_charge=0.5
    )

    page = httpx.post(opened.redirect_url, data=opened.form_fields, trust_env=False)

    assert page.status_code == 200
    assert simulator.find("BOOKING-77").form.total == 11500


def test_a_payment_that_was_given_back_is_no_success(client: EsewaClient, simulator: Simulator) -> None:
    entered(client, "BOOKING-77", 110)
    simulator.pay("BOOKING-77")
    back = came_back(simulator, "BOOKING-77")

    simulator.refund("BOOKING-77")

    result = client.verify_payment(back)
    assert (result.is_successful, result.status_code) == (False, "FULL_REFUND")


def test_what_was_changed_on_the_way_is_refused(client: EsewaClient, simulator: Simulator) -> None:
    entered(client, "BOOKING-77", 110)
    simulator.pay("BOOKING-77")
    returned = json.loads(base64.b64decode(came_back(simulator, "BOOKING-77")["data"]))

    with pytest.raises(InvalidSignatureError):
        client.verify_payment(returned | {"total_amount": "111.0"})


def test_its_fault_a_total_with_a_comma_is_refused(client: EsewaClient, simulator: Simulator) -> None:
    simulator.quirks = Quirks(comma=True)
    entered(client, "BOOKING-77", 6600)

    simulator.pay("BOOKING-77")

    with pytest.raises(InvalidSignatureError):
        client.verify_payment(came_back(simulator, "BOOKING-77"))


def test_its_fault_ten_million_as_a_number_are_refused(client: EsewaClient, simulator: Simulator) -> None:
    simulator.quirks = Quirks(number=True)
    entered(client, "BOOKING-77", 10_000_000)

    simulator.pay("BOOKING-77")

    with pytest.raises(InvalidSignatureError):
        client.verify_payment(came_back(simulator, "BOOKING-77"))


def test_its_fault_a_return_made_from_our_own_form_counts_as_signed(client: EsewaClient, simulator: Simulator) -> None:
    fields = entered(client, "BOOKING-77", 110)
    forged = {
        "transaction_code": "000FAKE",
        "status": "COMPLETE",
        "total_amount": fields["total_amount"],
        "transaction_uuid": fields["transaction_uuid"],
        "product_code": fields["product_code"],
        "signed_field_names": "total_amount,transaction_uuid,product_code",
        "signature": fields["signature"],
    }

    is_taken_for_signed = client._verify_callback_signature(forged)
    result = client.verify_payment({"data": base64.b64encode(json.dumps(forged).encode()).decode()})

    assert is_taken_for_signed is True
    assert (result.is_successful, result.status_code) == (False, "NOT_FOUND"), "only its status check saves it"


def test_its_fault_another_payments_return_pays_for_this_one(client: EsewaClient, simulator: Simulator) -> None:
    entered(client, "CHEAP", 10)
    entered(client, "DEAR", 99_999)

    simulator.pay("CHEAP")

    result = client.verify_payment(
        came_back(simulator, "CHEAP"), order_id_from_merchant_system="DEAR", amount_from_merchant_system=99_999
    )
    assert result.is_successful is True
    assert result.order_id == "CHEAP", "it is left to the caller to notice"


def test_its_fault_an_outage_with_http_200_is_no_success(client: EsewaClient, simulator: Simulator) -> None:
    entered(client, "BOOKING-77", 110)
    simulator.pay("BOOKING-77")
    simulator.quirks = Quirks(outage=200)

    result = client.verify_payment(came_back(simulator, "BOOKING-77"))

    assert (result.is_successful, result.status_code) == (False, "UNKNOWN")


def test_an_outage_with_an_http_error_is_told_as_one(client: EsewaClient, simulator: Simulator) -> None:
    entered(client, "BOOKING-77", 110)
    simulator.pay("BOOKING-77")
    simulator.quirks = Quirks(outage=503)

    with pytest.raises(APIConnectionError):
        client.verify_payment(came_back(simulator, "BOOKING-77"))
