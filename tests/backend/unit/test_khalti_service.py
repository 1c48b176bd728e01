"""Khalti's wire and settings, without a connection: documented answers, hostile ones, and what may be started with."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

import httpx
import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from sewapay.adapters.khalti import build, protocol
from sewapay.adapters.khalti.config import check_production, environment_of, read_config
from sewapay.application.errors import (
    CheckoutRefused,
    GatewayError,
    GatewayNotConfigured,
    KeyRefused,
    OutcomeUnknown,
    ProtocolError,
    RefundRefused,
    UnusableSetting,
)
from sewapay.application.ports import (
    Authenticity,
    Order,
    Payer,
    RefundKind,
    RefundOrder,
    ReturnMessage,
    Urls,
)
from sewapay.domain.checkout import Checkout, Redirect
from sewapay.domain.identifiers import BookingId, Environment, OrderReference, PaymentId
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation, Reported
from sewapay.wire.answers import Answer

DATA: Mapping[str, Any] = json.loads((Path(__file__).parents[1] / "fixtures" / "khalti_test_data.json").read_text())
SAMPLES = Path(protocol.__file__).parent / "samples"
ERRORS_OF_INITIATE = sorted({path.stem for path in SAMPLES.glob("initiate-*.json")} - {"initiate-success"})
PIDX = "HT6o6PEZRWFJ5ygavzHWd5"
COMPLETED: Mapping[str, object] = {
    "pidx": PIDX,
    "total_amount": 1000,
    "status": "Completed",
    "transaction_id": "GFq9PFS7b2iYvL8Lir9oXe",
    "fee": 0,
    "refunded": False,
}
LINK: Mapping[str, object] = {
    "pidx": "bZQLD9wRVWo4CdESSfuSsB",
    "payment_url": "https://test-pay.khalti.com/?pidx=bZQLD9wRVWo4CdESSfuSsB",
    "expires_at": "2023-05-25T16:26:16.471649+05:45",
    "expires_in": 1800,
}


def order(title: str = "House cleaning") -> Order:
    return Order(
        payment_id=PaymentId("5f0c3f52-8a43-4a53-9d5f-0d4a7e5b1c11"),
        booking_id=BookingId(77),
        reference=OrderReference(DATA["order"]["reference"]),
        gateway_reference=PIDX,
        amount=Money(113000),
        title=title,
    )


def urls() -> Urls:
    url = DATA["order"]["return_url"]
    return Urls(return_url=url, failure_url=f"{url}unfinished/", website_url=DATA["order"]["website_url"])


def sample(name: str) -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())
    return content


def answer(body: object, status: int = 200, content_type: str = "application/json") -> Answer:
    return Answer(status=status, content_type=content_type, content=json.dumps(body).encode())


def documented(name: str) -> Answer:
    return answer(sample(name)["body"], sample(name)["http_status"])


def raw(content: bytes, status: int = 200, content_type: str = "application/json") -> Answer:
    return Answer(status=status, content_type=content_type, content=content)


def opened(answer: Answer, allowed_origin: str | None = None) -> Checkout:
    return protocol.read_initiate(answer, allowed_origin=allowed_origin)


# --- what we send -----------------------------------------------------------------------------------------------------


def test_initiate_sends_what_the_documentation_asks_for() -> None:
    customer = DATA["order"]["customer"]
    payer = Payer(name=customer["name"], email=customer["email"], phone=customer["phone"])

    body = json.loads(protocol.initiate_body(order(), urls(), payer))

    assert DATA["initiate_body"] == body
    assert type(body["amount"]) is int


@pytest.mark.parametrize(
    ("payer", "customer_info"),
    [
        (Payer(), None),
        (Payer(phone="9800000001"), {"phone": "9800000001"}),
        (Payer(name="Sita", email=None), {"name": "Sita"}),
    ],
)
def test_only_what_is_known_about_the_customer_is_sent(payer: Payer, customer_info: object) -> None:
    body = json.loads(protocol.initiate_body(order(), urls(), payer))

    assert customer_info == body.get("customer_info")


def test_a_long_title_is_cut_and_nepali_survives() -> None:
    body = json.loads(protocol.initiate_body(order("घर सफाई " + "x" * 180), urls(), Payer()))

    assert body["purchase_order_name"] == "घर सफाई " + "x" * 92


def test_a_look_up_names_the_pidx_and_nothing_else() -> None:
    assert protocol.lookup_body(PIDX) == b'{"pidx":"HT6o6PEZRWFJ5ygavzHWd5"}'


@pytest.mark.fault("F67")
@pytest.mark.parametrize(
    ("paisa", "is_all", "body"),
    [
        (113000, True, b"{}"),
        (113000, False, b'{"amount":113000}'),
        (5050, False, b'{"amount":5050}'),
        (1, False, b'{"amount":1}'),
    ],
)
def test_a_refund_asks_for_all_by_nothing_and_for_a_part_by_whole_paisa(paisa: int, is_all: bool, body: bytes) -> None:
    assert protocol.refund_body(RefundOrder(amount=Money(paisa), is_all=is_all)) == body


@pytest.mark.parametrize(
    ("transaction_id", "path"),
    [
        ("GFq9PFS7b2iYvL8Lir9oXe", "/merchant-transaction/GFq9PFS7b2iYvL8Lir9oXe/refund/"),
        ("a/../b?c=d#e%2F", "/merchant-transaction/a%2F..%2Fb%3Fc%3Dd%23e%252F/refund/"),
    ],
)
def test_a_refund_is_asked_for_by_transaction_id(transaction_id: str, path: str) -> None:
    assert protocol.refund_path(transaction_id) == path


@pytest.mark.parametrize("transaction_id", ["", ".", "..", "a b", "नेपाल", "x" * 129, "a\x00"])
def test_an_id_that_would_name_another_path_is_not_sent(transaction_id: str) -> None:
    with pytest.raises(RefundRefused):
        protocol.refund_path(transaction_id)


# --- answers to initiate ----------------------------------------------------------------------------------------------


def test_the_documented_success_is_a_checkout() -> None:
    checkout = opened(documented("initiate-success"))

    assert checkout == Checkout(
        next_step=Redirect("https://test-pay.khalti.com/?pidx=bZQLD9wRVWo4CdESSfuSsB"),
        gateway_reference="bZQLD9wRVWo4CdESSfuSsB",
        life=timedelta(seconds=1800),
        expires_at=datetime(2023, 5, 25, 10, 41, 16, 471649, tzinfo=UTC),
    )


@pytest.mark.parametrize("expires_in", [None, True, "1800", 1800.0, 0, -1, 604801, 10**30, [1800]])
def test_a_life_that_is_no_number_of_seconds_is_left_to_our_default(expires_in: object) -> None:
    sample = documented("initiate-success")
    content = json.dumps(json.loads(sample.content) | {"expires_in": expires_in}).encode()

    checkout = opened(evolve(sample, content=content))

    assert checkout.life is None


@pytest.mark.parametrize("name", ERRORS_OF_INITIATE)
def test_each_documented_error_of_initiate_is_a_refusal_in_khaltis_words(name: str) -> None:
    body = sample(name)["body"]
    [(field, [message])] = [(name, value) for name, value in body.items() if name != "error_key"]

    with pytest.raises(CheckoutRefused) as refused:
        opened(documented(name))

    assert str(refused.value) == f"Khalti refused the payment: {field}: {message}"


@pytest.mark.fault("F06")
@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_refusal_needs_no_readable_body(status: int) -> None:
    with pytest.raises(CheckoutRefused, match=f"HTTP {status}"):
        opened(raw(b"<html>no</html>", status, "text/html"))


@pytest.mark.fault("F06")
@pytest.mark.parametrize("name", ["error-invalid-token", "error-no-credentials"])
def test_a_refused_key_is_told_apart(name: str) -> None:
    for read in (opened, protocol.read_lookup):
        with pytest.raises(KeyRefused, match="KHALTI_SECRET_KEY"):
            read(documented(name))


@pytest.mark.fault("F07")
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_an_overloaded_or_broken_khalti_leaves_the_outcome_unknown(status: int) -> None:
    for read, body in ((opened, LINK), (protocol.read_lookup, COMPLETED)):
        with pytest.raises(OutcomeUnknown) as unknown:
            read(answer(body, status))

        assert type(unknown.value) is OutcomeUnknown


@pytest.mark.fault("F05")
@pytest.mark.parametrize(
    "changes",
    [
        {"pidx": None},
        {"pidx": ""},
        {"pidx": 7},
        {"pidx": "a" * 129},
        {"pidx": "a b"},
        {"pidx": "bZQLD9wRVWo4CdESSfuSsB\x00"},
        {"payment_url": None},
        {"payment_url": ""},
        {"payment_url": "https://pay.khalti.example/?pidx=bZQLD9wRVWo4CdESSfuSsB"},
        {"payment_url": "https://pay.khalti.com.evil.example/"},
        {"payment_url": "https://evilkhalti.com/"},
        {"payment_url": "https://pay.khalti.com@evil.example/"},
        {"payment_url": "https://evil.example\\@pay.khalti.com/"},
        {"payment_url": "https://evil.example\\.khalti.com/"},
        {"payment_url": "http://pay.khalti.com/"},
        {"payment_url": "https://pay.khalti.com:8443/"},
        {"payment_url": "https://pay.khalti.com:99999/"},
        {"payment_url": "javascript:alert(1)//pay.khalti.com"},
        {"payment_url": "//pay.khalti.com/"},
        {"payment_url": "https://pay.khalti.com/ \nx"},
        {"payment_url": "https://[::1"},
        {"payment_url": "https://pay.khalti.com/?pidx=somebodyelses"},
        {"payment_url": "https://pay.khalti.com/?pidx=bZQLD9wRVWo4CdESSfuSsB&pidx=somebodyelses"},
        {"payment_url": "https://pay.khalti.com/" + "x" * 2000},
        {"payment_url": ["https://pay.khalti.com/"]},
    ],
    ids=repr,
)
def test_a_success_of_another_shape_or_host_is_a_protocol_error(changes: Mapping[str, object]) -> None:
    with pytest.raises(ProtocolError):
        opened(answer({**LINK, **changes}))


@pytest.mark.parametrize(
    "url",
    [
        "https://pay.khalti.com/?pidx=bZQLD9wRVWo4CdESSfuSsB",
        "https://PAY.Khalti.com/?pidx=bZQLD9wRVWo4CdESSfuSsB&theme=dark",
        "https://pay.khalti.com:443/",
        "https://khalti.com/pay/bZQLD9wRVWo4CdESSfuSsB",
    ],
)
def test_the_link_is_kept_as_it_came(url: str) -> None:
    checkout = opened(answer({**LINK, "payment_url": url}))

    assert checkout.next_step == Redirect(url)


def test_off_production_the_stand_ins_own_links_pass_and_others_do_not() -> None:
    stand_in = "http://127.0.0.1:8901"

    checkout = opened(answer({**LINK, "payment_url": f"{stand_in}/?pidx=bZQLD9wRVWo4CdESSfuSsB"}), stand_in)

    assert checkout.next_step == Redirect("http://127.0.0.1:8901/?pidx=bZQLD9wRVWo4CdESSfuSsB")
    for elsewhere in ("http://127.0.0.1:8902/", "https://127.0.0.1:8901/", "http://127.0.0.2:8901/"):
        with pytest.raises(ProtocolError):
            opened(answer({**LINK, "payment_url": elsewhere}), stand_in)


@pytest.mark.fault("F55")
@pytest.mark.parametrize(
    ("said", "expires_at"),
    [
        ("2026-01-15T12:00:00+05:45", datetime(2026, 1, 15, 6, 15, tzinfo=UTC)),
        ("2026-01-15T06:15:00Z", datetime(2026, 1, 15, 6, 15, tzinfo=UTC)),
        ("2026-01-15T12:00:00", None),
        ("0001-01-01T00:00:00+05:45", None),
        ("soon", None),
        ("", None),
        (1768457700, None),
        (None, None),
    ],
)
def test_a_time_without_an_offset_is_no_time(said: object, expires_at: datetime | None) -> None:
    checkout = opened(answer({**LINK, "expires_at": said}))

    assert checkout.expires_at == expires_at


def test_the_first_version_of_the_api_had_no_expiry() -> None:
    checkout = opened(answer({"pidx": LINK["pidx"], "payment_url": LINK["payment_url"]}))

    assert checkout.expires_at is None


def test_a_refusal_repeats_nothing_private() -> None:
    body = {
        "detail": 'Key live_secret_key_68791341fdd94846a146f0457ff7b455 and "Sita Sharma" test@khalti.com 9800000001',
        "customer_info": {"phone": ["9800000001 is not a number of Sita"]},
        "purchase_order_name": ["x" * 5000, "second", "third", "fourth"],
        "error_key": "validation_error",
    }

    with pytest.raises(CheckoutRefused) as refused:
        opened(answer(body, 400))

    told = str(refused.value)
    assert len(told) < 800
    assert "customer_info" in told
    for private in ("6879", "Sita", "khalti.com", "9800000001", "fourth"):
        assert private not in told


# --- answers to a refund ----------------------------------------------------------------------------------------------


def test_the_documented_yes_is_handed_on_in_khaltis_word() -> None:
    assert protocol.read_refund(documented("refund-success")) == "Transaction refund successful."


@pytest.mark.fault("F62")
@pytest.mark.fault("F65")
@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
def test_a_refund_that_is_refused_gives_khaltis_reason(status: int) -> None:
    body = {"detail": "Transaction has already been refunded.", "error_key": "validation_error"}

    with pytest.raises(RefundRefused) as refused:
        protocol.read_refund(answer(body, status))

    assert str(refused.value) == "Khalti refused the refund: detail: Transaction has already been refunded."


def test_a_refused_refund_repeats_nothing_private() -> None:
    body = {
        "detail": ['Key live_secret_key_68791341fdd94846a146f0457ff7b455, wallet 9800000001 of "Sita Sharma"'],
        "mobile": ["9800000001 is not Sita's"],
    }

    with pytest.raises(RefundRefused) as refused:
        protocol.read_refund(answer(body, 400))

    told = str(refused.value)
    assert "mobile" in told
    for private in ("6879", "Sita", "9800000001"):
        assert private not in told


@pytest.mark.fault("F06")
@pytest.mark.parametrize("name", ["error-invalid-token", "error-no-credentials"])
def test_a_refund_with_a_refused_key_is_told_apart(name: str) -> None:
    with pytest.raises(KeyRefused, match="KHALTI_SECRET_KEY"):
        protocol.read_refund(documented(name))


@pytest.mark.fault("F64")
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_an_overloaded_or_broken_khalti_may_have_refunded_or_not(status: int) -> None:
    with pytest.raises(OutcomeUnknown) as unknown:
        protocol.read_refund(answer({"detail": "Transaction refund successful."}, status))

    assert type(unknown.value) is OutcomeUnknown


@pytest.mark.fault("F41")
@pytest.mark.parametrize(
    ("body", "status", "content_type"),
    [
        (b"{}", 200, "application/json"),
        (b'{"detail": ""}', 200, "application/json"),
        (b'{"detail": " \\u200b"}', 200, "application/json"),
        (b'{"detail": true}', 200, "application/json"),
        (b'{"detail": ["Transaction refund successful."]}', 200, "application/json"),
        (b'{"detail": "Transaction refund successful."', 200, "application/json"),
        (b'{"detail": "no", "detail": "Transaction refund successful."}', 200, "application/json"),
        (b'"Transaction refund successful."', 200, "application/json"),
        (b"", 200, "application/json"),
        (b'{"detail": "Transaction refund successful."}', 200, "text/html"),
        (b'{"detail": "Transaction refund successful."}', 202, "application/json"),
        (b'{"detail": "Transaction refund successful."}', 302, "application/json"),
        (b'{"detail": "Transaction refund successful."}', 405, "application/json"),
        (b"<h1>Bad Request</h1>", 400, "text/html"),
        (b"<h1>Not Found</h1>", 404, "text/html; charset=utf-8"),
        (b"[]", 400, "application/json"),
    ],
)
def test_whatever_else_answers_a_refund_is_neither_yes_nor_no(body: bytes, status: int, content_type: str) -> None:
    with pytest.raises(ProtocolError):
        protocol.read_refund(raw(body, status, content_type))


def test_khaltis_yes_is_short_and_without_numbers_of_persons() -> None:
    said = protocol.read_refund(answer({"detail": "Refunded to 9800000001\x00 " + "as asked " * 40}))

    assert len(said) <= 64
    assert said.isprintable()
    assert "9800000001" not in said


# --- answers to a look-up ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reported", "transaction_id"),
    [
        ("lookup-completed", Reported.COMPLETED, "GFq9PFS7b2iYvL8Lir9oXe"),
        ("lookup-pending", Reported.PENDING, None),
        ("lookup-initiated", Reported.INITIATED, None),
        ("lookup-refunded", Reported.REFUNDED, "GFq9PFS7b2iYvL8Lir9oXe"),
        ("lookup-partially-refunded", Reported.PARTIALLY_REFUNDED, "GFq9PFS7b2iYvL8Lir9oXe"),
        ("lookup-expired", Reported.EXPIRED, None),
        ("lookup-user-canceled", Reported.CANCELED, None),
    ],
)
@pytest.mark.fault("F45")
def test_each_documented_look_up_is_read_whatever_its_http_status(
    name: str, reported: Reported, transaction_id: str | None
) -> None:
    body = sample(name)["body"]

    seen = protocol.read_lookup(documented(name))

    assert seen == Observation(
        reported=reported,
        said=body["status"],
        amount=Money(1000),
        fee=Money(0),
        transaction_id=transaction_id,
        gateway_reference=body["pidx"],
        refunded=name == "lookup-refunded",
    )


@pytest.mark.fault("F46")
@pytest.mark.parametrize("status", [400, 404])
def test_not_found_is_an_answer_with_either_status(status: int) -> None:
    seen = protocol.read_lookup(answer(sample("error-not-found")["body"], status))

    assert seen == Observation(reported=Reported.NOT_FOUND, said="Not found.")


@pytest.mark.parametrize(("body", "status"), [({"detail": "Not found."}, 200), ({"detail": "Gone."}, 404), ({}, 400)])
def test_not_found_is_read_from_nothing_else(body: object, status: int) -> None:
    with pytest.raises(ProtocolError):
        protocol.read_lookup(answer(body, status))


@pytest.mark.fault("F48")
@pytest.mark.parametrize(("word", "reported"), DATA["status_words"].items())
def test_status_words_are_known_in_any_case_and_by_nothing_else(word: str, reported: str) -> None:
    seen = protocol.read_lookup(answer({**COMPLETED, "status": word}))

    assert seen.reported == reported
    assert seen.said == word.strip()


@pytest.mark.fault("F48")
@given(st.text(min_size=1))
@example("completed\x00")
@example("Completed\u200b")
@example("\ud800Completed")
@example("x" * 5000)
def test_every_other_word_is_unknown_and_safe_to_store(word: str) -> None:
    if word.lower() in {known.lower() for known, reported in DATA["status_words"].items() if reported != "unknown"}:
        return
    try:
        seen = protocol.read_lookup(answer({**COMPLETED, "status": word}))
    except ProtocolError:
        assert not any(character.isprintable() and character != " " for character in word)
        return

    assert seen.reported is Reported.UNKNOWN
    assert 1 <= len(seen.said) <= 64
    assert seen.said.isprintable()


@pytest.mark.fault("F47")
@pytest.mark.parametrize(
    "amount",
    [1000.0, "1000", True, -1, 2**53, None, [1000], {"paisa": 1000}, 10**4000],
    ids=lambda value: str(value)[:9],
)
@pytest.mark.parametrize("word", ["Completed", "Partially Refunded", "Refunded"])
def test_an_amount_is_whole_paisa_or_the_answer_is_none(amount: object, word: str) -> None:
    with pytest.raises(ProtocolError):
        protocol.read_lookup(answer({**COMPLETED, "status": word, "total_amount": amount}))


@pytest.mark.parametrize("missing", ["pidx", "total_amount", "transaction_id"])
def test_a_completed_answer_has_to_be_whole(missing: str) -> None:
    body = {name: value for name, value in COMPLETED.items() if name != missing}

    with pytest.raises(ProtocolError):
        protocol.read_lookup(answer(body))


@pytest.mark.parametrize(
    "changes",
    [
        {"transaction_id": ""},
        {"transaction_id": " "},
        {"transaction_id": 7},
        {"transaction_id": "x" * 129},
        {"transaction_id": "a\x00b"},
        {"pidx": "not a pidx"},
        {"pidx": 7},
        {"refunded": "true"},
        {"refunded": 1},
        {"status": None},
        {"status": 7},
        {"status": ""},
        {"status": ["Completed"]},
    ],
    ids=repr,
)
def test_a_completed_answer_has_to_be_right(changes: Mapping[str, object]) -> None:
    with pytest.raises(ProtocolError):
        protocol.read_lookup(answer({**COMPLETED, **changes}))


def test_an_ending_without_money_may_lack_what_decides_nothing() -> None:
    seen = protocol.read_lookup(answer({"status": "Expired", "pidx": PIDX}, 400))

    assert seen == Observation(reported=Reported.EXPIRED, said="Expired", gateway_reference=PIDX)


@pytest.mark.parametrize("word", ["Initiated", "Pending", "User canceled", "Expired", "Failed", "Something"])
@pytest.mark.parametrize("missing", [{}, {"pidx": None}])
def test_an_answer_that_does_not_name_the_payment_is_about_nothing(word: str, missing: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        protocol.read_lookup(answer({"status": word, "total_amount": 1000, **missing}))


@pytest.mark.fault("F45")
@pytest.mark.parametrize(
    ("word", "reported"),
    [
        ("Expired", Reported.EXPIRED),
        ("User canceled", Reported.CANCELED),
        ("Canceled", Reported.CANCELED),
        ("Failed", Reported.FAILED),
    ],
)
def test_an_ending_without_money_counts_beside_http_400_and_no_other_error(word: str, reported: Reported) -> None:
    body = {**COMPLETED, "status": word, "transaction_id": None}

    assert protocol.read_lookup(answer(body, 400)).reported is reported
    assert protocol.read_lookup(answer(body, 200)).reported is reported
    for status in (402, 403, 404, 405, 409, 422, 451, 499):
        with pytest.raises(ProtocolError, match=f"HTTP {status}"):
            protocol.read_lookup(answer(body, status))


@pytest.mark.fault("F41")
@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 422, 499])
@pytest.mark.parametrize("word", ["Completed", "Partially Refunded", "Refunded", "Initiated", "Pending", "Something"])
def test_no_other_word_counts_beside_an_http_error(word: str, status: int) -> None:
    with pytest.raises(ProtocolError, match=f"HTTP {status}"):
        protocol.read_lookup(answer({**COMPLETED, "status": word}, status))


@pytest.mark.parametrize("fee", [None, "3", 3.5, -1, True, 2**60])
def test_an_unusable_fee_does_not_hold_up_a_paid_booking(fee: object) -> None:
    seen = protocol.read_lookup(answer({**COMPLETED, "fee": fee}))

    assert (seen.reported, seen.fee) == (Reported.COMPLETED, None)


@pytest.mark.fault("F47")
def test_another_pidx_is_handed_on_for_the_core_to_judge() -> None:
    seen = protocol.read_lookup(answer({**COMPLETED, "pidx": "zzzzzzzzzzzzzzzzzzzzzz"}))

    assert seen.gateway_reference == "zzzzzzzzzzzzzzzzzzzzzz"


WHOLE = json.dumps(COMPLETED).encode()
HOSTILE: Mapping[str, bytes] = {
    "empty": b"",
    "html": b"<!doctype html><title>Completed</title>",
    "truncated": WHOLE[:-1],
    "trailing": WHOLE + b"{}",
    "list": b"[" + WHOLE + b"]",
    "text": b'"Completed"',
    "null": b"null",
    "byte order mark": b"\xef\xbb\xbf" + WHOLE,
    "utf-16": WHOLE.decode().encode("utf-16"),
    "bad utf-8": WHOLE.replace(b"GFq9", b"\xff\xfe"),
    "a key twice": WHOLE[:-1] + b', "total_amount": 999}',
    "a status twice": b'{"status": "Expired", ' + WHOLE[1:],
    "a key twice further down": WHOLE[:-1] + b', "more": {"a": 1, "a": 2}}',
    "NaN": WHOLE[:-1] + b', "x": NaN}',
    "Infinity": WHOLE[:-1] + b', "x": -Infinity}',
    "deep": WHOLE[:-1] + b', "x": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "deep and open": b'{"a":' * 12_000,
    "5000 digits": WHOLE.replace(b"1000", b"1" + b"0" * 4999),
    "exponent": WHOLE.replace(b"1000", b"1e3"),
    "decimal point": WHOLE.replace(b"1000", b"1000.0"),
    "too large": WHOLE + b" " * 65536,
    "single quotes": WHOLE.replace(b'"', b"'"),
    "a comment": b"/* */" + WHOLE,
}


@pytest.mark.fault("F41")
@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("status", [200, 400])
def test_a_hostile_body_is_a_protocol_error(content: bytes, status: int) -> None:
    with pytest.raises(ProtocolError) as refused:
        protocol.read_lookup(raw(content, status))

    assert refused.value.__context__ is None, "the decoder's error carries the whole body"


@pytest.mark.fault("F41")
@pytest.mark.parametrize(
    "content_type", ["text/html", "text/plain", "", "application/jsonx", "application/json; charset=utf-16"]
)
def test_what_does_not_say_that_it_is_json_is_not_read(content_type: str) -> None:
    with pytest.raises(ProtocolError):
        protocol.read_lookup(raw(WHOLE, content_type=content_type))


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=utf8"]
)
def test_json_is_known_in_any_dress(content_type: str) -> None:
    assert protocol.read_lookup(raw(WHOLE, content_type=content_type)).reported is Reported.COMPLETED


@pytest.mark.fault("F44")
@pytest.mark.parametrize("status", [100, 204, 301, 302, 307, 399])
def test_a_redirect_is_not_an_answer(status: int) -> None:
    for read in (opened, protocol.read_lookup):
        with pytest.raises(ProtocolError):
            read(raw(b"", status))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["Completed", "completed", "Refunded", "Expired", "Other"]) | JSON,
        "total_amount": st.sampled_from([1000, 1000.0, "1000"]) | JSON,
        "pidx": st.just(PIDX) | JSON,
        "transaction_id": st.just("GFq9PFS7b2iYvL8Lir9oXe") | JSON,
        "refunded": JSON,
        "fee": JSON,
        "detail": st.just("Not found.") | JSON,
        "payment_url": st.text().map(lambda text: f"https://pay.khalti.com/{quote(text)}") | JSON,
        "expires_at": st.text() | JSON,
    },
)
BODIES = (FIELDS | JSON).map(lambda value: json.dumps(value).encode()) | st.binary()
STATUSES = st.sampled_from([200, 201, 302, 400, 401, 403, 404, 429, 500, 503]) | st.integers(100, 999)


@pytest.mark.fault("F41")
@given(BODIES, STATUSES, st.sampled_from(["application/json", "text/html"]) | st.text())
def test_no_body_completes_a_payment_unless_it_is_whole(content: bytes, status: int, content_type: str) -> None:
    try:
        seen = protocol.read_lookup(raw(content, status, content_type))
    except GatewayError:
        return

    if seen.reported is Reported.COMPLETED:
        body = json.loads(content)
        assert body["status"].lower() == "completed"
        assert type(body["total_amount"]) is int
        assert seen.amount == Money(body["total_amount"])
        assert seen.transaction_id == body["transaction_id"]
        assert seen.gateway_reference == body["pidx"]
        assert status < 300


@pytest.mark.fault("F05")
@given(BODIES, STATUSES, st.sampled_from(["application/json", "text/html"]) | st.text())
def test_no_body_opens_a_checkout_that_leads_elsewhere(content: bytes, status: int, content_type: str) -> None:
    try:
        checkout = opened(raw(content, status, content_type))
    except GatewayError:
        return

    assert isinstance(checkout.next_step, Redirect)
    assert checkout.next_step.url.startswith("https://pay.khalti.com/")
    assert 200 <= status < 300


@pytest.mark.fault("F41")
@given(BODIES, STATUSES, st.sampled_from(["application/json", "text/html"]) | st.text())
def test_no_body_is_a_yes_to_a_refund_unless_it_says_so(content: bytes, status: int, content_type: str) -> None:
    try:
        said = protocol.read_refund(raw(content, status, content_type))
    except GatewayError:
        return

    assert status == 200
    assert isinstance(json.loads(content)["detail"], str)
    assert 1 <= len(said) <= 64
    assert said.isprintable()


# --- the browser's return ---------------------------------------------------------------------------------------------


def returned(query: str) -> ReturnMessage:
    return ReturnMessage(values=tuple(parse_qsl(query, keep_blank_values=True)))


@pytest.mark.fault("F28")
@pytest.mark.parametrize("name", DATA["returns"])
def test_a_return_is_read_for_its_names_and_its_claim(name: str) -> None:
    expected = DATA["returns"][name]

    hint = protocol.read_return(returned(expected["query"]))

    assert (hint.gateway_reference, hint.claims, hint.order_reference) == (
        expected["pidx"],
        expected["claims"],
        expected["order"],
    )
    assert hint.authenticity is Authenticity.UNSIGNED


@pytest.mark.parametrize(("name", "claims"), [("return-completed", "Completed"), ("return-canceled", "User canceled")])
def test_the_documented_returns_are_read(name: str, claims: str) -> None:
    hint = protocol.read_return(returned(sample(name)["query"]))

    assert (hint.gateway_reference, hint.claims) == ("bZQLD9wRVWo4CdESSfuSsB", claims)


@pytest.mark.fault("F28")
@given(st.lists(st.tuples(st.sampled_from(["pidx", "status", "purchase_order_id"]) | st.text(), st.text())))
@example([("pidx", "x" * 65536), ("status", "\x00" * 65536)])
@example([("status", "\ud800"), ("pidx", "\u202e")])
def test_no_return_raises_or_brings_in_anything_unprintable(values: list[tuple[str, str]]) -> None:
    hint = protocol.read_return(ReturnMessage(values=tuple(values)))

    for text in (hint.claims, hint.gateway_reference, hint.order_reference):
        assert text is None or (0 < len(text) <= 2000 and text.isprintable())


# --- settings ---------------------------------------------------------------------------------------------------------

LIVE = {"KHALTI_BASE_URL": "https://khalti.com/api/v2", "KHALTI_SECRET_KEY": "0123456789abcdef0123456789abcdef"}


def problems(variables: Mapping[str, str]) -> list[str]:
    with pytest.raises(UnusableSetting) as unusable:
        read_config(variables)
    return str(unusable.value).splitlines()


def test_nothing_set_means_the_sandbox_without_a_key() -> None:
    config = read_config({})

    assert config.base_url.text == "https://dev.khalti.com/api/v2"
    assert config.environment is Environment.SANDBOX
    assert (config.secret_key, config.public_key, config.greatest, config.deadline_seconds) == (None, None, None, 10.0)


def test_blank_variables_count_as_left_out() -> None:
    names = ("SECRET_KEY", "PUBLIC_KEY", "BASE_URL", "REFUND_URL", "GREATEST_AMOUNT", "DEADLINE_SECONDS")

    assert read_config({f"KHALTI_{name}": " " for name in names}) == read_config({})


@pytest.mark.parametrize(
    ("address", "text", "environment"),
    [
        ("https://khalti.com/api/v2", "https://khalti.com/api/v2", Environment.PRODUCTION),
        ("https://KHALTI.com/api/v2/", "https://KHALTI.com/api/v2", Environment.PRODUCTION),
        ("https://khalti.com:443/api/v2", "https://khalti.com:443/api/v2", Environment.PRODUCTION),
        ("https://dev.khalti.com/api/v2/", "https://dev.khalti.com/api/v2", Environment.SANDBOX),
        ("https://a.khalti.com/api/v2", "https://a.khalti.com/api/v2", Environment.SANDBOX),
        ("http://127.0.0.1:8901/api/v2", "http://127.0.0.1:8901/api/v2", Environment.SANDBOX),
        ("http://localhost:8901/api/v2/", "http://localhost:8901/api/v2", Environment.SANDBOX),
        ("http://[::1]:8901/api/v2", "http://[::1]:8901/api/v2", Environment.SANDBOX),
    ],
)
def test_the_environment_follows_from_the_host(address: str, text: str, environment: Environment) -> None:
    config = read_config({"KHALTI_BASE_URL": address})

    assert (config.base_url.text, config.environment) == (text, environment)


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({}, "https://dev.khalti.com/api"),
        (LIVE, "https://khalti.com/api"),
        ({"KHALTI_BASE_URL": "http://127.0.0.1:8901/api/v2/"}, "http://127.0.0.1:8901/api"),
        ({"KHALTI_BASE_URL": "http://127.0.0.1:8901/stand-in"}, "http://127.0.0.1:8901/stand-in"),
        ({"KHALTI_REFUND_URL": "https://dev.khalti.com/api/v2/epayment/"}, "https://dev.khalti.com/api/v2/epayment"),
        ({**LIVE, "KHALTI_REFUND_URL": "https://khalti.com/api/v2"}, "https://khalti.com/api/v2"),
    ],
)
def test_refunds_are_asked_for_below_the_base_without_its_version_unless_said(
    variables: Mapping[str, str], text: str
) -> None:
    config = read_config(variables)

    assert config.refund_url.text == text
    assert environment_of(config.refund_url) is config.environment


@pytest.mark.fault("F96")
@pytest.mark.parametrize(
    "variables",
    [
        {"KHALTI_REFUND_URL": "https://khalti.com/api"},
        {**LIVE, "KHALTI_REFUND_URL": "https://dev.khalti.com/api"},
        {**LIVE, "KHALTI_REFUND_URL": "https://khalti.com.evil.example/api"},
        {**LIVE, "KHALTI_REFUND_URL": "http://127.0.0.1:8901/api"},
        {**LIVE, "KHALTI_REFUND_URL": "http://khalti.com/api"},
        {**LIVE, "KHALTI_REFUND_URL": "https://user:hunter2@khalti.com/api"},
        {**LIVE, "KHALTI_REFUND_URL": "khalti.com/api"},
    ],
)
def test_no_money_is_given_back_at_an_address_of_another_kind(variables: Mapping[str, str]) -> None:
    [problem] = problems(variables)

    assert problem.startswith("KHALTI_REFUND_URL ")
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    "address",
    [
        "khalti.com/api/v2",
        "ftp://khalti.com/api/v2",
        "https:///api/v2",
        "https://",
        "https://khalti.com/api/v2?x=1",
        "https://khalti.com/api/v2#x",
        "https://user:hunter2@khalti.com/api/v2",
        "https://khalti.com./api/v2",
        "https://khalti.com:99999/api/v2",
        "https://khalti.com:0/api/v2",
        "https://khalti.com\\@evil.example/api/v2",
        "https://khal ti.com/api/v2",
        "https://[::1/api/v2",
        "http://khalti.com/api/v2",
        "http://dev.khalti.com/api/v2",
        "http://128.0.0.1/api/v2",
    ],
)
def test_an_address_that_cannot_be_trusted_is_refused_by_its_variables_name(address: str) -> None:
    [problem] = problems({"KHALTI_BASE_URL": address})

    assert problem.startswith("KHALTI_BASE_URL ")
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KHALTI_SECRET_KEY", "two words"),
        ("KHALTI_SECRET_KEY", "line\r\nbreak"),
        ("KHALTI_SECRET_KEY", "x" * 257),
        ("KHALTI_PUBLIC_KEY", "नेपाल"),
        ("KHALTI_GREATEST_AMOUNT", "1000.5"),
        ("KHALTI_GREATEST_AMOUNT", "999"),
        ("KHALTI_GREATEST_AMOUNT", "-1"),
        ("KHALTI_GREATEST_AMOUNT", "9" * 16),
        ("KHALTI_GREATEST_AMOUNT", "१०००"),
        ("KHALTI_DEADLINE_SECONDS", "0"),
        ("KHALTI_DEADLINE_SECONDS", "12.1"),
        ("KHALTI_DEADLINE_SECONDS", "nan"),
        ("KHALTI_DEADLINE_SECONDS", "-1"),
    ],
)
def test_an_unusable_value_is_refused_by_its_variables_name(name: str, value: str) -> None:
    [problem] = problems({name: value})

    assert problem.startswith(f"{name} ")
    assert len(value) < 3 or value not in problem


def test_everything_that_is_wrong_is_told_at_once() -> None:
    assert len(problems({"KHALTI_BASE_URL": "x", "KHALTI_DEADLINE_SECONDS": "x", "KHALTI_SECRET_KEY": "x y"})) == 3


def test_limits_can_be_set() -> None:
    config = read_config({"KHALTI_GREATEST_AMOUNT": "10000000", "KHALTI_DEADLINE_SECONDS": "2.5"})

    assert (config.greatest, config.deadline_seconds) == (Money(10_000_000), 2.5)


def test_production_takes_the_live_address_with_a_key_of_its_own() -> None:
    assert check_production(read_config(LIVE)) == []


@pytest.mark.parametrize(
    ("changes", "variable"),
    [
        ({"KHALTI_BASE_URL": ""}, "KHALTI_BASE_URL"),
        ({"KHALTI_BASE_URL": "https://dev.khalti.com/api/v2"}, "KHALTI_BASE_URL"),
        ({"KHALTI_BASE_URL": "https://a.khalti.com/api/v2"}, "KHALTI_BASE_URL"),
        ({"KHALTI_BASE_URL": "https://khalti.example/api/v2"}, "KHALTI_BASE_URL"),
        ({"KHALTI_BASE_URL": "http://127.0.0.1:8901/api/v2"}, "KHALTI_BASE_URL"),
        ({"KHALTI_SECRET_KEY": ""}, "KHALTI_SECRET_KEY"),
    ],
)
@pytest.mark.invariant("I26")
def test_production_refuses_play_money(changes: Mapping[str, str], variable: str) -> None:
    unsafe = check_production(read_config({**LIVE, **changes}))

    assert unsafe
    assert {problem.split()[0] for problem in unsafe} == {variable}


# The samples of public pages, which anybody can use: the integration guide's, and those of Khalti's own pages.
SAMPLE_SECRETS = (
    "2d71118e5d26404fb3b1fe1fd386d33a",
    "05bf95cc57244045b8df5fad06748dab",
    "68791341fdd94846a146f0457ff7b455",
    "f59e8b7d18b4499ca40f68195a846e9b",
)
SAMPLE_PUBLICS = ("8b58c9047e584751beaddea7cc632b2c", "dc74e0fd57cb46cd93832aee0a390234")


@pytest.mark.parametrize("prefix", ["", "live_secret_key_", "test_secret_key_", "live_public_key_", "test_public_key_"])
@pytest.mark.parametrize("variable", ["KHALTI_SECRET_KEY", "KHALTI_PUBLIC_KEY"])
@pytest.mark.parametrize("sample_key", [*SAMPLE_SECRETS, *SAMPLE_PUBLICS])
def test_production_refuses_keys_from_the_documentation(sample_key: str, variable: str, prefix: str) -> None:
    [unsafe] = check_production(read_config({**LIVE, variable: f"{prefix}{sample_key}"}))

    assert unsafe.startswith(f"{variable} ")
    assert sample_key not in unsafe


def test_the_source_holds_the_samples_digests_only() -> None:
    sources = "".join(path.read_text() for path in SAMPLES.parent.glob("*.py"))

    assert [key for key in (*SAMPLE_SECRETS, *SAMPLE_PUBLICS) if key in sources] == []


def test_the_key_shows_in_no_representation() -> None:
    key = "live_secret_key_0123456789abcdef"
    config = read_config({"KHALTI_SECRET_KEY": key, "KHALTI_PUBLIC_KEY": key})

    assert key not in f"{config!r} {config} {config.secret_key!r} {config.secret_key}"


async def test_build_refuses_production_with_everything_that_is_unsafe() -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(UnusableSetting) as unusable:
            build({}, client, is_production=True)

    assert {line.split()[0] for line in str(unusable.value).splitlines()} == {"KHALTI_BASE_URL", "KHALTI_SECRET_KEY"}


async def test_without_a_key_the_service_starts_and_opens_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with httpx.AsyncClient() as client:
        gateway = build({}, client, is_production=False)
        warnings = [record.getMessage() for record in caplog.records if record.name == "sewapay.khalti"]

        assert not gateway.capabilities.configured
        with pytest.raises(GatewayNotConfigured, match="KHALTI_SECRET_KEY"):
            await gateway.open_checkout(order(), urls(), Payer())
        with pytest.raises(GatewayNotConfigured, match="KHALTI_SECRET_KEY"):
            await gateway.look_up(order())
        with pytest.raises(GatewayNotConfigured, match="KHALTI_SECRET_KEY"):
            await gateway.refund(
                evolve(order(), transaction_id="GFq9PFS7b2iYvL8Lir9oXe"),
                RefundOrder(amount=Money(1000), is_all=False),
            )

    assert warnings == ["KHALTI_SECRET_KEY is not set: no Khalti checkout can be opened"]


@pytest.mark.parametrize(
    ("variables", "minutes", "greatest"),
    [(LIVE, 60, None), ({"KHALTI_GREATEST_AMOUNT": "20000"}, 30, Money(20_000))],
)
async def test_capabilities_follow_from_the_settings(
    variables: Mapping[str, str], minutes: int, greatest: Money | None
) -> None:
    async with httpx.AsyncClient() as client:
        can = build(variables, client, is_production=False).capabilities

    assert (can.least, can.greatest) == (Money(1000), greatest)
    assert can.default_life.total_seconds() == minutes * 60
    assert can.longest_life.total_seconds() == 24 * 3600
    assert can.refunds is RefundKind.PARTIAL


async def test_pages_may_lead_to_khalti_and_off_production_to_the_stand_in() -> None:
    stand_in = {"KHALTI_BASE_URL": "http://[::1]:8901/api/v2"}
    async with httpx.AsyncClient() as client:
        live = build(LIVE, client, is_production=True).capabilities
        trial = build(stand_in, client, is_production=False).capabilities

    assert live.page_origins == ("https://khalti.com", "https://*.khalti.com")
    assert trial.page_origins == ("https://khalti.com", "https://*.khalti.com", "http://[::1]:8901")


def test_a_stand_in_may_live_at_an_ipv6_address() -> None:
    url = "http://[::1]:8901/?pidx=bZQLD9wRVWo4CdESSfuSsB"

    assert opened(answer({**LINK, "payment_url": url}), "http://[::1]:8901").next_step == Redirect(url)
