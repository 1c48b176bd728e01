"""The test world: the real container over the memory store and a fake gateway, and words to tell a test in.

shop = Shop()
booking = await shop.given_a_booking()
payment = await shop.when_the_customer_opens_a_checkout(booking)
shop.gateway.customer_pays(payment)
verified = await shop.when_it_is_verified(payment)
"""

from collections.abc import Mapping
from typing import Final

from dependency_injector import providers
from litestar import Litestar

from sewapay.adapters.system import TaskFlights
from sewapay.adapters.web.auth import issue_token
from sewapay.application.access import Principal, Role, Scope
from sewapay.application.cancel_booking import Cancellation
from sewapay.application.open_checkout import CheckoutRequest
from sewapay.application.ports import PaymentGateway
from sewapay.application.register_booking import NewBooking
from sewapay.application.storage import Store
from sewapay.application.verify_payment import Verification, Verified
from sewapay.domain.booking import Booking, Customer
from sewapay.domain.identifiers import BookingId, CustomerId, PaymentId
from sewapay.domain.money import Money
from sewapay.domain.payment import Payment
from sewapay.entrypoints.asgi import create_app
from sewapay.entrypoints.container import Container, build_container
from sewapay.testing.builders import KHALTI as KHALTI
from sewapay.testing.clocks import ManualClock as ManualClock
from sewapay.testing.fakes import FakeGateway, MemoryStore

SITA: Final = Customer(id=CustomerId("42"), name="Sita Sharma", email="sita@example.com", phone="9800000001")
RAM: Final = Customer(id=CustomerId("43"), name="Ram Thapa")
STAFF: Final = Principal(role=Role.STAFF, id="7")
SERVICE: Final = Principal(role=Role.SERVICE, id="0123456789abcdef", scopes=frozenset(Scope))
PRICE: Final = Money(113000)
JWT_SECRET: Final = "a secret that only the tests of this repository use"
SHOP_RETURN: Final = "https://shop.example/payment/callback"


def customer(who: Customer = SITA) -> Principal:
    """This customer, signed in."""
    return Principal(role=Role.CUSTOMER, id=who.id)


class Shop:
    """A merchant with sewapay beside it: real use cases, a store, and a gateway that does as it is told."""

    def __init__(
        self,
        *,
        store: Store | None = None,
        gateway: PaymentGateway | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.gateway = FakeGateway(name=KHALTI)
        self.clock = ManualClock()
        self.memory = MemoryStore(now=self.clock.now)
        self.store = store or self.memory
        self.container: Container = build_container(
            {
                "SEWAPAY_ENV": "test",
                "SEWAPAY_JWT_SECRET": JWT_SECRET,
                "SEWAPAY_PUBLIC_URL": "http://127.0.0.1:8000",
                "SEWAPAY_RETURN_ORIGINS": "https://shop.example",
                **(environ or {}),
            }
        )
        used = gateway or self.gateway
        self.container.gateways.override(providers.Object({used.name: used}))
        self.container.store.override(providers.Object(self.store))
        self.container.clock.override(providers.Object(self.clock))

    def takes(self, *gateways: PaymentGateway) -> None:
        """From now on these are the gateways that are enabled here."""
        self.container.gateways.override(providers.Object({gateway.name: gateway for gateway in gateways}))

    def becomes_several_processes(self) -> None:
        """From now on each use case is as in a process of its own: they share store and gateway, and nothing else."""
        self.container.flights.override(providers.Factory(TaskFlights))

    @property
    def app(self) -> Litestar:
        """The whole application over this shop's parts."""
        return create_app(self.container)

    def token(self, who: Customer | str = SITA, *, role: str | None = None) -> str:
        """A customer's bearer token, or with `role="staff"` a member of staff's."""
        subject = who.id if isinstance(who, Customer) else who
        return issue_token(JWT_SECRET.encode(), subject=subject, role=role)

    def as_customer(self, who: Customer = SITA) -> dict[str, str]:
        """The headers of a signed-in customer's request."""
        return {"Authorization": f"Bearer {self.token(who)}"}

    def as_staff(self) -> dict[str, str]:
        """The headers of a member of staff's request."""
        return {"Authorization": f"Bearer {self.token('7', role='staff')}"}

    async def as_service(self, *scopes: Scope) -> dict[str, str]:
        """The headers of a service's request, with a fresh key of these scopes (none given: all)."""
        created = await self.container.create_api_key()("tests", frozenset(scopes or Scope))
        return {"Authorization": f"Bearer {created.token}"}

    async def given_a_booking(
        self, *, id: int | None = None, who: Customer = SITA, amount: Money = PRICE, title: str = "Deep cleaning"
    ) -> Booking:
        """A registered booking that waits for its payment."""
        booking_id = None if id is None else BookingId(id)
        new = NewBooking(by=SERVICE, id=booking_id, customer=who, title=title, amount=amount)
        return await self.container.register_booking()(new)

    async def given_an_open_payment(self, booking: Booking | None = None) -> Payment:
        """A payment whose link was given to the customer."""
        return await self.when_the_customer_opens_a_checkout(booking or await self.given_a_booking())

    async def given_a_paid_booking(self) -> Verified:
        """A booking that is confirmed, and the payment that did it."""
        payment = await self.given_an_open_payment()
        self.gateway.customer_pays(payment)
        return await self.when_it_is_verified(payment)

    async def when_the_customer_opens_a_checkout(
        self, booking: Booking, *, by: Principal | None = None, return_url: str | None = None
    ) -> Payment:
        """The payment behind the link that the customer is given."""
        request = CheckoutRequest(
            by=by or Principal(role=Role.CUSTOMER, id=booking.customer.id),
            booking_id=booking.id,
            gateway=next(iter(self.container.gateways())),
            return_url=return_url,
        )
        return (await self.container.open_checkout()(request)).payment

    async def when_it_is_verified(self, payment: Payment, *, even_if_settled: bool = False) -> Verified:
        """What stands after the gateway was asked."""
        verification = Verification(by=None, payment=payment.id, even_if_settled=even_if_settled)
        return await self.container.verify_payment()(verification)

    async def when_the_booking_is_canceled(self, booking: Booking) -> Booking:
        """The canceled booking."""
        return await self.container.cancel_booking()(Cancellation(by=STAFF, booking_id=booking.id))

    async def stored_booking(self, booking: Booking | BookingId) -> Booking:
        """The booking as it is stored now."""
        booking_id = booking.id if isinstance(booking, Booking) else booking
        return await self.store.read(lambda view: view.bookings.get(booking_id))

    async def stored_payment(self, payment: Payment | PaymentId) -> Payment:
        """The payment as it is stored now."""
        payment_id = payment.id if isinstance(payment, Payment) else payment
        return await self.store.read(lambda view: view.payments.get(payment_id))

    async def stored_payments(self, booking: Booking) -> list[Payment]:
        """Every attempt of a booking, oldest first."""
        return await self.store.read(lambda view: view.payments.of_booking(booking.id))

    async def told(self, booking: Booking) -> list[str]:
        """The kinds of the booking's events, in order."""
        events = await self.store.read(lambda view: view.events.of_booking(booking.id))
        return [event.kind.value for event in events]
