"""The eSewa stand-in over real HTTP: what it answers was typed by hand from eSewa's public pages and from captures."""

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from sewapay.adapters.esewa.simulator import STAND_IN, Quirks, Simulator, create_app
from sewapay.adapters.esewa.simulator.amounts import as_double, paisa_of, with_commas
from sewapay.adapters.esewa.simulator.payment import POSSIBLE_FROM, TOLD, Form, SimulatedPayment, Status, Step
from sewapay.adapters.esewa.simulator.returning import signed_data
from sewapay.adapters.esewa.simulator.signature import signature
from sewapay.standins.description import Options
from sewapay.testing.servers import run_in_thread

FORM = "/api/epay/main/v2/form"
STATUS = "/api/epay/transaction/status/"
UAT_KEY = "8gBm/:&EnhH.1/q"
REQUEST_NAMES = "total_amount,transaction_uuid,product_code"
RETURN_NAMES = "transaction_code,status,total_amount,transaction_uuid,product_code,signed_field_names"
NOON = datetime(2026, 1, 15, 6, 15, 0, 250, tzinfo=UTC)  # 12:00 in Kathmandu

V1 = {
    "amount": "100",
    "tax_amount": "10",
    "total_amount": "110",
    "transaction_uuid": "241028",
    "product_code": "EPAYTEST",
    "product_service_charge": "0",
    "product_delivery_charge": "0",
    "success_url": "https://shop.example/return/77/",
    "failure_url": "https://shop.example/return/77/failed/",
    "signed_field_names": REQUEST_NAMES,
    "signature": "i94zsd3oXF6ZsSr/kGqT4sSzYQzjj1W/waxjWyRwaME=",
}
"""The form of eSewa's documentation, its signature as printed there."""

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator(clock=lambda: NOON, seed=1)


@pytest.fixture(scope="module")
def server(simulator: Simulator) -> Iterator[str]:
    with run_in_thread(create_app(simulator)) as base_url:
        yield base_url


@pytest.fixture
def client(simulator: Simulator, server: str) -> Iterator[httpx.Client]:
    simulator.reset()
    with httpx.Client(base_url=server, trust_env=False, timeout=10) as client:
        yield client


def signed(**changes: str) -> dict[str, str]:
    """The documented form with other values, signed by the stand-in's own signer."""
    fields = V1 | changes
    if "total_amount" in changes and "amount" not in changes:
        fields |= {"amount": fields["total_amount"], "tax_amount": "0"}
    return fields | {"signature": signature(REQUEST_NAMES, fields, UAT_KEY)}


def entered(client: httpx.Client, **changes: str) -> dict[str, str]:
    """The fields of a form that a browser posted."""
    fields = signed(**changes)
    answer = client.post(FORM, data=fields)
    assert answer.status_code == 200, answer.text
    return fields


def paid(client: httpx.Client, **changes: str) -> str:
    """Where the browser of somebody who paid is sent."""
    fields = entered(client, **changes)
    return str(sim(client, "pay", fields["transaction_uuid"]).json()["return_url"])


def data_of(address: str) -> str:
    return address.partition("data=")[2]


def decoded(address: str) -> dict[str, Any]:
    return dict(json.loads(base64.b64decode(data_of(address), validate=True)))


def sim(client: httpx.Client, action: str, uuid: str = "241028", **more: object) -> httpx.Response:
    return client.post(f"/_sim/{action}", json={"transaction_uuid": uuid, **more})


def set_quirks(client: httpx.Client, **quirks: object) -> None:
    assert client.post("/_sim/quirks", json=quirks).status_code == 200


def arm(client: httpx.Client, on: str, kind: str, **parameters: object) -> None:
    answer = client.post("/_sim/faults", json={"on": on, "fault": kind, **parameters})
    assert answer.status_code == 200, answer.text


def look_up(client: httpx.Client, **changes: str) -> httpx.Response:
    asked = {"product_code": "EPAYTEST", "total_amount": "110", "transaction_uuid": "241028"} | changes
    return client.get(STATUS, params=asked)


def said(client: httpx.Client, **changes: str) -> tuple[str, str | None]:
    answer = look_up(client, **changes)
    assert answer.status_code == 200, answer.text
    return answer.json()["status"], answer.json()["ref_id"]


def row_of(client: httpx.Client, uuid: str = "241028") -> dict[str, Any]:
    (row,) = client.get("/_sim/payments", params={"transaction_uuid": uuid}).json()["payments"]
    return dict(row)


def log_in(client: httpx.Client, uuid: str = "241028") -> dict[str, str]:
    """What the browser carries to the second step after a payer logged in."""
    page = client.post(f"/pay/{uuid}/login", data={"esewa_id": "9806800003", "password": "Nepal@123"})
    assert page.status_code == 200, page.text
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))


class TestSignatures:
    def test_a_request_is_signed_as_the_documented_form_is(self) -> None:
        values = {"total_amount": "110", "transaction_uuid": "241028", "product_code": "EPAYTEST"}

        made = signature(REQUEST_NAMES, values, UAT_KEY)

        assert made == "i94zsd3oXF6ZsSr/kGqT4sSzYQzjj1W/waxjWyRwaME="

    def test_the_documents_other_sample_is_wrong_and_is_not_made(self) -> None:
        values = {"total_amount": "100", "transaction_uuid": "11-201-13", "product_code": "EPAYTEST"}

        made = signature(REQUEST_NAMES, values, UAT_KEY)

        assert made == "5DZywcrTKD0gia/rsSMcrRHmJl+4Tbol6S+lWgdJ94E="
        assert made != "4Ov7pCI1zIOdwtV2BRMUNjz1upIlT/COTxfLhWvVurE="

    @pytest.mark.parametrize(
        ("code", "total", "uuid", "published"),
        [
            ("000AWEO", "1000.0", "250610-162413", "62GcfZTmVkzhtUeh+QJ1AqiJrjoWWGof3U+eTPTZ7fA="),
            ("000H3AC", "1750.0", "ORD-JRPGWSMKUA", "vjI2XenoeZVw+2UFP2XNgPzfAp4R2IhNpD7a+s1J2zA="),
            ("000DBKL", "399.99", "6940ee6bf5a556c025111f1c", "/gMssrLUT5+QvzUDi36Mik855dkVSVEwxQai1kpDhgM="),
            ("000ANU7", "6600.0", "TXN_6829a604363b8", "U1pOc503erMN9zQaZDzlwcnM9C6n4un1LU8LPR/PIAU="),
            ("0007BG5", "5000.0", "387", "00onpXnpNp12AIExjdoufW7bqrbFh+y+CYzLesuGYfQ="),
        ],
        ids=["docs", "capture of 2026", "with paisa", "shown with a comma", "shown with a comma too"],
    )
    def test_a_return_is_signed_as_those_that_were_published(
        self, code: str, total: str, uuid: str, published: str
    ) -> None:
        values = {
            "transaction_code": code,
            "status": "COMPLETE",
            "total_amount": total,
            "transaction_uuid": uuid,
            "product_code": "EPAYTEST",
            "signed_field_names": RETURN_NAMES,
        }

        assert signature(RETURN_NAMES, values, UAT_KEY) == published

    @pytest.mark.parametrize(
        ("uuid", "code", "paisa", "quirks", "captured"),
        [
            (
                "ORD-JRPGWSMKUA",
                "000H3AC",
                175000,
                Quirks(),
                "eyJ0cmFuc2FjdGlvbl9jb2RlIjoiMDAwSDNBQyIsInN0YXR1cyI6IkNPTVBMRVRFIiwidG90YWxfYW1vdW50IjoiMTc1MC4wIiwi"
                "dHJhbnNhY3Rpb25fdXVpZCI6Ik9SRC1KUlBHV1NNS1VBIiwicHJvZHVjdF9jb2RlIjoiRVBBWVRFU1QiLCJzaWduZWRfZmllbGRf"
                "bmFtZXMiOiJ0cmFuc2FjdGlvbl9jb2RlLHN0YXR1cyx0b3RhbF9hbW91bnQsdHJhbnNhY3Rpb25fdXVpZCxwcm9kdWN0X2NvZGUs"
                "c2lnbmVkX2ZpZWxkX25hbWVzIiwic2lnbmF0dXJlIjoidmpJMlhlbm9lWlZ3KzJVRlAyWE5nUHpmQXA0UjJJaE5wRDdhK3MxSjJ6"
                "QT0ifQ==",
            ),
            (
                "TXN_6829a604363b8",
                "000ANU7",
                660000,
                Quirks(comma=True),
                "eyJ0cmFuc2FjdGlvbl9jb2RlIjoiMDAwQU5VNyIsInN0YXR1cyI6IkNPTVBMRVRFIiwidG90YWxfYW1vdW50IjoiNiw2MDAuMCIs"
                "InRyYW5zYWN0aW9uX3V1aWQiOiJUWE5fNjgyOWE2MDQzNjNiOCIsInByb2R1Y3RfY29kZSI6IkVQQVlURVNUIiwic2lnbmVkX2Zp"
                "ZWxkX25hbWVzIjoidHJhbnNhY3Rpb25fY29kZSxzdGF0dXMsdG90YWxfYW1vdW50LHRyYW5zYWN0aW9uX3V1aWQscHJvZHVjdF9j"
                "b2RlLHNpZ25lZF9maWVsZF9uYW1lcyIsInNpZ25hdHVyZSI6IlUxcE9jNTAzZXJNTjl6UWFaRHpsd2NuTTlDNm40dW4xTFU4TFBS"
                "L1BJQVU9In0=",
            ),
        ],
        ids=["capture of 2026", "capture of 2025, with a comma"],
    )
    def test_a_whole_return_is_the_captured_one_to_the_letter(
        self, uuid: str, code: str, paisa: int, quirks: Quirks, captured: str
    ) -> None:
        form = Form(
            transaction_uuid=uuid, product_code="EPAYTEST", total=paisa, success_url="", failure_url="", posted={}
        )
        payment = SimulatedPayment(form=form, posted_at=NOON, transaction_code=code)

        assert signed_data(payment, Status.COMPLETE, quirks, UAT_KEY) == captured


class TestAmounts:
    @pytest.mark.parametrize(
        ("paisa", "text"),
        [
            (1, "0.01"), (50, "0.5"), (100, "1.0"), (11000, "110.0"), (25000, "250.0"), (39999, "399.99"),
            (999_999_999, "9999999.99"), (1_000_000_000, "1.0E7"), (1_000_000_001, "1.000000001E7"),
            (1_234_567_890, "1.23456789E7"), (123_456_789_000, "1.23456789E9"),
        ],
    )  # fmt: skip
    def test_rupees_are_written_as_java_writes_a_double(self, paisa: int, text: str) -> None:
        assert as_double(paisa) == text

    @pytest.mark.parametrize(
        ("paisa", "text"),
        [(660000, "6,600.0"), (500000, "5,000.0"), (39999, "399.99"), (1_000_000_000, "10,000,000.0")],
    )
    def test_the_former_way_to_show_rupees_has_commas(self, paisa: int, text: str) -> None:
        assert with_commas(paisa) == text

    @pytest.mark.parametrize(
        ("text", "paisa"),
        [
            ("100", 10000), ("100.0", 10000), ("100.50", 10050), ("399.99", 39999), ("0", 0), ("1.0E7", 1_000_000_000),
            ("0.01", 1), ("100.005", None), ("6,600.0", None), ("-1", None), ("", None), ("+1", None), ("1e99", None),
            ("NaN", None), (" 1", None), ("9" * 13, None), ("9" * 12, 99_999_999_999_900), ("१००", None),
        ],
    )  # fmt: skip
    def test_rupees_are_read_to_the_paisa(self, text: str, paisa: int | None) -> None:
        assert paisa_of(text) == paisa


class TestForm:
    def test_the_documented_form_opens_a_page_that_says_what_it_is(self, client: httpx.Client) -> None:
        page = client.post(FORM, data=V1)

        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "eSewa stand-in - no real money moves" in page.text
        assert re.findall(r'id="(?:amount|shop|about)">([^<]*)<', page.text) == [
            "EPAYTEST", "Rs 110.00", "shop.example"
        ]  # fmt: skip
        assert '<form method="post" action="/pay/241028/login">' in page.text
        assert "<script" not in page.text

    @pytest.mark.parametrize("name", list(V1))
    @pytest.mark.parametrize("value", ["", None], ids=["empty", "missing"])
    def test_every_field_has_to_be_there(self, client: httpx.Client, name: str, value: str | None) -> None:
        fields = {key: text for key, text in V1.items() if key != name} | ({name: value} if value is not None else {})

        page = client.post(FORM, data=fields)

        assert (page.status_code, code_of(page)) == (400, "field-missing")
        assert f"{name} is not there or empty" in page.text
        assert client.get("/_sim/payments").json()["payments"] == []

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"signature": "i94zsd3oXF6ZsSr/kGqT4sSzYQzjj1W/waxjWyRwaME"}, "ES104"),
            ({"signature": "4Ov7pCI1zIOdwtV2BRMUNjz1upIlT/COTxfLhWvVurE="}, "ES104"),
            ({"transaction_uuid": "241029"}, "ES104"),
            ({"amount": "90", "total_amount": "100"}, "ES104"),
            ({"total_amount": "110.0"}, "ES104"),
            ({"tax_amount": "11"}, "sum"),
            ({"total_amount": "110.01"}, "sum"),
            ({"amount": "1,00"}, "no-amount"),
            ({"amount": "-100", "tax_amount": "210"}, "no-amount"),
            ({"amount": "0", "tax_amount": "0", "total_amount": "0"}, "no-amount"),
            ({"transaction_uuid": "241028/1"}, "transaction-uuid"),
            ({"transaction_uuid": "TXN_1"}, "transaction-uuid"),
            ({"transaction_uuid": "x" * 101}, "transaction-uuid"),
            ({"product_code": "NP-ES-SHOP"}, "unknown-product-code"),
            ({"success_url": "/return/"}, "no-address"),
            ({"failure_url": "javascript:alert(1)"}, "no-address"),
            ({"failure_url": "https://shop.example:99999/"}, "no-address"),
            ({"success_url": "https://shop.example/\r\nx"}, "no-address"),
            ({"signed_field_names": "transaction_uuid,total_amount,product_code"}, "signed-names"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_told_on_a_page_and_opens_nothing(
        self, client: httpx.Client, changes: dict[str, str], code: str
    ) -> None:
        page = client.post(FORM, data=V1 | changes)

        assert (page.status_code, code_of(page)) == (400, code)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert client.get("/_sim/payments").json()["payments"] == []

    def test_the_total_is_signed_as_it_is_posted_and_its_parts_add_up_by_value(self, client: httpx.Client) -> None:
        fields = signed(amount="100.0", tax_amount="10.00", total_amount="110.0")

        page = client.post(FORM, data=fields)

        assert page.status_code == 200
        assert row_of(client)["amount"] == 11000

    def test_an_underscore_is_taken_only_when_told_to(self, client: httpx.Client) -> None:
        set_quirks(client, underscore=True)

        page = client.post(FORM, data=signed(transaction_uuid="TXN_6829a604363b8"))

        assert page.status_code == 200

    def test_a_reference_is_good_for_one_form(self, client: httpx.Client) -> None:
        entered(client)

        again = client.post(FORM, data=V1)

        assert (again.status_code, code_of(again)) == (400, "transaction-uuid-used")
        assert row_of(client)["posts"] == 2

    def test_the_same_form_may_come_again_before_the_login_when_told_so(self, client: httpx.Client) -> None:
        set_quirks(client, same_form_again=True)
        entered(client)

        again = client.post(FORM, data=V1)
        another = client.post(FORM, data=V1 | {"success_url": "https://shop.example/elsewhere/"})
        log_in(client)
        late = client.post(FORM, data=V1)

        assert again.status_code == 200
        assert [code_of(another), code_of(late)] == ["transaction-uuid-used"] * 2

    def test_a_key_of_ones_own_is_the_only_one_and_takes_any_product_code(self) -> None:
        fields = V1 | {"product_code": "NP-ES-SHOP"}
        with run_in_thread(create_app(Simulator(secret_key="a key of our own"))) as address:
            own = fields | {"signature": signature(REQUEST_NAMES, fields, "a key of our own")}

            taken = httpx.post(f"{address}{FORM}", data=own, trust_env=False)
            refused = httpx.post(f"{address}{FORM}", data=V1 | {"transaction_uuid": "1"}, trust_env=False)

        assert taken.status_code == 200
        assert code_of(refused) == "ES104"

    def test_an_empty_key_is_a_mistake_and_not_a_wildcard(self) -> None:
        with pytest.raises(ValueError, match="secret_key is empty"):
            Simulator(secret_key="")

    def test_the_key_is_not_shown(self) -> None:
        assert "a key of our own" not in repr(Simulator(secret_key="a key of our own"))

    def test_only_a_post_is_taken(self, client: httpx.Client) -> None:
        assert client.get(FORM, params=V1).status_code == 405

    def test_a_form_without_end_is_refused_and_the_server_lives_on(self, client: httpx.Client) -> None:
        answer = client.post(FORM, content=b"x" * (2 * 1024 * 1024))

        assert answer.status_code == 413
        assert client.get("/").status_code == 200


class TestStatus:
    def test_a_reference_that_nobody_posted_is_not_found(self, client: httpx.Client) -> None:
        answer = look_up(client)

        assert answer.status_code == 200
        assert answer.text == (
            '{"product_code":"EPAYTEST","transaction_uuid":"241028","total_amount":110.0,"status":"NOT_FOUND",'
            '"ref_id":null}'
        )

    def test_a_form_is_not_found_until_the_payer_logs_in_and_then_pending(self, client: httpx.Client) -> None:
        entered(client)
        before = said(client)

        log_in(client)

        assert before == ("NOT_FOUND", None)
        assert said(client) == ("PENDING", None)

    def test_a_form_may_be_known_at_once(self, client: httpx.Client) -> None:
        set_quirks(client, known_before_login=True)
        entered(client)

        assert said(client) == ("PENDING", None)

    def test_a_paid_one_is_complete_and_has_the_code_of_its_return(self, client: httpx.Client) -> None:
        address = paid(client)

        answer = look_up(client)

        assert answer.json()["status"] == "COMPLETE"
        assert re.fullmatch("[0-9A-Z]{7}", answer.json()["ref_id"])
        assert answer.json()["ref_id"] == decoded(address)["transaction_code"]

    @pytest.mark.parametrize(
        ("action", "word", "has_ref_id"),
        [
            ("pend", "PENDING", False),
            ("cancel", "CANCELED", True),
            ("expire", "NOT_FOUND", False),
            ("ambiguous", "AMBIGUOUS", True),
        ],
    )
    def test_every_other_ending_has_its_word(
        self, client: httpx.Client, action: str, word: str, has_ref_id: bool
    ) -> None:
        entered(client)

        sim(client, action)

        status, ref_id = said(client)
        assert (status, ref_id is not None) == (word, has_ref_id)

    def test_refunds_in_the_portal_add_up(self, client: httpx.Client) -> None:
        paid(client)

        first = sim(client, "refund", amount=1000).json()["status"]
        partly = said(client)[0]
        rest = sim(client, "refund").json()["status"]

        assert (first, partly, rest, said(client)[0]) == (
            "PARTIAL_REFUND", "PARTIAL_REFUND", "FULL_REFUND", "FULL_REFUND"
        )  # fmt: skip
        assert [refund["amount"] for refund in row_of(client)["refunds"]] == [1000, 10000]

    @pytest.mark.parametrize("total", ["110", "110.0", "110.00", "1.1E2"])
    def test_the_amount_is_compared_by_its_value(self, client: httpx.Client, total: str) -> None:
        paid(client)

        assert said(client, total_amount=total)[0] == "COMPLETE"

    @pytest.mark.parametrize(
        "changes", [{"total_amount": "110.01"}, {"total_amount": "109"}, {"product_code": "NP-ES-SHOP"}]
    )
    def test_another_amount_or_merchant_finds_nothing(self, client: httpx.Client, changes: dict[str, str]) -> None:
        paid(client)

        assert said(client, **changes) == ("NOT_FOUND", None)

    @pytest.mark.parametrize("name", ["product_code", "total_amount", "transaction_uuid"])
    def test_all_three_are_needed(self, client: httpx.Client, name: str) -> None:
        answer = look_up(client, **{name: ""})

        assert answer.status_code == 400
        assert answer.json()["code"] == 0

    def test_only_get_is_allowed(self, client: httpx.Client) -> None:
        assert client.post(STATUS).status_code == 405

    def test_a_session_ends_five_minutes_after_the_login(self, client: httpx.Client) -> None:
        entered(client)
        client.post("/_sim/clock", json={"advance_seconds": 3600})
        log_in(client)
        client.post("/_sim/clock", json={"advance_seconds": 300})
        alive = said(client)

        client.post("/_sim/clock", json={"advance_seconds": 1})

        assert alive == ("PENDING", None)
        assert said(client) == ("NOT_FOUND", None)
        assert sim(client, "login").status_code == 409

    @pytest.mark.parametrize("action", ["pend", "ambiguous", "pay"])
    def test_time_does_not_touch_what_was_confirmed(self, client: httpx.Client, action: str) -> None:
        entered(client)
        log_in(client)
        sim(client, action)
        before = said(client)

        client.post("/_sim/clock", json={"advance_seconds": 86400})

        assert said(client) == before

    @pytest.mark.parametrize("ending", ["cancel", "expire", "pend", "ambiguous"])
    def test_money_may_come_late(self, client: httpx.Client, ending: str) -> None:
        entered(client)
        sim(client, ending)

        late = sim(client, "pay").json()

        assert late["status"] == "COMPLETE"
        assert late["return_url"].startswith("https://shop.example/return/77/?data=")
        assert said(client)[0] == "COMPLETE"

    @pytest.mark.parametrize("status", [200, 503])
    def test_an_outage_has_its_documented_body(self, client: httpx.Client, status: int) -> None:
        paid(client)
        set_quirks(client, outage=status)

        answer = look_up(client)

        assert answer.status_code == status
        assert answer.json() == {"code": 0, "error_message": "Service is currently unavailable"}

    def test_an_older_answer_is_in_camel_case(self, client: httpx.Client) -> None:
        paid(client)
        set_quirks(client, camel_case=True)

        answer = look_up(client).json()

        assert list(answer) == ["productCode", "transactionUuid", "totalAmount", "status", "refId"]
        assert (answer["totalAmount"], answer["status"]) == (110.0, "COMPLETE")

    @pytest.mark.parametrize(
        ("total", "as_it_is", "as_integer"),
        [("110", "110.0", "110"), ("399.99", "399.99", "399.99"), ("10000000", "1.0E7", "10000000")],
    )
    def test_a_total_is_a_number_with_or_without_a_decimal(
        self, client: httpx.Client, total: str, as_it_is: str, as_integer: str
    ) -> None:
        first = look_up(client, total_amount=total).text
        set_quirks(client, integer_total=True)

        second = look_up(client, total_amount=total).text

        assert f'"total_amount":{as_it_is},' in first
        assert f'"total_amount":{as_integer},' in second

    def test_look_ups_may_lag_behind(self, client: httpx.Client) -> None:
        set_quirks(client, lag_lookups=2)
        entered(client)
        log_in(client)
        [said(client) for _ in range(2)]

        sim(client, "pay")

        assert [said(client)[0] for _ in range(3)] == ["PENDING", "PENDING", "COMPLETE"]

    def test_what_lags_has_no_ref_id_yet(self, client: httpx.Client) -> None:
        entered(client)
        set_quirks(client, lag_lookups=1)

        sim(client, "pay")

        assert said(client) == ("NOT_FOUND", None)


class TestReturn:
    def test_who_paid_comes_back_with_a_signed_return(self, client: httpx.Client) -> None:
        address = paid(client)

        values = decoded(address)

        assert address.startswith("https://shop.example/return/77/?data=ey")
        assert list(values) == [*RETURN_NAMES.split(","), "signature"]
        code = values["transaction_code"]
        assert values | {"signature": ""} == {
            "transaction_code": code,
            "status": "COMPLETE",
            "total_amount": "110.0",
            "transaction_uuid": "241028",
            "product_code": "EPAYTEST",
            "signed_field_names": RETURN_NAMES,
            "signature": "",
        }
        assert values["signature"] == signature(RETURN_NAMES, values, UAT_KEY)

    @pytest.mark.parametrize("action", ["pend", "cancel", "expire", "ambiguous"])
    def test_who_did_not_pay_comes_back_to_the_failure_url_as_it_was_posted(
        self, client: httpx.Client, action: str
    ) -> None:
        entered(client, failure_url="https://shop.example/failed/?x=1")

        left = sim(client, action).json()

        assert left["return_url"] == "https://shop.example/failed/?x=1"

    def test_a_total_may_be_shown_with_a_comma_while_the_signature_covers_it_without(
        self, client: httpx.Client
    ) -> None:
        set_quirks(client, comma=True)

        values = decoded(paid(client, total_amount="6600"))

        assert values["total_amount"] == "6,600.0"
        assert values["signature"] != signature(RETURN_NAMES, values, UAT_KEY)
        assert values["signature"] == signature(RETURN_NAMES, values | {"total_amount": "6600.0"}, UAT_KEY)

    def test_a_total_may_be_a_number(self, client: httpx.Client) -> None:
        set_quirks(client, number=True)

        text = base64.b64decode(data_of(paid(client))).decode()

        assert '"total_amount":110.0,' in text

    def test_ten_million_have_an_exponent(self, client: httpx.Client) -> None:
        values = decoded(paid(client, total_amount="10000000"))

        assert values["total_amount"] == "1.0E7"
        assert values["signature"] == signature(RETURN_NAMES, values, UAT_KEY)

    @pytest.mark.parametrize(("is_blind", "joint"), [(True, "?"), (False, "&")])
    def test_a_query_in_the_success_url_gets_a_second_question_mark(
        self, client: httpx.Client, is_blind: bool, joint: str
    ) -> None:
        set_quirks(client, blind_question_mark=is_blind)

        address = paid(client, success_url="https://shop.example/return/?ref_id=TXN-1")

        assert address.startswith(f"https://shop.example/return/?ref_id=TXN-1{joint}data=ey")

    def test_a_key_of_ones_own_signs_returns_too(self) -> None:
        simulator = Simulator(secret_key="a key of our own")
        fields = V1 | {"signature": signature(REQUEST_NAMES, V1, "a key of our own")}

        simulator.post(fields)
        simulator.pay("241028")

        values = decoded(simulator.left("241028").return_url)
        assert values["signature"] == signature(RETURN_NAMES, values, "a key of our own")

    def test_codes_are_repeatable_by_a_seed_and_never_come_twice(self) -> None:
        def codes(simulator: Simulator) -> list[str | None]:
            for number in range(50):
                simulator.post(signed(transaction_uuid=f"ORDER-{number}"))
            return [simulator.pay(f"ORDER-{number}").transaction_code for number in range(50)]

        first, second = Simulator(seed=7), Simulator(seed=7)
        made = codes(first)
        first.reset()

        assert made == codes(second)
        assert len({*made, *codes(first)}) == 100
        assert made == sorted(str(code) for code in made)


class TestPage:
    def test_the_root_explains_itself(self, client: httpx.Client) -> None:
        page = client.get("/")

        assert page.status_code == 200
        assert "This is a stand-in for eSewa." in page.text

    def test_a_person_pays_with_id_password_and_otp(self, client: httpx.Client) -> None:
        entered(client)
        carried = log_in(client)

        left = client.post("/pay/241028/pay", data={**carried, "otp": "123456"})

        assert left.status_code == 302
        assert decoded(left.headers["location"])["transaction_uuid"] == "241028"
        assert row_of(client)["step"] == "complete"

    @pytest.mark.parametrize(
        ("ending", "word"),
        [("pend", "PENDING"), ("ambiguous", "AMBIGUOUS"), ("cancel", "CANCELED"), ("expire", "NOT_FOUND")],
    )
    def test_a_person_may_end_otherwise(self, client: httpx.Client, ending: str, word: str) -> None:
        entered(client)
        carried = log_in(client)

        left = client.post(f"/pay/241028/{ending}", data={**carried, "otp": "123456"})

        assert (left.status_code, left.headers["location"]) == (302, "https://shop.example/return/77/failed/")
        assert said(client)[0] == word

    @pytest.mark.parametrize("digit", range(1, 6))
    def test_every_test_id_may_log_in(self, client: httpx.Client, digit: int) -> None:
        entered(client)

        page = client.post("/pay/241028/login", data={"esewa_id": f"980680000{digit}", "password": "Nepal@123"})

        assert page.status_code == 200
        assert "12:05 Nepal time" in page.text

    @pytest.mark.parametrize(
        ("esewa_id", "password"), [("9806800006", "Nepal@123"), ("9806800001", "nepal@123"), ("", "")]
    )
    def test_a_wrong_id_or_password_moves_nothing(self, client: httpx.Client, esewa_id: str, password: str) -> None:
        entered(client)

        page = client.post("/pay/241028/login", data={"esewa_id": esewa_id, "password": password})

        assert page.status_code == 422
        assert 'role="alert"' in page.text
        assert row_of(client)["step"] == "posted"

    @pytest.mark.parametrize("sent", [{"otp": "123457"}, {"otp": ""}, {"otp": "123456", "ticket": ""}])
    def test_a_wrong_otp_or_a_skipped_step_moves_nothing(self, client: httpx.Client, sent: dict[str, str]) -> None:
        entered(client)
        carried = log_in(client)

        page = client.post("/pay/241028/pay", data=carried | sent)

        assert page.status_code == 422
        assert row_of(client)["step"] == "logged in"

    def test_a_ticket_is_good_for_its_own_payment_only(self, client: httpx.Client) -> None:
        entered(client)
        entered(client, transaction_uuid="241029")
        carried = log_in(client)

        page = client.post("/pay/241029/pay", data={**carried, "otp": "123456"})

        assert page.status_code == 422
        assert row_of(client, "241029")["step"] == "posted"

    def test_who_takes_longer_than_five_minutes_has_no_session_any_more(self, client: httpx.Client) -> None:
        entered(client)
        carried = log_in(client)
        client.post("/_sim/clock", json={"advance_seconds": 301})

        page = client.post("/pay/241028/pay", data={**carried, "otp": "123456"})

        assert page.status_code == 409
        assert "This session has ended." in page.text
        assert said(client) == ("NOT_FOUND", None)

    @pytest.mark.parametrize(
        ("action", "sentence"),
        [
            ("pay", "This payment has been made already."),
            ("pend", "This payment is still being processed."),
            ("cancel", "This payment was canceled."),
            ("expire", "This session has ended."),
            ("ambiguous", "Nobody knows yet whether this payment was made."),
        ],
    )
    def test_a_payment_that_is_no_longer_open_says_so(self, client: httpx.Client, action: str, sentence: str) -> None:
        entered(client)
        sim(client, action)

        page = client.get("/pay/241028/login")

        assert page.status_code == 200
        assert sentence in page.text
        assert 'href="https://shop.example/return/77/failed/"' in page.text

    def test_what_was_posted_is_shown_as_text_and_not_as_a_page(self) -> None:
        simulator = Simulator(secret_key="a key of our own")
        fields = V1 | {"product_code": "<script>alert(1)</script>"}
        fields |= {"signature": signature(REQUEST_NAMES, fields, "a key of our own")}
        with run_in_thread(create_app(simulator)) as address:
            page = httpx.post(f"{address}{FORM}", data=fields, trust_env=False)

        assert page.status_code == 200
        assert "<script" not in page.text
        assert "&lt;script&gt;" in page.text

    @pytest.mark.parametrize("step", ["login", "pay", "cancel", "expire"])
    def test_nothing_more_can_be_done_once_it_was_paid(self, client: httpx.Client, step: str) -> None:
        entered(client)
        sim(client, "pay")
        before = row_of(client)

        page = client.post(f"/pay/241028/{step}", data={"esewa_id": "9806800001", "password": "Nepal@123"})

        assert page.status_code == 409
        assert "This payment has been made already." in page.text
        assert row_of(client) == before

    def test_a_form_larger_than_any_page_sends_is_refused(self, client: httpx.Client) -> None:
        entered(client)

        page = client.post("/pay/241028/login", content=b"x" * (64 * 1024 + 1))

        assert page.status_code == 413

    def test_other_paths_are_not_there(self, client: httpx.Client) -> None:
        entered(client)

        assert client.post("/pay/241028/juggle").status_code == 404
        assert client.get("/epay/main").status_code == 404

    def test_an_unknown_payment_is_a_404_page(self, client: httpx.Client) -> None:
        assert client.post("/pay/nobody/login").status_code == 404
        assert client.post("/pay/nobody").status_code == 404

    def test_a_return_address_with_nepali_letters_gets_through_the_header(self, client: httpx.Client) -> None:
        entered(client, failure_url="https://shop.example/फिर्ता/")

        left = client.post("/pay/241028/cancel")

        assert (
            left.headers["location"] == "https://shop.example/%E0%A4%AB%E0%A4%BF%E0%A4%B0%E0%A5%8D%E0%A4%A4%E0%A4%BE/"
        )


class TestControl:
    def test_the_ledger_tells_everything_about_a_payment(self, client: httpx.Client) -> None:
        client.post(FORM, data=V1)
        look_up(client)
        look_up(client, total_amount="1")

        ledger = client.get("/_sim/payments").json()

        assert ledger == {
            "gateway": "esewa",
            "now": "2026-01-15T12:00:00.000250+05:45",
            "posts_seen": 1,
            "lookups_seen": 2,
            "payments": [
                {
                    "reference": "241028",
                    "order_reference": "241028",
                    "reported": "absent",
                    "transaction_id": None,
                    "transaction_uuid": "241028",
                    "product_code": "EPAYTEST",
                    "amount": 11000,
                    "status": "NOT_FOUND",
                    "step": "posted",
                    "transaction_code": None,
                    "refunded_amount": 0,
                    "refunds": [],
                    "success_url": "https://shop.example/return/77/",
                    "failure_url": "https://shop.example/return/77/failed/",
                    "form": V1,
                    "posted_at": "2026-01-15T12:00:00.000250+05:45",
                    "dies_at": None,
                    "posts": 1,
                    "lookups": 1,
                }
            ],
        }

    def test_a_form_can_be_entered_without_a_browser(self, client: httpx.Client) -> None:
        entered_so = client.post("/_sim/enter", json=V1)

        assert entered_so.status_code == 200
        assert entered_so.json()["status"] == "NOT_FOUND"
        assert client.get("/_sim/payments").json()["posts_seen"] == 1

    def test_a_form_that_is_not_taken_is_not_entered_either(self, client: httpx.Client) -> None:
        wrong = client.post("/_sim/enter", json=V1 | {"total_amount": 110})
        forged = client.post("/_sim/enter", json=V1 | {"signature": "x"})
        client.post("/_sim/enter", json=V1)
        again = client.post("/_sim/enter", json=V1)

        assert [wrong.status_code, forged.status_code, again.status_code] == [400, 400, 409]
        assert forged.json()["error"].startswith("ES104: ")

    def test_a_payment_may_be_named_by_reference(self, client: httpx.Client) -> None:
        entered(client)

        left = client.post("/_sim/pay", json={"reference": "241028"})

        assert left.json()["status"] == "COMPLETE"

    @pytest.mark.parametrize(
        ("first", "then"),
        [("pay", "pay"), ("pay", "pend"), ("pay", "cancel"), ("pay", "expire"), ("pay", "ambiguous"), ("pay", "login"),
         ("cancel", "cancel"), ("cancel", "expire"), ("expire", "cancel"), ("cancel", "refund"), ("pend", "refund")],
    )  # fmt: skip
    def test_what_cannot_follow_is_refused_with_a_sentence(self, client: httpx.Client, first: str, then: str) -> None:
        entered(client)
        sim(client, first)
        before = row_of(client)

        answer = sim(client, then)

        assert answer.status_code == 409
        assert answer.json()["error"].startswith("The payment is ")
        assert row_of(client) == before

    def test_more_than_was_paid_is_not_given_back(self, client: httpx.Client) -> None:
        paid(client)

        answer = sim(client, "refund", amount=11001)

        assert answer.status_code == 409
        assert row_of(client)["refunded_amount"] == 0

    @pytest.mark.parametrize("action", ["pay", "pend", "cancel", "expire", "refund", "ambiguous", "login"])
    def test_an_unknown_payment_is_a_404(self, client: httpx.Client, action: str) -> None:
        answer = sim(client, action, "nobody")

        assert answer.status_code == 404
        assert answer.json() == {"error": "No form with that transaction_uuid was posted to this stand-in."}

    def test_reset_forgets_payments_and_quirks(self, client: httpx.Client) -> None:
        entered(client)
        set_quirks(client, comma=True)

        client.post("/_sim/reset")

        assert client.get("/_sim/payments").json()["payments"] == []
        assert client.get("/_sim/quirks").json()["comma"] is False

    def test_every_step_has_a_word_and_says_what_it_can_follow(self) -> None:
        assert set(TOLD) == set(POSSIBLE_FROM) == set(Step) - {Step.POSTED}


class TestFaults:
    @pytest.mark.parametrize(
        ("kind", "parameters", "key", "value"),
        [
            ("wrong_amount", {"delta": 1}, "total_amount", 110.01),
            ("wrong_amount", {"delta": -11001}, "total_amount", -0.01),
            ("wrong_reference", {}, "transaction_uuid", "SOMEBODY-ELSES-PAYMENT"),
            ("change", {"values": {"product_code": "NP-ES-OTHER"}}, "product_code", "NP-ES-OTHER"),
            ("status_word", {"word": "Complete"}, "status", "Complete"),
            ("lag", {}, "status", "PENDING"),
            ("lag", {}, "ref_id", None),
        ],
    )
    def test_one_value_of_a_status_check_may_be_wrong(
        self, client: httpx.Client, kind: str, parameters: dict[str, object], key: str, value: object
    ) -> None:
        paid(client)
        honest = look_up(client).json()
        arm(client, "status", kind, **parameters)

        spoiled = look_up(client).json()

        assert spoiled[key] == value
        assert honest[key] != value
        assert look_up(client).json() == honest

    @pytest.mark.parametrize(
        ("kind", "parameters", "changes"),
        [
            ("wrong_amount", {"delta": 1}, {"totalAmount": 110.01}),
            ("wrong_reference", {}, {"transactionUuid": "SOMEBODY-ELSES-PAYMENT"}),
            ("status_word", {"word": "Complete"}, {"status": "Complete"}),
            ("lag", {}, {"status": "PENDING", "refId": None}),
        ],
    )
    def test_an_older_answer_may_be_wrong_in_the_same_ways(
        self, client: httpx.Client, kind: str, parameters: dict[str, object], changes: dict[str, object]
    ) -> None:
        paid(client)
        set_quirks(client, camel_case=True)
        honest = look_up(client).json()
        arm(client, "status", kind, **parameters)

        spoiled, then = look_up(client).json(), look_up(client).json()

        assert spoiled == honest | changes
        assert then == honest

    @pytest.mark.parametrize(
        ("kind", "parameters"),
        [
            ("huge", {"mib": 1}),
            ("change", {"values": {"unheard_of": True}}),
            ("missing", {"key": "ref_id"}),
            ("status_word", {"word": "Complete"}),
            ("wrong_reference", {}),
        ],
    )
    @pytest.mark.parametrize(("total", "written"), [("12345678.91", "1.234567891E7"), ("10000000", "1.0E7")])
    def test_numbers_stay_as_they_are_written_when_something_else_is_wrong(
        self, client: httpx.Client, kind: str, parameters: dict[str, object], total: str, written: str
    ) -> None:
        fields = signed(amount=total, tax_amount="0", total_amount=total)
        client.post(FORM, data=fields)
        sim(client, "pay")
        arm(client, "status", kind, **parameters)

        answer = look_up(client, total_amount=total).text

        assert f'"total_amount":{written},' in answer

    def test_a_stale_status_check_says_complete_although_money_went_back(self, client: httpx.Client) -> None:
        paid(client)
        sim(client, "refund")
        arm(client, "status", "stale")

        assert [said(client)[0], said(client)[0]] == ["COMPLETE", "FULL_REFUND"]

    @pytest.mark.parametrize(("kind", "is_posted"), [("drop_before", False), ("drop_after", True)])
    def test_a_dropped_form_was_taken_or_not(self, client: httpx.Client, kind: str, is_posted: bool) -> None:
        arm(client, "form", kind)

        with pytest.raises(httpx.RemoteProtocolError):
            client.post(FORM, data=V1)

        assert bool(client.get("/_sim/payments").json()["payments"]) is is_posted

    def test_a_fault_waits_for_its_own_payment(self, client: httpx.Client) -> None:
        entered(client)
        arm(client, "status", "html", transaction_uuid="241028")
        arm(client, "form", "html", transaction_uuid="241030")

        other = look_up(client, transaction_uuid="241029")
        own = look_up(client)

        assert other.headers["content-type"] == "application/json"
        assert own.headers["content-type"] == "text/html; charset=utf-8"
        assert "maintenance" not in client.post(FORM, data=signed(transaction_uuid="241029")).text
        assert "maintenance" in client.post(FORM, data=signed(transaction_uuid="241030")).text

    def test_a_payer_may_come_back_twice(self, client: httpx.Client) -> None:
        entered(client)
        arm(client, "page", "double_return")

        left = sim(client, "pay").json()

        assert left["return_urls"] == [left["return_url"]] * 2

    def test_the_money_may_come_after_the_session_has_ended(self, client: httpx.Client) -> None:
        entered(client)
        arm(client, "page", "late_payment", seconds=600)
        left = sim(client, "pay").json()
        before = said(client)

        client.post("/_sim/clock", json={"advance_seconds": 600})

        assert (left["status"], left["return_url"]) == ("NOT_FOUND", "https://shop.example/return/77/failed/")
        assert before == ("NOT_FOUND", None)
        assert said(client)[0] == "COMPLETE"


class TestDescription:
    def test_it_says_how_the_service_reaches_it(self) -> None:
        assert (STAND_IN.port, STAND_IN.reference) == (8902, "transaction_uuid")
        assert STAND_IN.environ("http://127.0.0.1:8902") == {
            "ESEWA_PRODUCT_CODE": "EPAYTEST",
            "ESEWA_SECRET_KEY": "8gBm/:&EnhH.1/q",
            "ESEWA_FORM_URL": "http://127.0.0.1:8902/api/epay/main/v2/form",
            "ESEWA_STATUS_URL": "http://127.0.0.1:8902/api/epay/transaction/status/",
        }

    def test_what_it_describes_runs(self) -> None:
        with run_in_thread(STAND_IN.create_app(Options())) as address:
            form_url = STAND_IN.environ(address)["ESEWA_FORM_URL"]

            page = httpx.post(form_url, data=V1, trust_env=False)

        assert page.status_code == 200
        assert urlsplit(form_url).path == FORM


def test_importing_the_gateways_folder_does_not_load_the_stand_in() -> None:
    program = "import sys, sewapay.adapters.esewa; sys.exit('sewapay.adapters.esewa.simulator' in sys.modules)"

    path = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", program], env=path, check=False).returncode == 0


def code_of(page: httpx.Response) -> str:
    (code,) = re.findall(r'<code id="code">([^<]*)</code>', page.text)
    return str(code)
