"""Returns of eSewa that somebody made up, took from another payment, or showed twice, at a running service."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import httpx
import pytest

from sewapay.adapters.esewa.simulator import Simulator, create_app
from sewapay.adapters.sql.migrations import migrate
from tests.backend.system.bazaar import ESEWA_KEY, Bazaar, Esewa
from tests.backend.system.serving import a_service
from tests.backend.system.world import Khalti
from tests.servers import run_in_thread

PAID: Final = "transaction_code,status,total_amount,transaction_uuid,product_code,signed_field_names"
Forge = Callable[[Mapping[str, Any], Mapping[str, str]], Mapping[str, str]]


@pytest.fixture(scope="module")
def running(khaltis: Khalti, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bazaar]:
    """A service without a worker: what is not asked about by a return is not asked about."""
    folder = tmp_path_factory.mktemp("forged")
    url = f"sqlite:///{folder / 'sewapay.db'}"
    migrate(url)
    simulator = Simulator(secret_key=ESEWA_KEY)
    with run_in_thread(create_app(simulator)) as address, httpx.Client(trust_env=False, timeout=30) as http:
        bazaar = Bazaar(url, khaltis, Esewa(simulator, address), folder, http)
        environ = bazaar.environ(SEWAPAY_LOG_FILE=str(bazaar.log))
        with a_service(environ, folder, with_worker=False) as service:
            bazaar.opens_at(service)
            yield bazaar


@pytest.fixture
def bazaar(running: Bazaar) -> Bazaar:
    """The same with a new log."""
    running.log.write_text("")
    return running


def packed(fields: Mapping[str, str]) -> str:
    """What a return's `data` is: JSON in base64."""
    return base64.b64encode(json.dumps(dict(fields)).encode()).decode()


def unpacked(url: str) -> dict[str, str]:
    """The fields of a genuine return."""
    fields: dict[str, str] = json.loads(base64.b64decode(url.partition("?data=")[2]))
    return fields


def signed(fields: Mapping[str, str], key: str = ESEWA_KEY) -> dict[str, str]:
    """The fields with a signature over those that they name, as eSewa's docs have it."""
    message = ",".join(f"{name}={fields[name]}" for name in fields["signed_field_names"].split(","))
    digest = hmac.digest(key.encode(), message.encode(), hashlib.sha256)
    return {**fields, "signature": base64.b64encode(digest).decode()}


def downgraded(target: Mapping[str, Any], _paid: Mapping[str, str]) -> dict[str, str]:
    """Made from the form that the customer's own browser posted, with the signature that stands in it."""
    form = target["next_step"]["fields"]
    return {
        "transaction_code": "000AWEO",
        "status": "COMPLETE",
        "total_amount": form["total_amount"],
        "transaction_uuid": form["transaction_uuid"],
        "product_code": form["product_code"],
        "signed_field_names": "total_amount,transaction_uuid,product_code",
        "signature": form["signature"],
    }


def with_another_uuid(target: Mapping[str, Any], paid: Mapping[str, str]) -> dict[str, str]:
    """A genuine return of a cheaper payment, with the dearer one's name in it."""
    return {**paid, "transaction_uuid": target["order_reference"]}


def of_another_merchant(target: Mapping[str, Any], paid: Mapping[str, str]) -> dict[str, str]:
    """Signed with the right key, but for a merchant who is not this one."""
    unsigned = {**paid, "transaction_uuid": target["order_reference"], "product_code": "SOMEBODYELSE"}
    return signed({**unsigned, "total_amount": "1130.0"})


def with_another_key(target: Mapping[str, Any], paid: Mapping[str, str]) -> dict[str, str]:
    """All fields right, and signed with the key that eSewa publishes for trials."""
    unsigned = {**paid, "transaction_uuid": target["order_reference"], "total_amount": "1130.0"}
    return signed(unsigned, "8gBm/:&EnhH.1/q")


def one_paisa_off(_target: Mapping[str, Any], paid: Mapping[str, str]) -> dict[str, str]:
    """A genuine return whose total is a paisa more than what was signed."""
    assert paid["total_amount"] == "10.0"
    return {**paid, "total_amount": "10.01"}


def replayed(_target: Mapping[str, Any], paid: Mapping[str, str]) -> Mapping[str, str]:
    """A genuine return, at another payment's address."""
    return paid


@pytest.mark.fault("F26")
@pytest.mark.parametrize("to", ["", "unfinished/"])
@pytest.mark.parametrize(
    ("forge", "differs"),
    [
        (downgraded, ["signature"]),
        (with_another_uuid, ["signature"]),
        (of_another_merchant, ["signature"]),
        (with_another_key, ["signature"]),
        (one_paisa_off, ["signature", "order_reference"]),
        (replayed, ["order_reference"]),
    ],
)
def test_nothing_is_confirmed_that_the_status_check_does_not_prove(
    forge: Forge, differs: list[str], to: str, bazaar: Bazaar
) -> None:
    cheap, dear = bazaar.opened("esewa", 1000), bazaar.opened("esewa", 113000)
    paid = unpacked(bazaar.pays(cheap))
    bazaar.comes_back(cheap, packed(paid))
    settled = bazaar.stored(cheap)

    answer = bazaar.comes_back(dear, packed(forge(dear, paid)), to=to)

    assert (answer.status_code, answer.headers["Location"]) == (303, f"/return/{dear['id']}/")
    after = bazaar.stored(dear)
    assert (after["status"], after["amount_paid"], bazaar.booking_of(dear)) == ("open", None, "pending")
    assert bazaar.differences() == [differs]
    assert bazaar.stored(cheap) == settled
    bazaar.comes_back(dear, packed(unpacked(bazaar.pays(dear))))
    assert [bazaar.booking_of(payment) for payment in (cheap, dear)] == ["confirmed", "confirmed"]
    assert bazaar.differences() == [differs], "a genuine return differs in nothing"


@pytest.mark.fault("F23")
def test_a_genuine_return_that_is_shown_again_changes_nothing(bazaar: Bazaar) -> None:
    payment = bazaar.opened("esewa")
    data = packed(unpacked(bazaar.pays(payment)))
    bazaar.comes_back(payment, data)
    settled, asked = bazaar.stored(payment), bazaar.esewa.asked

    answer = bazaar.comes_back(payment, data)

    assert answer.status_code == 303
    assert bazaar.stored(payment) == settled
    assert settled["status"] == "completed"
    assert bazaar.esewa.asked == asked, "what is settled is not asked about"


@pytest.mark.parametrize("delta", [-1, 1])
def test_a_genuine_return_is_worth_nothing_when_the_status_check_is_a_paisa_off(delta: int, bazaar: Bazaar) -> None:
    payment = bazaar.opened("esewa")
    data = packed(unpacked(bazaar.pays(payment)))
    fault = {"on": "status", "fault": "wrong_amount", "delta": delta}
    httpx.post(f"{bazaar.esewa.address}/_sim/faults", json=fault, trust_env=False).raise_for_status()

    bazaar.comes_back(payment, data)

    after = bazaar.stored(payment)
    assert (after["status"], after["review_reason"]) == ("under_review", "amount_mismatch")
    assert bazaar.booking_of(payment) == "pending"


def test_a_return_that_was_made_for_a_canceled_payment_does_not_revive_it(bazaar: Bazaar) -> None:
    payment = bazaar.opened("esewa")
    bazaar.esewa.happens("cancel", payment)
    bazaar.comes_back(payment, to="unfinished/")

    bazaar.comes_back(payment, packed(downgraded(payment, {})))

    assert (bazaar.stored(payment)["status"], bazaar.booking_of(payment)) == ("canceled", "pending")
    assert bazaar.differences() == [["signature", "status"]]


@pytest.mark.fault("F31")
def test_none_of_it_is_written_to_the_log(bazaar: Bazaar) -> None:
    payment = bazaar.opened("esewa")
    forged = downgraded(payment, {})

    bazaar.comes_back(payment, packed(forged))

    told = bazaar.log.read_text()
    assert "return differs from the look-up" in told
    for secret in (ESEWA_KEY, forged["signature"], packed(forged), "000AWEO"):
        assert secret not in told
