"""eSewa's signatures: every published one, and everything that must not pass for one."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from sewapay.adapters.esewa import protocol
from sewapay.adapters.esewa.signature import FORM_NAMES, is_genuine, signed
from sewapay.application.ports import Authenticity, ReturnHint, ReturnMessage
from sewapay.wire.settings import Secret

VECTORS: Mapping[str, Any] = json.loads((Path(__file__).parents[1] / "fixtures" / "esewa_vectors.json").read_text())
CAPTURED = {vector["note"]: vector for vector in VECTORS["captured"]}
KEY = Secret("8gBm/:&EnhH.1/q")
SIX = "transaction_code,status,total_amount,transaction_uuid,product_code,signed_field_names"

# eSewa docs, "After Successful Payment", the decoded example, with its number as the text that stands there.
DOCUMENTED: Mapping[str, str] = {
    "transaction_code": "000AWEO",
    "status": "COMPLETE",
    "total_amount": "1000.0",
    "transaction_uuid": "250610-162413",
    "product_code": "EPAYTEST",
    "signed_field_names": SIX,
    "signature": "62GcfZTmVkzhtUeh+QJ1AqiJrjoWWGof3U+eTPTZ7fA=",
}
WITH_COMMA: Mapping[str, str] = {
    "transaction_code": "000ANU7",
    "status": "COMPLETE",
    "total_amount": "6,600.0",
    "transaction_uuid": "TXN_6829a604363b8",
    "product_code": "EPAYTEST",
    "signed_field_names": SIX,
    "signature": "U1pOc503erMN9zQaZDzlwcnM9C6n4un1LU8LPR/PIAU=",
}


def hmac_of(text: str, key: str = "8gBm/:&EnhH.1/q") -> str:
    """The test's own, by the standard library: what somebody who knows the key could write."""
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()).decode()


def as_data(content: str | bytes) -> str:
    return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()


def returned(fields: Mapping[str, object]) -> ReturnHint:
    return read(as_data(json.dumps(fields)))


def read(data: str) -> ReturnHint:
    return protocol.read_return(ReturnMessage(values=(("data", data),)), "EPAYTEST", KEY)


# --- what is published ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "reference", "signature"),
    [
        ("110", "241028", "i94zsd3oXF6ZsSr/kGqT4sSzYQzjj1W/waxjWyRwaME="),
        ("100", "11-201-13", "5DZywcrTKD0gia/rsSMcrRHmJl+4Tbol6S+lWgdJ94E="),
    ],
)
def test_a_form_is_signed_as_documented(total: str, reference: str, signature: str) -> None:
    fields = {"product_code": "EPAYTEST", "total_amount": total, "transaction_uuid": reference}

    assert signed(KEY, FORM_NAMES, fields) == signature


def test_the_documented_sample_that_is_wrong_is_not_what_we_sign() -> None:
    [wrong] = VECTORS["published_but_wrong"]
    fields = {"total_amount": "100", "transaction_uuid": "11-201-13", "product_code": "EPAYTEST"}

    made = signed(KEY, FORM_NAMES, fields)

    assert wrong["signed_text"] == "total_amount=100,transaction_uuid=11-201-13,product_code=EPAYTEST"
    assert made == wrong["computed"]
    assert made != wrong["signature"]


def test_every_vector_is_tried() -> None:
    tried = {"i94zsd3oXF6ZsSr/kGqT4sSzYQzjj1W/waxjWyRwaME=", DOCUMENTED["signature"]}

    assert {vector["signature"] for vector in [*VECTORS["request"], *VECTORS["response"]]} == tried
    assert len(CAPTURED) == len(VECTORS["captured"]) == 11


def test_the_documented_return_is_genuine() -> None:
    assert is_genuine(KEY, DOCUMENTED)


@pytest.mark.parametrize("vector", CAPTURED.values(), ids=CAPTURED)
def test_each_captured_return_is_genuine_and_says_what_stands_in_it(vector: Mapping[str, str]) -> None:
    fields = json.loads(base64.b64decode(vector["data"]))

    hint = read(vector["data"])

    assert hint == ReturnHint(
        authenticity=Authenticity.SIGNED, claims="COMPLETE", order_reference=fields["transaction_uuid"], says_paid=True
    )
    assert ("," in fields["total_amount"]) is (vector["verifies_as"] == "commas removed")


@pytest.mark.parametrize("vector", CAPTURED.values(), ids=CAPTURED)
def test_no_captured_return_is_genuine_under_another_key(vector: Mapping[str, str]) -> None:
    fields = json.loads(base64.b64decode(vector["data"]))

    assert not is_genuine(Secret("8gBm/:&EnhH.1/q("), fields)
    assert not is_genuine(Secret("8gBm/:&EnhH.1/Q"), fields)


# --- numbers and commas -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "authenticity"),
    [
        ("1000.0", Authenticity.SIGNED),
        ('"1000.0"', Authenticity.SIGNED),
        ("1000", Authenticity.FORGED),
        ("1000.00", Authenticity.FORGED),
        ("1e3", Authenticity.FORGED),
        ("1.0E3", Authenticity.FORGED),
        ("100000e-2", Authenticity.FORGED),
        ('"1000"', Authenticity.FORGED),
        ('" 1000.0"', Authenticity.FORGED),
        ('"01000.0"', Authenticity.FORGED),
        ("[1000.0]", Authenticity.FORGED),
        ("true", Authenticity.FORGED),
        ("null", Authenticity.FORGED),
    ],
)
def test_what_is_signed_is_the_number_as_it_is_written(written: str, authenticity: Authenticity) -> None:
    content = json.dumps({**DOCUMENTED, "total_amount": "THERE"}).replace('"THERE"', written)

    assert read(as_data(content)).authenticity is authenticity


@pytest.mark.parametrize("total", ["6,600.0", "6600.0", "66,00.0"])
def test_a_comma_is_shown_and_not_signed(total: str) -> None:
    assert is_genuine(KEY, {**WITH_COMMA, "total_amount": total})


def test_a_comma_that_is_signed_after_all_is_taken_as_it_stands() -> None:
    signature = hmac_of(",".join(f"{name}={WITH_COMMA[name]}" for name in SIX.split(",")))

    assert is_genuine(KEY, {**WITH_COMMA, "signature": signature})


@pytest.mark.parametrize(
    "total",
    ["6.600,0", "6 600.0", "6'600.0", "6_600.0", "6600", "6600.00", "+6600.0", "06,600.0", "6،600.0", "66,000.0", ""],
)
def test_nothing_but_a_comma_is_forgiven(total: str) -> None:
    assert not is_genuine(KEY, {**WITH_COMMA, "total_amount": total})


@pytest.mark.parametrize("name", ["transaction_code", "status", "transaction_uuid", "product_code"])
def test_a_comma_is_forgiven_in_the_total_only(name: str) -> None:
    fields = {**WITH_COMMA, name: WITH_COMMA[name][:1] + "," + WITH_COMMA[name][1:]}

    assert not is_genuine(KEY, fields)


# --- forgeries --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", ["total_amount,transaction_uuid,product_code", SIX])
def test_the_signature_of_our_own_form_proves_no_payment(names: str) -> None:
    """The customer reads it in the form. Whoever believes the list in the return believes this one."""
    forged = {
        "transaction_code": "000AWEO",
        "status": "COMPLETE",
        "total_amount": "110",
        "transaction_uuid": "241028",
        "product_code": "EPAYTEST",
        "signed_field_names": names,
        "signature": "i94zsd3oXF6ZsSr/kGqT4sSzYQzjj1W/waxjWyRwaME=",
    }

    hint = returned(forged)

    assert hint.authenticity is Authenticity.FORGED


@pytest.mark.parametrize(
    "names",
    [
        "transaction_code,status,total_amount,transaction_uuid,product_code",
        "status,total_amount,transaction_uuid,product_code,signed_field_names",
        "status,transaction_code,total_amount,transaction_uuid,product_code,signed_field_names",
        f"{SIX},signed_field_names",
        f"{SIX},extra",
        f" {SIX}",
        SIX.replace(",", ", "),
        SIX.upper(),
        "signed_field_names",
        "",
    ],
)
def test_a_return_that_signs_another_list_is_forged_even_with_our_key(names: str) -> None:
    fields = {**DOCUMENTED, "signed_field_names": names, "extra": "1"}
    its_own = [name for name in names.split(",") if name in fields]

    for signed_names in (its_own, SIX.split(",")):
        fields["signature"] = hmac_of(",".join(f"{name}={fields[name]}" for name in signed_names))

        assert returned(fields).authenticity is Authenticity.FORGED


def test_a_return_with_another_payments_reference_is_forged() -> None:
    hint = returned({**DOCUMENTED, "transaction_uuid": "250610-162414"})

    assert hint.authenticity is Authenticity.FORGED


@pytest.mark.parametrize("total", ["1000.01", "999.99", "1000.1"])
def test_a_return_about_a_paisa_more_or_less_is_forged(total: str) -> None:
    assert returned({**DOCUMENTED, "total_amount": total}).authenticity is Authenticity.FORGED


def test_another_merchants_return_is_forged_although_it_verifies() -> None:
    others = {**DOCUMENTED, "product_code": "EPAYTEST2"}
    others["signature"] = hmac_of(",".join(f"{name}={others[name]}" for name in SIX.split(",")))

    assert is_genuine(KEY, others)
    assert returned(others).authenticity is Authenticity.FORGED


def test_a_genuine_return_that_is_shown_again_names_its_own_payment() -> None:
    first, again = returned(DOCUMENTED), returned(DOCUMENTED)

    assert first == again
    assert again == ReturnHint(
        authenticity=Authenticity.SIGNED,
        claims="COMPLETE",
        order_reference="250610-162413",
        gateway_reference=None,
        says_paid=True,
    )


@pytest.mark.parametrize("name", SIX.split(","))
def test_a_return_without_one_of_the_six_is_forged(name: str) -> None:
    for fields in (
        {key: value for key, value in DOCUMENTED.items() if key != name},
        {**DOCUMENTED, name: None},
        {**DOCUMENTED, name: [DOCUMENTED[name]]},
        {**DOCUMENTED, name: {}},
    ):
        assert returned(fields).authenticity is Authenticity.FORGED


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        0,
        True,
        [],
        "62GcfZTmVkzhtUeh+QJ1AqiJrjoWWGof3U+eTPTZ7fA",
        "62GcfZTmVkzhtUeh-QJ1AqiJrjoWWGof3U-eTPTZ7fA=",
        "62GcfZTmVkzhtUeh+QJ1AqiJrjoWWGof3U+eTPTZ7fA=\n",
        "62GcfZTmVkzhtUeh+QJ1AqiJrjoWWGof3U+eTPTZ7fB=",
        "é" * 44,
        "\ud800" * 44,
        "x" * 5000,
        "eb619c7d94e6564ce1b54787f9027502a889ae3a165869fddd4f9e4cf4d9edf0",
    ],
    ids=repr,
)
def test_a_signature_is_the_documented_base64_and_nothing_like_it(signature: object) -> None:
    assert not is_genuine(KEY, {**DOCUMENTED, "signature": signature})


def test_without_a_signature_or_a_key_nothing_is_genuine() -> None:
    unsigned = {name: value for name, value in DOCUMENTED.items() if name != "signature"}
    genuine = ReturnMessage(values=(("data", as_data(json.dumps(DOCUMENTED))),))

    assert returned(unsigned).authenticity is Authenticity.FORGED
    assert protocol.read_return(genuine, "EPAYTEST", None).authenticity is Authenticity.FORGED
    assert protocol.read_return(genuine, None, KEY).authenticity is Authenticity.FORGED


@given(st.sampled_from(SIX.split(",")), st.integers(0, 200), st.characters())
@example("total_amount", 1, ",")
@example("transaction_uuid", 0, "\ud800")
def test_any_other_character_breaks_the_signature(name: str, place: int, character: str) -> None:
    text = DOCUMENTED[name]
    place %= len(text)
    assume(text[place] != character)

    changed = {**DOCUMENTED, name: text[:place] + character + text[place + 1 :]}

    assert not is_genuine(KEY, changed)


@given(st.sampled_from(SIX.split(",")), st.integers(0, 200))
def test_any_lost_character_breaks_the_signature(name: str, place: int) -> None:
    text = DOCUMENTED[name]
    place %= len(text)

    assert not is_genuine(KEY, {**DOCUMENTED, name: text[:place] + text[place + 1 :]})


@given(st.dictionaries(st.sampled_from([*SIX.split(","), "signature", "x"]), st.text() | st.none() | st.integers()))
def test_no_fields_at_random_are_genuine_or_raise(fields: dict[str, object]) -> None:
    assert not is_genuine(KEY, fields)
