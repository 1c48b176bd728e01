"""The two addresses of the Khalti guide, as SewaBazaar's front end calls them.

Bodies, statuses and envelopes are typed by hand from the guide and from what its front end reads.
"""

import asyncio
import json
from typing import Any

import httpx
import pytest
from attrs import evolve
from dependency_injector import providers
from structlog.testing import LogCapture

from sewapay.application.access import Scope
from sewapay.domain.booking import Booking, BookingStatus
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation, Reported
from sewapay.domain.payment import Payment, PaymentStatus
from tests.backend.api.talking import client_of, given_a_refund, given_a_surplus_payment
from tests.shop import RAM, SHOP_RETURN, ManualClock, Shop

INITIATE = "/api/bookings/payments/initiate_khalti_payment/"
PROCESS = "/api/bookings/payments/process_khalti_callback/"


class StandingClock(ManualClock):
    """A clock on which waiting for the others takes no time."""

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(0)


def initiation(booking: Booking, **changes: Any) -> dict[str, Any]:
    body = {
        "booking_id": int(booking.id),
        "return_url": f"{SHOP_RETURN}?booking_id={booking.id}",
        "website_url": "https://shop.example",
    }
    return body | changes


def callback(booking: Booking, pidx: str | None, **changes: Any) -> dict[str, Any]:
    body = {
        "pidx": pidx,
        "transaction_id": None,
        "booking_id": int(booking.id),
        "purchase_order_id": f"booking_{booking.id}_1700000000000",
    }
    return body | changes


async def initiate(client: httpx.AsyncClient, shop: Shop, booking: Booking, **changes: Any) -> httpx.Response:
    return await client.post(INITIATE, json=initiation(booking, **changes), headers=shop.as_customer())


async def process(
    client: httpx.AsyncClient, shop: Shop, booking: Booking, pidx: str | None, **changes: Any
) -> httpx.Response:
    return await client.post(PROCESS, json=callback(booking, pidx, **changes), headers=shop.as_customer())


async def given_an_initiated_payment(shop: Shop) -> tuple[Booking, Payment]:
    booking = await shop.given_a_booking()
    return booking, await shop.given_an_open_payment(booking)


class TestInitiate:
    async def test_initiating_a_khalti_payment_gives_its_page(self, client: httpx.AsyncClient, shop: Shop) -> None:
        booking = await shop.given_a_booking()

        answer = await initiate(client, shop, booking)

        [payment] = await shop.stored_payments(booking)
        assert answer.status_code == 200
        assert answer.json() == {
            "success": True,
            "data": {
                "pidx": payment.gateway_reference,
                "payment_url": f"http://127.0.0.1:8000/return/{payment.id}/"
                f"?reference={payment.gateway_reference}&status=unpaid",
                "expires_at": "2026-01-15T06:45:00Z",
                "expires_in": 1800,
            },
        }

    @pytest.mark.parametrize("path", [INITIATE, INITIATE.rstrip("/")])
    async def test_the_slash_at_the_end_is_optional(self, client: httpx.AsyncClient, shop: Shop, path: str) -> None:
        booking = await shop.given_a_booking()

        answer = await client.post(path, json=initiation(booking), headers=shop.as_customer())

        assert answer.status_code == 200

    async def test_asking_again_gives_the_same_link_and_tells_how_long_it_still_lives(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        booking = await shop.given_a_booking()
        first = (await initiate(client, shop, booking)).json()["data"]
        shop.clock.advance(minutes=5)

        again = (await initiate(client, shop, booking)).json()["data"]

        assert again == first | {"expires_in": 1500}
        assert len(shop.gateway.payments) == 1

    @pytest.mark.fault("F04")
    async def test_twenty_calls_at_once_give_one_link_and_none_is_turned_away(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        shop.container.clock.override(providers.Object(StandingClock()))
        booking = await shop.given_a_booking()

        answers = await asyncio.gather(*(initiate(client, shop, booking) for _ in range(20)))

        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["data"]["pidx"] for answer in answers}) == 1
        assert shop.gateway.initiated == 1

    @pytest.mark.parametrize("expected", [1130, 1130.0, "1130", "1130.00", 1130.0000000000002, None])
    async def test_an_expected_amount_that_is_owed_is_fine(
        self, client: httpx.AsyncClient, shop: Shop, expected: object
    ) -> None:
        booking = await shop.given_a_booking(amount=Money(113000))

        answer = await initiate(client, shop, booking, expected_amount=expected)

        assert answer.status_code == 200

    @pytest.mark.parametrize("expected", [1129.99, 1130.005, "1130.01", 0, -1130, 113000, 10**300, 1e300])
    async def test_another_expected_amount_is_refused_and_nothing_is_opened(
        self, client: httpx.AsyncClient, shop: Shop, expected: object
    ) -> None:
        booking = await shop.given_a_booking(amount=Money(113000))

        answer = await initiate(client, shop, booking, expected_amount=expected)

        assert answer.status_code == 400
        assert answer.json()["error"].startswith("Amount mismatch")
        assert shop.gateway.initiated == 0

    async def test_unknown_fields_and_vouchers_are_ignored(
        self, client: httpx.AsyncClient, shop: Shop, logged: LogCapture
    ) -> None:
        booking = await shop.given_a_booking()

        answer = await initiate(client, shop, booking, voucher_code="SAVE100", anything={"else": [1]})

        assert answer.status_code == 200
        assert any(line["event"].startswith("voucher ignored") for line in logged.entries)
        assert "SAVE100" not in str(logged.entries)

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"booking_id": None}, "Booking_id: expected int, got null"),
            ({"booking_id": "123"}, "Booking_id: expected int, got str"),
            ({"booking_id": True}, "Booking_id: expected int, got bool"),
            ({"booking_id": 1.0}, "Booking_id: expected int, got float"),
            ({"booking_id": 0}, "Booking_id: expected int >= 1"),
            ({"booking_id": 2**63}, "Booking_id: expected int <= 9007199254740992"),
            ({"return_url": 5}, "Return_url: expected str, got int"),
            ({"return_url": ""}, "Return_url: expected str of length >= 1"),
            ({"return_url": "x" * 3000}, "Return_url: expected str of length <= 2048"),
            ({"return_url": "https://elsewhere.example/"}, "Return_url may not lead to https://elsewhere.example"),
            ({"return_url": "javascript:alert(1)"}, "Return_url begins with https:// (or http://) and names a host"),
            (
                {"return_url": "https://shop.example@evil.example/"},
                "Return_url names a plain host, without a user name",
            ),
            ({"website_url": "not an address"}, "Website_url: expected an http(s) address"),
            ({"website_url": "http://["}, "Website_url: expected an http(s) address"),
            ({"expected_amount": "a lot"}, "Rupees are written like 1130 or 1130.50"),
            ({"expected_amount": True}, "Expected_amount: expected int | float | str | null, got bool"),
        ],
    )
    async def test_a_malformed_field_is_400_with_its_name(
        self, client: httpx.AsyncClient, shop: Shop, changes: dict[str, Any], said: str
    ) -> None:
        booking = await shop.given_a_booking()

        answer = await initiate(client, shop, booking, **changes)

        assert answer.status_code == 400
        assert answer.json()["error"].startswith(said), answer.text
        assert list(answer.json()) == ["error"]

    @pytest.mark.parametrize("field", ["booking_id", "return_url", "website_url"])
    async def test_a_missing_field_is_400(self, client: httpx.AsyncClient, shop: Shop, field: str) -> None:
        body = initiation(await shop.given_a_booking())
        del body[field]

        answer = await client.post(INITIATE, json=body, headers=shop.as_customer())

        assert answer.status_code == 400
        assert answer.json() == {"error": f"Missing field {field}"}

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff", b"[" * 50_000, b'{"booking_id": NaN}'])
    async def test_what_is_no_json_object_is_400(self, client: httpx.AsyncClient, shop: Shop, body: bytes) -> None:
        headers = shop.as_customer() | {"Content-Type": "application/json"}

        answer = await client.post(INITIATE, content=body, headers=headers)

        assert answer.status_code == 400
        assert list(answer.json()) == ["error"]

    async def test_nesting_that_no_reader_can_follow_is_400(self, client: httpx.AsyncClient, shop: Shop) -> None:
        headers = shop.as_customer() | {"Content-Type": "application/json"}
        body = b'{"voucher_code": ' + b"[" * 50_000

        answer = await client.post(INITIATE, content=body, headers=headers)

        assert answer.status_code == 400

    async def test_another_content_type_is_415(self, client: httpx.AsyncClient, shop: Shop) -> None:
        booking = await shop.given_a_booking()
        headers = shop.as_customer() | {"Content-Type": "text/plain"}

        answer = await client.post(INITIATE, content=json.dumps(initiation(booking)), headers=headers)

        assert answer.status_code == 415
        assert list(answer.json()) == ["error"]

    async def test_a_body_over_64_kib_is_413(self, client: httpx.AsyncClient, shop: Shop) -> None:
        booking = await shop.given_a_booking()

        answer = await initiate(client, shop, booking, filler="x" * 70_000)

        assert answer.status_code == 413
        assert answer.json() == {"error": "A body has at most 65536 bytes"}

    @pytest.mark.parametrize("whose", ["nobody's", "another customer's"])
    async def test_a_missing_booking_and_somebody_elses_look_the_same(
        self, client: httpx.AsyncClient, shop: Shop, whose: str
    ) -> None:
        booking = await shop.given_a_booking(who=RAM)
        wanted = 999 if whose == "nobody's" else int(booking.id)

        answer = await initiate(client, shop, booking, booking_id=wanted)

        assert answer.status_code == 404
        assert answer.json() == {"error": "Booking not found or access denied"}

    async def test_without_a_token_it_is_401_with_detail(self, client: httpx.AsyncClient, shop: Shop) -> None:
        answer = await client.post(INITIATE, json=initiation(await shop.given_a_booking()))

        assert answer.status_code == 401
        assert answer.json() == {"detail": "Authentication credentials were not provided."}
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")

    async def test_a_key_without_the_scope_is_403(self, client: httpx.AsyncClient, shop: Shop) -> None:
        booking = await shop.given_a_booking()

        answer = await client.post(INITIATE, json=initiation(booking), headers=await shop.as_service(Scope.READ))

        assert answer.status_code == 403
        assert list(answer.json()) == ["error"]

    async def test_get_is_405_in_the_guides_shape(self, client: httpx.AsyncClient) -> None:
        answer = await client.get(INITIATE)

        assert answer.status_code == 405
        assert answer.json() == {"detail": 'Method "GET" not allowed.'}
        assert "POST" in answer.headers["Allow"]

    async def test_a_paid_booking_is_409(self, client: httpx.AsyncClient, shop: Shop) -> None:
        paid = await shop.given_a_paid_booking()

        answer = await initiate(client, shop, paid.booking)

        assert answer.status_code == 409
        assert "already paid" in answer.json()["error"]

    async def test_a_booking_that_was_paid_and_given_back_is_409(self, client: httpx.AsyncClient, shop: Shop) -> None:
        paid = await shop.given_a_paid_booking()
        await given_a_refund(shop, paid.payment)

        answer = await initiate(client, shop, paid.booking)

        assert answer.status_code == 409
        assert "paid and given back" in answer.json()["error"]

    async def test_a_canceled_booking_is_409(self, client: httpx.AsyncClient, shop: Shop) -> None:
        booking = await shop.given_a_booking()
        await shop.when_the_booking_is_canceled(booking)

        answer = await initiate(client, shop, booking)

        assert answer.status_code == 409
        assert "canceled" in answer.json()["error"]

    @pytest.mark.fault("F21")
    async def test_a_booking_whose_payment_is_pending_is_409_until_that_is_known(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        booking, payment = await given_an_initiated_payment(shop)
        shop.gateway.leaves_pending(payment)

        answer = await initiate(client, shop, booking)

        assert answer.status_code == 409
        assert "still being checked" in answer.json()["error"]

    async def test_a_link_that_was_canceled_is_not_handed_out_again(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        booking, payment = await given_an_initiated_payment(shop)
        shop.gateway.customer_cancels(payment)

        answer = await initiate(client, shop, booking)

        assert answer.status_code == 200
        assert answer.json()["data"]["pidx"] != payment.gateway_reference

    @pytest.mark.fault("F02")
    @pytest.mark.parametrize("fault", ["refuses_connections", "goes_silent", "talks_nonsense", "refuses_key"])
    async def test_a_gateway_that_fails_is_503_with_a_sentence_and_a_number_to_wait(
        self, client: httpx.AsyncClient, shop: Shop, fault: str
    ) -> None:
        booking = await shop.given_a_booking()
        getattr(shop.gateway, fault)()

        answer = await initiate(client, shop, booking)

        assert answer.status_code == 503
        assert list(answer.json()) == ["error"]
        assert int(answer.headers["Retry-After"]) > 0

    async def test_an_amount_under_the_least_is_400(self, client: httpx.AsyncClient, shop: Shop) -> None:
        shop.gateway.capabilities = evolve(shop.gateway.capabilities, least=Money(1000))
        booking = await shop.given_a_booking(amount=Money(999))

        answer = await initiate(client, shop, booking)

        assert answer.status_code == 400
        assert "Rs 10.00 or more" in answer.json()["error"]

    @pytest.mark.fault("F75")
    async def test_a_database_that_is_away_is_503_and_the_gateway_hears_of_nothing(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        booking = await shop.given_a_booking()
        shop.memory.break_down()

        answer = await initiate(client, shop, booking)

        assert answer.status_code == 503
        assert list(answer.json()) == ["error"]
        assert int(answer.headers["Retry-After"]) > 0
        assert shop.gateway.initiated == 0


class TestProcess:
    async def test_a_khalti_payment_that_is_completed_confirms_the_booking(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        booking, payment = await given_an_initiated_payment(shop)
        shop.gateway.customer_pays(payment, transaction_id="GFq9PFS7b2iYvL8Lir9oXe")

        answer = await process(client, shop, booking, payment.gateway_reference)

        assert answer.status_code == 200
        assert answer.json() == {
            "success": True,
            "payment_id": payment.id,
            "transaction_id": payment.order_reference,
            "khalti_transaction_id": "GFq9PFS7b2iYvL8Lir9oXe",
            "booking_status": "confirmed",
            "message": "Payment completed successfully",
        }
        assert (await shop.stored_booking(booking)).settled_by == payment.id

    @pytest.mark.fault("F23")
    async def test_repeating_it_gives_the_same_bytes_and_asks_the_gateway_no_more(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        booking, payment = await given_an_initiated_payment(shop)
        shop.gateway.customer_pays(payment)
        first = await process(client, shop, booking, payment.gateway_reference)
        asked = shop.gateway.looked_up
        shop.clock.advance(days=365)

        answers = [await process(client, shop, booking, payment.gateway_reference) for _ in range(100)]

        assert {(answer.status_code, answer.content) for answer in answers} == {(200, first.content)}
        assert shop.gateway.looked_up == asked
        assert (await shop.told(booking)).count("booking.confirmed") == 1

    @pytest.mark.fault("F24")
    async def test_fifty_at_once_all_succeed_and_confirm_once(self, client: httpx.AsyncClient, shop: Shop) -> None:
        booking, payment = await given_an_initiated_payment(shop)
        shop.gateway.customer_pays(payment)

        answers = await asyncio.gather(*(process(client, shop, booking, payment.gateway_reference) for _ in range(50)))

        assert len({(answer.status_code, answer.content) for answer in answers}) == 1
        assert answers[0].json()["success"] is True
        assert (await shop.told(booking)).count("booking.confirmed") == 1

    @pytest.mark.parametrize(
        ("happens", "status", "word"),
        [
            ("leaves_pending", "pending", "still checking"),
            ("customer_cancels", "canceled", "canceled"),
            ("link_expires", "expired", "expired"),
            ("fails", "failed", "did not go through"),
        ],
    )
    async def test_whatever_is_not_completed_is_200_with_a_sentence_and_our_status(
        self, client: httpx.AsyncClient, shop: Shop, happens: str, status: str, word: str
    ) -> None:
        booking, payment = await given_an_initiated_payment(shop)
        getattr(shop.gateway, happens)(payment)

        answer = await process(client, shop, booking, payment.gateway_reference)

        assert answer.status_code == 200
        assert answer.json()["success"] is False
        assert answer.json()["status"] == status
        assert word in answer.json()["error"]

    @pytest.mark.fault("F21")
    async def test_a_payment_that_khalti_calls_initiated_is_never_said_to_have_failed(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        booking, payment = await given_an_initiated_payment(shop)

        answer = await process(client, shop, booking, payment.gateway_reference)

        assert answer.json()["success"] is False
        assert answer.json()["status"] == "open"
        assert "still checking" in answer.json()["error"]
        assert "fail" not in answer.json()["error"].lower()

    @pytest.mark.parametrize("fault", ["refuses_connections", "goes_silent", "talks_nonsense", "refuses_key"])
    async def test_a_gateway_that_does_not_answer_is_200_and_still_being_checked(
        self, client: httpx.AsyncClient, shop: Shop, fault: str
    ) -> None:
        booking, payment = await given_an_initiated_payment(shop)
        getattr(shop.gateway, fault)()

        answer = await process(client, shop, booking, payment.gateway_reference)

        assert answer.status_code == 200
        assert answer.json()["success"] is False
        assert "still checking" in answer.json()["error"]
        assert (await shop.stored_payment(payment)).outcome_unknown is True

    async def test_a_gateway_that_never_answers_is_given_up_on_in_time(
        self, client: httpx.AsyncClient, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sewapay.adapters.web.sewabazaar.PATIENCE_SECONDS", 0.01)
        booking, payment = await given_an_initiated_payment(shop)
        shop.gateway.holds_answers()

        answer = await process(client, shop, booking, payment.gateway_reference)

        assert answer.status_code == 200
        assert "still checking" in answer.json()["error"]
        assert (await shop.stored_booking(booking)).status is BookingStatus.PENDING

    async def test_the_sentence_for_an_unknown_word_says_that_a_person_looks(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        booking, payment = await given_an_initiated_payment(shop)
        shop.gateway.says(payment, "Ambiguous")

        answer = await process(client, shop, booking, payment.gateway_reference)

        assert answer.json()["success"] is False
        assert answer.json()["status"] == "under_review"
        assert "A person is looking" in answer.json()["error"]

    @pytest.mark.fault("F47")
    async def test_a_wrong_amount_never_confirms_and_is_never_called_a_failure(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        booking, payment = await given_an_initiated_payment(shop)
        shop.gateway.customer_pays(payment, Money(112999))

        answer = await process(client, shop, booking, payment.gateway_reference)

        assert answer.json()["success"] is False
        assert answer.json()["status"] == "under_review"
        assert "fail" not in answer.json()["error"].lower()
        assert (await shop.stored_booking(booking)).status is BookingStatus.PENDING

    @pytest.mark.fault("F25")
    @pytest.mark.parametrize("whose", ["own other booking's", "another customer's", "nobody's"])
    async def test_a_pidx_of_another_booking_pays_for_nothing_and_gives_nothing_away(
        self, client: httpx.AsyncClient, shop: Shop, whose: str
    ) -> None:
        booking, _ = await given_an_initiated_payment(shop)
        other = await shop.given_a_booking(who=RAM if whose == "another customer's" else booking.customer)
        paid = await shop.given_an_open_payment(other)
        shop.gateway.customer_pays(paid)
        asked = shop.gateway.looked_up
        pidx = "bZQLD9wRVWo4CdESSfuSsB" if whose == "nobody's" else paid.gateway_reference

        answer = await process(client, shop, booking, pidx)

        assert answer.status_code == 200
        assert answer.json() == {
            "success": False,
            "error": "This payment does not belong to this booking.",
            "status": None,
        }
        assert shop.gateway.looked_up == asked
        assert (await shop.stored_booking(booking)).status is BookingStatus.PENDING
        assert (await shop.stored_booking(other)).status is BookingStatus.PENDING

    @pytest.mark.fault("F26")
    @pytest.mark.parametrize(
        "claims",
        [
            {"transaction_id": "forged"},
            {"transaction_id": 5},
            {"purchase_order_id": "another"},
            {"purchase_order_id": {"odd": []}},
            {"expected_amount": 5},
            {"expected_amount": "a lot"},
            {"expected_amount": [1]},
            {"status": "Completed", "amount": 1},
        ],
    )
    async def test_what_the_browser_claims_never_refuses_a_payment_that_the_look_up_proves(
        self, client: httpx.AsyncClient, shop: Shop, claims: dict[str, Any]
    ) -> None:
        booking, payment = await given_an_initiated_payment(shop)
        shop.gateway.customer_pays(payment, transaction_id="the-true-one")

        answer = await process(client, shop, booking, payment.gateway_reference, **claims)

        assert answer.json()["success"] is True
        assert answer.json()["khalti_transaction_id"] == "the-true-one"
        assert (await shop.stored_payment(payment)).transaction_id == "the-true-one"

    async def test_claims_that_differ_are_logged_by_name_and_never_by_value(
        self, client: httpx.AsyncClient, shop: Shop, logged: LogCapture
    ) -> None:
        booking, payment = await given_an_initiated_payment(shop)
        shop.gateway.customer_pays(payment)

        await process(
            client, shop, booking, payment.gateway_reference,
            transaction_id="forged", purchase_order_id="foreign", expected_amount=5,
        )  # fmt: skip

        [line] = [line for line in logged.entries if line["event"] == "callback differs from the look-up"]
        assert line["differs"] == ["transaction_id", "purchase_order_id", "expected_amount"]
        assert "forged" not in str(logged.entries)
        assert "foreign" not in str(logged.entries)

    async def test_what_the_front_end_itself_invents_is_not_worth_a_line(
        self, client: httpx.AsyncClient, shop: Shop, logged: LogCapture
    ) -> None:
        booking, payment = await given_an_initiated_payment(shop)
        shop.gateway.customer_pays(payment)

        await process(client, shop, booking, payment.gateway_reference, expected_amount=1130)

        assert [line["event"] for line in logged.entries] == ["request"]

    @pytest.mark.parametrize("missing", ["transaction_id", "purchase_order_id"])
    async def test_the_hints_may_be_missing(self, client: httpx.AsyncClient, shop: Shop, missing: str) -> None:
        booking, payment = await given_an_initiated_payment(shop)
        shop.gateway.customer_pays(payment)
        body = callback(booking, payment.gateway_reference)
        del body[missing]

        answer = await client.post(PROCESS, json=body, headers=shop.as_customer())

        assert answer.json()["success"] is True

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"pidx": None}, "Pidx: expected str, got null"),
            ({"pidx": ""}, "Pidx: expected str of length >= 1"),
            ({"pidx": 5}, "Pidx: expected str, got int"),
            ({"pidx": "x" * 129}, "Pidx: expected str of length <= 128"),
            ({"pidx": "a\x00b"}, "Pidx: expected str matching regex"),
            ({"pidx": "अ"}, "Pidx: expected str matching regex"),
            ({"booking_id": "1"}, "Booking_id: expected int, got str"),
            ({"booking_id": -1}, "Booking_id: expected int >= 1"),
        ],
    )
    async def test_a_malformed_pidx_or_booking_is_400(
        self, client: httpx.AsyncClient, shop: Shop, changes: dict[str, Any], said: str
    ) -> None:
        booking, payment = await given_an_initiated_payment(shop)

        answer = await process(client, shop, booking, **({"pidx": payment.gateway_reference} | changes))

        assert answer.status_code == 400
        assert answer.json()["error"].startswith(said), answer.text

    @pytest.mark.parametrize("field", ["pidx", "booking_id"])
    async def test_a_missing_pidx_or_booking_is_400(self, client: httpx.AsyncClient, shop: Shop, field: str) -> None:
        booking, payment = await given_an_initiated_payment(shop)
        body = callback(booking, payment.gateway_reference)
        del body[field]

        answer = await client.post(PROCESS, json=body, headers=shop.as_customer())

        assert answer.status_code == 400
        assert answer.json() == {"error": f"Missing field {field}"}

    @pytest.mark.parametrize("whose", ["nobody's", "another customer's"])
    async def test_a_missing_booking_and_somebody_elses_look_the_same(
        self, client: httpx.AsyncClient, shop: Shop, whose: str
    ) -> None:
        booking = await shop.given_a_booking(who=RAM)
        payment = await shop.given_an_open_payment(booking)
        wanted = 999 if whose == "nobody's" else int(booking.id)

        answer = await process(client, shop, booking, payment.gateway_reference, booking_id=wanted)

        assert answer.status_code == 404
        assert answer.json() == {"error": "Booking not found or access denied"}

    async def test_without_a_token_it_is_401_with_detail(self, client: httpx.AsyncClient, shop: Shop) -> None:
        booking, payment = await given_an_initiated_payment(shop)

        answer = await client.post(PROCESS, json=callback(booking, payment.gateway_reference))

        assert answer.status_code == 401
        assert list(answer.json()) == ["detail"]

    @pytest.mark.fault("F60")
    async def test_a_second_payment_of_one_booking_is_a_success_that_will_be_looked_into(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        booking, first = await given_an_initiated_payment(shop)
        shop.gateway.customer_cancels(first)
        second = await shop.given_an_open_payment(booking)
        shop.gateway.customer_pays(second, transaction_id="second")
        await process(client, shop, booking, second.gateway_reference)
        shop.gateway.customer_pays(first, transaction_id="first")

        answer = await process(client, shop, booking, first.gateway_reference)

        assert answer.json()["success"] is True
        assert answer.json()["booking_status"] == "confirmed"
        assert "second payment" in answer.json()["message"]
        assert (await shop.stored_payment(first)).surplus is True

    async def test_a_second_payment_that_was_given_back_says_so(self, client: httpx.AsyncClient, shop: Shop) -> None:
        payment = await given_a_surplus_payment(shop)
        shop.gateway.merchant_refunds(payment)
        await shop.when_it_is_verified(payment, even_if_settled=True)

        answer = await process(client, shop, await shop.stored_booking(payment.booking_id), payment.gateway_reference)

        assert answer.json()["success"] is False
        assert answer.json()["status"] == "refunded"
        assert "given back" in answer.json()["error"]

    @pytest.mark.fault("F61")
    async def test_money_for_a_canceled_booking_goes_to_a_person(self, client: httpx.AsyncClient, shop: Shop) -> None:
        booking, payment = await given_an_initiated_payment(shop)
        await shop.when_the_booking_is_canceled(booking)
        shop.gateway.customer_pays(payment)

        answer = await process(client, shop, booking, payment.gateway_reference)

        assert answer.json()["success"] is False
        assert answer.json()["status"] == "under_review"
        assert (await shop.stored_booking(booking)).status is BookingStatus.CANCELED

    async def test_a_payment_that_was_given_back_says_so(self, client: httpx.AsyncClient, shop: Shop) -> None:
        paid = await shop.given_a_paid_booking()
        shop.gateway.merchant_refunds(paid.payment)
        await shop.when_it_is_verified(paid.payment, even_if_settled=True)

        answer = await process(client, shop, paid.booking, paid.payment.gateway_reference)

        assert answer.json()["success"] is False
        assert answer.json()["status"] == "refunded"
        assert "given back" in answer.json()["error"]

    async def test_a_payment_of_which_a_part_was_given_back_is_a_payment_all_the_same(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        paid = await shop.given_a_paid_booking()
        await given_a_refund(shop, paid.payment, Money(13000))

        answer = await process(client, shop, paid.booking, paid.payment.gateway_reference)

        assert answer.json()["success"] is True
        assert answer.json()["booking_status"] == "confirmed"

    async def test_money_for_a_canceled_booking_of_which_a_part_was_given_back_is_not_called_unpaid(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        booking, payment = await given_an_initiated_payment(shop)
        await shop.when_the_booking_is_canceled(booking)
        shop.gateway.customer_pays(payment)
        await given_a_refund(shop, (await shop.when_it_is_verified(payment)).payment, Money(13000))

        answer = await process(client, shop, booking, payment.gateway_reference)

        assert answer.json()["success"] is False
        assert "do not pay again" in answer.json()["error"]

    @pytest.mark.fault("F22")
    async def test_a_link_that_was_paid_after_it_expired_is_accepted(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        booking, payment = await given_an_initiated_payment(shop)
        shop.gateway.link_expires(payment)
        assert (await process(client, shop, booking, payment.gateway_reference)).json()["success"] is False
        shop.gateway.customer_pays(payment)

        answer = await process(client, shop, booking, payment.gateway_reference)

        assert answer.json()["success"] is True

    async def test_an_answer_about_another_payment_goes_to_a_person(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        booking, payment = await given_an_initiated_payment(shop)
        lie = Observation(
            reported=Reported.COMPLETED, said="completed", amount=payment.amount, gateway_reference="another"
        )
        shop.gateway.answers(payment, lie)

        answer = await process(client, shop, booking, payment.gateway_reference)

        assert answer.json()["success"] is False
        assert (await shop.stored_payment(payment)).status is PaymentStatus.UNDER_REVIEW

    async def test_without_khalti_it_is_200_and_says_so(self, shop: Shop) -> None:
        booking, payment = await given_an_initiated_payment(shop)
        shop.container.gateways.override({})

        async with client_of(shop.app) as client:
            processed = await process(client, shop, booking, payment.gateway_reference)
            initiated = await initiate(client, shop, booking)

        assert processed.status_code == 200
        assert processed.json()["success"] is False
        assert "not available" in processed.json()["error"]
        assert initiated.status_code == 503

    @pytest.mark.fault("F75")
    async def test_a_database_that_is_away_is_503_and_says_when_to_ask_again(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        booking, payment = await given_an_initiated_payment(shop)
        shop.memory.break_down()

        answer = await process(client, shop, booking, payment.gateway_reference)

        assert answer.status_code == 503
        assert list(answer.json()) == ["error"]
        assert int(answer.headers["Retry-After"]) > 0


async def test_an_unknown_address_beside_the_guides_is_404_in_its_shape(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/bookings/payments/process_khalti_payment/")

    assert answer.status_code == 404
    assert list(answer.json()) == ["error"]
