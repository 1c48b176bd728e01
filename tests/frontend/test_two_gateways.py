"""A customer who chooses between two gateways: eSewa's form, its page and back, and changes of mind on the way."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from sewapay.adapters.esewa.simulator import Simulator as Esewa
from tests.frontend.browsing import Customer
from tests.frontend.conftest import Merchant, Picture
from tests.frontend.shop_front import ShopFront

pytestmark = pytest.mark.browser

Come = Callable[..., Customer]
LEADS_TO = "url => { const form = document.querySelector('form'); form.action = url; form.requestSubmit() }"
HOW = [pytest.param(True, id="script"), pytest.param(False, id="no-script")]


# --- with eSewa -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", HOW)
def test_a_booking_is_paid_with_esewa_and_confirmed(
    script: bool, a_customer: Come, bazaar: Merchant, picture: Picture
) -> None:
    customer, booking = a_customer(script=script), bazaar.registers_a_booking()

    customer.opens(booking["checkout_url"])
    assert customer.buttons == ["Pay with Khalti", "Pay with eSewa"]
    if script:
        picture(customer, "checkout-two-gateways")
    customer.chooses_esewa()
    expect(customer.page.locator("#amount")).to_have_text("Rs 1,130.00")
    if script:
        picture(customer, "esewa-stand-in")
    customer.pays_with_esewa()
    customer.reads("paid")

    expect(customer.page.get_by_role("heading")).to_have_text("Paid. Thank you!")
    assert bazaar.is_told(booking) == "confirmed"
    [payment] = bazaar.payments_of(booking)
    assert (payment["gateway"], payment["status"]) == ("esewa", "completed")
    assert f"{bazaar.url}/return/{payment['id']}/" == customer.page.url  # and nothing of what eSewa told it


@pytest.mark.parametrize("script", HOW)
def test_who_cancels_at_esewa_can_try_again_with_a_new_form_and_pay(
    script: bool, a_customer: Come, bazaar: Merchant
) -> None:
    customer, booking = a_customer(script=script), bazaar.registers_a_booking()
    customer.opens(booking["checkout_url"])
    customer.chooses_esewa()
    first = customer.transaction_uuid

    customer.ends("cancel")
    customer.reads("canceled")
    customer.page.locator("#try-again").click()
    customer.sends_the_form()
    second = customer.transaction_uuid
    customer.pays_with_esewa()
    customer.reads("paid")

    assert first != second
    assert {first: "canceled", second: "completed"} == {
        payment["order_reference"]: payment["status"] for payment in bazaar.payments_of(booking)
    }
    assert bazaar.is_told(booking) == "confirmed"


@pytest.mark.parametrize("script", HOW)
@pytest.mark.parametrize("how", ["pend", "ambiguous"])
def test_what_esewa_has_not_decided_is_being_checked_until_the_page_itself_says_paid(
    how: str, script: bool, a_customer: Come, bazaar: Merchant, esewa: Esewa
) -> None:
    customer, booking = a_customer(script=script), bazaar.registers_a_booking()
    customer.opens(booking["checkout_url"])
    customer.chooses_esewa()
    uuid = customer.transaction_uuid

    customer.logs_in()
    customer.page.locator(f"#{how}").click()
    customer.reads("checking")
    expect(customer.page.locator("main")).not_to_contain_text(re.compile("fail", re.IGNORECASE))
    assert customer.buttons == []
    [payment] = bazaar.payments_of(booking)
    esewa.pay(uuid)

    customer.reads("paid", within=20)
    assert {"pend": False, "ambiguous": True}[how] == payment["outcome_unknown"]
    assert bazaar.is_told(booking) == "confirmed"


@pytest.mark.parametrize("how", ["pend", "ambiguous"])
def test_while_esewa_has_not_decided_the_checkout_page_asks_for_no_other_payment(
    how: str, customer: Customer, bazaar: Merchant
) -> None:
    booking = bazaar.registers_a_booking()
    customer.opens(booking["checkout_url"])
    customer.chooses_esewa()
    customer.logs_in()
    customer.page.locator(f"#{how}").click()
    customer.reads("checking")

    customer.opens(booking["checkout_url"])

    customer.reads("checking")
    assert customer.buttons == []


def test_a_return_that_was_lost_is_made_good_when_the_customer_looks_again(
    customer: Customer, bazaar: Merchant, esewa: Esewa
) -> None:
    booking = bazaar.registers_a_booking()
    customer.opens(booking["checkout_url"])
    customer.chooses_esewa()
    esewa.pay(customer.transaction_uuid)

    customer.opens(booking["checkout_url"])
    customer.page.get_by_role("button", name="Khalti").click()

    customer.reads("paid")
    assert bazaar.attempts_at(booking) == {"esewa": "completed"}
    customer.watched.forget("409")  # the answer to the button; its page was shown all the same


# --- once a form ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", HOW)
def test_however_often_the_button_is_pressed_there_is_one_form(
    script: bool, a_customer: Come, bazaar: Merchant, esewa: Esewa
) -> None:
    customer, booking = a_customer(script=script), bazaar.registers_a_booking()
    customer.opens(booking["checkout_url"])

    customer.page.get_by_role("button", name="eSewa").dblclick()
    customer.sends_the_form()

    [payment] = bazaar.payments_of(booking)
    assert payment["order_reference"] == customer.transaction_uuid
    assert esewa.find(customer.transaction_uuid).posts == 1


@pytest.mark.parametrize("script", HOW)
def test_who_comes_back_after_a_minute_gets_a_new_form(script: bool, a_customer: Come, bazaar: Merchant) -> None:
    customer, booking = a_customer(script=script), bazaar.registers_a_booking()
    customer.opens(booking["checkout_url"])
    customer.chooses_esewa()
    first = customer.transaction_uuid
    bazaar.waits(minutes=1)

    customer.opens(booking["checkout_url"])
    customer.chooses_esewa()
    second = customer.transaction_uuid
    customer.pays_with_esewa()
    customer.reads("paid")

    assert first != second
    assert {first: "open", second: "completed"} == {
        payment["order_reference"]: payment["status"] for payment in bazaar.payments_of(booking)
    }


# --- another gateway --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", HOW)
def test_who_left_esewa_reads_that_nothing_was_seen_and_can_choose_khalti_right_there(
    script: bool, a_customer: Come, bazaar: Merchant, picture: Picture
) -> None:
    customer, booking = a_customer(script=script), bazaar.registers_a_booking()
    customer.opens(booking["checkout_url"])
    customer.chooses_esewa()

    customer.ends("expire")
    customer.reads("open")
    assert customer.buttons == ["Try again", "Pay with Khalti"]
    customer.chooses_khalti()
    customer.pays()
    customer.reads("paid")

    assert bazaar.attempts_at(booking) == {"esewa": "open", "khalti": "completed"}
    assert bazaar.is_told(booking) == "confirmed"


@pytest.mark.parametrize("script", HOW)
def test_who_goes_back_pays_with_khalti_and_the_form_is_watched_until_it_is_final(
    script: bool, a_customer: Come, bazaar: Merchant, esewa: Esewa
) -> None:
    customer, booking = a_customer(script=script), bazaar.registers_a_booking()
    customer.opens(booking["checkout_url"])
    customer.chooses_esewa()
    uuid = customer.transaction_uuid

    if not script:
        bazaar.waits(seconds=30)  # the form is the page before; who comes back to it then reads how the payment stands
    customer.page.go_back()
    customer.reads("ready" if script else "open")
    customer.chooses_khalti()
    customer.pays()
    customer.reads("paid")
    before = bazaar.attempts_at(booking)
    bazaar.waits(minutes=40)
    bazaar.has_everything_looked_up()

    assert before == {"esewa": "open", "khalti": "completed"}
    assert bazaar.attempts_at(booking) == {"esewa": "expired", "khalti": "completed"}
    assert esewa.find(uuid).lookups >= 2
    assert bazaar.is_told(booking) == "confirmed"


def test_who_pays_at_both_is_told_so_and_the_second_money_is_seen_as_surplus(
    customer: Customer, a_customer: Come, bazaar: Merchant
) -> None:
    booking, other_tab = bazaar.registers_a_booking(), a_customer()
    for tab in (customer, other_tab):
        tab.opens(booking["checkout_url"])
    customer.chooses_esewa()
    other_tab.chooses_khalti()
    other_tab.pays()
    other_tab.reads("paid")

    customer.pays_with_esewa()
    customer.reads("surplus")

    assert bazaar.attempts_at(booking) == {"esewa": "completed", "khalti": "completed"}
    by_gateway = {payment["gateway"]: payment for payment in bazaar.payments_of(booking)}
    assert (by_gateway["esewa"]["surplus"], by_gateway["khalti"]["surplus"]) == (True, False)
    assert by_gateway["esewa"]["review_reason"] == "surplus"


@pytest.mark.parametrize(
    ("paisa", "offered"),
    [
        pytest.param(999, ["Pay with eSewa"], id="too-little-for-khalti"),
        pytest.param(5_000_000, ["Pay with Khalti", "Pay with eSewa"], id="both"),
        pytest.param(5_000_001, ["Pay with Khalti"], id="too-much-for-esewa"),
        pytest.param(99, [], id="too-little-for-both"),
    ],
)
def test_only_gateways_that_take_the_amount_have_a_button(
    paisa: int, offered: list[str], customer: Customer, bazaar: Merchant
) -> None:
    booking = bazaar.registers_a_booking(amount=paisa)

    customer.opens(booking["checkout_url"])

    customer.reads("ready" if offered else "not_here")
    assert offered == customer.buttons


# --- where a form may lead --------------------------------------------------------------------------------------------


def test_our_page_lets_its_form_go_to_a_gateway_and_nowhere_else(
    customer: Customer, bazaar: Merchant, shop_front: ShopFront, shop_url: str
) -> None:
    booking = bazaar.registers_a_booking()
    customer.page.route("**/static/progress.js", lambda route: route.fulfill(content_type="text/javascript", body=""))
    customer.opens(booking["checkout_url"])
    customer.page.get_by_role("button", name="eSewa").click()
    customer.reads("redirecting")

    with customer.page.expect_console_message(lambda said: "Content Security Policy" in said.text):
        customer.page.evaluate(LEADS_TO, f"{shop_url}/elsewhere")

    customer.watched.forget("Content Security Policy")
    assert shop_front.served == 0
