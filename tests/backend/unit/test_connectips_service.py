"""connectIPS's wire and settings, without a connection: the form, answers documented and hostile, what may start."""

import base64
import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from attrs import evolve
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, NoEncryption, pkcs12
from hypothesis import example, given
from hypothesis import strategies as st

from sewapay.adapters.connectips import build, protocol
from sewapay.adapters.connectips.config import check_production, read_config
from sewapay.adapters.connectips.gateway import ConnectipsGateway
from sewapay.adapters.connectips.signing import Merchant, SigningKey
from sewapay.application.errors import (
    GatewayNotConfigured,
    KeyRefused,
    OutcomeUnknown,
    ProtocolError,
    UnusableSetting,
)
from sewapay.application.ports import (
    Authenticity,
    CheckoutKind,
    Order,
    Payer,
    RefundKind,
    ReturnHint,
    ReturnMessage,
)
from sewapay.domain.checkout import Checkout, PostForm
from sewapay.domain.identifiers import Environment
from sewapay.domain.money import GREATEST_PAISA, Money
from sewapay.domain.observation import Observation, Reported
from sewapay.wire.answers import Answer
from sewapay.wire.settings import Secret
from tests.backend.orders import REFERENCE, URLS, an_order

SAMPLES: Final = Path(protocol.__file__).parent / "samples"
KEY: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PASSWORD: Final = "Pass#of-the-app1"
PFX_PASSWORD: Final = "opens-the-file"
MERCHANT: Final = Merchant(
    id="550", app_id="MER-550-APP-1", app_name="Sewa Bazaar", password=Secret(PASSWORD), key=SigningKey(KEY)
)
PAID: Final[Mapping[str, object]] = {
    "merchantId": 550,
    "appId": "MER-550-APP-1",
    "referenceId": REFERENCE,
    "txnAmt": "113000",
    "token": None,
    "status": "SUCCESS",
    "statusDesc": "TRANSACTION SUCCESSFUL",
}
DAY: Final = date(2026, 1, 5)


def answer(body: object, status: int = 200) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status=status, content_type="application/json", content=content)


def read(body: object, status: int = 200, asked: Order | None = None) -> Observation:
    return protocol.read_validation(answer(body, status), asked or an_order(), MERCHANT)


def is_signed(text: str, token: str) -> bool:
    """Whether the merchant's public key says so: RSA with SHA-256, PKCS#1 v1.5."""
    try:
        KEY.public_key().verify(base64.b64decode(token, validate=True), text.encode(), PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def pfx(key: Any = KEY, password: str | None = PFX_PASSWORD, *, certificate: bool = True) -> bytes:
    """The file that NCHL gives a merchant."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a merchant")])
    beginning = datetime(2026, 1, 1, tzinfo=UTC)
    issued = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(7)
        .not_valid_before(beginning)
        .not_valid_after(beginning + timedelta(days=365))
        .sign(key, SHA256())
    )
    hidden = NoEncryption() if password is None else BestAvailableEncryption(password.encode())
    return pkcs12.serialize_key_and_certificates(b"merchant", key, issued if certificate else None, None, hidden)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("merchant") / "merchant.pfx"
    place.write_bytes(pfx())
    return place


@pytest.fixture(scope="module")
def variables(file: Path) -> dict[str, str]:
    return {
        "CONNECTIPS_MERCHANT_ID": "550",
        "CONNECTIPS_APP_ID": "MER-550-APP-1",
        "CONNECTIPS_APP_NAME": "Sewa Bazaar",
        "CONNECTIPS_APP_PASSWORD": PASSWORD,
        "CONNECTIPS_PFX": str(file),
        "CONNECTIPS_PFX_PASSWORD": PFX_PASSWORD,
    }


def build_with(variables: Mapping[str, str], *, is_production: bool = False) -> ConnectipsGateway:
    return build(variables, httpx.AsyncClient(), is_production=is_production)


async def form_of(built: ConnectipsGateway, asked: Order) -> Mapping[str, str]:
    checkout = await built.open_checkout(asked, URLS, Payer())
    assert isinstance(checkout.next_step, PostForm)
    return checkout.next_step.fields


async def test_the_form_has_the_documented_fields_in_their_order_and_a_signature_of_all_of_them(
    variables: dict[str, str],
) -> None:
    built = evolve(build_with(variables), today=lambda: DAY)

    checkout = await built.open_checkout(an_order(), URLS, Payer(name="Sita", phone="9800000001"))

    assert isinstance(checkout.next_step, PostForm)
    assert checkout.next_step.url == "https://uat.connectips.com/connectipswebgw/loginpage"
    fields = dict(checkout.next_step.fields)
    token = fields.pop("TOKEN")
    assert list(fields.items()) == [
        ("MERCHANTID", "550"),
        ("APPID", "MER-550-APP-1"),
        ("APPNAME", "Sewa Bazaar"),
        ("TXNID", "7Q2M9X4KD8ZT1B6VHR3C"),
        ("TXNDATE", "05-01-2026"),
        ("TXNCRNCY", "NPR"),
        ("TXNAMT", "113000"),
        ("REFERENCEID", "77"),
        ("REMARKS", "House cleaning"),
        ("PARTICULARS", "House cleaning"),
    ]
    assert is_signed(
        "MERCHANTID=550,APPID=MER-550-APP-1,APPNAME=Sewa Bazaar,TXNID=7Q2M9X4KD8ZT1B6VHR3C,TXNDATE=05-01-2026,"
        "TXNCRNCY=NPR,TXNAMT=113000,REFERENCEID=77,REMARKS=House cleaning,PARTICULARS=House cleaning,TOKEN=TOKEN",
        token,
    )
    assert len(token) <= 512
    assert checkout == Checkout(next_step=checkout.next_step, life=timedelta(minutes=15))


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2026, 1, 4, 18, 14, 59, tzinfo=UTC), date(2026, 1, 4)),
        (datetime(2026, 1, 4, 18, 15, 0, tzinfo=UTC), date(2026, 1, 5)),
    ],
)
def test_the_date_is_nepals(moment: datetime, day: date) -> None:
    assert protocol.day_in_nepal(moment) == day


async def test_the_date_is_todays_unless_told_otherwise(variables: dict[str, str]) -> None:
    before = protocol.day_in_nepal(datetime.now(UTC))
    fields = await form_of(build_with(variables), an_order())
    after = protocol.day_in_nepal(datetime.now(UTC))

    assert fields["TXNDATE"] in {f"{day:%d-%m-%Y}" for day in (before, after)}


@pytest.mark.parametrize(
    ("title", "remarks"),
    [
        ("Deep cleaning, two rooms", "Deep cleaning two rooms"),
        ("a=b,TOKEN=TOKEN", "a b TOKEN TOKEN"),
        ("घर सफाइ — काठमाडौँ 🏠", "Booking 77"),
        ("सफाइ at Thamel", "at Thamel"),
        (",,==,,", "Booking 77"),
        ("  two\n\tlines\x00 ", "two lines"),
        ("x" * 49 + " yz", "x" * 49),
    ],
)
def test_a_title_is_brought_into_what_surely_passes(title: str, remarks: str) -> None:
    fields = protocol.form_fields(an_order(title=title), MERCHANT, DAY)

    assert fields["REMARKS"] == remarks


@given(st.text(min_size=1, max_size=300))
@example("AMOUNT=1,TXNAMT=100")
@example("é" * 200)
def test_no_title_can_be_read_as_another_field(title: str) -> None:
    fields = protocol.form_fields(an_order(title=title), MERCHANT, DAY)

    for name, most in (("REMARKS", 50), ("PARTICULARS", 100)):
        text = fields[name]
        assert 1 <= len(text) <= most
        assert text.isascii()
        assert text.isprintable()
        assert not set(",=") & set(text)
        assert text == " ".join(text.split())
    pairs = ",".join(f"{name}={value}" for name, value in fields.items() if name != "TOKEN") + ",TOKEN=TOKEN"
    assert len(pairs.split(",")) == len(fields)
    assert is_signed(pairs, fields["TOKEN"])


@given(st.integers(100, GREATEST_PAISA))
def test_an_amount_is_its_number_of_paisa(paisa: int) -> None:
    assert protocol.form_fields(an_order(paisa), MERCHANT, DAY)["TXNAMT"] == f"{paisa}"


async def test_two_forms_of_one_day_differ_by_their_reference_and_signature_only(variables: dict[str, str]) -> None:
    built = build_with(variables)

    one, other = await form_of(built, an_order()), await form_of(built, an_order(reference="A" * 20))

    assert {name for name in one if one[name] != other[name]} == {"TXNID", "TOKEN"}


def test_the_question_is_the_documented_one() -> None:
    asked = json.loads(protocol.question(an_order(113001), MERCHANT))

    token = asked.pop("token")
    assert asked == {
        "merchantId": 550,
        "appId": "MER-550-APP-1",
        "referenceId": "7Q2M9X4KD8ZT1B6VHR3C",
        "txnAmt": 113001,
    }
    assert is_signed("MERCHANTID=550,APPID=MER-550-APP-1,REFERENCEID=7Q2M9X4KD8ZT1B6VHR3C,TXNAMT=113001", token)


def test_a_payment_is_asked_about_as_its_form_was_posted_whatever_the_settings_are_by_now() -> None:
    posted = evolve(an_order(), form={"MERCHANTID": "7", "APPID": "MER-7-APP-1", "TXNAMT": "113000"})

    asked = json.loads(protocol.question(posted, MERCHANT))

    assert (asked["merchantId"], asked["appId"]) == (7, "MER-7-APP-1")
    assert is_signed(f"MERCHANTID=7,APPID=MER-7-APP-1,REFERENCEID={REFERENCE},TXNAMT=113000", asked["token"])
    told = {**PAID, "merchantId": 7, "appId": "MER-7-APP-1"}
    assert read(told, asked=posted).reported is Reported.COMPLETED
    with pytest.raises(ProtocolError, match="another merchant"):
        read(PAID, asked=posted)


def test_who_asks_is_proved_by_basic() -> None:
    # base64 of `MER-550-APP-1:Pass#of-the-app1`
    assert protocol.authorization(MERCHANT) == "Basic TUVSLTU1MC1BUFAtMTpQYXNzI29mLXRoZS1hcHAx"


def sample(name: str) -> tuple[dict[str, Any], int]:
    """A documented answer, about the payment that is asked for here."""
    told = json.loads((SAMPLES / f"{name}.json").read_text("utf-8"))
    body = {**told["body"], "merchantId": 550, "appId": "MER-550-APP-1"}
    return {**body, "referenceId": REFERENCE}, told["http_status"]


@pytest.mark.parametrize(
    ("name", "reported", "said", "amount"),
    [
        ("validation-success", Reported.COMPLETED, "SUCCESS", Money(500)),
        ("validation-failed", Reported.FAILED, "FAILED: TRANSACTION UNSUCCESSFUL", None),
        ("validation-not-found", Reported.ABSENT, "ERROR: TRANSACTION NOT FOUND", None),
        ("validation-incomplete", Reported.ABSENT, "ERROR: TRANSACTION INCOMPLETE", None),
        ("details-success", Reported.COMPLETED, "SUCCESS", Money(1000)),
    ],
)
def test_each_documented_answer_is_read(name: str, reported: Reported, said: str, amount: Money | None) -> None:
    body, status = sample(name)

    seen = read(body, status)

    assert seen == Observation(reported=reported, said=said, amount=amount, order_reference=REFERENCE)


def test_every_documented_answer_is_tried() -> None:
    assert {path.stem for path in SAMPLES.glob("*.json")} == {
        "details-success",
        "validation-failed",
        "validation-incomplete",
        "validation-not-found",
        "validation-success",
    }


@pytest.mark.parametrize(
    ("status", "text", "reported"),
    [
        ("SUCCESS", "", Reported.COMPLETED),
        ("SUCCESS", "TRANSACTION SUCESSFULL", Reported.COMPLETED),
        ("SUCCESS", "TRANSACTION UNSUCCESSFUL", Reported.UNKNOWN),
        ("SUCCESS", "TRANSACTION  NOT FOUND ", Reported.UNKNOWN),
        ("FAILED", "TRANSACTION FAILED", Reported.FAILED),
        ("FAILED", "TRANSACTION NOT FOUND", Reported.ABSENT),
        ("FAILED", "TRANSACTION INCOMPLETE", Reported.ABSENT),
        ("FAILED", "TRANSACTION SUCCESSFUL", Reported.UNKNOWN),
        ("FAILED", "", Reported.UNKNOWN),
        ("success", "TRANSACTION SUCCESSFUL", Reported.UNKNOWN),
        ("Completed", "TRANSACTION SUCCESSFUL", Reported.UNKNOWN),
        ("PENDING", "TRANSACTION INCOMPLETE", Reported.UNKNOWN),
    ],
)
def test_the_status_decides_and_what_is_not_documented_is_a_persons(status: str, text: str, reported: Reported) -> None:
    seen = read({**PAID, "status": status, "statusDesc": text})

    assert seen.reported is reported


@pytest.mark.parametrize("text", ["", "INVALID TOKEN", "TRANSACTION UNSUCCESSFUL", "SYSTEM ERROR", "not found"])
def test_an_error_of_the_question_or_of_their_systems_is_no_answer(text: str) -> None:
    with pytest.raises(OutcomeUnknown) as unknown:
        read({**PAID, "status": "ERROR", "statusDesc": text})

    assert not unknown.value.may_ask_again


def test_a_reason_repeats_nothing_private() -> None:
    with pytest.raises(OutcomeUnknown) as unknown:
        read({**PAID, "status": "ERROR", "statusDesc": "no account 9800000001 for sita@example.com"})

    assert str(unknown.value).endswith(": no account [...] for [...]")
    assert read({**PAID, "status": "FAILED", "statusDesc": "account 0123456789 is closed"}).said == (
        "FAILED: account [...] is closed"
    )


@pytest.mark.parametrize("written", ["113000", 113000, "113000.00", 113000.0])
def test_an_amount_may_be_a_text_or_a_number_and_have_a_point(written: object) -> None:
    assert read({**PAID, "txnAmt": written}).amount == Money(113000)


@pytest.mark.parametrize("written", ["", "113000.01", 1130.5, "1,130", "-1", -1, "1e5", True, [], "9" * 17, " 113000"])
def test_what_is_no_whole_number_of_paisa_is_no_answer(written: object) -> None:
    with pytest.raises(ProtocolError):
        read({**PAID, "txnAmt": written})


@pytest.mark.fault("F41")
@pytest.mark.parametrize("text", ["TRANSACTION FAILED", "TRANSACTION UNSUCCESSFUL"])
def test_an_end_that_names_no_payment_ends_none(text: str) -> None:
    ended = {**PAID, "status": "FAILED", "statusDesc": text}

    assert read(ended).reported is Reported.FAILED
    with pytest.raises(ProtocolError):
        read({name: value for name, value in ended.items() if name != "referenceId"})


@pytest.mark.parametrize("missing", ["txnAmt", "referenceId", "status"])
def test_a_success_that_does_not_say_of_what_is_no_answer(missing: str) -> None:
    with pytest.raises(ProtocolError):
        read({name: value for name, value in PAID.items() if name != missing})
    with pytest.raises(ProtocolError):
        read({**PAID, missing: None})


@pytest.mark.parametrize("changes", [{"merchantId": 551}, {"appId": "MER-551-APP-1"}, {"merchantId": "550.0"}])
def test_another_merchants_payment_is_no_answer(changes: dict[str, object]) -> None:
    with pytest.raises(ProtocolError, match="another merchant"):
        read({**PAID, **changes})


def test_another_reference_and_another_amount_are_passed_on_as_they_came() -> None:
    seen = read({**PAID, "referenceId": "SOMEBODYELSESPAYMENT", "txnAmt": "1"})

    assert (seen.order_reference, seen.amount) == ("SOMEBODYELSESPAYMENT", Money(1))


def test_an_amount_is_not_read_where_no_money_was_taken_for_it_may_be_our_own() -> None:
    assert read({**PAID, "status": "ERROR", "statusDesc": "TRANSACTION NOT FOUND"}).amount is None


def test_a_refused_password_is_told_as_that() -> None:
    with pytest.raises(KeyRefused, match="CONNECTIPS_APP_PASSWORD"):
        read({"error": "no"}, 401)


@pytest.mark.fault("F41")
@pytest.mark.parametrize("status", [400, 402, 403, 404, 405, 409, 422, 451, 499])
@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("SUCCESS", "TRANSACTION SUCCESSFUL"),
        ("FAILED", "TRANSACTION UNSUCCESSFUL"),
        ("FAILED", "SOMETHING"),
        ("ERROR", "TRANSACTION NOT FOUND"),
        ("ERROR", "TRANSACTION INCOMPLETE"),
        ("SOMETHING", "TRANSACTION SUCCESSFUL"),
    ],
)
def test_no_word_counts_beside_an_http_error_for_nchl_documents_none_there(word: str, text: str, status: int) -> None:
    with pytest.raises(ProtocolError, match=f"HTTP {status}"):
        read({**PAID, "status": word, "statusDesc": text}, status)

    assert read({**PAID, "status": word, "statusDesc": text}, 201).said.startswith(word)


@pytest.mark.fault("F41")
@pytest.mark.parametrize("number", [404, 0, 1, 200, 404.0])
def test_a_number_is_no_word_though_it_is_read_as_it_is_written(number: float) -> None:
    with pytest.raises(ProtocolError):
        read({**PAID, "status": number})
    with pytest.raises(OutcomeUnknown):
        read({**PAID, "status": "ERROR", "statusDesc": number})


@pytest.mark.parametrize(("word", "text"), [("FAILED", "SOMETHING"), ("SOMETHING", ""), ("success", "")])
def test_a_word_that_nobody_knows_is_a_persons_only_when_it_is_about_the_payment(word: str, text: str) -> None:
    body = {**PAID, "status": word, "statusDesc": text}

    with pytest.raises(ProtocolError):
        read({name: value for name, value in body.items() if name != "referenceId"})
    with pytest.raises(ProtocolError):
        read({**body, "referenceId": ""})

    assert read(body).reported is Reported.UNKNOWN


@pytest.mark.parametrize("status", [302, 408, 429, 500, 502, 503])
def test_an_overloaded_or_broken_connectips_leaves_the_outcome_unknown(status: int) -> None:
    with pytest.raises(OutcomeUnknown):
        read(PAID, status)


@given(
    st.dictionaries(
        st.sampled_from([*PAID, "more"]),
        st.none() | st.booleans() | st.integers() | st.text(max_size=80) | st.lists(st.integers(), max_size=2),
    ),
    st.sampled_from([200, 201, 400, 404, 500]),
)
def test_a_hostile_answer_is_an_error_or_no_success(changes: dict[str, object], status: int) -> None:
    seen = None
    with suppress(OutcomeUnknown):
        seen = read({**PAID, **changes}, status)

    if seen is None:
        return
    assert seen.said
    assert len(seen.said) <= 64
    assert seen.said.isprintable()
    if seen.reported is Reported.COMPLETED:
        assert changes.get("status", "SUCCESS") == "SUCCESS"
        assert seen.amount is not None
        assert seen.order_reference


def test_the_transaction_is_named_by_the_details() -> None:
    body, status = sample("details-success")

    assert protocol.read_transaction(answer(body, status), an_order(), MERCHANT) == "12422440"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"status": "ERROR"}, 200),
        ({"referenceId": "SOMEBODYELSESPAYMENT"}, 200),
        ({"merchantId": 551}, 200),
        ({"txnId": None}, 200),
        ({"txnId": ""}, 200),
        ({"txnId": "a b"}, 200),
        ({"txnId": "7" * 65}, 200),
        ({"txnId": True}, 200),
        ({}, 404),
        ({}, 500),
    ],
)
def test_details_that_do_not_name_it_name_nothing(changes: dict[str, object], status: int) -> None:
    body, _ = sample("details-success")

    assert protocol.read_transaction(answer({**body, **changes}, status), an_order(), MERCHANT) is None


@given(st.binary(max_size=200))
def test_details_that_cannot_be_read_name_nothing(content: bytes) -> None:
    assert protocol.read_transaction(answer(content), an_order(), MERCHANT) is None


@pytest.mark.parametrize(
    ("values", "reference"),
    [
        ([("TXNID", REFERENCE)], REFERENCE),
        ([("TXNID", f"{REFERENCE}?TXNID={REFERENCE}")], REFERENCE),
        ([("shop", f"1?TXNID={REFERENCE}")], REFERENCE),
        ([("TXNID", REFERENCE), ("TXNID", REFERENCE)], REFERENCE),
        ([("TXNID", REFERENCE), ("TXNID", "A" * 20)], None),
        ([("TXNID", f"{REFERENCE}?TXNID={'A' * 20}")], None),
        ([("TXNID", "")], None),
        ([("TXNID", "A" * 21)], None),
        ([("TXNID", "\x00" * 70_000)], None),
        ([("txnid", REFERENCE)], None),
        ([], None),
    ],
)
def test_a_return_names_its_payment_and_proves_nothing(values: list[tuple[str, str]], reference: str | None) -> None:
    hint = protocol.read_return(ReturnMessage(values=tuple(values)))

    assert hint == ReturnHint(authenticity=Authenticity.UNSIGNED, order_reference=reference)


def test_without_settings_it_starts_and_says_what_is_missing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        built = build_with({})

    names = ("MERCHANT_ID", "APP_ID", "APP_NAME", "APP_PASSWORD", "PFX")
    assert [record.getMessage() for record in caplog.records] == [
        f"CONNECTIPS_{name} is not set: no connectIPS checkout can be opened" for name in names
    ]
    assert built.environment is Environment.SANDBOX
    assert not built.capabilities.configured


async def test_what_is_not_configured_opens_nothing_and_asks_nobody(variables: dict[str, str]) -> None:
    for missing in set(variables) - {"CONNECTIPS_PFX_PASSWORD"}:
        built = build_with({**variables, missing: " "})

        with pytest.raises(GatewayNotConfigured, match=f"^{missing} is not set: no connectIPS checkout"):
            await built.open_checkout(an_order(), URLS, Payer())
        with pytest.raises(GatewayNotConfigured, match=f"^{missing} is not set: connectIPS cannot be asked"):
            await built.look_up(an_order())


def test_the_capabilities_are_those_that_nchl_documents(variables: dict[str, str]) -> None:
    built = build_with({**variables, "CONNECTIPS_GREATEST_AMOUNT": "20000000", "CONNECTIPS_LIFE_MINUTES": "30"})

    can = built.capabilities
    assert (can.checkout, can.refunds, built.refunds) == (CheckoutKind.POST_FORM, RefundKind.NONE, None)
    assert (can.signed_return, can.registered_return, can.single_entry) == (False, True, True)
    assert (can.least, can.greatest, can.default_life) == (Money(100), Money(20_000_000), timedelta(minutes=30))
    assert (can.reference_charset, can.reference_length) == ("[A-Z0-9]", 20)
    assert can.configured
    assert can.page_origins == (
        "https://uat.connectips.com:443",
        "https://connectips.com",
        "https://*.connectips.com",
    )


def test_a_page_elsewhere_is_the_only_one_that_forms_may_lead_to(variables: dict[str, str]) -> None:
    built = build_with({**variables, "CONNECTIPS_BASE_URL": "http://127.0.0.1:8903"})

    assert built.capabilities.page_origins == ("http://127.0.0.1:8903",)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CONNECTIPS_MERCHANT_ID", "MER-550"),
        ("CONNECTIPS_MERCHANT_ID", "0550"),
        ("CONNECTIPS_MERCHANT_ID", "1" * 19),
        ("CONNECTIPS_APP_ID", "MER:550"),
        ("CONNECTIPS_APP_ID", "A" * 21),
        ("CONNECTIPS_APP_NAME", "Sewa, Bazaar"),
        ("CONNECTIPS_APP_NAME", "A=B"),
        ("CONNECTIPS_APP_NAME", "A" * 31),
        ("CONNECTIPS_APP_NAME", "सेवा"),
        ("CONNECTIPS_APP_PASSWORD", "two words"),
        ("CONNECTIPS_BASE_URL", "http://login.connectips.com"),
        ("CONNECTIPS_BASE_URL", "login.connectips.com"),
        ("CONNECTIPS_GREATEST_AMOUNT", "99"),
        ("CONNECTIPS_DEADLINE_SECONDS", "13"),
        ("CONNECTIPS_LIFE_MINUTES", "1441"),
    ],
)
def test_a_setting_that_cannot_be_right_is_named_and_not_repeated(
    variables: dict[str, str], variable: str, value: str
) -> None:
    with pytest.raises(UnusableSetting) as refused:
        read_config({**variables, variable: value})

    [line] = str(refused.value).splitlines()
    assert line.startswith(f"{variable} ")
    assert value not in line.removeprefix(variable)


def test_the_file_of_the_key_has_to_be_one(variables: dict[str, str], tmp_path: Path) -> None:
    place = tmp_path / "merchant.pfx"
    curve = ec.generate_private_key(ec.SECP256R1())

    def refusal(content: bytes | None, password: str = PFX_PASSWORD) -> str:
        if content is not None:
            place.write_bytes(content)
        with pytest.raises(UnusableSetting) as refused:
            read_config({**variables, "CONNECTIPS_PFX": str(place), "CONNECTIPS_PFX_PASSWORD": password})
        return str(refused.value)

    wrong = "CONNECTIPS_PFX is no PKCS#12 file, or CONNECTIPS_PFX_PASSWORD does not open it"
    assert refusal(None) == "CONNECTIPS_PFX cannot be read: No such file or directory"
    assert refusal(b"") == wrong
    assert refusal(b"-----BEGIN PRIVATE KEY-----\n") == wrong
    assert refusal(pfx()[:-40]) == wrong
    assert refusal(pfx(), "another") == wrong
    assert refusal(pfx(), "") == wrong
    assert refusal(pfx(curve)) == "CONNECTIPS_PFX holds no RSA key to sign with"
    place.unlink()
    place.mkdir()
    assert refusal(None) == "CONNECTIPS_PFX cannot be read: Is a directory"


def test_a_file_without_a_password_or_a_certificate_will_do(variables: dict[str, str], tmp_path: Path) -> None:
    for number, content in enumerate((pfx(password=None), pfx(password=None, certificate=False))):
        place = tmp_path / f"{number}.pfx"
        place.write_bytes(content)

        config = read_config({**variables, "CONNECTIPS_PFX": str(place), "CONNECTIPS_PFX_PASSWORD": ""})

        assert config.merchant is not None
        assert is_signed("x", config.merchant.key.token("x"))


async def test_the_key_is_read_at_the_start_and_not_again(variables: dict[str, str], tmp_path: Path) -> None:
    place = tmp_path / "merchant.pfx"
    place.write_bytes(pfx())
    built = build_with({**variables, "CONNECTIPS_PFX": str(place)})
    place.unlink()

    fields = await form_of(built, an_order())

    assert fields["TOKEN"]


def test_production_takes_the_live_address_and_a_whole_merchant_only(variables: dict[str, str]) -> None:
    live = {**variables, "CONNECTIPS_BASE_URL": "https://login.connectips.com"}
    older = {**variables, "CONNECTIPS_BASE_URL": "https://www.connectips.com/"}

    assert check_production(read_config(live)) == []
    assert check_production(read_config(older)) == []
    assert read_config(live).environment is read_config(older).environment is Environment.PRODUCTION
    with pytest.raises(UnusableSetting) as refused:
        build_with({}, is_production=True)
    assert str(refused.value).splitlines() == [
        "CONNECTIPS_BASE_URL is not connectIPS's live address in production: it is https://login.connectips.com",
        "CONNECTIPS_MERCHANT_ID is not set: production needs a merchant's own",
        "CONNECTIPS_APP_ID is not set: production needs a merchant's own",
        "CONNECTIPS_APP_NAME is not set: production needs a merchant's own",
        "CONNECTIPS_APP_PASSWORD is not set: production needs a merchant's own",
        "CONNECTIPS_PFX is not set: production needs a merchant's own",
    ]
    assert len(check_production(read_config({**variables, "CONNECTIPS_BASE_URL": "http://127.0.0.1:8903"}))) == 2


def test_no_representation_shows_a_secret(variables: dict[str, str]) -> None:
    built = build_with(variables)
    number = str(KEY.private_numbers().d)

    for shown in (repr(built), repr(built.config), repr(built.config.merchant), f"{built.config.merchant}"):
        assert PASSWORD not in shown
        assert PFX_PASSWORD not in shown
        assert number not in shown
