"""Our books beside those of a gateway that knows payments by our reference only, and opens each checkout once."""

import asyncio
from collections.abc import Callable
from typing import Final

import pytest

from sewapay.adapters.fake.gateway import FAKE_FORM_CAPABILITIES, FakeGateway
from sewapay.application.auditing.truth import Line
from sewapay.application.open_checkout import CheckoutRequest
from sewapay.application.statement import Difference, Kind, differences
from sewapay.domain.booking import Booking
from sewapay.domain.identifiers import GatewayName
from sewapay.domain.money import Money
from sewapay.domain.observation import Reported
from sewapay.domain.payment import Payment
from tests.books import Mutable
from tests.busy_shop import BusyShop
from tests.shop import Shop, customer

FORMS: Final = GatewayName("forms")
REDIRECTS: Final = GatewayName("khalti")
OPENS_ONCE: Final = frozenset({"forms"})

Plant = Callable[[Mutable], None]


class Forms(BusyShop):
    """A shop whose customers pay by form, or at the gateway that redirects."""

    def __init__(self) -> None:
        super().__init__(Shop())
        self.forms = FakeGateway(name=FORMS, capabilities=FAKE_FORM_CAPABILITIES)
        self.shop.takes(self.forms, self.shop.gateway)

    async def opens(self, name: str, booking: Booking | None = None, gateway: GatewayName = FORMS) -> Payment:
        booking = booking or await self.shop.given_a_booking()
        request = CheckoutRequest(by=customer(), booking_id=booking.id, gateway=gateway)
        self.payments[name] = payment = (await self.shop.container.open_checkout()(request)).payment
        return payment

    async def looked_at(self, payment: Payment) -> None:
        await self.shop.when_it_is_verified(payment, even_if_settled=True)

    async def fill(self) -> None:
        """Every way that a form can go, and a booking that was tried three times."""
        await self.opens("expired")
        self.shop.clock.advance(minutes=45)
        await self.looked_at(self.payments["expired"])
        await self.opens("open")
        for name, happens in (
            ("paid", self.forms.customer_pays),
            ("pending", self.forms.leaves_pending),
            ("canceled", self.forms.customer_cancels),
        ):
            happens(await self.opens(name))
            await self.looked_at(self.payments[name])
        self.forms.says(await self.opens("ambiguous"), "AMBIGUOUS", Reported.AMBIGUOUS)
        await self.looked_at(self.payments["ambiguous"])
        self.forms.customer_pays(await self.opens("refunded"))
        await self.looked_at(self.payments["refunded"])
        self.forms.merchant_refunds(self.payments["refunded"])
        await self.looked_at(self.payments["refunded"])
        booking = await self.shop.given_a_booking()
        await self.opens("first of three", booking)
        self.shop.clock.advance(seconds=10)
        await self.opens("second of three", booking)
        await self.opens("third of three", booking, REDIRECTS)


@pytest.fixture(scope="module")
def filled() -> Forms:
    forms = Forms()
    asyncio.run(forms.fill())
    return forms


@pytest.fixture
def it(filled: Forms) -> Mutable:
    return Mutable.of(filled, filled.forms)


def found_in(it: Mutable) -> list[Difference]:
    return differences(it.books, it.truth, now=it.now)


def test_nothing_differs_where_both_agree(it: Mutable) -> None:
    assert found_in(it) == []


def test_nothing_differs_beside_the_books_of_the_gateway_that_redirects(filled: Forms) -> None:
    assert found_in(Mutable.of(filled, filled.shop.gateway)) == []


def test_an_audit_finds_nothing_where_forms_are_given_anew(it: Mutable) -> None:
    assert it.audited(is_quiet=False, single_entry=OPENS_ONCE) == []


def test_two_live_links_where_a_link_can_be_given_again_are_found(it: Mutable) -> None:
    found = it.audited(is_quiet=False)

    assert [(each.invariant, each.subject) for each in found] == [
        ("I4", f"booking {it.payment('first of three')['booking_id']}")
    ]


def test_two_forms_for_one_press_are_found(it: Mutable) -> None:
    earlier, later = it.payment("first of three"), it.payment("second of three")
    later["created_at"] = earlier["opened_at"].replace(microsecond=1)

    found = it.audited(is_quiet=False, single_entry=OPENS_ONCE)

    assert [(each.invariant, each.subject) for each in found] == [("I4", f"booking {later['booking_id']}")]


def test_a_form_that_expired_before_it_was_long_dead_is_found(it: Mutable) -> None:
    payment = it.payment("expired")
    payment["expires_at"] = it.event("expired", "payment.expired")["at"]
    it.payment("expired")

    found = it.audited(is_quiet=False, single_entry=OPENS_ONCE)

    assert [(each.invariant, each.subject) for each in found] == [("I23", f"payment {it.subject}")]


def test_a_form_that_expired_without_an_answer_is_found(it: Mutable) -> None:
    it.forget_answers("expired")

    found = it.audited(is_quiet=False, single_entry=OPENS_ONCE)

    assert [each.invariant for each in found] == ["I8"]


def test_what_nobody_entered_need_not_stand_in_the_books(it: Mutable) -> None:
    for name in ("open", "expired", "pending", "canceled", "first of three"):
        del it.lines[it.payment(name)["order_reference"]]

    assert found_in(it) == []


def test_money_that_came_has_to_stand_in_the_books(it: Mutable) -> None:
    del it.lines[it.payment("paid")["order_reference"]]

    [difference] = found_in(it)

    assert (difference.kind, difference.subject) == (Kind.MISSING_THERE, f"payment {it.subject}")


@pytest.mark.parametrize(
    ("name", "there", "kind"),
    [
        ("open", {"status": "completed", "transaction_id": "000AE01"}, Kind.PAID_THERE_ONLY),
        ("expired", {"status": "completed", "transaction_id": "000AE01"}, Kind.PAID_THERE_ONLY),
        ("paid", {"status": "absent", "transaction_id": None}, Kind.PAID_HERE_ONLY),
        ("paid", {"status": "ambiguous"}, Kind.PAID_HERE_ONLY),
        ("open", {"status": "ambiguous"}, Kind.STATUS),
        ("open", {"status": "canceled"}, Kind.STATUS),
        ("ambiguous", {"status": "canceled"}, Kind.STATUS),
        ("paid", {"status": "partially_refunded"}, Kind.STATUS),
        ("paid", {"amount": 112999}, Kind.AMOUNT),
        ("paid", {"transaction_id": "000AE01"}, Kind.TRANSACTION),
        ("paid", {"order_reference": "A" * 20}, Kind.ORDER_REFERENCE),
        ("refunded", {"refunded_amount": 0, "refunds": ()}, Kind.REFUNDED_AMOUNT),
    ],
)  # fmt: skip
def test_a_difference_is_found_by_our_reference(it: Mutable, name: str, there: dict[str, object], kind: Kind) -> None:
    it.at_gateway(name, **there)

    found = found_in(it)

    assert [each.kind for each in found] == [kind]
    assert it.subject in found[0].subject


def test_money_for_a_name_that_nobody_gave_is_found(it: Mutable) -> None:
    it.lines["lost"] = Line(reference="Z" * 20, order_reference="Z" * 20, amount=113000, status="completed")

    assert [each.kind for each in found_in(it)] == [Kind.UNKNOWN_HERE]
    assert [each.invariant for each in it.audited(is_quiet=False, single_entry=OPENS_ONCE)] == ["I1"]


def test_a_payment_that_is_recorded_at_another_gateway_is_found(it: Mutable) -> None:
    it.payment("paid")["gateway"] = "khalti"

    assert [each.kind for each in found_in(it)] == [Kind.ENVIRONMENT]


def test_more_is_recorded_than_came_there_is_found(it: Mutable) -> None:
    it.at_gateway("paid", amount=112999)

    found = it.audited(is_quiet=False, single_entry=OPENS_ONCE)

    assert [(each.invariant, each.subject) for each in found] == [("I1", f"payment {it.subject}")]


async def test_a_part_that_went_back_in_the_portal_is_told_until_a_person_has_seen_to_it() -> None:
    forms = Forms()
    forms.forms.customer_pays(await forms.opens("partly"))
    await forms.looked_at(forms.payments["partly"])
    forms.forms.merchant_refunds(forms.payments["partly"], Money(30000))
    await forms.looked_at(forms.payments["partly"])

    it = Mutable.of(forms, forms.forms)

    assert [each.kind for each in found_in(it)] == [Kind.REFUND_OF_UNKNOWN_AMOUNT]
    assert it.audited(is_quiet=False, single_entry=OPENS_ONCE) == []
