"""eSewa's wire and settings, without a connection: the form, documented answers, hostile ones, what may be started."""

import base64
import json
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import httpx
import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from sewapay.adapters.esewa import build, protocol
from sewapay.adapters.esewa.amounts import money_of, rupee_text
from sewapay.adapters.esewa.config import check_production, read_config
from sewapay.adapters.esewa.gateway import EsewaGateway
from sewapay.application.errors import (
    GatewayError,
    GatewayNotConfigured,
    KeyRefused,
    OutcomeUnknown,
    ProtocolError,
    UnusableSetting,
)
from sewapay.application.ports import (
    Authenticity,
    CheckoutKind,
    Payer,
    RefundKind,
    ReturnHint,
    ReturnMessage,
    Urls,
)
from sewapay.domain.checkout import Checkout, PostForm
from sewapay.domain.identifiers import Environment
from sewapay.domain.money import GREATEST_PAISA, Money
from sewapay.domain.observation import Observation, Reported
from sewapay.wire.answers import Answer
from sewapay.wire.settings import Secret
from tests.backend.orders import an_order

SAMPLES: Final = Path(protocol.__file__).parent / "samples"
UAT_KEY: Final = "8gBm/:&EnhH.1/q"
UAT: Final = {"ESEWA_PRODUCT_CODE": "EPAYTEST", "ESEWA_SECRET_KEY": UAT_KEY}
COMPLETE: Final[Mapping[str, object]] = {
    "product_code": "EPAYTEST",
    "transaction_uuid": "7Q2M9X4KD8ZT1B6VHR3C",
    "total_amount": 1130.0,
    "status": "COMPLETE",
    "ref_id": "0007G36",
}
MONEY_WORDS: Final = ("COMPLETE", "FULL_REFUND", "PARTIAL_REFUND")
SIX: Final = "transaction_code,status,total_amount,transaction_uuid,product_code,signed_field_names"

# A capture of eSewa's trial environment: Rs 2500.0 for `TXN-1769092167-9499`.
GENUINE: Final = (
    "eyJ0cmFuc2FjdGlvbl9jb2RlIjoiMDAwRFg3VCIsInN0YXR1cyI6IkNPTVBMRVRFIiwidG90YWxfYW1vdW50IjoiMjUwMC4wIiwidHJhbnNhY3Rp"
    "b25fdXVpZCI6IlRYTi0xNzY5MDkyMTY3LTk0OTkiLCJwcm9kdWN0X2NvZGUiOiJFUEFZVEVTVCIsInNpZ25lZF9maWVsZF9uYW1lcyI6InRyYW5z"
    "YWN0aW9uX2NvZGUsc3RhdHVzLHRvdGFsX2Ftb3VudCx0cmFuc2FjdGlvbl91dWlkLHByb2R1Y3RfY29kZSxzaWduZWRfZmllbGRfbmFtZXMiLCJz"
    "aWduYXR1cmUiOiJMYkRrc1dIeVhKMU1zZ2FEczlWU0NwR3ZRK2tjWCtEVDA2Tm55ejkweGZVPSJ9"
)
# Another one, with its padding: Rs 399.99 for `6940ee6bf5a556c025111f1c`.
PADDED: Final = (
    "eyJ0cmFuc2FjdGlvbl9jb2RlIjoiMDAwREJLTCIsInN0YXR1cyI6IkNPTVBMRVRFIiwidG90YWxfYW1vdW50IjoiMzk5Ljk5IiwidHJhbnNhY3Rp"
    "b25fdXVpZCI6IjY5NDBlZTZiZjVhNTU2YzAyNTExMWYxYyIsInByb2R1Y3RfY29kZSI6IkVQQVlURVNUIiwic2lnbmVkX2ZpZWxkX25hbWVzIjoi"
    "dHJhbnNhY3Rpb25fY29kZSxzdGF0dXMsdG90YWxfYW1vdW50LHRyYW5zYWN0aW9uX3V1aWQscHJvZHVjdF9jb2RlLHNpZ25lZF9maWVsZF9uYW1l"
    "cyIsInNpZ25hdHVyZSI6Ii9nTXNzckxVVDUrUXZ6VURpMzZNaWs4NTVka1ZTVkV3eFFhaTFrcERoZ009In0="
)
SIGNED: Final = ReturnHint(
    authenticity=Authenticity.SIGNED, claims="COMPLETE", order_reference="TXN-1769092167-9499", says_paid=True
)
UNREADABLE: Final = ReturnHint(authenticity=Authenticity.FORGED)


def urls() -> Urls:
    return Urls(
        return_url="https://pay.example/return/5f0c3f52-8a43-4a53-9d5f-0d4a7e5b1c11/",
        failure_url="https://pay.example/return/5f0c3f52-8a43-4a53-9d5f-0d4a7e5b1c11/unfinished/",
        website_url="https://pay.example",
    )


def sample(name: str) -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())
    return content


def raw(content: bytes, status: int = 200, content_type: str = "application/json") -> Answer:
    return Answer(status=status, content_type=content_type, content=content)


def answer(body: object, status: int = 200) -> Answer:
    return raw(json.dumps(body).encode(), status)


def seen_in(body: object, status: int = 200) -> Observation:
    return protocol.read_status(answer(body, status), "EPAYTEST")


def documented(name: str) -> Observation:
    return seen_in(sample(name)["body"], sample(name)["http_status"])


def gateway(client: httpx.AsyncClient, **variables: str) -> EsewaGateway:
    return build({**UAT, **variables}, client, is_production=False)


# --- the form ---------------------------------------------------------------------------------------------------------


async def test_the_form_has_the_documented_eleven_fields_in_their_order() -> None:
    async with httpx.AsyncClient() as client:
        checkout = await gateway(client).open_checkout(an_order(), urls(), Payer(name="Sita", phone="9800000001"))

    assert checkout == Checkout(
        next_step=PostForm(
            "https://rc-epay.esewa.com.np/api/epay/main/v2/form",
            {
                "amount": "1130",
                "tax_amount": "0",
                "total_amount": "1130",
                "transaction_uuid": "7Q2M9X4KD8ZT1B6VHR3C",
                "product_code": "EPAYTEST",
                "product_service_charge": "0",
                "product_delivery_charge": "0",
                "success_url": "https://pay.example/return/5f0c3f52-8a43-4a53-9d5f-0d4a7e5b1c11/",
                "failure_url": "https://pay.example/return/5f0c3f52-8a43-4a53-9d5f-0d4a7e5b1c11/unfinished/",
                "signed_field_names": "total_amount,transaction_uuid,product_code",
                # openssl dgst -sha256 -hmac '8gBm/:&EnhH.1/q' -binary | base64, over
                # total_amount=1130,transaction_uuid=7Q2M9X4KD8ZT1B6VHR3C,product_code=EPAYTEST
                "signature": "V15eHm4nNe6eJNzvChPo1WQPlZ1Tl+gaPhwLyattg0Y=",
            },
        ),
        gateway_reference=None,
        life=timedelta(minutes=15),
        expires_at=None,
    )
    assert isinstance(checkout.next_step, PostForm)
    assert list(checkout.next_step.fields) == list(sample("form")["fields"])


@pytest.mark.parametrize("paisa", [100, 113000, 113050, 39999, 100_000_000_00, GREATEST_PAISA])
def test_the_parts_of_the_form_add_up_and_none_is_empty(paisa: int) -> None:
    fields = protocol.form_fields(an_order(paisa), urls(), "EPAYTEST", Secret(UAT_KEY))

    parts = ("amount", "tax_amount", "product_service_charge", "product_delivery_charge")
    assert sum(Money.from_rupees(fields[name]).paisa for name in parts) == paisa
    assert Money.from_rupees(fields["total_amount"]).paisa == paisa
    assert all(fields.values())


@pytest.mark.parametrize("paisa", [113000, 113050])
def test_a_status_is_asked_for_with_the_text_that_was_posted(paisa: int) -> None:
    fields = protocol.form_fields(an_order(paisa), urls(), "EPAYTEST", Secret(UAT_KEY))

    asked = dict(parse_qsl(protocol.status_query(an_order(paisa), "EPAYTEST")))

    assert asked == {name: fields[name] for name in ("product_code", "total_amount", "transaction_uuid")}


def test_a_payment_is_asked_about_as_its_form_was_posted_whatever_the_settings_are_by_now() -> None:
    posted = evolve(an_order(113000), form={"product_code": "FORMER", "total_amount": "1130.00"})

    merchant = protocol.merchant_of(posted, "EPAYTEST")

    assert merchant == "FORMER"
    assert dict(parse_qsl(protocol.status_query(posted, merchant))) == {
        "product_code": "FORMER",
        "total_amount": "1130.00",
        "transaction_uuid": str(posted.reference),
    }


def test_the_question_is_the_documented_one() -> None:
    asked = protocol.status_query(an_order(), "EPAYTEST")

    assert asked == "product_code=EPAYTEST&total_amount=1130&transaction_uuid=7Q2M9X4KD8ZT1B6VHR3C"


# --- rupees -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paisa", "text"),
    [
        (100, "1"),
        (113000, "1130"),
        (39999, "399.99"),
        (10050, "100.50"),
        (10005, "100.05"),
        (1, "0.01"),
        (1_000_000_000, "10000000"),
        (GREATEST_PAISA, "90071992547409.91"),
    ],
)
def test_rupees_are_written_whole_or_with_two_decimals(paisa: int, text: str) -> None:
    assert rupee_text(Money(paisa)) == text


@pytest.mark.parametrize(
    ("text", "paisa"),
    [
        ("100", 10000),
        ("100.0", 10000),
        ("100.00", 10000),
        ("100.000", 10000),
        ("399.99", 39999),
        ("100.5", 10050),
        ("0.01", 1),
        ("0", 0),
        ("6,600.0", 660000),
        ("1,000", 100000),
        ("12,345,678.90", 1234567890),
        ("1.0E7", 1_000_000_000),
        ("1.0e7", 1_000_000_000),
        ("1.0E+7", 1_000_000_000),
        ("1.23456789E7", 1_234_567_890),
        ("1.234567891E7", 1_234_567_891),
        ("9.007199254740991E13", GREATEST_PAISA),
        ("90071992547409.91", GREATEST_PAISA),
    ],
)
def test_rupees_are_read_to_the_paisa(text: str, paisa: int) -> None:
    assert money_of(text) == Money(paisa)


@pytest.mark.parametrize(
    "value",
    [
        *("100.001", "0.001", "399.999", "1.2345678901E7", "1.0E-2", "1.0E-7", "5E-324"),
        *("-1", "-0", "+100", "-1.0E7", "NaN", "Infinity", "-Infinity", "inf"),
        *("1.0E99", "1E15", "1E999", "1e1000000000", "90071992547409.92", "9" * 17, "9" * 5000, "1." + "0" * 21),
        *("", " ", "100 ", " 100", "100\n", "Rs 100", "100.", ".5", "1.2.3", "1e", "e7", "1,0", "1,00,000.0", ",100"),
        *("100,", "1,000,00", "1 000", "1_000", "0x64", "١٠٠", "१००", "１００", "1٬000", "100\x00"),
        *(None, True, False, 100, 100.0, [], ["100"], {}, b"100"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_whole_number_of_paisa_is_no_amount(value: object) -> None:
    assert money_of(value) is None


@given(st.integers(0, GREATEST_PAISA))
def test_every_amount_that_we_write_is_read_back(paisa: int) -> None:
    assert money_of(rupee_text(Money(paisa))) == Money(paisa)


@given(st.integers(0, 10**15))
@example(1_000_000_000)
@example(99_999_999_999)
def test_every_amount_is_read_back_as_a_double_writes_it(paisa: int) -> None:
    """Python's shortest text of a double has Java's digits: plain here, with an exponent there."""
    rupees = paisa / 100
    digits = f"{paisa:03d}"
    assert money_of(repr(rupees)) == Money(paisa)
    assert money_of(f"{digits[0]}.{digits[1:]}E{len(digits) - 3}") == Money(paisa)
    assert money_of(f"{rupees:,.2f}") == Money(paisa)


@given(st.text(alphabet="0123456789.,eE+- ", max_size=24) | st.text())
def test_no_text_is_read_as_an_amount_with_parts_of_a_paisa(text: str) -> None:
    amount = money_of(text)

    assert amount is None or 0 <= amount.paisa <= GREATEST_PAISA


# --- answers to a status check ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        (
            "status-complete",
            Observation(
                reported=Reported.COMPLETED,
                said="COMPLETE",
                amount=Money(10000),
                transaction_id="0007G36",
                order_reference="240508-10108",
            ),
        ),
        (
            "status-pending",
            Observation(
                reported=Reported.PENDING, said="PENDING", amount=Money(10000), order_reference="240508-101430"
            ),
        ),
        (
            "status-ambiguous",
            Observation(
                reported=Reported.AMBIGUOUS,
                said="AMBIGUOUS",
                amount=Money(10000),
                transaction_id="0KDL6NA",
                order_reference="240508-101431",
            ),
        ),
        (
            "status-not-found",
            Observation(
                reported=Reported.ABSENT, said="NOT_FOUND", amount=Money(10000), order_reference="240508-101430"
            ),
        ),
        (
            "status-canceled",
            Observation(
                reported=Reported.CANCELED,
                said="CANCELED",
                amount=Money(1000),
                transaction_id="0KDL6NA",
                order_reference="240508-102939",
            ),
        ),
        (
            "status-full-refund",
            Observation(
                reported=Reported.REFUNDED,
                said="FULL_REFUND",
                amount=Money(10000),
                transaction_id="0007G36",
                order_reference="240508-101431",
            ),
        ),
        (
            "status-partial-refund",
            Observation(
                reported=Reported.PARTIALLY_REFUNDED,
                said="PARTIAL_REFUND",
                amount=Money(10000),
                transaction_id="0007G36",
                order_reference="240508-101431",
            ),
        ),
    ],
)
def test_each_documented_status_is_read(name: str, seen: Observation) -> None:
    assert documented(name) == seen


def test_every_documented_answer_is_tried() -> None:
    tried = {
        "complete",
        "pending",
        "ambiguous",
        "not-found",
        "canceled",
        "full-refund",
        "partial-refund",
        "unavailable",
    }

    assert {path.stem.removeprefix("status-") for path in SAMPLES.glob("status-*.json")} == tried


@pytest.mark.fault("F07")
@pytest.mark.parametrize("status", [200, 400, 404, 500, 502, 503, 504])
def test_an_outage_is_no_answer_whatever_its_http_status(status: int) -> None:
    with pytest.raises(OutcomeUnknown) as unknown:
        seen_in(sample("status-unavailable")["body"], status)

    assert type(unknown.value) is OutcomeUnknown


@pytest.mark.parametrize("complaint", ["Service is currently unavailable", "", 0, False, [], {"a": 1}])
def test_an_outage_is_no_success_whatever_stands_beside_it(complaint: object) -> None:
    with pytest.raises(OutcomeUnknown) as unknown:
        seen_in({**COMPLETE, "code": 0, "error_message": complaint})

    assert type(unknown.value) is OutcomeUnknown


def test_an_outage_repeats_nothing_private() -> None:
    with pytest.raises(OutcomeUnknown) as unknown:
        seen_in({"code": 0, "error_message": 'wallet 9806800001 of "Sita Sharma" sita@example.com is unknown'})

    for private in ("9806800001", "Sita", "example.com"):
        assert private not in str(unknown.value)


@pytest.mark.fault("F07")
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_an_overloaded_or_broken_esewa_leaves_the_outcome_unknown(status: int) -> None:
    with pytest.raises(OutcomeUnknown) as unknown:
        seen_in(COMPLETE, status)

    assert type(unknown.value) is OutcomeUnknown


@pytest.mark.fault("F06")
def test_whoever_is_turned_away_is_told_by_the_settings_name() -> None:
    with pytest.raises(KeyRefused, match="ESEWA_PRODUCT_CODE"):
        seen_in(COMPLETE, 401)


@pytest.mark.fault("F41")
@pytest.mark.parametrize(
    ("word", "status"),
    [
        (word, status)
        for word in (*MONEY_WORDS, "PENDING", "AMBIGUOUS", "NOT_FOUND", "CANCELED", "SOMETHING")
        for status in (400, 402, 403, 404, 405, 409, 410, 422, 451, 499)
        if (word, status) != ("NOT_FOUND", 404)
    ],
)
def test_no_word_counts_beside_an_http_error_for_esewa_documents_none_there(word: str, status: int) -> None:
    with pytest.raises(ProtocolError) as refused:
        seen_in({**COMPLETE, "status": word}, status)

    assert str(status) in str(refused.value)
    assert seen_in({**COMPLETE, "status": word}, 201).said == word


def test_not_found_with_404_is_believed_where_it_names_the_payment() -> None:
    body = {**COMPLETE, "status": "NOT_FOUND", "ref_id": None}

    seen = seen_in(body, 404)

    assert (seen.reported, seen.order_reference) == (Reported.ABSENT, COMPLETE["transaction_uuid"])
    with pytest.raises(ProtocolError):
        seen_in({**body, "transaction_uuid": None}, 404)


@pytest.mark.parametrize("word", ["PENDING", "AMBIGUOUS", "NOT_FOUND", "CANCELED", "CANCELLED", "SOMETHING"])
@pytest.mark.parametrize("missing", [None, ""])
def test_an_answer_that_does_not_name_the_payment_is_about_nothing(word: str, missing: str | None) -> None:
    body = {**COMPLETE, "status": word}

    with pytest.raises(ProtocolError):
        seen_in({**body, "transaction_uuid": missing})
    with pytest.raises(ProtocolError):
        seen_in({name: value for name, value in body.items() if name != "transaction_uuid"})


@pytest.mark.fault("F41")
@pytest.mark.parametrize("number", ["404", "0", "1", "200", "404.0", "1e2"])
def test_a_number_is_no_word_though_it_is_read_as_it_is_written(number: str) -> None:
    body = json.dumps({**COMPLETE, "status": "THERE"}).replace('"THERE"', number)

    with pytest.raises(ProtocolError):
        protocol.read_status(raw(body.encode()), "EPAYTEST")


@pytest.mark.fault("F44")
@pytest.mark.parametrize("status", [100, 301, 302, 307, 399])
def test_a_redirect_is_not_an_answer(status: int) -> None:
    with pytest.raises(ProtocolError):
        seen_in(COMPLETE, status)


def test_the_older_names_are_read_too() -> None:
    older = {
        "productCode": "EPAYTEST",
        "transactionUuid": "7Q2M9X4KD8ZT1B6VHR3C",
        "totalAmount": 1130.0,
        "status": "COMPLETE",
        "refId": "0007G36",
    }

    assert seen_in(older) == seen_in(COMPLETE)
    assert seen_in({**older, "product_code": None, "ref_id": None}) == seen_in(COMPLETE)


@pytest.mark.parametrize(
    "other",
    [
        {"totalAmount": 1130.01},
        {"totalAmount": "1130"},
        {"transactionUuid": "7Q2M9X4KD8ZT1B6VHR3D"},
        {"productCode": "EPAYTEST2"},
        {"refId": "0007G37"},
    ],
)
def test_an_answer_that_says_it_twice_and_differently_is_none(other: Mapping[str, object]) -> None:
    with pytest.raises(ProtocolError):
        seen_in({**COMPLETE, **other})


@pytest.mark.parametrize(
    ("written", "paisa"),
    [("100", 10000), ("100.0", 10000), ("399.99", 39999), ("1.0E7", 10**9), ('"6,600.0"', 660000), ("0.1", 10)],
)
def test_the_amount_is_read_from_what_is_written(written: str, paisa: int) -> None:
    body = json.dumps({**COMPLETE, "total_amount": "THERE"}).replace('"THERE"', written)

    assert protocol.read_status(raw(body.encode()), "EPAYTEST").amount == Money(paisa)


@pytest.mark.fault("F47")
@pytest.mark.parametrize(
    "written",
    ["null", '""', "true", "-1130.0", "1130.001", "1e99", "[1130.0]", '"Rs 1130"', "1" * 400, '{"rupees": 1}', '"NaN"'],
)
@pytest.mark.parametrize("word", MONEY_WORDS)
def test_money_without_an_exact_amount_is_no_answer(written: str, word: str) -> None:
    body = json.dumps({**COMPLETE, "status": word, "total_amount": "THERE"}).replace('"THERE"', written)

    with pytest.raises(ProtocolError):
        protocol.read_status(raw(body.encode()), "EPAYTEST")


@pytest.mark.parametrize("word", ["PENDING", "AMBIGUOUS", "NOT_FOUND", "CANCELED", "SOMETHING"])
@pytest.mark.parametrize("total", ["Rs 1130", 1130.001, -1, "", True, []])
def test_an_amount_that_is_none_spoils_any_answer(total: object, word: str) -> None:
    with pytest.raises(ProtocolError):
        seen_in({**COMPLETE, "status": word, "total_amount": total})


@pytest.mark.parametrize("word", MONEY_WORDS)
@pytest.mark.parametrize("name", ["product_code", "transaction_uuid", "total_amount"])
def test_an_answer_about_money_has_to_be_whole(name: str, word: str) -> None:
    body = {**COMPLETE, "status": word}

    for missing in (
        {key: value for key, value in body.items() if key != name},
        {**body, name: None},
        {**body, name: ""},
    ):
        with pytest.raises(ProtocolError):
            seen_in(missing)


@pytest.mark.parametrize("value", [None, "", " ", True, [], "a b", "x" * 129, "a\x00", "नेपाल"])
def test_a_completed_payment_has_a_transaction(value: object) -> None:
    with pytest.raises(ProtocolError):
        seen_in({**COMPLETE, "ref_id": value})


@pytest.mark.fault("F47")
@pytest.mark.parametrize("word", [*MONEY_WORDS, "PENDING", "NOT_FOUND", "AMBIGUOUS", "CANCELED", "SOMETHING"])
@pytest.mark.parametrize("code", ["EPAYTEST2", "epaytest", "NP-ES-OTHER", " EPAYTEST", 7, True, ["EPAYTEST"]])
def test_another_merchants_payment_answers_no_question_of_ours(code: object, word: str) -> None:
    with pytest.raises(ProtocolError):
        seen_in({**COMPLETE, "status": word, "product_code": code})


@pytest.mark.fault("F47")
def test_another_reference_is_handed_on_for_the_core_to_judge() -> None:
    assert seen_in({**COMPLETE, "transaction_uuid": "SOMEBODY-ELSE"}).order_reference == "SOMEBODY-ELSE"


@pytest.mark.parametrize("reference", [" ", "a b", "x" * 129, True, [], {}, "\u202e"])
def test_a_reference_that_cannot_be_one_is_no_answer(reference: object) -> None:
    with pytest.raises(ProtocolError):
        seen_in({**COMPLETE, "status": "PENDING", "transaction_uuid": reference})


@pytest.mark.fault("F48")
@pytest.mark.parametrize(
    "word",
    [
        *("complete", "Complete", "COMPLETED", "SUCCESS", "COMPLETE ", " COMPLETE", "COMPLETE\x00", "COMPLETE\u200b"),
        *("СOMPLETE", "ＣＯＭＰＬＥＴＥ", "PARTıAL_REFUND", "FULL REFUND", "REFUNDED", "not_found", "FAILED", "0", "1"),
        "Service is currently unavailable",
    ],
)
def test_every_other_word_is_unknown(word: str) -> None:
    assert seen_in({**COMPLETE, "status": word}).reported is Reported.UNKNOWN


@pytest.mark.parametrize("word", [None, "", " ", "\x00", True, [], ["COMPLETE"], {"status": "COMPLETE"}])
def test_a_status_that_is_no_word_is_no_answer(word: object) -> None:
    with pytest.raises(ProtocolError):
        seen_in({**COMPLETE, "status": word})


def test_the_spelling_with_two_l_is_a_cancel_too() -> None:
    seen = seen_in({"status": "CANCELLED", "transaction_uuid": "7Q2M9X4KD8ZT1B6VHR3C"})

    assert seen == Observation(reported=Reported.CANCELED, said="CANCELLED", order_reference="7Q2M9X4KD8ZT1B6VHR3C")


WHOLE: Final = json.dumps(COMPLETE).encode()
HOSTILE: Final[Mapping[str, bytes]] = {
    "empty": b"",
    "html": b"<!doctype html><title>COMPLETE</title>",
    "truncated": WHOLE[:-1],
    "trailing": WHOLE + b"{}",
    "list": b"[" + WHOLE + b"]",
    "text": b'"COMPLETE"',
    "null": b"null",
    "no status": b"{}",
    "code alone": b'{"code": 0}',
    "byte order mark": b"\xef\xbb\xbf" + WHOLE,
    "utf-16": WHOLE.decode().encode("utf-16"),
    "bad utf-8": WHOLE.replace(b"0007", b"\xff\xfe"),
    "a key twice": WHOLE[:-1] + b', "total_amount": 999}',
    "a status twice": b'{"status": "PENDING", ' + WHOLE[1:],
    "NaN": WHOLE.replace(b"1130.0", b"NaN"),
    "Infinity": WHOLE.replace(b"1130.0", b"Infinity"),
    "deep": WHOLE[:-1] + b', "x": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "5000 digits": WHOLE.replace(b"1130.0", b"1" + b"0" * 4999),
    "too large": WHOLE + b" " * 65536,
    "single quotes": WHOLE.replace(b'"', b"'"),
}


@pytest.mark.fault("F41")
@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("status", [200, 400])
def test_a_hostile_body_is_a_protocol_error(content: bytes, status: int) -> None:
    with pytest.raises(ProtocolError) as refused:
        protocol.read_status(raw(content, status), "EPAYTEST")

    assert refused.value.__context__ is None, "the decoder's error carries the whole body"


@pytest.mark.fault("F41")
@pytest.mark.parametrize("content_type", ["text/html", "text/plain", "", "application/json; charset=utf-16"])
def test_what_does_not_say_that_it_is_json_is_not_read(content_type: str) -> None:
    with pytest.raises(ProtocolError):
        protocol.read_status(raw(WHOLE, content_type=content_type), "EPAYTEST")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from([*MONEY_WORDS, "PENDING", "complete"]) | JSON,
        "total_amount": st.sampled_from([1130, 1130.0, "1,130.0", 1130.001]) | JSON,
        "totalAmount": st.just(1130.0) | JSON,
        "transaction_uuid": st.just("7Q2M9X4KD8ZT1B6VHR3C") | JSON,
        "product_code": st.just("EPAYTEST") | JSON,
        "ref_id": st.just("0007G36") | JSON,
        "error_message": JSON,
    },
)
BODIES = (FIELDS | JSON).map(lambda value: json.dumps(value).encode()) | st.binary()
STATUSES = st.sampled_from([200, 201, 302, 400, 401, 404, 429, 500, 503]) | st.integers(100, 999)


@pytest.mark.fault("F41")
@given(BODIES, STATUSES)
@example(WHOLE, 200)
def test_no_body_completes_a_payment_unless_it_is_whole(content: bytes, status: int) -> None:
    try:
        seen = protocol.read_status(raw(content, status), "EPAYTEST")
    except GatewayError:
        return

    if seen.reported is Reported.COMPLETED:
        body = json.loads(content)
        assert body["status"] == "COMPLETE"
        assert body.get("error_message") is None
        assert body["product_code"] == "EPAYTEST"
        assert seen.amount is not None
        assert seen.order_reference is not None
        assert seen.transaction_id is not None
        assert status < 300


# --- the browser's return ---------------------------------------------------------------------------------------------


def read(*values: tuple[str, str]) -> ReturnHint:
    return protocol.read_return(ReturnMessage(values=values), "EPAYTEST", Secret(UAT_KEY))


def with_every_letter(data: str) -> str:
    """The same return with a field more, so that its base64 has the two letters in it that get lost on the way."""
    fields = {**json.loads(base64.b64decode(data)), "x": "~~~>>>???"}
    return base64.b64encode(json.dumps(fields).encode()).decode()


@pytest.mark.parametrize(
    "changed",
    [
        lambda data: data,
        lambda data: data.replace("+", " "),
        lambda data: data.replace("+", "-").replace("/", "_"),
        lambda data: data.rstrip("="),
        lambda data: data + "==",
        lambda data: data.replace("+", " ").replace("/", "_").rstrip("="),
    ],
)
@pytest.mark.parametrize("data", [GENUINE, PADDED, with_every_letter(GENUINE), with_every_letter(PADDED)])
def test_base64_is_read_however_a_browser_or_a_framework_changed_it(data: str, changed: Callable[[str], str]) -> None:
    hint = read(("data", changed(data)))

    assert hint.authenticity is Authenticity.SIGNED
    assert hint.order_reference in {"TXN-1769092167-9499", "6940ee6bf5a556c025111f1c"}


def test_the_letters_that_get_lost_are_tried() -> None:
    assert {"+", "/"} <= set(with_every_letter(GENUINE))
    assert "=" in with_every_letter(GENUINE) + with_every_letter(PADDED)


def test_a_return_as_a_query_is_read() -> None:
    hint = read(*parse_qsl(f"data={PADDED}", keep_blank_values=True))

    assert hint.authenticity is Authenticity.SIGNED


def test_data_behind_a_query_of_our_own_is_read_too() -> None:
    query = f"ref_id=TXN_6829a604363b8?data={GENUINE}"

    assert read(*parse_qsl(query, keep_blank_values=True)) == SIGNED


@pytest.mark.parametrize(
    "values", [(), (("data", ""),), (("status", "COMPLETE"), ("transaction_uuid", "X")), (("DATA", GENUINE),)]
)
def test_a_return_without_data_is_unsigned_and_claims_nothing(values: tuple[tuple[str, str], ...]) -> None:
    assert read(*values) == ReturnHint(authenticity=Authenticity.UNSIGNED)


def test_the_same_data_twice_is_one() -> None:
    assert read(("data", GENUINE), ("data", GENUINE), ("other", f"x?data={GENUINE}")) == SIGNED


@pytest.mark.parametrize("second", [("data", PADDED), ("data", "x"), ("ref_id", f"x?data={PADDED}")])
def test_two_different_data_say_nothing(second: tuple[str, str]) -> None:
    assert read(("data", GENUINE), second) == UNREADABLE
    assert read(second, ("data", GENUINE)) == UNREADABLE


def test_a_forged_return_still_says_what_it_claims() -> None:
    forged = {"status": "COMPLETE", "transaction_uuid": "7Q2M9X4KD8ZT1B6VHR3C", "signature": "x"}

    hint = read(("data", base64.b64encode(json.dumps(forged).encode()).decode()))

    assert hint == ReturnHint(
        authenticity=Authenticity.FORGED, claims="COMPLETE", order_reference="7Q2M9X4KD8ZT1B6VHR3C", says_paid=True
    )


STRANGE: Final[Mapping[str, bytes]] = {
    "no JSON": b"COMPLETE",
    "a list": b"[1, 2]",
    "nothing": b"null",
    "deep": b"[" * 6000,
    "deep in an object": b'{"status": ' + b"[" * 2000 + b"]" * 2000 + b"}",
    "a key twice": b'{"status": "COMPLETE", "status": "PENDING"}',
    "NaN": b'{"status": "COMPLETE", "total_amount": NaN}',
    "utf-16": '{"status": "COMPLETE"}'.encode("utf-16"),
    "bad utf-8": b'{"status": "\xff"}',
    "null bytes": b"\x00" * 100,
}


@pytest.mark.fault("F28")
@pytest.mark.parametrize("content", STRANGE.values(), ids=STRANGE)
def test_data_that_is_no_plain_object_is_forged_and_says_nothing(content: bytes) -> None:
    assert read(("data", base64.b64encode(content).decode())) == UNREADABLE


@pytest.mark.fault("F28")
@pytest.mark.parametrize(
    "data",
    [
        *("x", "=", "====", "%%%", "{}", "é", "\ud800", "\x00", "eyJ", "a" * 9, f"{GENUINE}x", f"x{GENUINE}"),
        *(GENUINE[:-1], GENUINE[:50] + "\n" + GENUINE[50:], GENUINE[:50] + "*" + GENUINE[50:], "A" * 8193, "A" * 10**6),
    ],
    ids=lambda data: repr(data)[:20],
)
def test_data_that_is_no_base64_is_forged_and_says_nothing(data: str) -> None:
    assert read(("data", data)) == UNREADABLE


def test_data_may_have_eight_kilobytes_and_no_more() -> None:
    fields = json.loads(base64.b64decode(GENUINE))

    def padded_to(length: int) -> str:
        content = json.dumps({**fields, "x": ""}).encode()
        content += b" " * (length * 3 // 4 - len(content))
        return base64.b64encode(content).decode()

    assert len(padded_to(8192)) == 8192
    assert read(("data", padded_to(8192))) == SIGNED
    assert read(("data", padded_to(8196))) == UNREADABLE


@pytest.mark.fault("F28")
@pytest.mark.parametrize(
    "fields",
    [
        {"status": "\ud800", "transaction_uuid": "\ud800"},
        {"status": "\u202e\x00", "transaction_uuid": "\u202e"},
        {"status": ["COMPLETE"], "transaction_uuid": {"a": 1}},
        {"status": None, "transaction_uuid": None},
        {"status": "", "transaction_uuid": ""},
        {"transaction_uuid": "x" * 129},
    ],
)
def test_what_cannot_be_stored_is_left_out(fields: Mapping[str, object]) -> None:
    assert read(("data", base64.b64encode(json.dumps(fields).encode()).decode())) == UNREADABLE


@pytest.mark.fault("F28")
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["data", "ref_id", "status"]) | st.text(),
            st.text()
            | st.text().map(lambda text: f"{text}?data={text}")
            | BODIES.map(lambda content: base64.b64encode(content).decode()),
        )
    )
)
def test_no_return_raises_or_is_signed_or_brings_in_anything_unprintable(values: list[tuple[str, str]]) -> None:
    hint = read(*values)

    assert hint.authenticity is not Authenticity.SIGNED
    for text in (hint.claims, hint.gateway_reference, hint.order_reference):
        assert text is None or (0 < len(text) <= 128 and text.isprintable())


# --- settings ---------------------------------------------------------------------------------------------------------

LIVE: Final = {
    "ESEWA_PRODUCT_CODE": "NP-ES-SEWAPAY",
    "ESEWA_SECRET_KEY": "LB0REg8HUSw3MTYrI1s6",
    "ESEWA_FORM_URL": "https://epay.esewa.com.np/api/epay/main/v2/form",
    "ESEWA_STATUS_URL": "https://epay.esewa.com.np/api/epay/transaction/status/",
}


def problems(variables: Mapping[str, str]) -> list[str]:
    with pytest.raises(UnusableSetting) as unusable:
        read_config(variables)
    return str(unusable.value).splitlines()


def test_nothing_set_means_the_trial_environment_without_a_key() -> None:
    config = read_config({})

    assert config.form_url.text == "https://rc-epay.esewa.com.np/api/epay/main/v2/form"
    assert config.status_url.text == "https://rc.esewa.com.np/api/epay/transaction/status"
    assert config.environment is Environment.SANDBOX
    assert (config.product_code, config.secret_key, config.greatest) == (None, None, None)
    assert (config.deadline_seconds, config.life) == (10.0, timedelta(minutes=15))


def test_blank_variables_count_as_left_out() -> None:
    names = (*LIVE, "ESEWA_GREATEST_AMOUNT", "ESEWA_DEADLINE_SECONDS", "ESEWA_LIFE_MINUTES")

    assert read_config(dict.fromkeys(names, " ")) == read_config({})


@pytest.mark.parametrize(
    ("form", "status", "environment"),
    [
        ("https://epay.esewa.com.np/f", "https://epay.esewa.com.np/s/", Environment.PRODUCTION),
        ("https://EPAY.esewa.com.np/f", "https://esewa.com.np/s", Environment.PRODUCTION),
        ("https://rc-epay.esewa.com.np/f", "https://uat.esewa.com.np/s/", Environment.SANDBOX),
        ("http://127.0.0.1:8902/f", "http://127.0.0.1:8902/s/", Environment.SANDBOX),
    ],
)
def test_the_environment_follows_from_where_customers_pay(form: str, status: str, environment: Environment) -> None:
    assert read_config({"ESEWA_FORM_URL": form, "ESEWA_STATUS_URL": status}).environment is environment


@pytest.mark.fault("F96")
@pytest.mark.parametrize(
    "variables",
    [
        {"ESEWA_FORM_URL": LIVE["ESEWA_FORM_URL"]},
        {"ESEWA_STATUS_URL": LIVE["ESEWA_STATUS_URL"]},
        {"ESEWA_STATUS_URL": "https://esewa.com.np/api/epay/transaction/status/"},
        {**LIVE, "ESEWA_STATUS_URL": "http://127.0.0.1:8902/api/epay/transaction/status/"},
        {**LIVE, "ESEWA_STATUS_URL": "https://epay.esewa.com.np.evil.example/"},
        {**LIVE, "ESEWA_FORM_URL": "https://rc-epay.esewa.com.np/api/epay/main/v2/form"},
    ],
)
def test_no_payment_is_made_in_one_environment_and_looked_up_in_another(variables: Mapping[str, str]) -> None:
    [problem] = problems(variables)

    assert problem.startswith("ESEWA_STATUS_URL and ESEWA_FORM_URL ")


@pytest.mark.parametrize("name", ["ESEWA_FORM_URL", "ESEWA_STATUS_URL"])
@pytest.mark.parametrize(
    "address",
    [
        "rc-epay.esewa.com.np/form",
        "ftp://rc-epay.esewa.com.np/form",
        "https://",
        "https://rc-epay.esewa.com.np/form?x=1",
        "https://user:hunter2@rc-epay.esewa.com.np/form",
        "http://rc-epay.esewa.com.np/form",
        "javascript:alert(1)",
    ],
)
def test_an_address_that_cannot_be_trusted_is_refused_by_its_variables_name(address: str, name: str) -> None:
    [problem] = problems({name: address})

    assert problem.startswith(f"{name} ")
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ESEWA_PRODUCT_CODE", "EPAY,TEST"),
        ("ESEWA_PRODUCT_CODE", "EPAY=TEST"),
        ("ESEWA_PRODUCT_CODE", "EPAY TEST"),
        ("ESEWA_PRODUCT_CODE", "x" * 65),
        ("ESEWA_PRODUCT_CODE", "नेपाल"),
        ("ESEWA_SECRET_KEY", "two words"),
        ("ESEWA_SECRET_KEY", "line\r\nbreak"),
        ("ESEWA_SECRET_KEY", "x" * 257),
        ("ESEWA_GREATEST_AMOUNT", "99"),
        ("ESEWA_GREATEST_AMOUNT", "1000.5"),
        ("ESEWA_DEADLINE_SECONDS", "0"),
        ("ESEWA_DEADLINE_SECONDS", "12.1"),
        ("ESEWA_LIFE_MINUTES", "0"),
        ("ESEWA_LIFE_MINUTES", "1441"),
        ("ESEWA_LIFE_MINUTES", "1.5"),
        ("ESEWA_LIFE_MINUTES", "-1"),
    ],
)
def test_an_unusable_value_is_refused_by_its_variables_name(name: str, value: str) -> None:
    [problem] = problems({name: value})

    assert problem.startswith(f"{name} ")
    assert len(value) < 5 or value not in problem


def test_everything_that_is_wrong_is_told_at_once() -> None:
    wrong = {"ESEWA_FORM_URL": "x", "ESEWA_STATUS_URL": "x", "ESEWA_SECRET_KEY": "x y", "ESEWA_PRODUCT_CODE": "x y"}

    assert [problem.split()[0] for problem in problems(wrong)] == [
        "ESEWA_PRODUCT_CODE",
        "ESEWA_SECRET_KEY",
        "ESEWA_FORM_URL",
        "ESEWA_STATUS_URL",
    ]


def test_limits_can_be_set() -> None:
    config = read_config(
        {"ESEWA_GREATEST_AMOUNT": "10000000", "ESEWA_DEADLINE_SECONDS": "2.5", "ESEWA_LIFE_MINUTES": "60"}
    )

    assert (config.greatest, config.deadline_seconds, config.life) == (Money(10_000_000), 2.5, timedelta(hours=1))


@pytest.mark.parametrize("host", ["epay.esewa.com.np", "esewa.com.np"])
def test_production_takes_the_live_addresses_with_a_code_and_a_key_of_its_own(host: str) -> None:
    variables = {**LIVE, "ESEWA_STATUS_URL": f"https://{host}/api/epay/transaction/status/"}

    assert check_production(read_config(variables)) == []


PLAY: Final = {
    "ESEWA_FORM_URL": "http://127.0.0.1:8902/api/epay/main/v2/form",
    "ESEWA_STATUS_URL": "http://127.0.0.1:8902/api/epay/transaction/status/",
}


@pytest.mark.parametrize(
    ("changes", "variables"),
    [
        ({"ESEWA_FORM_URL": "", "ESEWA_STATUS_URL": ""}, {"ESEWA_FORM_URL", "ESEWA_STATUS_URL"}),
        (PLAY, {"ESEWA_FORM_URL", "ESEWA_STATUS_URL"}),
        ({"ESEWA_FORM_URL": "https://esewa.com.np/api/epay/main/v2/form"}, {"ESEWA_FORM_URL"}),
        ({"ESEWA_PRODUCT_CODE": ""}, {"ESEWA_PRODUCT_CODE"}),
        ({"ESEWA_PRODUCT_CODE": "EPAYTEST"}, {"ESEWA_PRODUCT_CODE"}),
        ({"ESEWA_PRODUCT_CODE": "epaytest"}, {"ESEWA_PRODUCT_CODE"}),
        ({"ESEWA_SECRET_KEY": ""}, {"ESEWA_SECRET_KEY"}),
        ({"ESEWA_SECRET_KEY": UAT_KEY}, {"ESEWA_SECRET_KEY"}),
        ({"ESEWA_SECRET_KEY": f"{UAT_KEY}("}, {"ESEWA_SECRET_KEY"}),
    ],
)
@pytest.mark.invariant("I26")
def test_production_refuses_play_money(changes: Mapping[str, str], variables: set[str]) -> None:
    unsafe = check_production(read_config({**LIVE, **changes}))

    assert {problem.split()[0] for problem in unsafe} == variables
    assert UAT_KEY not in str(unsafe)


def test_the_source_holds_the_samples_digest_only() -> None:
    sources = "".join(path.read_text() for path in SAMPLES.parent.glob("*.py"))

    assert UAT_KEY not in sources


async def test_the_key_shows_in_no_representation_log_or_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with httpx.AsyncClient() as client:
        opening = gateway(client, ESEWA_PRODUCT_CODE="")
        checkout = await gateway(client).open_checkout(an_order(), urls(), Payer())
        with pytest.raises(GatewayNotConfigured) as refused:
            await opening.open_checkout(an_order(), urls(), Payer())
    with pytest.raises(UnusableSetting) as unusable:
        build(UAT, client, is_production=True)

    shown = [opening, opening.config, opening.config.secret_key, checkout, refused.value, unusable.value, caplog.text]
    assert UAT_KEY not in "".join(f"{value!r} {value}" for value in shown)


async def test_build_refuses_production_with_everything_that_is_unsafe() -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(UnusableSetting) as unusable:
            build({}, client, is_production=True)
        assert build(LIVE, client, is_production=True).environment is Environment.PRODUCTION

    assert {line.split()[0] for line in str(unusable.value).splitlines()} == set(LIVE)


# --- the gateway ------------------------------------------------------------------------------------------------------


async def test_without_code_and_key_the_service_starts_and_opens_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with httpx.AsyncClient() as client:
        bare = build({}, client, is_production=False)
        warnings = [record.getMessage() for record in caplog.records if record.name == "sewapay.esewa"]

        assert gateway(client).capabilities.configured
        for missing in ("ESEWA_PRODUCT_CODE", "ESEWA_SECRET_KEY"):
            assert not gateway(client, **{missing: ""}).capabilities.configured
        with pytest.raises(GatewayNotConfigured, match="ESEWA_PRODUCT_CODE"):
            await bare.open_checkout(an_order(), urls(), Payer())
        with pytest.raises(GatewayNotConfigured, match="ESEWA_SECRET_KEY"):
            await gateway(client, ESEWA_SECRET_KEY="").open_checkout(an_order(), urls(), Payer())
        with pytest.raises(GatewayNotConfigured, match="ESEWA_PRODUCT_CODE"):
            await bare.look_up(an_order())

    assert warnings == [
        "ESEWA_PRODUCT_CODE is not set: no eSewa checkout can be opened",
        "ESEWA_SECRET_KEY is not set: no eSewa checkout can be opened",
    ]


async def test_without_a_key_every_return_is_forged() -> None:
    message = ReturnMessage(values=(("data", GENUINE),))
    async with httpx.AsyncClient() as client:
        keyed, keyless = gateway(client), gateway(client, ESEWA_SECRET_KEY="")

    assert keyed.read_return(message) == SIGNED
    assert keyless.read_return(message) == evolve(SIGNED, authenticity=Authenticity.FORGED)


async def test_capabilities_are_those_of_a_form_that_is_posted_once() -> None:
    async with httpx.AsyncClient() as client:
        esewa = gateway(client, ESEWA_GREATEST_AMOUNT="20000", ESEWA_LIFE_MINUTES="30")

    can = esewa.capabilities
    assert (can.least, can.greatest) == (Money(100), Money(20000))
    assert (can.checkout, can.signed_return, can.single_entry) == (CheckoutKind.POST_FORM, True, True)
    assert (can.refunds, esewa.refunds) == (RefundKind.NONE, None)
    assert can.default_life == timedelta(minutes=30)
    assert can.panel == "eSewa's merchant portal (https://merchant.esewa.com.np)"


async def test_pages_may_lead_to_esewa_or_to_the_stand_in_and_nowhere_else() -> None:
    async with httpx.AsyncClient() as client:
        live = build(LIVE, client, is_production=True).capabilities
        trial = gateway(client).capabilities
        stand_in = gateway(client, **PLAY).capabilities
        alike = gateway(client, ESEWA_FORM_URL="https://fakeesewa.com.np/form").capabilities

    assert live.page_origins == trial.page_origins == ("https://esewa.com.np", "https://*.esewa.com.np")
    assert stand_in.page_origins == ("http://127.0.0.1:8902",)
    assert alike.page_origins == ("https://fakeesewa.com.np:443",)
