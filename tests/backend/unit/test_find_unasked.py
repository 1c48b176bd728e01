"""What waits at a gateway that is not enabled here is found, for nobody looks at it and nothing else tells."""

from sewapay.adapters.fake.gateway import FakeGateway
from sewapay.application.find_unasked import Unasked
from sewapay.application.resolve_payment import Resolution
from sewapay.domain.booking import BookingStatus
from sewapay.domain.identifiers import Environment, GatewayName
from sewapay.domain.payment import Payment, PaymentStatus
from sewapay.domain.resolution import Decision
from tests.shop import KHALTI, STAFF, Shop

ESEWA = FakeGateway(name=GatewayName("esewa"))


async def unasked(shop: Shop) -> list[Unasked]:
    return await shop.container.find_unasked()()


async def a_shop_with_due_payments(number: int) -> tuple[Shop, list[Payment]]:
    shop = Shop()
    payments = [await shop.given_an_open_payment() for _ in range(number)]
    shop.clock.advance(minutes=1)
    return shop, payments


async def test_nothing_is_unasked_while_its_gateway_is_enabled() -> None:
    shop, _ = await a_shop_with_due_payments(2)

    assert await unasked(shop) == []


async def test_payments_of_a_gateway_that_was_taken_out_are_counted() -> None:
    shop, _ = await a_shop_with_due_payments(2)

    shop.takes(ESEWA)

    assert await unasked(shop) == [Unasked(gateway=KHALTI, environment=Environment.SANDBOX, payments=2)]


async def test_the_other_environment_of_an_enabled_gateway_is_not_enabled() -> None:
    shop, _ = await a_shop_with_due_payments(1)

    shop.takes(FakeGateway(name=KHALTI, environment=Environment.PRODUCTION))

    assert await unasked(shop) == [Unasked(gateway=KHALTI, environment=Environment.SANDBOX, payments=1)]


async def test_each_gateway_is_told_by_itself_in_the_order_of_their_names() -> None:
    shop, _ = await a_shop_with_due_payments(1)
    for environment in (Environment.SANDBOX, Environment.PRODUCTION):
        shop.takes(FakeGateway(name=GatewayName("esewa"), environment=environment))
        await shop.given_an_open_payment()
    shop.clock.advance(minutes=1)

    shop.takes(FakeGateway(name=GatewayName("connectips")))

    assert [(str(one.gateway), one.environment.value, one.payments) for one in await unasked(shop)] == [
        ("esewa", "production", 1),
        ("esewa", "sandbox", 1),
        ("khalti", "sandbox", 1),
    ]


async def test_what_is_not_due_yet_is_not_counted() -> None:
    shop = Shop()
    await shop.given_an_open_payment()
    shop.clock.advance(seconds=59)

    shop.takes(ESEWA)

    assert await unasked(shop) == []


async def test_money_that_came_waits_for_nobody() -> None:
    shop = Shop()
    await shop.given_a_paid_booking()
    shop.clock.advance(days=2)

    shop.takes(ESEWA)

    assert await unasked(shop) == []


async def test_a_gateway_that_is_enabled_again_is_asked() -> None:
    shop, (payment,) = await a_shop_with_due_payments(1)
    shop.gateway.customer_pays(payment)
    shop.takes(ESEWA)
    assert await unasked(shop) != []

    shop.takes(ESEWA, shop.gateway)
    await shop.container.reconcile_payments()(100)

    assert (await shop.stored_booking(payment.booking_id)).status is BookingStatus.CONFIRMED
    shop.takes(ESEWA)
    assert await unasked(shop) == []


async def test_what_a_person_decided_by_hand_is_not_told_again() -> None:
    shop, (payment,) = await a_shop_with_due_payments(1)
    shop.takes(ESEWA)
    unknown = (await shop.when_it_is_verified(payment, even_if_settled=True)).payment
    assert unknown.outcome_unknown

    closed = await shop.container.resolve_payment()(
        Resolution(
            by=STAFF,
            payment_id=payment.id,
            decision=Decision.CLOSE,
            reason="nothing was paid there",
            version=unknown.version,
        )
    )
    shop.clock.advance(days=3)

    assert closed.payment.status is PaymentStatus.FAILED
    assert await unasked(shop) == []
