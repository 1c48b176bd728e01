"""Any company's answers: read strictly, numbers as they are written when that is asked for, reasons without persons.

Khalti's tests and the hostile answers try the rest of this reading.
"""

import re

import pytest

from sewapay.application.errors import GatewayError, KeyRefused, OutcomeUnknown, ProtocolError
from sewapay.application.ports import ReturnMessage
from sewapay.wire.answers import Answer, complaints, fields_of, matching, only, require_an_answer, word


def answer(content: bytes, status: int = 200, content_type: str = "application/json") -> Answer:
    return Answer(status=status, content_type=content_type, content=content)


@pytest.mark.parametrize("written", ["0", "-0", "100.0", "399.99", "1.0E7", "1e400", "0.10", "12345678901234567890"])
def test_a_number_comes_as_the_text_that_stood_there_when_that_is_asked_for(written: str) -> None:
    fields = fields_of(answer(b'{"total_amount": ' + written.encode() + b"}"), "TinyPay", literal_numbers=True)

    assert fields == {"total_amount": written}


def test_numbers_deeper_inside_come_as_texts_too_and_other_values_as_they_are() -> None:
    content = b'{"a": {"b": [1.50, true, null, "1.5"]}}'

    assert fields_of(answer(content), "TinyPay", literal_numbers=True) == {"a": {"b": ["1.50", True, None, "1.5"]}}


@pytest.mark.parametrize("written", ["404", "0", "100.0", "1.0E7"])
def test_a_number_that_comes_as_a_text_is_no_word_and_may_still_be_a_name_or_an_amount(written: str) -> None:
    fields = fields_of(answer(b'{"a": ' + written.encode() + b', "b": "404"}'), "TinyPay", literal_numbers=True)

    assert (word(fields["a"]), word(fields["b"])) == ("", "404")
    assert matching(re.compile(r"[0-9.E]+"), fields["a"]) == written
    assert type(matching(re.compile(r"[0-9.E]+"), fields["a"])) is str, "what is stored is a plain text"


def test_unless_it_is_asked_for_numbers_are_numbers() -> None:
    assert fields_of(answer(b'{"a": 100, "b": 1.5}'), "TinyPay") == {"a": 100, "b": 1.5}


@pytest.mark.parametrize(
    "content",
    [b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1, "a": 1}', b"[1.0]", b"1.0", b"{", b"", b'{"a": 01}', b'{"a": .5}'],
)
def test_what_is_no_json_object_stays_none_with_literal_numbers(content: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"^TinyPay answered HTTP 200 with a body that is not a JSON object$"):
        fields_of(answer(content), "TinyPay", literal_numbers=True)


def test_sentences_call_the_company_by_its_name_and_its_credentials_by_their_variable() -> None:
    with pytest.raises(KeyRefused, match=r"^TinyPay does not accept TINYPAY_KEY: is it this environment's key\?$"):
        require_an_answer(answer(b"", 401), "TinyPay", "TINYPAY_KEY")
    with pytest.raises(OutcomeUnknown, match=r"^TinyPay answered HTTP 503: it could not say what became of"):
        require_an_answer(answer(b"", 503), "TinyPay", "TINYPAY_KEY")
    with pytest.raises(ProtocolError, match=r"^TinyPay answered HTTP 404 with something other than JSON$"):
        fields_of(answer(b"<h1>", 404, "text/html"), "TinyPay")
    with pytest.raises(ProtocolError, match=r"^TinyPay answered with more than 65536 bytes$"):
        fields_of(answer(b" " * 65_537), "TinyPay")


@pytest.mark.parametrize("status", [100, 200, 204, 301, 400, 403, 404, 409, 418, 422, 499])
def test_every_other_status_is_left_to_whoever_knows_the_company(status: int) -> None:
    try:
        require_an_answer(answer(b"", status), "TinyPay", "TINYPAY_KEY")
    except GatewayError as error:
        pytest.fail(f"HTTP {status}: {error}")


def test_reasons_say_nothing_about_persons_and_leave_out_what_is_none() -> None:
    refused = answer(b'{"amount": ["too little"], "payer": ["Hari Bahadur is unknown"], "code": "E7"}', 400)

    assert complaints(refused, "TinyPay", about_persons={"payer"}, beside={"code"}) == "amount: too little; payer"
    assert complaints(refused, "TinyPay") == "amount: too little; payer: Hari Bahadur is unknown; code: E7"


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ((), None),
        ((("TXNID", "a"),), "a"),
        ((("TXNID", "a"), ("TXNID", "a"), ("x", "b")), "a"),
        ((("TXNID", "a"), ("TXNID", "b")), None),
        ((("txnid", "a"),), None),
        ((("TXNID", ""),), ""),
    ],
)
def test_a_key_in_a_return_counts_when_it_has_one_value(values: tuple[tuple[str, str], ...], found: str | None) -> None:
    assert only(ReturnMessage(values=values), "TXNID") == found


@pytest.mark.parametrize(
    ("value", "text"),
    [("COMPLETE", "COMPLETE"), (" a\u202eb\n", "ab"), ("x" * 65, "x" * 64), (None, ""), (7, ""), (["COMPLETE"], "")],
)
def test_a_word_is_short_and_printable(value: object, text: str) -> None:
    assert word(value) == text
