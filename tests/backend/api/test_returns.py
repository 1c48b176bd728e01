"""Where browsers come back to: whatever they bring, the gateway is asked, and its answer decides."""

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar import Litestar
from structlog.testing import LogCapture

from sewapay.application.open_checkout import CheckoutRequest
from sewapay.domain.booking import BookingStatus
from sewapay.domain.money import Money
from sewapay.domain.payment import Payment, PaymentStatus, ReturnStyle
from tests.backend.api.talking import client_of, given_a_refund, given_a_surplus_payment, status_of
from tests.shop import KHALTI, SHOP_RETURN, Shop, customer

KHALTIS_QUERY = (
    "?pidx=bZQLD9wRVWo4CdESSfuSsB&transaction_id=4H7AhoXDJWg5WjrcPT9ixW&tidx=4H7AhoXDJWg5WjrcPT9ixW&amount=1000"
    "&total_amount=1000&mobile=98XXXXX904&status=Completed&purchase_order_id=test12&purchase_order_name=test"
)


async def given_a_khalti_payment(shop: Shop, return_url: str = f"{SHOP_RETURN}?booking_id=1") -> Payment:
    """A payment that was opened through the guide's address."""
    booking = await shop.given_a_booking()
    request = CheckoutRequest(
        by=customer(),
        booking_id=booking.id,
        gateway=KHALTI,
        return_url=return_url,
        return_style=ReturnStyle.KHALTI_WORDS,
    )
    return (await shop.container.open_checkout()(request)).payment


async def given_a_payment_of_v1(shop: Shop, return_url: str | None = "https://shop.example/paid") -> Payment:
    booking = await shop.given_a_booking()
    return await shop.when_the_customer_opens_a_checkout(booking, return_url=return_url)


def sent_to(answer: httpx.Response) -> tuple[str, dict[str, list[str]]]:
    """Where a 303 leads: the address without its query, and the query."""
    assert answer.status_code == 303, answer.text
    parts = urlsplit(answer.headers["Location"])
    return f"{parts.scheme}://{parts.netloc}{parts.path}", parse_qs(parts.query, keep_blank_values=True)


def state(answer: httpx.Response) -> str:
    return answer.text.split('data-state="', 1)[1].split('"', 1)[0]


def offers_to_pay(page: httpx.Response) -> bool:
    return 'id="continue"' in page.text or 'id="try-again"' in page.text


class TestOnward:
    async def test_a_paid_khalti_payment_goes_on_with_what_the_front_end_reads(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        payment = await given_a_khalti_payment(shop)
        shop.gateway.customer_pays(payment, transaction_id="GFq9PFS7b2iYvL8Lir9oXe")

        answer = await client.get(f"/return/{payment.id}/{KHALTIS_QUERY}")

        assert sent_to(answer) == (
            "https://shop.example/payment/callback",
            {
                "booking_id": ["1"],
                "pidx": [payment.gateway_reference],
                "status": ["Completed"],
                "transaction_id": ["GFq9PFS7b2iYvL8Lir9oXe"],
                "purchase_order_id": [payment.order_reference],
                "amount": ["113000"],
            },
        )
        assert (await shop.stored_booking(payment.booking_id)).status is BookingStatus.CONFIRMED

    @pytest.mark.parametrize(
        ("happens", "word"),
        [("customer_cancels", "User canceled"), ("link_expires", "Expired"), ("fails", "Failed")],
    )
    async def test_a_decided_khalti_payment_goes_on_in_khaltis_words(
        self, client: httpx.AsyncClient, shop: Shop, happens: str, word: str
    ) -> None:
        payment = await given_a_khalti_payment(shop)
        getattr(shop.gateway, happens)(payment)

        _, query = sent_to(await client.get(f"/return/{payment.id}/{KHALTIS_QUERY}"))

        assert query["status"] == [word]
        assert query["transaction_id"] == [""]

    @pytest.mark.parametrize(("partly", "shown"), [(True, "paid"), (False, "refunded")])
    async def test_money_that_went_back_stays_with_us_since_the_shop_would_say_it_failed(
        self, client: httpx.AsyncClient, shop: Shop, partly: bool, shown: str
    ) -> None:
        payment = await given_a_khalti_payment(shop)
        shop.gateway.customer_pays(payment)
        await shop.when_it_is_verified(payment)
        shop.gateway.merchant_refunds(payment, partly=partly)
        await shop.when_it_is_verified(payment, even_if_settled=True)

        page = await client.get(f"/return/{payment.id}/")

        assert (page.status_code, state(page)) == (200, shown)
        assert "fail" not in page.text.lower()
        assert not offers_to_pay(page)

    async def test_an_ended_attempt_of_a_booking_that_is_paid_stays_with_us_for_the_same_reason(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        first = await given_a_khalti_payment(shop)
        shop.gateway.customer_cancels(first)
        second = await shop.given_an_open_payment(await shop.stored_booking(first.booking_id))
        shop.gateway.customer_pays(second)
        await shop.when_it_is_verified(second)

        page = await client.get(f"/return/{first.id}/")

        assert state(page) == "paid"
        assert not offers_to_pay(page)

    @pytest.mark.fault("F21")
    @pytest.mark.parametrize(
        ("happens", "shown"),
        [(None, "open"), ("leaves_pending", "checking"), ("goes_silent", "checking"), ("odd", "review")],
    )
    async def test_an_undecided_khalti_payment_waits_with_us_since_the_shop_would_say_it_failed(
        self, client: httpx.AsyncClient, shop: Shop, happens: str | None, shown: str
    ) -> None:
        payment = await given_a_khalti_payment(shop)
        if happens == "leaves_pending":
            shop.gateway.leaves_pending(payment)
        elif happens == "goes_silent":
            shop.gateway.goes_silent()
        elif happens == "odd":
            shop.gateway.customer_pays(payment, Money(5))

        back = await client.get(f"/return/{payment.id}/{KHALTIS_QUERY}")
        page = await client.get(back.headers["Location"])

        assert back.headers["Location"] == f"/return/{payment.id}/"
        assert page.status_code == 200
        assert state(page) == shown
        assert 'href="https://shop.example/"' in page.text
        assert ("Refresh" in page.headers) is (shown != "review")

    async def test_the_waiting_page_goes_on_by_itself_once_it_is_decided(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        payment = await given_a_khalti_payment(shop)
        shop.gateway.leaves_pending(payment)
        waiting = await client.get(f"/return/{payment.id}/")
        shop.gateway.customer_pays(payment)

        _, query = sent_to(await client.get(f"/return/{payment.id}/"))

        assert state(waiting) == "checking"
        assert int(waiting.headers["Refresh"]) > 0
        assert query["status"] == ["Completed"]

    @pytest.mark.parametrize("happens", ["customer_pays", "customer_cancels", "leaves_pending"])
    async def test_a_payment_of_v1_goes_on_with_its_id_only(
        self, client: httpx.AsyncClient, shop: Shop, happens: str
    ) -> None:
        payment = await given_a_payment_of_v1(shop)
        getattr(shop.gateway, happens)(payment)

        answer = await client.get(f"/return/{payment.id}/{KHALTIS_QUERY}")

        assert answer.headers["Location"] == f"https://shop.example/paid?payment_id={payment.id}"

    @pytest.mark.parametrize(
        ("return_url", "onward"),
        [
            ("https://shop.example", "https://shop.example?payment_id={}"),
            ("https://shop.example/?a=1", "https://shop.example/?a=1&payment_id={}"),
            ("https://shop.example/p?a=1&b=%20", "https://shop.example/p?a=1&b=%20&payment_id={}"),
            ("https://shop.example/p#part", "https://shop.example/p?payment_id={}#part"),
            ("https://shop.example/p?a=1#part?x", "https://shop.example/p?a=1&payment_id={}#part?x"),
            ("https://shop.example/p/?", "https://shop.example/p/?payment_id={}"),
        ],
    )
    async def test_the_merchants_address_keeps_its_own_query_and_fragment(
        self, client: httpx.AsyncClient, shop: Shop, return_url: str, onward: str
    ) -> None:
        payment = await given_a_payment_of_v1(shop, return_url)

        answer = await client.get(f"/return/{payment.id}/?status=Completed")

        assert answer.headers["Location"] == onward.format(payment.id)

    @pytest.mark.fault("F31")
    async def test_without_a_return_url_what_came_leaves_the_address_bar_at_once(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        payment = await given_a_payment_of_v1(shop, None)

        answer = await client.get(f"/return/{payment.id}/{KHALTIS_QUERY}")

        assert answer.status_code == 303
        assert answer.headers["Location"] == f"/return/{payment.id}/"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"

    async def test_a_gateway_may_post_its_return(self, client: httpx.AsyncClient, shop: Shop) -> None:
        payment = await given_a_payment_of_v1(shop)
        shop.gateway.customer_pays(payment)

        answer = await client.post(f"/return/{payment.id}/", data={"status": "paid"})

        assert answer.status_code == 303
        assert (await shop.stored_payment(payment)).status is PaymentStatus.COMPLETED


class TestHints:
    @pytest.mark.fault("F26")
    @pytest.mark.parametrize(
        "query",
        [
            "?status=Completed",
            "?status=Completed&status=User+canceled",
            "?pidx=another&status=Completed&amount=1&total_amount=1",
            "?reference=another&status=paid",
        ],
    )
    async def test_a_forged_return_confirms_nothing(self, client: httpx.AsyncClient, shop: Shop, query: str) -> None:
        payment = await given_a_khalti_payment(shop)

        await client.get(f"/return/{payment.id}/{query}")

        assert (await shop.stored_payment(payment)).status is PaymentStatus.OPEN
        assert (await shop.stored_booking(payment.booking_id)).status is BookingStatus.PENDING

    @pytest.mark.fault("F27")
    async def test_a_return_that_says_canceled_does_not_undo_what_was_paid(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        payment = await given_a_khalti_payment(shop)
        shop.gateway.customer_pays(payment)

        _, query = sent_to(await client.get(f"/return/{payment.id}/?status=User+canceled"))

        assert query["status"] == ["Completed"]

    @pytest.mark.fault("F27")
    async def test_a_return_that_says_completed_does_not_pay_what_was_canceled(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        payment = await given_a_khalti_payment(shop)
        shop.gateway.customer_cancels(payment)

        _, query = sent_to(await client.get(f"/return/{payment.id}/?status=Completed"))

        assert query["status"] == ["User canceled"]

    async def test_what_differs_is_logged_by_name_and_never_by_value(
        self, client: httpx.AsyncClient, shop: Shop, logged: LogCapture
    ) -> None:
        payment = await given_a_khalti_payment(shop)
        shop.gateway.customer_pays(payment)

        await client.get(f"/return/{payment.id}/?reference=somebody-elses&status=canceled")

        [line] = [line for line in logged.entries if line["event"] == "return differs from the look-up"]
        assert line["differs"] == ["gateway_reference", "status"]
        assert "somebody-elses" not in str(logged.entries)

    @pytest.mark.fault("F28")
    @pytest.mark.parametrize(
        "query",
        [
            "",
            "?",
            "?&&&",
            "?=",
            "?pidx",
            "?pidx=&status=&transaction_id=",
            "?txnId=1&tidx=2&transaction_id=3",
            "?pidx=%00&status=%00",
            "?pidx=%ff%fe&status=%c3%28",
            "?status=%E2%80%AE%D7%90",
            "?status=%3Cscript%3Ealert(1)%3C/script%3E",
            "?status='; DROP TABLE payments; --",
            "?" + "a=1&" * 500,
            "?pidx=" + "x" * 65_000,
            "?payment=success/?status=Completed",
            "?message=Could not process the payment.",
            "?bank_reference=None&status=Completed",
        ],
        ids=lambda query: query[:30],
    )
    async def test_however_odd_a_return_is_a_paid_payment_is_still_found_to_be_paid(
        self, client: httpx.AsyncClient, shop: Shop, query: str
    ) -> None:
        payment = await given_a_payment_of_v1(shop)
        shop.gateway.customer_pays(payment)

        answer = await client.get(f"/return/{payment.id}/{query}")

        assert answer.status_code == 303
        assert (await shop.stored_payment(payment)).status is PaymentStatus.COMPLETED

    @pytest.mark.parametrize("body", [b"\x00\xff", b"status=paid", b"{}", b"x" * 70_000, b"a=1&" * 1000])
    async def test_however_odd_a_posted_return_is_it_is_a_reason_to_look(
        self, client: httpx.AsyncClient, shop: Shop, body: bytes
    ) -> None:
        payment = await given_a_payment_of_v1(shop)
        shop.gateway.customer_pays(payment)

        answer = await client.post(f"/return/{payment.id}", content=body)

        assert answer.status_code == 303
        assert (await shop.stored_payment(payment)).status is PaymentStatus.COMPLETED

    @settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(query=st.binary(max_size=200), method=st.sampled_from(["GET", "POST", "HEAD"]))
    async def test_no_return_whatsoever_is_an_error_of_ours(
        self, app: Litestar, shop: Shop, query: bytes, method: str
    ) -> None:
        payment = await given_a_payment_of_v1(shop)

        status = await status_of(app, method, f"/return/{payment.id}/", query)

        assert status == 303

    @pytest.mark.fault("F30")
    @pytest.mark.parametrize("method", ["HEAD", "GET"])
    async def test_a_prefetch_changes_nothing_that_a_return_would_not(
        self, client: httpx.AsyncClient, shop: Shop, method: str
    ) -> None:
        payment = await given_a_payment_of_v1(shop, None)
        shop.gateway.customer_pays(payment)

        answers = [await client.request(method, f"/return/{payment.id}/?status=paid") for _ in range(3)]

        assert [answer.status_code for answer in answers] == [303] * 3
        booking = await shop.stored_booking(payment.booking_id)
        assert (await shop.told(booking)).count("booking.confirmed") == 1

    @pytest.mark.fault("F23")
    async def test_a_return_replayed_a_hundred_times_asks_the_gateway_once(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        payment = await given_a_khalti_payment(shop)
        shop.gateway.customer_pays(payment)
        first = await client.get(f"/return/{payment.id}/{KHALTIS_QUERY}")
        asked = shop.gateway.looked_up
        shop.clock.advance(days=365)

        answers = [await client.get(f"/return/{payment.id}/{KHALTIS_QUERY}") for _ in range(100)]

        assert {answer.headers["Location"] for answer in answers} == {first.headers["Location"]}
        assert shop.gateway.looked_up == asked


class TestResultPage:
    @pytest.mark.parametrize(
        ("happens", "shown"),
        [
            (None, "open"),
            ("customer_pays", "paid"),
            ("leaves_pending", "checking"),
            ("customer_cancels", "canceled"),
            ("link_expires", "expired"),
            ("fails", "failed"),
        ],
    )
    async def test_the_page_says_how_the_payment_stands(
        self, client: httpx.AsyncClient, shop: Shop, happens: str | None, shown: str
    ) -> None:
        payment = await given_a_payment_of_v1(shop, None)
        if happens:
            getattr(shop.gateway, happens)(payment)

        page = await client.get(f"/return/{payment.id}/")

        assert page.status_code == 200
        assert state(page) == shown
        assert ("Refresh" in page.headers) is (shown in ("open", "checking"))
        assert ('id="try-again"' in page.text) is (shown in ("canceled", "expired", "failed"))
        assert ('id="continue"' in page.text) is (shown == "open")

    async def test_a_silent_gateway_is_never_called_a_failure(self, client: httpx.AsyncClient, shop: Shop) -> None:
        payment = await given_a_payment_of_v1(shop, None)
        shop.gateway.goes_silent()

        page = await client.get(f"/return/{payment.id}/")

        assert state(page) == "checking"
        assert "fail" not in page.text.lower()

    async def test_a_gateway_that_never_answers_is_given_up_on_in_time(
        self, client: httpx.AsyncClient, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sewapay.adapters.web.returns.PATIENCE_SECONDS", 0.01)
        payment = await given_a_payment_of_v1(shop, None)
        shop.gateway.leaves_pending(payment)
        await shop.when_it_is_verified(payment)
        shop.gateway.holds_answers()

        page = await client.get(f"/return/{payment.id}/")

        assert state(page) == "checking"

    @pytest.mark.parametrize("style", ["ours", "the shop's"])
    async def test_whoever_comes_back_late_to_a_slow_gateway_is_not_offered_to_pay_again(
        self, client: httpx.AsyncClient, shop: Shop, monkeypatch: pytest.MonkeyPatch, style: str
    ) -> None:
        monkeypatch.setattr("sewapay.adapters.web.returns.PATIENCE_SECONDS", 0.01)
        payment = await (given_a_payment_of_v1(shop, None) if style == "ours" else given_a_khalti_payment(shop))
        shop.gateway.link_expires(payment)
        await shop.when_it_is_verified(payment)
        shop.gateway.holds_answers()

        back = await client.get(f"/return/{payment.id}/{KHALTIS_QUERY}")
        page = await client.get(f"/return/{payment.id}/")

        assert sent_to(back)[0].endswith(f"/return/{payment.id}/"), "the shop's page calls everything else a failure"
        assert state(page) == "checking"
        assert not offers_to_pay(page)

    async def test_money_under_review_and_money_that_came_twice_have_their_words(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        first = await given_a_payment_of_v1(shop, None)
        shop.gateway.customer_cancels(first)
        booking = await shop.stored_booking(first.booking_id)
        second = await shop.given_an_open_payment(booking)
        shop.gateway.customer_pays(second, transaction_id="second")
        await shop.when_it_is_verified(second)
        shop.gateway.customer_pays(first, transaction_id="first")
        await shop.when_it_is_verified(first)
        wrong = await given_a_payment_of_v1(shop, None)
        shop.gateway.customer_pays(wrong, Money(5))
        await shop.when_it_is_verified(wrong)

        twice = await client.get(f"/return/{first.id}/")
        review = await client.get(f"/return/{wrong.id}/")

        assert [state(twice), state(review)] == ["surplus", "review"]
        assert "fail" not in (twice.text + review.text).lower()

    async def test_surplus_money_that_was_given_back_is_said_to_be(self, client: httpx.AsyncClient, shop: Shop) -> None:
        payment = await given_a_surplus_payment(shop)
        shop.gateway.merchant_refunds(payment)
        await shop.when_it_is_verified(payment, even_if_settled=True)

        page = await client.get(f"/return/{payment.id}/")

        assert state(page) == "refunded"

    @pytest.mark.parametrize("happens", [None, "customer_cancels", "link_expires", "fails"])
    async def test_a_canceled_booking_is_not_offered_to_be_paid(
        self, client: httpx.AsyncClient, shop: Shop, happens: str | None
    ) -> None:
        payment = await given_a_payment_of_v1(shop, None)
        await shop.when_the_booking_is_canceled(await shop.stored_booking(payment.booking_id))
        if happens:
            getattr(shop.gateway, happens)(payment)

        page = await client.get(f"/return/{payment.id}/")

        assert "The booking is canceled" in page.text
        assert not offers_to_pay(page)

    @pytest.mark.parametrize("happens", ["customer_cancels", "link_expires", None])
    async def test_a_booking_that_another_payment_has_settled_is_not_offered_to_be_paid(
        self, client: httpx.AsyncClient, shop: Shop, happens: str | None
    ) -> None:
        first = await given_a_payment_of_v1(shop, None)
        if happens:
            getattr(shop.gateway, happens)(first)
        shop.clock.advance(minutes=31)
        second = await shop.given_an_open_payment(await shop.stored_booking(first.booking_id))
        shop.gateway.customer_pays(second)
        await shop.when_it_is_verified(second)

        page = await client.get(f"/return/{first.id}/")

        assert state(page) == "paid"
        assert not offers_to_pay(page)

    @pytest.mark.parametrize("happens", ["customer_cancels", "link_expires", None])
    async def test_a_booking_that_was_paid_and_given_back_is_not_offered_to_be_paid(
        self, client: httpx.AsyncClient, shop: Shop, happens: str | None
    ) -> None:
        first = await given_a_payment_of_v1(shop, None)
        if happens:
            getattr(shop.gateway, happens)(first)
        shop.clock.advance(minutes=31)
        second = await shop.given_an_open_payment(await shop.stored_booking(first.booking_id))
        shop.gateway.customer_pays(second)
        await given_a_refund(shop, (await shop.when_it_is_verified(second)).payment)

        pages = [await client.get(f"/return/{payment.id}/") for payment in (first, second)]
        again = await client.post(f"/return/{first.id}/again/")

        assert [state(page) for page in (*pages, again)] == ["refunded"] * 3
        assert [page.status_code for page in (*pages, again)] == [200, 200, 409]
        assert "The booking was" not in pages[1].text
        assert not any(offers_to_pay(page) for page in (*pages, again))

    async def test_money_for_a_canceled_booking_of_which_a_part_went_back_is_still_with_a_person(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        payment = await given_a_payment_of_v1(shop, None)
        await shop.when_the_booking_is_canceled(await shop.stored_booking(payment.booking_id))
        shop.gateway.customer_pays(payment)
        paid = (await shop.when_it_is_verified(payment)).payment
        await given_a_refund(shop, paid, Money(13000))

        page = await client.get(f"/return/{payment.id}/")

        assert state(page) == "review"

    async def test_a_paid_payment_whose_refund_went_unanswered_is_still_said_to_be_paid(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        payment = await given_a_payment_of_v1(shop, None)
        shop.gateway.customer_pays(payment)
        paid = (await shop.when_it_is_verified(payment)).payment
        shop.gateway.loses_refunds()
        await given_a_refund(shop, paid)

        page = await client.get(f"/return/{payment.id}/")

        assert state(page) == "paid"

    async def test_the_waiting_page_asks_once_for_all_who_reload_it(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        payment = await given_a_payment_of_v1(shop, None)
        shop.gateway.leaves_pending(payment)
        shop.clock.advance(minutes=1)
        await client.get(f"/return/{payment.id}/")
        asked = shop.gateway.looked_up

        pages = [await client.get(f"/return/{payment.id}/") for _ in range(20)]

        assert {state(page) for page in pages} == {"checking"}
        assert shop.gateway.looked_up == asked == 1

    async def test_a_pending_payment_of_a_canceled_booking_is_still_checked(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        payment = await given_a_payment_of_v1(shop, None)
        await shop.when_the_booking_is_canceled(await shop.stored_booking(payment.booking_id))
        shop.gateway.leaves_pending(payment)

        page = await client.get(f"/return/{payment.id}/")

        assert state(page) == "checking"

    async def test_what_ended_is_not_asked_about_at_every_reload(self, client: httpx.AsyncClient, shop: Shop) -> None:
        payment = await given_a_payment_of_v1(shop, None)
        shop.gateway.customer_cancels(payment)
        await client.get(f"/return/{payment.id}/")
        asked = shop.gateway.looked_up

        await client.get(f"/return/{payment.id}/")

        assert shop.gateway.looked_up == asked

    @pytest.mark.fault("F29")
    async def test_it_needs_no_login_and_shows_nothing_of_the_booking(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        booking = await shop.given_a_booking(title="Confidential consultation")
        payment = await shop.given_an_open_payment(booking)

        page = await client.get(f"/return/{payment.id}/")

        private = ["Confidential", "Sita", "sita@example.com", "9800000001", "1,130.00", "113000"]
        assert [text for text in private if text in page.text] == []

    async def test_trying_again_opens_a_new_checkout(self, client: httpx.AsyncClient, shop: Shop) -> None:
        payment = await given_a_payment_of_v1(shop, None)
        shop.gateway.customer_cancels(payment)
        await client.get(f"/return/{payment.id}/")
        shop.clock.advance(seconds=1)

        answer = await client.post(f"/return/{payment.id}/again/")

        booking = await shop.stored_booking(payment.booking_id)
        [_, second] = await shop.stored_payments(booking)
        assert answer.status_code == 303
        assert str(second.id) in answer.headers["Location"]

    async def test_trying_again_when_it_is_paid_says_so(self, client: httpx.AsyncClient, shop: Shop) -> None:
        paid = await shop.given_a_paid_booking()

        answer = await client.post(f"/return/{paid.payment.id}/again/")

        assert answer.status_code == 409
        assert state(answer) == "paid"

    async def test_trying_again_for_a_canceled_booking_says_so(self, client: httpx.AsyncClient, shop: Shop) -> None:
        payment = await given_a_payment_of_v1(shop, None)
        await shop.when_the_booking_is_canceled(await shop.stored_booking(payment.booking_id))

        answer = await client.post(f"/return/{payment.id}/again/")

        assert answer.status_code == 409
        assert state(answer) == "canceled"

    async def test_trying_again_while_it_is_checked_says_so(self, client: httpx.AsyncClient, shop: Shop) -> None:
        payment = await given_a_payment_of_v1(shop, None)
        shop.gateway.leaves_pending(payment)

        answer = await client.post(f"/return/{payment.id}/again/")

        assert answer.status_code == 409
        assert state(answer) == "checking"

    async def test_trying_again_at_a_gateway_that_is_away_offers_it_once_more(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        payment = await given_a_payment_of_v1(shop, None)
        shop.gateway.customer_cancels(payment)
        await client.get(f"/return/{payment.id}/")
        shop.gateway.refuses_connections()

        answer = await client.post(f"/return/{payment.id}/again/")

        assert answer.status_code == 503
        assert state(answer) == "failed"
        assert 'id="try-again"' in answer.text

    @pytest.mark.fault("F25")
    @pytest.mark.parametrize(
        "id", ["x", "khalti", "00000000-0000-4000-8000-000000000000", "%00", "%ff", "a" * 5000, "<script>"]
    )
    @pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
    async def test_an_unknown_payment_is_a_neutral_404_page_and_no_gateway_is_asked(
        self, client: httpx.AsyncClient, shop: Shop, id: str, method: str
    ) -> None:
        answer = await client.request(method, f"/return/{id}/?status=Completed")

        assert answer.status_code == 404
        assert answer.headers["Content-Type"].startswith("text/html")
        assert method == "HEAD" or state(answer) == "not_found"
        assert shop.gateway.looked_up == 0

    @pytest.mark.fault("F75")
    async def test_a_database_that_is_away_says_that_the_payment_is_safe(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        payment = await given_a_payment_of_v1(shop)
        shop.memory.break_down()

        page = await client.get(f"/return/{payment.id}/{KHALTIS_QUERY}")

        assert page.status_code == 503
        assert state(page) == "unavailable"
        assert "your payment is safe" in page.text
        assert int(page.headers["Refresh"]) > 0
        assert 'id="reload"' in page.text

    async def test_in_nepali_too(self, shop: Shop) -> None:
        payment = await given_a_payment_of_v1(shop, None)
        shop.gateway.customer_pays(payment)

        async with client_of(shop.app) as client:
            page = await client.get(f"/return/{payment.id}/", headers={"Accept-Language": "ne-NP,ne;q=0.9,en;q=0.5"})

        assert '<html lang="ne">' in page.text
        assert "भुक्तानी भयो" in page.text
