from datetime import timedelta

import pytest

from sewapay.domain.booking import Booking, BookingStatus, Customer
from sewapay.domain.errors import BookingAlreadyPaid, BookingIsCanceled, InvalidBooking
from sewapay.domain.identifiers import BookingId, CustomerId
from sewapay.domain.money import Money
from tests.backend.unit.given import NOON, a_booking, payment_id, told

LATER = NOON + timedelta(minutes=5)
SITA = Customer(id=CustomerId("42"), name="Sita Sharma", email="sita@example.com", phone="9800000001")


def registered(*, title: str = "Deep cleaning", amount: Money = Money(113000)) -> Booking:
    return Booking.register(id=BookingId(1), customer=SITA, title=title, amount=amount, actor="service:1", at=NOON)


def test_a_registered_booking_waits_for_its_payment() -> None:
    booking = registered()

    assert booking.status is BookingStatus.PENDING
    assert booking.settled_by is None
    assert told(booking) == ["booking.registered"]
    assert booking.events[0].data == {"amount": 113000}
    assert booking.events[0].actor == "service:1"


@pytest.mark.fault("F09")
def test_a_booking_that_owes_nothing_is_refused() -> None:
    with pytest.raises(InvalidBooking, match="at least 1 paisa"):
        registered(amount=Money(0))


def test_a_booking_may_owe_one_paisa() -> None:
    assert Money(1) == registered(amount=Money(1)).amount


@pytest.mark.parametrize("title", ["", " ", "x" * 201, "two\nlines", "nul\x00", "\u202egnineelc"])
def test_a_title_that_nobody_could_read_is_refused(title: str) -> None:
    with pytest.raises(InvalidBooking, match="1 to 200 printable"):
        registered(title=title)


@pytest.mark.parametrize("title", ["x", "x" * 200, "घर सफाई", "<b>Deep</b> cleaning"])
def test_a_readable_title_is_kept_as_it_is(title: str) -> None:
    assert title == registered(title=title).title


@pytest.mark.parametrize("contact", ["name", "email", "phone"])
@pytest.mark.parametrize("text", ["", "x" * 255, "line\nbreak"])
def test_a_contact_that_could_not_be_passed_on_is_refused(contact: str, text: str) -> None:
    with pytest.raises(InvalidBooking, match=f"a customer's {contact}"):
        Customer(id=CustomerId("42"), **{contact: text})


def test_a_customer_need_not_leave_a_name() -> None:
    assert Customer(id=CustomerId("42")).name is None


def test_a_customers_name_and_numbers_stay_out_of_logs() -> None:
    shown = repr(registered())

    assert "Sita" not in shown
    assert "sita@example.com" not in shown
    assert "9800000001" not in shown


def test_a_payment_confirms_the_booking_and_is_named() -> None:
    confirmed = a_booking().confirm(payment_id(7), at=LATER)

    assert confirmed.status is BookingStatus.CONFIRMED
    assert payment_id(7) == confirmed.settled_by
    assert told(confirmed) == ["booking.confirmed"]
    assert payment_id(7) == confirmed.events[0].payment_id


def test_a_booking_is_confirmed_once() -> None:
    confirmed = a_booking().confirm(payment_id(1), at=LATER)

    with pytest.raises(BookingAlreadyPaid, match="booking 123 is already paid"):
        confirmed.confirm(payment_id(2), at=LATER)


def test_a_canceled_booking_is_not_confirmed() -> None:
    canceled = a_booking().cancel(actor="staff:7", at=LATER)

    with pytest.raises(BookingIsCanceled):
        canceled.confirm(payment_id(), at=LATER)


def test_an_unpaid_booking_can_be_canceled() -> None:
    canceled = a_booking().cancel(actor="staff:7", at=LATER)

    assert canceled.status is BookingStatus.CANCELED
    assert told(canceled) == ["booking.canceled"]
    assert canceled.events[0].actor == "staff:7"


def test_canceling_twice_changes_nothing() -> None:
    canceled = a_booking().cancel(actor="staff:7", at=LATER)

    assert canceled.cancel(actor="staff:8", at=LATER) is canceled


def test_a_paid_booking_is_not_simply_canceled() -> None:
    confirmed = a_booking().confirm(payment_id(), at=LATER)

    with pytest.raises(BookingAlreadyPaid, match="can be refunded"):
        confirmed.cancel(actor="staff:7", at=LATER)


def test_only_a_pending_booking_can_be_paid() -> None:
    a_booking().require_payable()

    with pytest.raises(BookingAlreadyPaid):
        a_booking().confirm(payment_id(), at=LATER).require_payable()
    with pytest.raises(BookingIsCanceled):
        a_booking().cancel(actor="staff:7", at=LATER).require_payable()
