"""A customer who pays with connectIPS: its form, its page, and back to the one address that is registered there."""

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Request, expect

from sewapay.adapters.connectips.simulator import STAND_IN, Quirks, create_app
from sewapay.adapters.connectips.simulator import Simulator as Connectips
from tests.frontend.browsing import Customer
from tests.frontend.conftest import Merchant, khalti_at, running
from tests.servers import run_in_thread

pytestmark = pytest.mark.browser

Come = Callable[..., Customer]
HOW = [pytest.param(True, id="script"), pytest.param(False, id="no-script")]


@pytest.fixture(scope="module")
def connectips() -> Connectips:
    """connectIPS's stand-in's own truth."""
    return Connectips()


@pytest.fixture(scope="module")
def mall(stand_in: str, connectips: Connectips, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Merchant]:
    """A shop that takes Khalti and connectIPS."""
    with run_in_thread(create_app(connectips)) as address:
        both = {"SEWAPAY_GATEWAYS": "khalti,connectips", **khalti_at(stand_in), **STAND_IN.environ(address)}
        with running(tmp_path_factory.mktemp("mall"), **both) as merchant:
            yield merchant


@pytest.fixture(autouse=True)
def registered(mall: Merchant, connectips: Connectips) -> str:
    """The shop's return address, as connectIPS has it registered."""
    address = f"{mall.url}/return/connectips/"
    connectips.quirks = Quirks(return_url=address)
    return address


def comes_back_by(customer: Customer) -> list[str]:
    """The queries with which the browser comes to the registered address, from here on."""
    queries: list[str] = []

    def note(request: Request) -> None:
        came = urlsplit(request.url)
        if came.path == "/return/connectips/":
            queries.append(came.query)

    customer.page.on("request", note)
    return queries


@pytest.mark.parametrize("script", HOW)
@pytest.mark.parametrize("twice", [False, True], ids=["once", "reference-twice"])
def test_a_booking_is_paid_and_confirmed_by_the_registered_return(
    twice: bool, script: bool, a_customer: Come, mall: Merchant, connectips: Connectips, registered: str
) -> None:
    connectips.quirks = Quirks(return_url=registered, double_question_mark=twice)
    customer, booking = a_customer(script=script), mall.registers_a_booking()
    queries = comes_back_by(customer)

    customer.opens(booking["checkout_url"])
    customer.chooses_connectips()
    txn_id = customer.transaction_uuid
    expect(customer.page.locator("#amount")).to_have_text("Rs 1,130.00")
    customer.pays_with_connectips()
    customer.reads("paid")

    expect(customer.page.get_by_role("heading")).to_have_text("Paid. Thank you!")
    assert mall.is_told(booking) == "confirmed"
    [payment] = mall.payments_of(booking)
    assert (payment["gateway"], payment["status"]) == ("connectips", "completed")
    assert [f"TXNID={txn_id}?TXNID={txn_id}" if twice else f"TXNID={txn_id}"] == queries
    assert f"{mall.url}/return/{payment['id']}/" == customer.page.url
    assert connectips.find(txn_id).posts == 1


@pytest.mark.parametrize("script", HOW)
def test_who_cancels_before_the_otp_can_choose_khalti_right_there(
    script: bool, a_customer: Come, mall: Merchant
) -> None:
    customer, booking = a_customer(script=script), mall.registers_a_booking()
    customer.opens(booking["checkout_url"])
    customer.chooses_connectips()
    customer.chooses_an_account()

    customer.ends("cancel")
    customer.reads("open")
    offered = customer.buttons
    customer.chooses_khalti()
    customer.pays()
    customer.reads("paid")

    assert offered == ["Try again", "Pay with Khalti"]
    assert mall.attempts_at(booking) == {"connectips": "open", "khalti": "completed"}
    assert mall.is_told(booking) == "confirmed"


@pytest.mark.parametrize("script", HOW)
def test_who_just_leaves_before_the_otp_pays_with_khalti_and_the_form_is_watched_until_it_is_final(
    script: bool, a_customer: Come, mall: Merchant, connectips: Connectips
) -> None:
    customer, booking = a_customer(script=script), mall.registers_a_booking()
    customer.opens(booking["checkout_url"])
    customer.chooses_connectips()
    txn_id = customer.transaction_uuid
    customer.chooses_an_account()

    customer.opens(booking["checkout_url"])
    customer.chooses_khalti()
    customer.pays()
    customer.reads("paid")
    before = mall.attempts_at(booking)
    mall.waits(minutes=40)
    mall.has_everything_looked_up()

    assert before == {"connectips": "open", "khalti": "completed"}
    assert mall.attempts_at(booking) == {"connectips": "expired", "khalti": "completed"}
    assert connectips.find(txn_id).lookups >= 1
    assert mall.is_told(booking) == "confirmed"
