"""Two gateways at once, over HTTP: each is asked about its own payments only, and a lost browser costs nothing."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import httpx
import pytest

from sewapay.adapters.esewa.simulator import Simulator, create_app
from sewapay.adapters.sql.migrations import migrate
from tests.backend.system.bazaar import CODE, ESEWA_KEY, Bazaar, Esewa
from tests.backend.system.by_hand import change
from tests.backend.system.serving import a_service, a_worker, ran
from tests.backend.system.world import AS_STAFF, Khalti
from tests.servers import run_in_thread

LIVE: Final = {
    "ESEWA_FORM_URL": "https://epay.esewa.com.np/api/epay/main/v2/form",
    "ESEWA_STATUS_URL": "https://epay.esewa.com.np/api/epay/transaction/status/",
}


@pytest.fixture
def bazaar(khalti: Khalti, tmp_path: Path) -> Iterator[Bazaar]:
    """The shop, on a database of its own; its service is for each test to start."""
    url = f"sqlite:///{tmp_path / 'sewapay.db'}"
    migrate(url)
    simulator = Simulator(secret_key=ESEWA_KEY)
    with run_in_thread(create_app(simulator)) as address, httpx.Client(trust_env=False, timeout=30) as http:
        yield Bazaar(url, khalti, Esewa(simulator, address), tmp_path, http)


def asked_of(bazaar: Bazaar) -> dict[str, int]:
    """How many look-ups came to each gateway."""
    return {"khalti": bazaar.khalti.simulator.lookups_seen, "esewa": bazaar.esewa.asked}


@pytest.mark.fault("F20")
@pytest.mark.parametrize("alone", [pytest.param(True, id="worker"), pytest.param(False, id="serve")])
async def test_a_paid_esewa_payment_whose_browser_died_is_settled_by_the_reconciler(
    alone: bool, bazaar: Bazaar
) -> None:
    with a_service(bazaar.environ(), bazaar.folder, with_worker=not alone) as service:
        bazaar.opens_at(service)
        payment = bazaar.opened("esewa")
        bazaar.pays(payment)
        before = bazaar.booking_of(payment)

        await bazaar.makes_everything_due()
        if alone:
            with a_worker(bazaar.environ(), bazaar.folder):
                bazaar.settles(payment)
        else:
            bazaar.settles(payment)
        after = bazaar.stored(payment)

    assert before == "pending"
    assert (after["status"], after["amount_paid"], after["gateway_reference"]) == ("completed", 113000, None)
    assert after["transaction_id"] == bazaar.esewa.simulator.find(payment["order_reference"]).transaction_code
    ledger = f"{bazaar.esewa.address}/_sim/payments"
    audit = ran(bazaar.environ(), bazaar.folder, "audit", "--ledger", ledger)
    assert audit.returncode == 0, audit.stdout + audit.stderr


@pytest.mark.fault("F22")
async def test_whoever_paid_late_at_esewa_is_not_led_to_pay_again_while_its_status_check_lags(bazaar: Bazaar) -> None:
    with a_service(bazaar.environ(), bazaar.folder) as service:
        bazaar.opens_at(service)
        payment = bazaar.opened("esewa")
        an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
        await change(bazaar.database_url, "UPDATE payments SET opened_at = $1, expires_at = $1", an_hour_ago)
        ended = bazaar.read(payment)
        bazaar.esewa.lags(3)
        data = bazaar.pays(payment).partition("?data=")[2]

        bazaar.comes_back(payment, unquote(data))
        for _ in range(3):
            page = bazaar.comes_back(payment).text
            again = bazaar.asks("POST", f"/return/{payment['id']}/again/", None, {})
            assert 'data-state="checking"' in page, "the answers of an hour ago say nothing of a payment just now"
            assert again.status_code == 409
        bazaar.settles(payment)

    assert ended["status"] == "expired"


async def test_each_gateway_is_asked_about_its_own_payments_and_about_no_other(bazaar: Bazaar) -> None:
    with a_service(bazaar.environ(), bazaar.folder, with_worker=False) as service:
        bazaar.opens_at(service)
        payments = [bazaar.opened(gateway) for gateway in ("khalti", "esewa", "esewa")]
        for payment in payments:
            bazaar.pays(payment)

        await bazaar.makes_everything_due()
        with a_worker(bazaar.environ(), bazaar.folder):
            for payment in payments:
                bazaar.settles(payment)

    assert asked_of(bazaar) == {"khalti": 1, "esewa": 2}


async def test_the_payments_of_a_gateway_that_is_disabled_wait_and_settle_when_it_is_enabled_again(
    bazaar: Bazaar,
) -> None:
    with a_service(bazaar.environ(), bazaar.folder, with_worker=False) as service:
        bazaar.opens_at(service)
        waits = bazaar.opened("esewa")
        goes_on = bazaar.opened("khalti")
        back = bazaar.pays(waits)
        bazaar.pays(goes_on)
    await bazaar.makes_everything_due()

    with a_service(bazaar.environ(SEWAPAY_GATEWAYS="khalti"), bazaar.folder) as service:
        bazaar.opens_at(service)
        bazaar.settles(goes_on)
        came_back = bazaar.comes_back(waits, back.partition("?data=")[2])
        page = bazaar.http.get(f"{bazaar.url}{came_back.headers['Location']}").text
        meanwhile = bazaar.stored(waits)
        asked = bazaar.esewa.asked
    await bazaar.makes_everything_due()
    with a_service(bazaar.environ(), bazaar.folder) as service:
        bazaar.opens_at(service)
        bazaar.settles(waits)

    assert asked == 0
    assert (came_back.status_code, meanwhile["status"]) == (303, "open")
    assert 'data-state="checking"' in page


@pytest.mark.parametrize("now", [LIVE, {"KHALTI_BASE_URL": "https://khalti.com/api/v2"}], ids=["esewa", "khalti"])
async def test_a_sandbox_payment_is_not_asked_about_in_production(bazaar: Bazaar, now: dict[str, str]) -> None:
    changed, other = ("khalti", "esewa") if "KHALTI_BASE_URL" in now else ("esewa", "khalti")
    with a_service(bazaar.environ(), bazaar.folder, with_worker=False) as service:
        bazaar.opens_at(service)
        waits, goes_on = bazaar.opened(changed), bazaar.opened(other)
        for payment in (waits, goes_on):
            bazaar.pays(payment)
    await bazaar.makes_everything_due()

    with a_service(bazaar.environ(**now), bazaar.folder) as service:
        bazaar.opens_at(service)
        bazaar.settles(goes_on)
        bazaar.comes_back(waits)
        meanwhile = bazaar.stored(waits)
        asked = asked_of(bazaar)
    await bazaar.makes_everything_due()
    with a_service(bazaar.environ(), bazaar.folder) as service:
        bazaar.opens_at(service)
        bazaar.settles(waits)

    assert asked == {changed: 0, other: 1}
    assert (meanwhile["status"], meanwhile["environment"]) == ("open", "sandbox")


async def test_esewa_is_asked_by_the_code_that_was_posted_whatever_the_settings_say_by_now(bazaar: Bazaar) -> None:
    with a_service(bazaar.environ(), bazaar.folder, with_worker=False) as service:
        bazaar.opens_at(service)
        lost, returned = bazaar.opened("esewa"), bazaar.opened("esewa")
        bazaar.pays(lost)
        back = bazaar.pays(returned)

    with a_service(bazaar.environ(ESEWA_PRODUCT_CODE="NEWNAME"), bazaar.folder) as service:
        bazaar.opens_at(service)
        bazaar.comes_back(returned, back.partition("?data=")[2])
        after_the_return = bazaar.booking_of(returned)
        await bazaar.makes_everything_due()
        bazaar.settles(lost)
        newer = bazaar.opened("esewa")

    assert after_the_return == "confirmed"
    assert posted_code(lost) == CODE
    assert posted_code(newer) == "NEWNAME"
    for payment in (lost, returned):
        assert bazaar.esewa.simulator.find(payment["order_reference"]).lookups > 0, "asked by the code that was posted"


def posted_code(payment: dict[str, Any]) -> str:
    code: str = payment["next_step"]["fields"]["product_code"]
    return code


def test_a_refund_that_esewa_has_no_call_for_is_refused_with_the_place_to_make_it(bazaar: Bazaar) -> None:
    with a_service(bazaar.environ(), bazaar.folder, with_worker=False) as service:
        bazaar.opens_at(service)
        payment = bazaar.opened("esewa")
        bazaar.pays(payment)
        bazaar.comes_back(payment)

        answer = bazaar.asks("POST", f"/v1/payments/{payment['id']}/refunds", {"reason": "not needed"}, AS_STAFF)
        after = bazaar.stored(payment)
        listed = bazaar.asks("GET", f"/v1/payments/{payment['id']}/refunds", None, AS_STAFF)

    assert answer.status_code == 409, answer.text
    assert answer.json()["type"].endswith("/problems/refunds-not-offered")
    assert "https://merchant.esewa.com.np" in answer.json()["detail"]
    assert (after["status"], after["amount_reserved"], listed.json()["items"]) == ("completed", 0, [])
