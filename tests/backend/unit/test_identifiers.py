import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sewapay.domain.errors import InvalidIdentifier
from sewapay.domain.identifiers import BookingId, CustomerId, GatewayName, OrderReference, PaymentId

UUID = "3f2c1e4a-9d0b-4c6e-8a77-1b2c3d4e5f60"


@pytest.mark.parametrize("number", [1, 123, 2**53])
def test_a_bookings_id_is_the_merchants_own_number(number: int) -> None:
    booking_id = BookingId(number)

    assert number == booking_id
    assert str(number) == str(booking_id) == f"{booking_id}"


@pytest.mark.parametrize("thing", [0, -1, 2**53 + 1, 2**64, True, False, 1.0, "1", None])
def test_other_things_are_no_bookings_id(thing: object) -> None:
    with pytest.raises(InvalidIdentifier, match="from 1 to 9007199254740992"):
        BookingId(thing)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [UUID, "00000000-0000-0000-0000-000000000000"])
def test_a_payments_id_is_a_uuid_in_lower_case(text: str) -> None:
    assert text == PaymentId(text)


@pytest.mark.parametrize(
    "text",
    ["", UUID.upper(), UUID.replace("-", ""), "{" + UUID + "}", f" {UUID}", f"{UUID}\n", UUID[:-1], UUID + "0", "../x"],
)
def test_other_text_is_no_payments_id(text: str) -> None:
    with pytest.raises(InvalidIdentifier, match="UUID in lower case"):
        PaymentId(text)


@pytest.mark.parametrize("text", ["1", "42", "सीता", "sita sharma", "auth0|5f7c8ec7c33c6c004bbafe82", "x" * 128])
def test_a_customers_id_is_what_the_merchants_tokens_say(text: str) -> None:
    assert text == CustomerId(text)


@pytest.mark.parametrize("text", ["", " ", " 42", "42 ", "4\n2", "4\x002", "4\u202e2", "4\u200b2", "x" * 129])
def test_unprintable_empty_or_endless_text_is_no_customers_id(text: str) -> None:
    with pytest.raises(InvalidIdentifier, match="1 to 128 printable"):
        CustomerId(text)


@pytest.mark.parametrize("text", ["khalti", "esewa", "fake", "a", "x" * 32, "connect_ips2"])
def test_a_gateways_name_fits_settings_addresses_and_storage(text: str) -> None:
    assert text == GatewayName(text)


@pytest.mark.parametrize("text", ["", "Khalti", "1khalti", "_khalti", "khalti-2", "khal ti", "khalti/", "x" * 33, "é"])
def test_other_text_is_no_gateways_name(text: str) -> None:
    with pytest.raises(InvalidIdentifier, match="1 to 32 of a-z"):
        GatewayName(text)


def test_an_order_reference_is_twenty_characters() -> None:
    assert OrderReference("A1B2C3D4E5F6G7H8I9J0") == "A1B2C3D4E5F6G7H8I9J0"


@pytest.mark.parametrize("text", ["", "A" * 19, "A" * 21, "a" * 20, "A" * 19 + "-", "A" * 20 + "\n", "١" * 20])
def test_other_text_is_no_order_reference(text: str) -> None:
    with pytest.raises(InvalidIdentifier, match="20 of A-Z and 0-9"):
        OrderReference(text)


@pytest.mark.parametrize("kind", [PaymentId, CustomerId, GatewayName, OrderReference])
@pytest.mark.parametrize("thing", [None, 42, b"khalti", True])
def test_identifiers_are_text(kind: type[str], thing: object) -> None:
    with pytest.raises(InvalidIdentifier):
        kind(thing)


@settings(max_examples=1500)
@given(st.text(max_size=40))
def test_any_text_is_an_identifier_or_refused_and_stays_what_it_is(text: str) -> None:
    for kind in (PaymentId, CustomerId, GatewayName, OrderReference):
        try:
            made = kind(text)
        except InvalidIdentifier:
            continue

        assert text == made
        assert made.isprintable()


@settings(max_examples=1500)
@given(st.integers())
def test_a_bookings_id_is_exact_in_every_json_reader(number: int) -> None:
    try:
        booking_id = BookingId(number)
    except InvalidIdentifier:
        assert not 1 <= number <= 2**53
    else:
        assert number == int(float(booking_id))
