"""The whole road as a customer goes it: our checkout page, the gateway's page, and back."""

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, expect

from sewapay.adapters.khalti.simulator import Simulator
from sewapay.standins.faults import Lag
from sewapay.standins.happenings import DoubleReturn
from tests.frontend.browsing import PHONE, Customer
from tests.frontend.conftest import Merchant, Picture
from tests.frontend.shop_front import ShopFront

pytestmark = pytest.mark.browser

Come = Callable[..., Customer]


def test_a_booking_is_paid_from_its_checkout_page_and_confirmed(
    customer: Customer, merchant: Merchant, picture: Picture
) -> None:
    booking = merchant.registers_a_booking()

    customer.opens(booking["checkout_url"])
    expect(customer.page.locator("#amount")).to_have_text("Rs 1,130.00")
    customer.chooses_khalti()
    expect(customer.page.locator("#amount")).to_have_text("Rs 1,130.00")
    picture(customer, "stand-in-page")
    customer.pays()
    customer.reads("paid")

    expect(customer.page.get_by_role("heading")).to_have_text("Paid. Thank you!")
    picture(customer, "result-page")
    assert merchant.is_told(booking) == "confirmed"
    [payment] = merchant.payments_of(booking)
    assert f"{merchant.url}/return/{payment['id']}/" == customer.page.url  # and nothing of what Khalti told it


def test_who_cancels_can_try_again_and_pay(customer: Customer, merchant: Merchant) -> None:
    booking = merchant.registers_a_booking()
    customer.opens(booking["checkout_url"])
    customer.chooses_khalti()

    customer.ends("cancel")
    customer.reads("canceled")
    before = merchant.is_told(booking)
    customer.tries_again()
    customer.pays()
    customer.reads("paid")

    assert (before, merchant.is_told(booking)) == ("pending", "confirmed")
    assert {"canceled", "completed"} == {payment["status"] for payment in merchant.payments_of(booking)}


def test_a_pending_payment_is_being_checked_until_the_page_itself_says_paid(
    customer: Customer, merchant: Merchant, simulator: Simulator
) -> None:
    booking = merchant.registers_a_booking()
    customer.opens(booking["checkout_url"])
    customer.chooses_khalti()
    pidx = customer.pidx

    customer.signs_in()
    customer.ends("pend")
    customer.reads("checking")
    expect(customer.page.locator("#try-again")).to_have_count(0)
    simulator.pay(pidx)

    customer.reads("paid", within=20)
    assert merchant.is_told(booking) == "confirmed"


def test_while_a_payment_pends_the_checkout_page_asks_for_no_other(customer: Customer, merchant: Merchant) -> None:
    booking = merchant.registers_a_booking()
    customer.opens(booking["checkout_url"])
    customer.chooses_khalti()
    customer.signs_in()
    customer.ends("pend")
    customer.reads("checking")

    customer.opens(booking["checkout_url"])

    customer.reads("checking")
    expect(customer.page.get_by_role("button")).to_have_count(0)


def test_an_expired_link_says_so_and_another_can_be_opened(customer: Customer, merchant: Merchant) -> None:
    booking = merchant.registers_a_booking()
    customer.opens(booking["checkout_url"])
    customer.chooses_khalti()
    first = customer.pidx

    customer.ends("expire")
    customer.reads("expired")
    customer.tries_again()

    assert first != customer.pidx
    customer.pays()
    customer.reads("paid")
    assert merchant.is_told(booking) == "confirmed"


def test_a_gateway_that_lags_behind_never_makes_the_page_say_failed(
    customer: Customer, merchant: Merchant, simulator: Simulator
) -> None:
    booking = merchant.registers_a_booking()
    customer.opens(booking["checkout_url"])
    customer.chooses_khalti()
    simulator.arm(Lag(on="lookup", times=2, reference=customer.pidx))  # coming back, and our page after the redirect

    customer.pays()
    customer.reads("open")
    expect(customer.page.locator("#status")).not_to_contain_text("fail")
    expect(customer.page.locator("#continue")).to_be_visible()

    customer.reads("paid", within=25)
    assert merchant.is_told(booking) == "confirmed"


def test_the_whole_road_works_without_script(a_customer: Come, merchant: Merchant) -> None:
    customer = a_customer(script=False)
    booking = merchant.registers_a_booking()

    customer.opens(booking["checkout_url"])
    customer.chooses_khalti()
    customer.ends("cancel")
    customer.reads("canceled")
    customer.tries_again()
    customer.pays()
    customer.reads("paid")

    assert merchant.is_told(booking) == "confirmed"


def test_a_nepali_browser_reads_nepali(a_customer: Come, merchant: Merchant, picture: Picture) -> None:
    customer = a_customer(language="ne-NP", window=PHONE)
    booking = merchant.registers_a_booking("घर सरसफाइ, दुई कोठा")

    customer.opens(booking["checkout_url"])
    expect(customer.page.locator("html")).to_have_attribute("lang", "ne")
    expect(customer.page.get_by_text("तिर्नुपर्ने रकम")).to_be_visible()
    picture(customer, "checkout-page-ne")
    customer.chooses_khalti()
    customer.pays()
    customer.reads("paid")

    expect(customer.page.locator("html")).to_have_attribute("lang", "ne")
    expect(customer.page.get_by_role("heading")).to_have_text("भुक्तानी भयो। धन्यवाद!")


def test_the_checkout_page_of_a_paid_booking_says_paid(customer: Customer, merchant: Merchant) -> None:
    booking = merchant.registers_a_booking()
    customer.opens(booking["checkout_url"])
    customer.chooses_khalti()
    customer.pays()
    customer.reads("paid")

    customer.opens(booking["checkout_url"])

    customer.reads("paid")
    expect(customer.page.get_by_role("button")).to_have_count(0)


def test_who_paid_and_closed_the_tab_is_not_asked_to_pay_again(
    a_customer: Come, merchant: Merchant, simulator: Simulator
) -> None:
    booking = merchant.registers_a_booking()
    first_tab, second_tab = a_customer(), a_customer()
    first_tab.opens(booking["checkout_url"])
    first_tab.chooses_khalti()
    simulator.pay(first_tab.pidx)

    second_tab.opens(booking["checkout_url"])
    second_tab.page.get_by_role("button", name="Khalti").click()

    second_tab.reads("paid")
    assert merchant.is_told(booking) == "confirmed"
    assert len(merchant.payments_of(booking)) == 1
    second_tab.watched.forget("409")  # the answer to the button; its page was shown all the same


def test_a_browser_that_comes_back_twice_at_once_finds_one_payment(
    customer: Customer, merchant: Merchant, simulator: Simulator
) -> None:
    booking = merchant.registers_a_booking()
    customer.opens(booking["checkout_url"])
    customer.chooses_khalti()
    simulator.arm(DoubleReturn(on="page", reference=customer.pidx))
    returns: list[str] = []
    customer.page.on("request", lambda asked: returns.append(asked.resource_type) if "?pidx=" in asked.url else None)

    customer.pays()
    customer.reads("paid")

    assert sorted(returns) == ["document", "image"]
    customer.watched.forget("ERR_BLOCKED_BY_ORB")  # what came in the background is a page, and no picture
    assert merchant.is_told(booking) == "confirmed"
    assert [payment["status"] for payment in merchant.payments_of(booking)] == ["completed"]


def test_reloading_the_result_changes_nothing(customer: Customer, merchant: Merchant, simulator: Simulator) -> None:
    booking = merchant.registers_a_booking()
    customer.opens(booking["checkout_url"])
    customer.chooses_khalti()
    pidx = customer.pidx
    customer.pays()
    customer.reads("paid")
    before = merchant.payments_of(booking), simulator.find(pidx)

    customer.page.reload()
    customer.reads("paid")

    assert before == (merchant.payments_of(booking), simulator.find(pidx))


def test_however_often_the_button_is_pressed_there_is_one_link(customer: Customer, merchant: Merchant) -> None:
    booking = merchant.registers_a_booking()
    customer.opens(booking["checkout_url"])

    customer.page.get_by_role("button", name="Khalti").dblclick()
    expect(customer.page.locator("#notice")).to_be_visible()
    first = customer.pidx
    customer.page.go_back()
    customer.chooses_khalti()

    assert first == customer.pidx
    assert len(merchant.payments_of(booking)) == 1


def test_the_customer_comes_back_to_the_merchants_page_with_the_payments_id(
    customer: Customer, merchant: Merchant, shop_url: str
) -> None:
    booking = merchant.registers_a_booking()
    payment = merchant.opens_a_payment(booking, f"{shop_url}/thanks?order=7")

    customer.opens(payment["next_step"]["url"])
    customer.pays()

    expect(customer.page).to_have_url(f"{shop_url}/thanks?order=7&payment_id={payment['id']}")
    assert merchant.is_told(booking) == "confirmed"


def test_a_front_end_as_in_the_guide_is_told_completed(
    customer: Customer, merchant: Merchant, shop_front: ShopFront, shop_url: str
) -> None:
    booking = merchant.registers_a_booking()
    shop_front.told |= {
        "service": merchant.url, "token": merchant.token_of_the_customer(), "booking_id": booking["id"],
    }  # fmt: skip

    customer.opens(shop_url)
    customer.page.get_by_role("button", name="Buy").click()
    expect(customer.page.locator("#notice")).to_be_visible()
    pidx = customer.pidx
    customer.pays()

    expect(customer.page.locator("#said")).to_have_text("Payment completed successfully")
    brought = parse_qs(urlsplit(customer.page.url).query)
    assert {"pidx": [pidx], "status": ["Completed"]} == {name: brought[name] for name in ("pidx", "status")}
    assert merchant.is_told(booking) == "confirmed"
    customer.page.reload()
    expect(customer.page.locator("#said")).to_have_text("Payment completed successfully")


def test_a_front_end_as_in_the_guide_is_told_of_a_cancel(
    customer: Customer, merchant: Merchant, shop_front: ShopFront, shop_url: str
) -> None:
    booking = merchant.registers_a_booking()
    shop_front.told |= {
        "service": merchant.url, "token": merchant.token_of_the_customer(), "booking_id": booking["id"],
    }  # fmt: skip

    customer.opens(shop_url)
    customer.page.get_by_role("button", name="Buy").click()
    customer.ends("cancel")

    expect(customer.page.locator("#said")).to_have_text("Payment Failed")
    assert parse_qs(urlsplit(customer.page.url).query)["status"] == ["User canceled"]
    assert merchant.is_told(booking) == "pending"


def test_the_road_can_be_gone_by_keyboard(customer: Customer, merchant: Merchant) -> None:
    booking = merchant.registers_a_booking()
    keyboard = customer.page.keyboard

    customer.opens(booking["checkout_url"])
    keyboard.press("Tab")
    keyboard.press("Enter")
    expect(customer.page.get_by_label("Wallet number")).to_be_focused()
    keyboard.type("9800000001")
    keyboard.press("Tab")
    keyboard.type("1111")
    keyboard.press("Enter")
    expect(customer.page.get_by_label("OTP")).to_be_focused()
    keyboard.type("987654")
    keyboard.press("Enter")

    customer.reads("paid")
    assert merchant.is_told(booking) == "confirmed"


def test_what_a_page_complains_about_is_noticed(chromium: Browser) -> None:
    customer = Customer.with_browser(chromium)
    customer.page.route(
        "**/*",
        lambda route: route.fulfill(
            content_type="text/html",
            headers={"Content-Security-Policy": "style-src 'none'"},
            body="<style>p { color: red }</style><script>throw new Error('broken')</script>",
        ),
    )

    customer.opens("http://shop.example/")
    customer.page.context.close()

    assert {"shop.example"} == customer.watched.hosts
    assert any("style-src 'none'" in complaint for complaint in customer.watched.complaints)
    assert any("broken" in complaint for complaint in customer.watched.complaints)
