"""The Khalti stand-in over real HTTP: what it answers was typed by hand from Khalti's public pages."""

import gzip
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from sewapay.adapters.khalti.simulator import Quirks, Simulator, create_app
from sewapay.adapters.khalti.simulator.payments import Purchase
from tests.servers import run_in_thread

INITIATE = "/api/v2/epayment/initiate/"
LOOKUP = "/api/v2/epayment/lookup/"
KEY = {"authorization": "Key 05bf95cc57244045b8df5fad06748dab"}
NOON = datetime(2026, 1, 15, 6, 15, 0, 250, tzinfo=UTC)  # 12:00 in Kathmandu

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator(clock=lambda: NOON)


@pytest.fixture(scope="module")
def server(simulator: Simulator) -> Iterator[str]:
    with run_in_thread(create_app(simulator)) as base_url:
        yield base_url


@pytest.fixture
def client(simulator: Simulator, server: str) -> Iterator[httpx.Client]:
    simulator.reset()
    with httpx.Client(base_url=server, trust_env=False, timeout=10) as client:
        yield client


def purchase(**changes: object) -> dict[str, object]:
    """A request for Rs 1,130 for a house cleaning; a value of `...` leaves the field out."""
    fields: dict[str, object] = {
        "return_url": "https://shop.example/return/77/",
        "website_url": "https://shop.example/",
        "amount": 113000,
        "purchase_order_id": "booking-77",
        "purchase_order_name": "House cleaning",
    }
    return {name: value for name, value in (fields | changes).items() if value is not ...}


def initiate(client: httpx.Client, **changes: object) -> httpx.Response:
    return client.post(INITIATE, json=purchase(**changes), headers=KEY)


def new_pidx(client: httpx.Client, **changes: object) -> str:
    answer = initiate(client, **changes)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["pidx"])


def look_up(client: httpx.Client, pidx: str, headers: dict[str, str] = KEY) -> httpx.Response:
    return client.post(LOOKUP, json={"pidx": pidx}, headers=headers)


def refund(
    client: httpx.Client, transaction: object, body: dict[str, object] | None = None, headers: dict[str, str] = KEY
) -> httpx.Response:
    return client.post(f"/api/merchant-transaction/{transaction}/refund/", json=body or {}, headers=headers)


def paid(client: httpx.Client, **changes: object) -> tuple[str, object]:
    """The pidx and the transaction of a payment of Rs 1,130 that was made."""
    pidx = new_pidx(client, **changes)
    assert sim(client, "pay", pidx).status_code == 200
    return pidx, row_of(client, pidx)["transaction_id"]


def sim(client: httpx.Client, action: str, pidx: str, **more: object) -> httpx.Response:
    return client.post(f"/_sim/{action}", json={"pidx": pidx, **more})


def arm(client: httpx.Client, on: str, kind: str, **parameters: object) -> None:
    answer = client.post("/_sim/faults", json={"on": on, "fault": kind, **parameters})
    assert answer.status_code == 200, answer.text


def query_of(address: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(address).query, keep_blank_values=True)


def row_of(client: httpx.Client, pidx: str) -> dict[str, object]:
    (row,) = client.get("/_sim/payments", params={"pidx": pidx}).json()["payments"]
    return dict(row)


def refunds_of(client: httpx.Client, pidx: str) -> list[dict[str, object]]:
    refunds = row_of(client, pidx)["refunds"]
    assert isinstance(refunds, list)
    return refunds


class TestInitiate:
    def test_a_purchase_becomes_a_payment_link(self, client: httpx.Client, server: str) -> None:
        answer = initiate(client)

        assert answer.status_code == 200
        assert list(answer.json()) == ["pidx", "payment_url", "expires_at", "expires_in"]
        pidx = answer.json()["pidx"]
        assert re.fullmatch("[2-9A-HJ-NP-Za-km-z]{22}", pidx)
        assert answer.json()["payment_url"] == f"{server}/?pidx={pidx}"
        assert answer.json()["expires_at"] == "2026-01-15T12:30:00.000250+05:45"
        assert answer.json()["expires_in"] == 1800

    def test_the_same_order_may_be_initiated_again_and_gets_another_pidx(self, client: httpx.Client) -> None:
        first, second = new_pidx(client), new_pidx(client)

        assert first != second
        assert row_of(client, first)["initiates"] == 2

    @pytest.mark.parametrize(
        "amount", [1000, "1000", " 113000 ", 2**63 - 1], ids=["least", "string", "blanks", "largest"]
    )
    def test_whole_amounts_are_accepted(self, client: httpx.Client, amount: object) -> None:
        assert initiate(client, amount=amount).status_code == 200

    @pytest.mark.parametrize("amount", [10.5, 1000.0, "1000.00", "12a", True, False, "", [1000], {"paisa": 1000}])
    def test_an_amount_that_is_no_integer_is_refused(self, client: httpx.Client, amount: object) -> None:
        answer = initiate(client, amount=amount)

        assert answer.status_code == 400
        assert answer.json() == {"amount": ["A valid integer is required."], "error_key": "validation_error"}

    @pytest.mark.parametrize("amount", [999, "999", 1, 0, -1000])
    def test_an_amount_below_ten_rupees_is_refused(self, client: httpx.Client, amount: object) -> None:
        answer = initiate(client, amount=amount)

        assert answer.status_code == 400
        assert answer.json() == {
            "amount": ["Amount should be greater than Rs. 10, that is 1000 paisa."],
            "error_key": "validation_error",
        }

    def test_paying_directly_at_a_bank_begins_at_a_hundred_rupees(self, client: httpx.Client) -> None:
        direct = {"bank": "UZmPqTDeSdCeRrkKEYcZUS", "modes": ["MOBILE_BANKING"]}

        too_small = initiate(client, amount=9999, **direct)

        assert too_small.status_code == 400
        assert too_small.json() == {
            "amount": ["Amount should be greater than Rs. 100, that is 10000 paisa."],
            "error_key": "validation_error",
        }
        assert initiate(client, amount=10000, **direct).status_code == 200
        assert initiate(client, amount=1000, modes=["KHALTI"]).status_code == 200

    def test_the_breakdown_has_to_add_up_and_may_hold_a_discount(self, client: httpx.Client) -> None:
        parts = [{"label": "Mark Price", "amount": 110000}, {"label": "VAT", "amount": 13000}]
        discount = {"label": "Discount", "amount": -10000}

        mismatch = initiate(client, amount_breakdown=parts)

        assert mismatch.status_code == 400
        assert mismatch.json() == {"amount": ["Amount Breakdown mismatch."], "error_key": "validation_error"}
        assert initiate(client, amount_breakdown=[*parts, discount]).status_code == 200

    @pytest.mark.parametrize("field", ["return_url", "website_url", "purchase_order_id", "purchase_order_name"])
    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ("", "This field may not be blank."),
            ("  ", "This field may not be blank."),
            (..., "This field is required."),
            (None, "This field may not be null."),
            (True, "Not a valid string."),
            ({}, "Not a valid string."),
        ],
    )
    def test_a_text_that_is_missing_or_empty_is_refused(
        self, client: httpx.Client, field: str, value: object, message: str
    ) -> None:
        answer = initiate(client, **{field: value})

        assert answer.status_code == 400
        assert answer.json() == {field: [message], "error_key": "validation_error"}

    @pytest.mark.parametrize("field", ["return_url", "website_url"])
    @pytest.mark.parametrize(
        "value",
        ["shop", "/return/", "shop.example/x", "ftp://shop.example/", "http://", "http://a b/", "http://x:99999/",
         "javascript:alert(1)", "http://-x.example/", "https://shop.example/\r\nx"],
    )  # fmt: skip
    def test_what_is_no_web_address_is_refused(self, client: httpx.Client, field: str, value: str) -> None:
        answer = initiate(client, **{field: value})

        assert answer.status_code == 400
        assert answer.json() == {field: ["Enter a valid URL."], "error_key": "validation_error"}

    @pytest.mark.parametrize(
        "address", ["http://localhost:8000/r/", "http://127.0.0.1/", "http://[::1]:80/", "http://sewapay/"]
    )
    def test_local_addresses_are_accepted(self, client: httpx.Client, address: str) -> None:
        assert initiate(client, return_url=address, website_url=address).status_code == 200

    def test_several_wrong_fields_are_told_together(self, client: httpx.Client) -> None:
        answer = initiate(client, return_url="", website_url="shop", amount=999, purchase_order_id=...)

        assert answer.status_code == 400
        assert answer.json() == {
            "return_url": ["This field may not be blank."],
            "website_url": ["Enter a valid URL."],
            "amount": ["Amount should be greater than Rs. 10, that is 1000 paisa."],
            "purchase_order_id": ["This field is required."],
            "error_key": "validation_error",
        }

    def test_optional_fields_are_taken_and_unknown_ones_ignored(self, client: httpx.Client) -> None:
        answer = initiate(
            client,
            customer_info={"name": "Asha", "email": "asha@example.com", "phone": "9800000001"},
            product_details=[
                {"identity": "1", "name": "Cleaning", "total_price": 113000, "quantity": 1, "unit_price": 113000}
            ],
            ttl=1000,
            nonsense=1,
        )

        assert answer.status_code == 200
        assert answer.json()["expires_in"] == 1000

    @pytest.mark.parametrize(
        ("field", "value"),
        [("customer_info", "Asha"), ("product_details", {}), ("product_details", [1]), ("modes", "KHALTI"), ("ttl", 0),
         ("amount_breakdown", [{"label": "x"}]), ("amount_breakdown", [{"label": "x", "amount": 1.5}]), ("bank", "")],
    )  # fmt: skip
    def test_an_optional_field_of_the_wrong_form_is_refused(
        self, client: httpx.Client, field: str, value: object
    ) -> None:
        answer = initiate(client, **{field: value})

        assert answer.status_code == 400
        assert list(answer.json()) == [field, "error_key"]

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"\xff", b"amount=1000", b"[" * 50000, b'{"amount": NaN}', b'"\\ud800"']
    )
    def test_a_body_that_is_no_json_is_refused(self, client: httpx.Client, body: bytes) -> None:
        answer = client.post(INITIATE, content=body, headers=KEY)

        assert answer.status_code == 400
        assert answer.json()["error_key"] == "parse_error"

    @pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"1"])
    def test_json_that_is_no_object_is_refused(self, client: httpx.Client, body: bytes) -> None:
        answer = client.post(INITIATE, content=body, headers=KEY)

        assert answer.status_code == 400
        assert answer.json()["error_key"] == "validation_error"

    def test_a_body_without_end_is_refused_and_the_server_lives_on(self, client: httpx.Client) -> None:
        answer = client.post(INITIATE, content=b" " * 2_000_000, headers=KEY)

        assert answer.status_code == 413
        assert initiate(client).status_code == 200

    @pytest.mark.parametrize("path", ["/api/v2/epayment/initiate", "/api/v2/epayment/lookup"])
    def test_a_path_without_its_slash_is_redirected_and_has_no_effect(self, client: httpx.Client, path: str) -> None:
        answer = client.post(path, json=purchase(), headers=KEY)

        assert answer.status_code == 301
        assert answer.headers["location"] == f"{path}/"
        assert client.get("/_sim/payments").json()["payments"] == []

    def test_only_post_is_allowed(self, client: httpx.Client) -> None:
        answer = client.get(INITIATE, headers=KEY)

        assert answer.status_code == 405
        assert answer.json() == {"detail": 'Method "GET" not allowed.', "status_code": 405}


class TestKeys:
    @pytest.mark.parametrize("path", [INITIATE, LOOKUP])
    @pytest.mark.parametrize("header", [None, "", "Key", "Bearer abc", "abc", "Token abc", "Keyabc"])
    def test_without_a_key_nothing_else_is_looked_at(self, client: httpx.Client, path: str, header: str | None) -> None:
        headers = {} if header is None else {"authorization": header}

        answer = client.post(path, content=b"not json", headers=headers)

        assert answer.status_code == 401
        assert answer.json() == {"detail": "Authentication credentials were not provided.", "status_code": 401}

    @pytest.mark.parametrize("scheme", ["Key", "key", "KEY"])
    def test_the_scheme_may_be_written_in_any_case(self, client: httpx.Client, scheme: str) -> None:
        answer = client.post(INITIATE, json=purchase(), headers={"authorization": f"{scheme} abc"})

        assert answer.status_code == 200

    def test_a_stand_in_with_a_key_takes_no_other(self) -> None:
        with (
            run_in_thread(create_app(Simulator(secret_key="right"))) as base_url,
            httpx.Client(base_url=base_url, trust_env=False) as client,
        ):
            wrong = client.post(INITIATE, json=purchase(), headers={"authorization": "Key wrong"})
            right = client.post(INITIATE, json=purchase(), headers={"authorization": "Key right"})

        assert wrong.status_code == 401
        assert wrong.json() == {"detail": "Invalid token.", "status_code": 401}
        assert right.status_code == 200

    def test_an_empty_key_is_a_mistake_and_not_a_wildcard(self) -> None:
        with pytest.raises(ValueError, match="secret_key is empty"):
            Simulator(secret_key="")

    def test_the_key_is_not_shown(self, client: httpx.Client) -> None:
        new_pidx(client)

        assert "05bf95cc57244045b8df5fad06748dab" not in client.get("/_sim/payments").text
        assert "right" not in repr(Simulator(secret_key="right"))

    def test_another_merchants_payment_is_not_found(self, client: httpx.Client) -> None:
        pidx = new_pidx(client)

        answer = look_up(client, pidx, headers={"authorization": "Key another"})

        assert answer.status_code == 404
        assert answer.json() == {"detail": "Not found.", "error_key": "validation_error"}
        assert row_of(client, pidx)["lookups"] == 0


class TestLookUp:
    def expect(self, client: httpx.Client, pidx: str, http: int, **values: object) -> None:
        answer = look_up(client, pidx)
        assert answer.status_code == http
        expected: dict[str, object] = {
            "pidx": pidx, "total_amount": 113000, "status": ..., "transaction_id": None, "fee": 0, "refunded": False,
        }  # fmt: skip
        assert list(answer.json()) == list(expected)
        assert answer.json() == expected | values

    def test_a_new_payment_is_initiated(self, client: httpx.Client) -> None:
        pidx = new_pidx(client)

        self.expect(client, pidx, 200, status="Initiated")

    def test_a_paid_payment_is_completed_and_has_a_transaction(self, client: httpx.Client) -> None:
        pidx = new_pidx(client)

        sim(client, "pay", pidx)

        transaction = row_of(client, pidx)["transaction_id"]
        assert re.fullmatch("[2-9A-HJ-NP-Za-km-z]{22}", str(transaction))
        assert transaction != pidx
        self.expect(client, pidx, 200, status="Completed", transaction_id=transaction)

    def test_a_pending_payment_has_no_transaction_yet(self, client: httpx.Client) -> None:
        pidx = new_pidx(client)

        sim(client, "pend", pidx)

        self.expect(client, pidx, 200, status="Pending")

    @pytest.mark.parametrize(("action", "status"), [("cancel", "User canceled"), ("expire", "Expired")])
    def test_canceled_and_expired_come_with_http_400_and_the_same_body(
        self, client: httpx.Client, action: str, status: str
    ) -> None:
        pidx = new_pidx(client)

        sim(client, action, pidx)

        self.expect(client, pidx, 400, status=status)

    def test_a_link_expires_by_the_stand_ins_own_clock(self, client: httpx.Client) -> None:
        pidx = new_pidx(client)

        client.post("/_sim/clock", json={"advance_seconds": 1800})
        self.expect(client, pidx, 200, status="Initiated")
        client.post("/_sim/clock", json={"advance_seconds": 1})

        self.expect(client, pidx, 400, status="Expired")

    def test_time_does_not_touch_what_is_pending_or_paid(self, client: httpx.Client) -> None:
        pending, paid = new_pidx(client), new_pidx(client)
        sim(client, "pend", pending)
        sim(client, "pay", paid)

        client.post("/_sim/clock", json={"advance_seconds": 86400})

        assert look_up(client, pending).json()["status"] == "Pending"
        assert look_up(client, paid).json()["status"] == "Completed"

    @pytest.mark.parametrize("ending", ["cancel", "expire", "pend", "clock"])
    def test_a_late_payment_completes_after_any_unpaid_ending(self, client: httpx.Client, ending: str) -> None:
        pidx = new_pidx(client)
        if ending == "clock":
            client.post("/_sim/clock", json={"advance_seconds": 4000})
        else:
            sim(client, ending, pidx)

        answer = sim(client, "pay", pidx)

        assert answer.status_code == 200
        assert look_up(client, pidx).json()["status"] == "Completed"

    def test_refunds_in_the_merchants_panel_add_up(self, client: httpx.Client) -> None:
        pidx = new_pidx(client)
        sim(client, "pay", pidx)
        transaction = row_of(client, pidx)["transaction_id"]

        assert sim(client, "refund", pidx, amount=13000).json()["status"] == "Partially Refunded"
        self.expect(client, pidx, 200, status="Partially Refunded", transaction_id=transaction)
        assert sim(client, "refund", pidx, amount=100001).status_code == 409
        assert sim(client, "refund", pidx).json()["status"] == "Refunded"

        self.expect(client, pidx, 200, status="Refunded", transaction_id=transaction, refunded=True)
        assert row_of(client, pidx)["refunded_amount"] == 113000
        assert sim(client, "refund", pidx).status_code == 409
        assert [refund["by"] for refund in refunds_of(client, pidx)] == ["panel", "panel"]

    def test_an_unknown_pidx_is_not_found_with_404_or_400(self, client: httpx.Client) -> None:
        as_others_saw_it = look_up(client, "bZQLD9wRVWo4CdESSfuSsB")
        client.post("/_sim/quirks", json={"unknown_pidx_status": 400})
        other_reading = look_up(client, "bZQLD9wRVWo4CdESSfuSsB")

        assert (as_others_saw_it.status_code, other_reading.status_code) == (404, 400)
        assert as_others_saw_it.json() == {"detail": "Not found.", "error_key": "validation_error"}
        assert other_reading.json() == as_others_saw_it.json()

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ({}, "This field is required."),
            ({"pidx": ""}, "This field may not be blank."),
            ({"pidx": None}, "This field may not be null."),
            ({"pidx": []}, "Not a valid string."),
        ],
    )
    def test_a_look_up_needs_a_pidx(self, client: httpx.Client, body: dict[str, object], message: str) -> None:
        answer = client.post(LOOKUP, json=body, headers=KEY)

        assert answer.status_code == 400
        assert answer.json() == {"pidx": [message], "error_key": "validation_error"}


class TestRefund:
    def test_an_empty_body_gives_everything_back(self, client: httpx.Client) -> None:
        pidx, transaction = paid(client)

        answer = refund(client, transaction)

        assert answer.status_code == 200
        assert answer.json() == {"detail": "Transaction refund successful."}
        assert look_up(client, pidx).json() == {
            "pidx": pidx, "total_amount": 113000, "status": "Refunded", "transaction_id": transaction, "fee": 0,
            "refunded": True,
        }  # fmt: skip
        assert row_of(client, pidx)["refunded_amount"] == 113000
        assert refunds_of(client, pidx) == [{"amount": 113000, "at": "2026-01-15T12:00:00.000250+05:45", "by": "api"}]

    def test_parts_add_up_and_the_rest_goes_back_by_an_empty_body(self, client: httpx.Client) -> None:
        pidx, transaction = paid(client)

        first = refund(client, transaction, {"amount": 13000})
        second = refund(client, transaction, {"amount": 1, "mobile": "9800000001"})
        partly = look_up(client, pidx).json()
        rest = refund(client, transaction)

        assert [first.status_code, second.status_code, rest.status_code] == [200, 200, 200]
        assert (partly["status"], partly["refunded"], partly["total_amount"]) == ("Partially Refunded", False, 113000)
        assert look_up(client, pidx).json()["status"] == "Refunded"
        assert [refund["amount"] for refund in refunds_of(client, pidx)] == [13000, 1, 99999]

    def test_the_last_part_makes_it_refunded(self, client: httpx.Client) -> None:
        pidx, transaction = paid(client)

        refund(client, transaction, {"amount": 13000})
        refund(client, transaction, {"amount": 100000})

        assert look_up(client, pidx).json()["status"] == "Refunded"
        assert row_of(client, pidx)["refunded_amount"] == 113000

    def test_the_panel_and_the_program_share_what_is_left(self, client: httpx.Client) -> None:
        pidx, transaction = paid(client)
        sim(client, "refund", pidx, amount=100000)

        too_much = refund(client, transaction, {"amount": 13001})
        rest = refund(client, transaction, {"amount": 13000})

        assert (too_much.status_code, rest.status_code) == (400, 200)
        assert [(refund["amount"], refund["by"]) for refund in refunds_of(client, pidx)] == [
            (100000, "panel"),
            (13000, "api"),
        ]

    @pytest.mark.parametrize("body", [{}, {"amount": 1}])
    def test_what_was_given_back_wholly_is_refused(self, client: httpx.Client, body: dict[str, object]) -> None:
        pidx, transaction = paid(client)
        refund(client, transaction)

        answer = refund(client, transaction, body)

        assert answer.status_code == 400
        assert list(answer.json()) == ["detail", "error_key"]
        assert row_of(client, pidx)["refunded_amount"] == 113000

    def test_more_than_was_paid_is_refused(self, client: httpx.Client) -> None:
        pidx, transaction = paid(client)

        answer = refund(client, transaction, {"amount": 113001})

        assert answer.status_code == 400
        assert answer.json()["error_key"] == "validation_error"
        assert look_up(client, pidx).json()["status"] == "Completed"

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"amount": 0}, "amount"),
            ({"amount": -5000}, "amount"),
            ({"amount": 50.0}, "amount"),
            ({"amount": "50.00"}, "amount"),
            ({"amount": True}, "amount"),
            ({"amount": None}, "amount"),
            ({"mobile": ""}, "mobile"),
            ({"mobile": []}, "mobile"),
        ],
    )
    def test_what_is_no_amount_in_paisa_or_no_number_is_refused(
        self, client: httpx.Client, body: dict[str, object], field: str
    ) -> None:
        pidx, transaction = paid(client)

        answer = refund(client, transaction, body)

        assert answer.status_code == 400
        assert list(answer.json()) == [field, "error_key"]
        assert row_of(client, pidx)["refunded_amount"] == 0

    @pytest.mark.parametrize("ending", [None, "pend", "cancel", "expire"])
    def test_what_was_not_paid_has_no_transaction_to_give_back(self, client: httpx.Client, ending: str | None) -> None:
        pidx = new_pidx(client)
        if ending:
            sim(client, ending, pidx)

        by_pidx, by_nothing = refund(client, pidx), refund(client, "None")

        assert (by_pidx.status_code, by_nothing.status_code) == (404, 404)
        assert by_pidx.json() == {"detail": "Not found.", "error_key": "validation_error"}

    def test_another_merchants_transaction_is_not_found(self, client: httpx.Client) -> None:
        pidx, transaction = paid(client)

        answer = refund(client, transaction, headers={"authorization": "Key another"})

        assert answer.status_code == 404
        assert row_of(client, pidx)["refunded_amount"] == 0

    def test_nothing_is_given_back_without_a_key(self, client: httpx.Client) -> None:
        pidx, transaction = paid(client)

        answer = refund(client, transaction, headers={})

        assert answer.status_code == 401
        assert answer.json() == {"detail": "Authentication credentials were not provided.", "status_code": 401}
        assert row_of(client, pidx)["refunded_amount"] == 0

    def test_only_a_post_with_an_object_and_the_slash_gives_back(self, client: httpx.Client) -> None:
        pidx, transaction = paid(client)
        path = f"/api/merchant-transaction/{transaction}/refund"

        read = client.get(f"{path}/", headers=KEY)
        listed = client.post(f"{path}/", json=[], headers=KEY)
        without_slash = client.post(path, json={}, headers=KEY)

        assert [read.status_code, listed.status_code, without_slash.status_code] == [405, 400, 301]
        assert without_slash.headers["location"] == f"{path}/"
        assert row_of(client, pidx)["refunded_amount"] == 0

    @pytest.mark.parametrize("below", ["/api/v2", "/api/v2/epayment"])
    def test_the_paths_of_public_code_are_taken_only_when_told_to(self, client: httpx.Client, below: str) -> None:
        _, transaction = paid(client)
        path = f"{below}/merchant-transaction/{transaction}/refund/"

        as_documented = client.post(path, json={}, headers=KEY)
        client.post("/_sim/quirks", json={"any_refund_path": True})
        as_others_do = client.post(path, json={}, headers=KEY)

        assert (as_documented.status_code, as_others_do.status_code) == (404, 200)

    def test_requests_are_counted_whatever_comes_of_them(self, client: httpx.Client) -> None:
        pidx, transaction = paid(client)

        refund(client, "nobody")
        refund(client, transaction, {"amount": 1})
        sim(client, "refund", pidx)

        assert client.get("/_sim/payments").json()["refunds_seen"] == 2

    @pytest.mark.fault("F65")
    def test_look_ups_may_lag_behind_a_refund(self, client: httpx.Client) -> None:
        client.post("/_sim/quirks", json={"refund_lag_lookups": 2})
        pidx, transaction = paid(client)

        refund(client, transaction, {"amount": 13000})
        seen = [look_up(client, pidx).json() for _ in range(3)]
        refund(client, transaction)
        then = [look_up(client, pidx).json()["status"] for _ in range(3)]

        assert [answer["status"] for answer in seen] == ["Completed", "Completed", "Partially Refunded"]
        assert then == ["Partially Refunded", "Partially Refunded", "Refunded"]
        assert {answer["transaction_id"] for answer in seen} == {transaction}

    def test_a_second_refund_while_look_ups_lag_is_not_told_earlier_than_the_first(self, client: httpx.Client) -> None:
        client.post("/_sim/quirks", json={"refund_lag_lookups": 1})
        pidx, transaction = paid(client)

        refund(client, transaction, {"amount": 13000})
        refund(client, transaction)

        assert [look_up(client, pidx).json()["status"] for _ in range(2)] == ["Completed", "Refunded"]

    def test_a_reset_forgets_transactions_too(self, client: httpx.Client) -> None:
        _, transaction = paid(client)

        client.post("/_sim/reset")

        assert refund(client, transaction).status_code == 404


class TestCallback:
    def test_a_paid_wallet_payment_comes_back_as_captured(self, client: httpx.Client) -> None:
        pidx = new_pidx(client, merchant_username="sewa", merchant_extra="a&b", merchant_number=7)

        address = sim(client, "pay", pidx).json()["return_url"]

        transaction = row_of(client, pidx)["transaction_id"]
        assert address == (
            f"https://shop.example/return/77/?pidx={pidx}&transaction_id={transaction}&tidx={transaction}"
            "&amount=113000&total_amount=113000&mobile=98XXXXX000&status=Completed&purchase_order_id=booking-77"
            "&purchase_order_name=House%20cleaning&merchant_username=sewa&merchant_extra=a%26b&merchant_number=7"
        )

    def test_a_canceled_payment_comes_back_with_empty_values(self, client: httpx.Client) -> None:
        client.post("/_sim/quirks", json={"txn_id": True})
        pidx = new_pidx(client)

        address = sim(client, "cancel", pidx).json()["return_url"]

        assert query_of(address) == [
            ("pidx", pidx),
            ("transaction_id", ""),
            ("tidx", ""),
            ("amount", "113000"),
            ("total_amount", "113000"),
            ("mobile", ""),
            ("status", "User canceled"),
            ("purchase_order_id", "booking-77"),
            ("purchase_order_name", "House cleaning"),
        ]

    def test_txn_id_stands_behind_tidx_when_it_is_switched_on(self, client: httpx.Client) -> None:
        client.post("/_sim/quirks", json={"txn_id": True})
        pidx = new_pidx(client)

        query = query_of(sim(client, "pay", pidx).json()["return_url"])

        assert [name for name, _ in query][:4] == ["pidx", "transaction_id", "tidx", "txnId"]
        assert query[3][1] == query[1][1]

    def test_a_space_may_come_as_plus(self, client: httpx.Client) -> None:
        client.post("/_sim/quirks", json={"space_as_plus": True})
        pidx = new_pidx(client)

        address = sim(client, "cancel", pidx).json()["return_url"]

        assert "status=User+canceled" in address
        assert "purchase_order_name=House+cleaning" in address

    def test_a_second_question_mark_is_put_behind_a_query(self, client: httpx.Client) -> None:
        pidx = new_pidx(client, return_url="https://h.example/settings?payment=success")

        blind = sim(client, "pay", pidx).json()["return_url"]
        client.post("/_sim/quirks", json={"blind_question_mark": False})
        joined = sim(client, "refund", pidx).json()["return_url"]

        assert blind.startswith(f"https://h.example/settings?payment=success/?pidx={pidx}&")
        assert joined.startswith(f"https://h.example/settings?payment=success&pidx={pidx}&")

    def test_a_bank_payment_comes_back_in_another_order_with_a_literal_none(self, client: httpx.Client) -> None:
        client.post("/_sim/quirks", json={"bank_style": True})
        pidx = new_pidx(client, merchant_username="sewa", merchant_extra="x")

        query = query_of(sim(client, "pay", pidx).json()["return_url"])

        assert [name for name, _ in query] == [
            "status", "txn", "token", "bank_reference", "amount", "mobile", "transaction_id", "tidx", "total_amount",
            "purchase_order_id", "purchase_order_name", "pidx", "merchant_username", "merchant_extra",
        ]  # fmt: skip
        assert dict(query)["bank_reference"] == "None"


class TestPage:
    def sign_in(
        self, client: httpx.Client, pidx: str, mobile: str = "9800000001", mpin: str = "1111"
    ) -> httpx.Response:
        return client.post(f"/pay/{pidx}/continue", data={"mobile": mobile, "mpin": mpin})

    def ticket(self, page: httpx.Response) -> str:
        found = re.search('name="ticket" value="([0-9a-f]+)"', page.text)
        assert found
        return found[1]

    def confirm(self, client: httpx.Client, pidx: str, step: str = "pay", **changes: str) -> httpx.Response:
        sent = {"mobile": "9800000001", "ticket": self.ticket(self.sign_in(client, pidx)), "otp": "987654"}
        return client.post(f"/pay/{pidx}/{step}", data=sent | changes)

    def test_the_root_explains_itself(self, client: httpx.Client) -> None:
        answer = client.get("/")

        assert answer.status_code == 200
        assert "Khalti stand-in - no real money" in answer.text
        assert client.head("/").status_code == 200

    def test_the_page_shows_what_is_to_be_paid_and_to_whom(self, client: httpx.Client) -> None:
        pidx = new_pidx(client, purchase_order_name="<script>alert(1)</script>")

        answer = client.get("/", params={"pidx": pidx})

        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "Khalti stand-in - no real money" in answer.text
        assert "Rs 1,130.00" in answer.text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text
        assert "shop.example" in answer.text
        for name in ('id="mobile" name="mobile"', 'id="mpin" name="mpin"', 'id="continue"', 'id="cancel"'):
            assert name in answer.text

    def test_a_form_may_be_answered_with_a_redirect_anywhere(self, client: httpx.Client) -> None:
        policy = client.get("/", params={"pidx": new_pidx(client)}).headers["content-security-policy"]

        assert "default-src 'none'" in policy
        assert "form-action" not in policy

    def test_a_person_pays_with_number_mpin_and_otp(self, client: httpx.Client) -> None:
        pidx = new_pidx(client)

        second_step = self.sign_in(client, pidx)
        answer = self.confirm(client, pidx)

        for name in ('id="otp" name="otp"', 'id="pay"', 'id="pend"', 'id="cancel"', 'id="expire"'):
            assert name in second_step.text
        assert answer.status_code == 302
        transaction = row_of(client, pidx)["transaction_id"]
        assert answer.headers["location"] == (
            f"https://shop.example/return/77/?pidx={pidx}&transaction_id={transaction}&tidx={transaction}"
            "&amount=113000&total_amount=113000&mobile=98XXXXX001&status=Completed&purchase_order_id=booking-77"
            "&purchase_order_name=House%20cleaning"
        )
        assert look_up(client, pidx).json()["status"] == "Completed"

    @pytest.mark.parametrize(
        ("step", "status"), [("pend", "Pending"), ("cancel", "User canceled"), ("expire", "Expired")]
    )
    def test_a_person_may_end_otherwise(self, client: httpx.Client, step: str, status: str) -> None:
        pidx = new_pidx(client)

        answer = self.confirm(client, pidx, "pend") if step == "pend" else client.post(f"/pay/{pidx}/{step}")

        assert answer.status_code == 302
        assert dict(query_of(answer.headers["location"]))["status"] == status
        assert look_up(client, pidx).json()["status"] == status

    @pytest.mark.parametrize(
        ("mobile", "mpin"), [("9800000006", "1111"), ("9812345678", "1111"), ("", ""), ("9800000000", "1112")]
    )
    def test_a_wrong_number_or_mpin_moves_nothing(self, client: httpx.Client, mobile: str, mpin: str) -> None:
        pidx = new_pidx(client)

        answer = self.sign_in(client, pidx, mobile, mpin)

        assert answer.status_code == 422
        assert 'id="error"' in answer.text
        assert 'id="otp"' not in answer.text
        assert row_of(client, pidx)["status"] == "Initiated"

    @pytest.mark.parametrize("wallet", range(6))
    def test_every_test_wallet_may_sign_in(self, client: httpx.Client, wallet: int) -> None:
        assert 'id="otp"' in self.sign_in(client, new_pidx(client), f"980000000{wallet}").text

    @pytest.mark.parametrize("step", ["pay", "pend"])
    @pytest.mark.parametrize("changes", [{"otp": "123456"}, {"otp": ""}, {"ticket": ""}, {"mobile": "9800000002"}])
    def test_a_wrong_otp_or_a_skipped_step_moves_nothing(
        self, client: httpx.Client, step: str, changes: dict[str, str]
    ) -> None:
        pidx = new_pidx(client)

        answer = self.confirm(client, pidx, step, **changes)

        assert answer.status_code == 422
        assert 'id="error"' in answer.text
        assert row_of(client, pidx)["status"] == "Initiated"

    def test_a_ticket_is_good_for_its_own_payment_only(self, client: httpx.Client) -> None:
        mine, other = new_pidx(client), new_pidx(client)
        ticket = self.ticket(self.sign_in(client, mine))

        answer = self.confirm(client, other, ticket=ticket)

        assert answer.status_code == 422
        assert row_of(client, other)["status"] == "Initiated"

    def test_who_comes_after_the_clock_ran_out_is_told_that_the_link_has_expired(self, client: httpx.Client) -> None:
        pidx = new_pidx(client)
        ticket = self.ticket(self.sign_in(client, pidx))
        client.post("/_sim/clock", json={"advance_seconds": 1801})

        paying = client.post(f"/pay/{pidx}/pay", data={"mobile": "9800000001", "ticket": ticket, "otp": "987654"})
        coming = client.get("/", params={"pidx": pidx})

        assert (paying.status_code, coming.status_code) == (409, 200)
        assert "This payment link has expired." in paying.text
        assert "This payment link has expired." in coming.text
        assert row_of(client, pidx)["status"] == "Expired"
        assert row_of(client, pidx)["transaction_id"] is None

    @pytest.mark.parametrize(
        ("action", "sentence"),
        [
            ("pay", "This payment has been made already."),
            ("pend", "This payment is still being processed."),
            ("cancel", "This payment was canceled."),
        ],
    )
    def test_a_payment_that_is_no_longer_open_says_so(self, client: httpx.Client, action: str, sentence: str) -> None:
        pidx = new_pidx(client)
        ticket = self.ticket(self.sign_in(client, pidx))
        sim(client, action, pidx)
        before = row_of(client, pidx)

        shown = client.get("/", params={"pidx": pidx})
        paying = client.post(f"/pay/{pidx}/pay", data={"mobile": "9800000001", "ticket": ticket, "otp": "987654"})

        assert sentence in shown.text
        assert 'id="continue"' not in shown.text
        assert paying.status_code == 409
        assert row_of(client, pidx) == before

    def test_two_people_who_press_pay_at_once_make_one_payment(self, client: httpx.Client) -> None:
        pidx = new_pidx(client)
        ticket = self.ticket(self.sign_in(client, pidx))
        sent = {"mobile": "9800000001", "ticket": ticket, "otp": "987654"}

        answers = [client.post(f"/pay/{pidx}/pay", data=sent).status_code for _ in range(2)]

        assert answers == [302, 409]

    def test_an_unknown_link_is_a_404_page(self, client: httpx.Client) -> None:
        assert client.get("/", params={"pidx": "nobody"}).status_code == 404
        assert client.post("/pay/nobody/cancel").status_code == 404

    def test_reloading_a_form_leads_back_to_the_page(self, client: httpx.Client) -> None:
        pidx = new_pidx(client)

        answer = client.get(f"/pay/{pidx}/continue")

        assert answer.status_code == 303
        assert answer.headers["location"] == f"/?pidx={pidx}"

    def test_a_return_address_with_nepali_letters_gets_through_the_header(self, client: httpx.Client) -> None:
        pidx = new_pidx(client, return_url="https://shop.example/फिर्ता/")

        answer = client.post(f"/pay/{pidx}/cancel")

        assert answer.headers["location"].startswith(
            "https://shop.example/%E0%A4%AB%E0%A4%BF%E0%A4%B0%E0%A5%8D%E0%A4%A4%E0%A4%BE/?pidx="
        )


class TestControl:
    def test_the_ledger_tells_everything_about_a_payment_but_the_key(self, client: httpx.Client) -> None:
        pidx = new_pidx(client, merchant_extra="x")
        look_up(client, pidx)
        look_up(client, pidx)

        ledger = client.get("/_sim/payments").json()

        assert ledger == {
            "gateway": "khalti",
            "now": "2026-01-15T12:00:00.000250+05:45",
            "initiates_seen": 1,
            "lookups_seen": 2,
            "refunds_seen": 0,
            "payments": [
                {
                    "reference": pidx,
                    "order_reference": "booking-77",
                    "reported": "initiated",
                    "pidx": pidx,
                    "purchase_order_id": "booking-77",
                    "purchase_order_name": "House cleaning",
                    "amount": 113000,
                    "status": "Initiated",
                    "transaction_id": None,
                    "refunded_amount": 0,
                    "refunds": [],
                    "key_digest": "682f0a78c3176933",
                    "return_url": "https://shop.example/return/77/",
                    "website_url": "https://shop.example/",
                    "merchant_extras": {"merchant_extra": "x"},
                    "created_at": "2026-01-15T12:00:00.000250+05:45",
                    "expires_at": "2026-01-15T12:30:00.000250+05:45",
                    "initiates": 1,
                    "lookups": 2,
                }
            ],
        }

    @pytest.mark.parametrize(
        ("first", "then"),
        [("pay", "pay"), ("pay", "pend"), ("pay", "cancel"), ("pay", "expire"), ("cancel", "cancel"),
         ("cancel", "expire"), ("expire", "cancel"), ("cancel", "refund"), ("pend", "refund")],
    )  # fmt: skip
    def test_what_cannot_follow_is_refused_with_a_sentence(self, client: httpx.Client, first: str, then: str) -> None:
        pidx = new_pidx(client)
        sim(client, first, pidx)
        before = row_of(client, pidx)

        answer = sim(client, then, pidx)

        assert answer.status_code == 409
        assert answer.json()["error"].startswith("The payment is ")
        assert row_of(client, pidx) == before

    @pytest.mark.parametrize("action", ["pay", "pend", "cancel", "expire", "refund"])
    def test_an_unknown_pidx_is_a_404(self, client: httpx.Client, action: str) -> None:
        answer = sim(client, action, "nobody")

        assert answer.status_code == 404
        assert answer.json() == {"error": "No payment of this stand-in has that pidx."}

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("pay", b""), ("pay", b"[]"), ("pay", b"{"), ("pay", b'{"pidx": 1}'), ("pay", b'{"pidx": "x", "y": 1}'),
            ("refund", b'{"pidx": "x", "amount": 0}'), ("refund", b'{"pidx": "x", "amount": 1.5}'),
            ("clock", b"{}"), ("clock", b'{"advance_seconds": "1"}'), ("clock", b'{"advance_seconds": 1e300}'),
            ("faults", b"{}"), ("faults", b'{"on": "lookup", "fault": "fire"}'),
            ("faults", b'{"on": "nowhere", "fault": "html"}'), ("faults", b'{"on": "lookup", "fault": "delay"}'),
            ("faults", b'{"on": "lookup", "fault": "html", "times": 0}'),
            ("faults", b'{"on": "initiate", "fault": "wrong_amount"}'),
            ("faults", b'{"on": "lookup", "fault": "repeat_pidx"}'),
            ("faults", b'{"on": "initiate", "fault": "html", "pidx": "x"}'),
            ("faults", b'{"on": "lookup", "fault": "raw", "headers": [["Content-Length", "1"]]}'),
            ("faults", b'{"on": "lookup", "fault": "raw", "headers": [["x", "a\\r\\nb"]]}'),
            ("faults", b'{"on": "lookup", "fault": "raw", "body_base64": "?"}'),
            ("faults", b'{"on": "refund", "fault": "stale"}'), ("quirks", b'{"refund_lag_lookups": -1}'),
            ("quirks", b'{"expires_in": 0}'), ("quirks", b'{"colour": "red"}'), ("quirks", b"[]"),
        ],
    )  # fmt: skip
    def test_a_mistake_is_answered_with_400_and_a_sentence(self, client: httpx.Client, path: str, body: bytes) -> None:
        answer = client.post(f"/_sim/{path}", content=body)

        assert answer.status_code == 400, answer.text
        assert list(answer.json()) == ["error"]
        assert client.get("/_sim/faults").json() == {"faults": []}

    def test_other_paths_and_methods_are_named(self, client: httpx.Client) -> None:
        assert client.get("/_sim/pay").status_code == 405
        assert client.post("/_sim/payments").status_code == 405
        assert client.get("/_sim/nothing").status_code == 404
        assert client.get("/nothing/").status_code == 404

    def test_a_body_over_64_kib_is_refused(self, client: httpx.Client) -> None:
        just = client.post("/_sim/pay", content=b" " * 65536)
        beyond = client.post("/_sim/pay", content=b" " * 65537)

        assert (just.status_code, beyond.status_code) == (400, 413)
        assert "65536" in beyond.json()["error"]

    def test_reset_forgets_payments_faults_clock_and_quirks(self, client: httpx.Client) -> None:
        pidx = new_pidx(client)
        arm(client, "lookup", "html", times=None)
        client.post("/_sim/clock", json={"advance_seconds": 60})
        client.post("/_sim/quirks", json={"expires_in": 3600})

        client.post("/_sim/reset")

        assert client.get("/_sim/payments").json() == {
            "gateway": "khalti", "now": "2026-01-15T12:00:00.000250+05:45",
            "initiates_seen": 0, "lookups_seen": 0, "refunds_seen": 0, "payments": [],
        }  # fmt: skip
        assert look_up(client, pidx).status_code == 404
        assert initiate(client).json()["expires_in"] == 1800

    def test_ids_can_be_repeated_by_a_seed_and_go_on_after_a_reset(self) -> None:
        def ids(simulator: Simulator) -> list[str]:
            wanted = Purchase(
                amount=1000,
                purchase_order_id="1",
                purchase_order_name="x",
                return_url="http://x/",
                website_url="http://x/",
            )
            return [simulator.open(wanted, secret_key="k").pidx for _ in range(3)]

        one, other = Simulator(seed=7), Simulator(seed=7)
        first = ids(one)
        one.reset()

        assert first == ids(other)
        assert not set(first) & set(ids(one))

    def test_a_longer_link_life_can_be_configured(self) -> None:
        simulator = Simulator(quirks=Quirks(expires_in=3600), clock=lambda: NOON)
        with (
            run_in_thread(create_app(simulator)) as base_url,
            httpx.Client(base_url=base_url, trust_env=False) as client,
        ):
            answer = initiate(client)

        assert answer.json()["expires_in"] == 3600
        assert answer.json()["expires_at"] == "2026-01-15T13:00:00.000250+05:45"


class TestFaults:
    def raw_exchange(self, server: str, body: bytes, path: str = LOOKUP) -> bytes:
        """Everything that the connection brings before it ends. Raises ConnectionResetError when it is torn down."""
        address = urlsplit(server)
        assert address.hostname
        assert address.port
        with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {KEY['authorization']}\r\n"
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            received = b""
            while piece := connection.recv(65536):
                received += piece
        return received

    @pytest.mark.parametrize(("kind", "links"), [("drop_before", 0), ("drop_after", 1)])
    def test_a_dropped_initiate_has_its_effect_or_not(
        self, client: httpx.Client, server: str, kind: str, links: int
    ) -> None:
        arm(client, "initiate", kind)

        received = self.raw_exchange(server, json.dumps(purchase()).encode(), INITIATE)

        assert received == b""
        ledger = client.get("/_sim/payments").json()
        assert len(ledger["payments"]) == links
        assert ledger["initiates_seen"] == 1

    def test_a_drop_may_be_a_reset(self, client: httpx.Client, server: str) -> None:
        arm(client, "lookup", "drop_after", reset=True)

        with pytest.raises(ConnectionResetError):
            self.raw_exchange(server, b"{}")

    def test_an_http_client_sees_a_drop_as_a_broken_connection(self, client: httpx.Client) -> None:
        pidx = new_pidx(client)
        arm(client, "lookup", "drop_after", times=2)

        for _ in range(2):
            with pytest.raises(httpx.RemoteProtocolError):
                look_up(client, pidx)

        assert look_up(client, pidx).status_code == 200
        assert row_of(client, pidx)["lookups"] == 3

    def test_bytes_that_are_no_http_go_out_as_they_are(self, client: httpx.Client, server: str) -> None:
        arm(client, "lookup", "verbatim", text="HTTP/9 nonsense\r\n\r\n")
        arm(client, "lookup", "verbatim", base64="/w==")

        assert self.raw_exchange(server, b"{}") == b"HTTP/9 nonsense\r\n\r\n"
        assert self.raw_exchange(server, b"{}") == b"\xff"

    def test_a_delayed_look_up_tells_what_was_true_when_it_was_asked(
        self, client: httpx.Client, simulator: Simulator
    ) -> None:
        pidx = new_pidx(client)
        arm(client, "lookup", "delay", seconds=20)

        began = time.monotonic()
        with pytest.raises(httpx.ReadTimeout):
            client.post(LOOKUP, json={"pidx": pidx}, headers=KEY, timeout=httpx.Timeout(10, read=0.05))
        arm(client, "lookup", "delay", seconds=0.1)
        answer = look_up(client, pidx)

        assert time.monotonic() - began >= 0.15
        assert answer.json()["status"] == "Initiated"
        assert simulator.lookups_seen == 2

    def test_a_drip_comes_byte_by_byte(self, client: httpx.Client) -> None:
        pidx = new_pidx(client)
        arm(client, "lookup", "drip", seconds=0.002)

        with client.stream("POST", LOOKUP, json={"pidx": pidx}, headers=KEY) as answer:
            pieces = list(answer.iter_raw())

        assert len(pieces) > 20
        assert json.loads(b"".join(pieces))["status"] == "Initiated"

    @pytest.mark.parametrize(("effect", "links"), [(False, 0), (True, 1)])
    def test_an_http_error_has_an_effect_only_when_told_to(
        self, client: httpx.Client, effect: bool, links: int
    ) -> None:
        arm(client, "initiate", "status", status=503, effect=effect)

        answer = initiate(client)

        assert answer.status_code == 503
        assert answer.json() == {"detail": "Service temporarily unavailable.", "status_code": 503}
        assert len(client.get("/_sim/payments").json()["payments"]) == links

    def test_errors_and_successes_may_come_as_html(self, client: httpx.Client) -> None:
        arm(client, "lookup", "status", status=502, body="html")
        arm(client, "lookup", "html")

        bad_gateway, maintenance = look_up(client, "x"), look_up(client, "x")

        assert (bad_gateway.status_code, maintenance.status_code) == (502, 200)
        for answer in (bad_gateway, maintenance):
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert answer.text.startswith("<!doctype html>")

    def test_a_malformed_answer_is_cut_json(self, client: httpx.Client) -> None:
        arm(client, "lookup", "malformed")

        answer = look_up(client, new_pidx(client))

        assert answer.status_code == 200
        assert answer.text.startswith('{"pidx":')
        with pytest.raises(json.JSONDecodeError):
            answer.json()

    @pytest.mark.parametrize(
        ("kind", "parameters", "key", "value"),
        [
            ("wrong_amount", {}, "total_amount", 113001),
            ("wrong_amount", {"delta": -112999}, "total_amount", 1),
            ("wrong_pidx", {}, "pidx", "zzzzzzzzzzzzzzzzzzzzzz"),
            ("wrong_pidx", {"instead": "abc"}, "pidx", "abc"),
            ("status_word", {"word": "COMPLETED"}, "status", "COMPLETED"),
            ("status_word", {"word": "Ambiguous"}, "status", "Ambiguous"),
        ],
    )
    def test_one_value_of_a_look_up_may_be_wrong(
        self, client: httpx.Client, kind: str, parameters: dict[str, object], key: str, value: object
    ) -> None:
        pidx = new_pidx(client)
        sim(client, "pay", pidx)
        honest = look_up(client, pidx).json()
        arm(client, "lookup", kind, **parameters)

        answer = look_up(client, pidx)

        assert answer.status_code == 200
        assert answer.json() == honest | {key: value}

    def test_a_status_word_may_bring_its_http_status(self, client: httpx.Client) -> None:
        pidx = new_pidx(client)
        arm(client, "lookup", "status_word", word="Failed", status=400)

        answer = look_up(client, pidx)

        assert (answer.status_code, answer.json()["status"]) == (400, "Failed")

    @pytest.mark.parametrize("key", ["pidx", "total_amount", "status", "transaction_id", "fee", "refunded"])
    def test_a_key_may_be_missing(self, client: httpx.Client, key: str) -> None:
        pidx = new_pidx(client)
        arm(client, "lookup", "missing", key=key)

        assert key not in look_up(client, pidx).json()

    def test_any_value_may_be_replaced(self, client: httpx.Client) -> None:
        pidx = new_pidx(client)
        arm(client, "lookup", "change", values={"refunded": True, "total_amount": "113000", "extra": [1]})

        answer = look_up(client, pidx)

        assert answer.json() == {
            "pidx": pidx, "total_amount": "113000", "status": "Initiated", "transaction_id": None, "fee": 0,
            "refunded": True, "extra": [1],
        }  # fmt: skip

    @pytest.mark.parametrize("action", ["pay", "cancel"])
    def test_a_lagging_look_up_still_says_initiated(self, client: httpx.Client, action: str) -> None:
        pidx = new_pidx(client)
        sim(client, action, pidx)
        arm(client, "lookup", "lag")

        lagging, later = look_up(client, pidx), look_up(client, pidx)

        assert lagging.status_code == 200
        assert lagging.json() == {
            "pidx": pidx, "total_amount": 113000, "status": "Initiated", "transaction_id": None, "fee": 0,
            "refunded": False,
        }  # fmt: skip
        assert later.json()["status"] == {"pay": "Completed", "cancel": "User canceled"}[action]

    @pytest.mark.parametrize("amount", [None, 13000])
    def test_a_stale_look_up_says_completed_although_money_went_back(
        self, client: httpx.Client, amount: int | None
    ) -> None:
        pidx, transaction = paid(client)
        before = look_up(client, pidx).json()
        refund(client, transaction, {} if amount is None else {"amount": amount})
        arm(client, "lookup", "stale")

        stale, later = look_up(client, pidx), look_up(client, pidx)

        assert stale.json() == before
        assert later.json()["status"] == ("Refunded" if amount is None else "Partially Refunded")

    @pytest.mark.parametrize(
        ("kind", "parameters", "went_back"),
        [
            ("drop_before", {}, 0),
            ("drop_after", {}, 113000),
            ("delay", {"seconds": 20}, 113000),
        ],
    )
    def test_a_refund_without_an_answer_had_its_effect_or_not(
        self, client: httpx.Client, kind: str, parameters: dict[str, object], went_back: int
    ) -> None:
        pidx, transaction = paid(client)
        arm(client, "refund", kind, **parameters)

        path = f"/api/merchant-transaction/{transaction}/refund/"
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadTimeout)):
            client.post(path, json={}, headers=KEY, timeout=httpx.Timeout(10, read=0.5))

        assert row_of(client, pidx)["refunded_amount"] == went_back

    @pytest.mark.parametrize(
        ("kind", "parameters", "status", "went_back"),
        [
            ("status", {"status": 503}, 503, 0),
            ("status", {"status": 503, "effect": True}, 503, 113000),
            ("status", {"status": 400, "body": "html"}, 400, 0),
            ("html", {"effect": True}, 200, 113000),
            ("malformed", {}, 200, 113000),
        ],
    )
    def test_a_refund_may_be_answered_wrongly_with_or_without_effect(
        self, client: httpx.Client, kind: str, parameters: dict[str, object], status: int, went_back: int
    ) -> None:
        pidx, transaction = paid(client)
        arm(client, "refund", kind, **parameters)

        answer = refund(client, transaction)

        assert answer.status_code == status
        assert answer.text != '{"detail":"Transaction refund successful."}'
        assert row_of(client, pidx)["refunded_amount"] == went_back

    def test_a_bombed_refund_went_back_all_the_same(self, client: httpx.Client) -> None:
        pidx, transaction = paid(client)
        arm(client, "refund", "gzip_bomb", mib=2)

        assert refund(client, transaction).json() == {"detail": "Transaction refund successful."}
        assert row_of(client, pidx)["refunded_amount"] == 113000

    def test_a_fault_of_a_refund_may_wait_for_its_payment(self, client: httpx.Client) -> None:
        _, one = paid(client)
        other_pidx, other = paid(client)
        arm(client, "refund", "status", status=500, pidx=other_pidx)

        seen = [refund(client, transaction, {"amount": 1}).status_code for transaction in ("nobody", one, other, other)]

        assert seen == [404, 200, 500, 200]

    def test_a_huge_answer_is_json_of_many_mebibytes(self, client: httpx.Client) -> None:
        pidx = new_pidx(client)
        arm(client, "lookup", "huge", mib=3)

        answer = look_up(client, pidx)

        assert len(answer.content) > 3 * 1024 * 1024
        assert answer.json()["pidx"] == pidx

    def test_a_gzip_bomb_is_small_on_the_wire_and_large_behind_it(self, client: httpx.Client) -> None:
        pidx = new_pidx(client)
        arm(client, "lookup", "gzip_bomb", mib=8)

        with client.stream("POST", LOOKUP, json={"pidx": pidx}, headers=KEY) as answer:
            on_the_wire = b"".join(answer.iter_raw())

        assert answer.headers["content-encoding"] == "gzip"
        assert len(on_the_wire) < 20_000
        inflated = gzip.decompress(on_the_wire)
        assert len(inflated) > 8 * 1024 * 1024
        assert json.loads(inflated)["pidx"] == pidx

    def test_a_redirect_leads_elsewhere(self, client: httpx.Client, server: str) -> None:
        arm(client, "lookup", "redirect")
        arm(client, "lookup", "redirect", status=308, location="https://other.example/")

        here, away = look_up(client, "x"), look_up(client, "x")

        assert (here.status_code, here.headers["location"]) == (302, f"{server}/elsewhere/")
        assert (away.status_code, away.headers["location"]) == (308, "https://other.example/")

    def test_initiate_may_answer_with_a_pidx_that_is_known_already(self, client: httpx.Client, server: str) -> None:
        first, second = new_pidx(client), new_pidx(client)
        arm(client, "initiate", "repeat_pidx")
        arm(client, "initiate", "repeat_pidx", known=first)

        latest, named = initiate(client).json(), initiate(client).json()

        assert (latest["pidx"], latest["payment_url"]) == (second, f"{server}/?pidx={second}")
        assert (named["pidx"], named["payment_url"]) == (first, f"{server}/?pidx={first}")

    def test_a_payment_link_may_lead_to_another_host(self, client: httpx.Client) -> None:
        arm(client, "initiate", "off_domain", host="evil.example:444")

        answer = initiate(client).json()

        assert answer["payment_url"] == f"https://evil.example:444/?pidx={answer['pidx']}"

    def test_a_raw_answer_is_what_was_asked_for(self, client: httpx.Client) -> None:
        arm(
            client, "lookup", "raw", status=418, headers=[["X-A", "1"], ["X-A", "2"], ["Content-Type", "a/b"]], body="{"
        )
        arm(client, "lookup", "raw", body_base64="/v8=")

        teapot, bytes_only = look_up(client, "x"), look_up(client, "x")

        assert (teapot.status_code, teapot.text) == (418, "{")
        assert teapot.headers.get_list("x-a") == ["1", "2"]
        assert teapot.headers.get_list("content-type") == ["a/b"]
        assert (bytes_only.status_code, bytes_only.content) == (200, b"\xfe\xff")
        assert bytes_only.headers["content-type"] == "application/json"

    def test_faults_are_used_up_in_order_and_wait_for_their_own_route_and_pidx(self, client: httpx.Client) -> None:
        one, other = new_pidx(client), new_pidx(client)
        arm(client, "lookup", "status", status=500, times=2)
        arm(client, "lookup", "status", status=501, pidx=other)
        arm(client, "lookup", "status", status=502, times=None)
        arm(client, "initiate", "status", status=503)

        seen = [look_up(client, pidx).status_code for pidx in (one, other, one, other, other, one)]

        assert seen == [500, 500, 502, 501, 502, 502]
        assert [fault["status"] for fault in client.get("/_sim/faults").json()["faults"]] == [502, 503]

    def test_a_fault_that_finds_nothing_to_spoil_leaves_the_answer_honest(self, client: httpx.Client) -> None:
        for kind, parameters in (
            ("wrong_amount", {}), ("lag", {}), ("stale", {}), ("status_word", {"word": "x"}),
        ):  # fmt: skip
            arm(client, "lookup", kind, **parameters)

            assert look_up(client, "nobody").json() == {"detail": "Not found.", "error_key": "validation_error"}


def test_importing_the_gateways_folder_does_not_load_the_stand_in() -> None:
    program = "import sys, sewapay.adapters.khalti; sys.exit('sewapay.adapters.khalti.simulator' in sys.modules)"

    path = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", program], env=path, check=False).returncode == 0


def test_an_application_that_does_not_start_is_told_at_once() -> None:
    async def broken(scope: object, receive: object, send: Callable[[dict[str, str]], Awaitable[None]]) -> None:
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(RuntimeError, match="did not start"), run_in_thread(broken):
        pass
