"""Open a gateway's page where a booking can be paid; one open page a booking."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from attrs import frozen

from sewapay.application.access import Operation, Principal
from sewapay.application.errors import (
    AmountDiffers,
    AmountNotTaken,
    BookingNotFound,
    CheckoutInProgress,
    CheckoutRefused,
    GatewayError,
    GatewayNotConfigured,
    KeyRefused,
    NothingSent,
    ProtocolError,
    ReferenceTaken,
    StillBeingChecked,
)
from sewapay.application.gateways import Gateways, enabled
from sewapay.application.idempotency import Once
from sewapay.application.ports import Clock, Ids, Payer, PaymentGateway, Urls
from sewapay.application.recording import order_of
from sewapay.application.return_urls import ReturnOrigins
from sewapay.application.storage import Transact, Tx
from sewapay.application.verify_payment import Verification, VerifyPayment
from sewapay.domain.booking import Booking, BookingStatus
from sewapay.domain.checkout import LONGEST_LIFE, Checkout
from sewapay.domain.identifiers import BookingId, GatewayName, PaymentId
from sewapay.domain.money import Money
from sewapay.domain.payment import Payment, PaymentStatus, ReturnStyle, ReturnTo, ReviewReason

__all__ = ["CheckoutRequest", "OpenCheckout", "OpenedCheckout"]

OPENING_TAKES_AT_MOST: Final = timedelta(seconds=20)
PAUSE_SECONDS: Final = 0.1
MOST_PAUSES: Final = 220
MOST_LOOKS: Final = 16  # each form that was left is one: more than a person leaves in the life of one
PRESSED_TWICE_WITHIN: Final = timedelta(seconds=10)


@frozen(kw_only=True)
class CheckoutRequest:
    """Which booking, through which gateway, and where the customer goes afterwards (None: our own result page).

    `expected_amount` is refused when it differs from what is owed: the customer was shown another price. `once`: the
    same request may be made again, and gets the same answer.
    """

    by: Principal
    booking_id: BookingId
    gateway: GatewayName
    return_url: str | None = None
    return_style: ReturnStyle = ReturnStyle.PAYMENT_ID
    expected_amount: Money | None = None
    once: "Once[OpenedCheckout] | None" = None


@frozen
class OpenedCheckout:
    """A payment whose link may be shown. `is_new` is false when the link was open already."""

    payment: Payment
    is_new: bool


@frozen
class _Begun:
    payment: Payment
    booking: Booking


@frozen
class _LookFirst:
    payment_id: PaymentId


@frozen
class _Wait:
    payment_id: PaymentId


_Step = _Begun | _LookFirst | _Wait | OpenedCheckout


@frozen
class OpenCheckout:
    """Open a checkout for a booking, or hand out the one that is open.

    - What is attempted is stored before the gateway hears of it; the link is stored before anyone sees it.
    - One open link a booking and gateway: asking again gives the same one, after a look whether it was used. Where a
      checkout can be entered once, a later request gets a new one, and the former is watched until it is final.
    - Another gateway may be chosen at any time: what was opened before is watched all the same.
    - The gateway is asked once. When its answer is lost, nobody has that link, and the next request begins anew. So it
      is with a link that is dead already, or lives longer than it can be watched.
    - Nothing is opened for a booking that is paid, canceled, or has a payment whose outcome is still to come.
    """

    transact: Transact
    gateways: Gateways
    clock: Clock
    ids: Ids
    verify: VerifyPayment
    return_origins: ReturnOrigins
    public_url: str

    async def __call__(self, request: CheckoutRequest) -> OpenedCheckout:
        """Open it. Raises the errors of the request (`BookingNotFound`, `BookingAlreadyPaid`, `AmountDiffers` ...) and
        of the gateway (`GatewayError`), after which the payment's row says what is known.
        """
        request.by.require(Operation.OPEN_CHECKOUT)
        gateway = enabled(self.gateways, request.gateway)
        return_to = None
        if request.return_url is not None:
            return_to = ReturnTo(self.return_origins.require(request.return_url), request.return_style)

        looked_up: frozenset[PaymentId] = frozenset()
        pauses = 0
        while pauses < MOST_PAUSES:
            step = await self.transact(self._step(request, gateway, return_to, looked_up))
            match step:
                case OpenedCheckout():
                    return step
                case _Begun(payment=payment, booking=booking):
                    return await self._ask(gateway, payment, booking, request.once)
                case _LookFirst(payment_id=payment_id):
                    await self.verify(Verification(by=None, payment=payment_id))
                    looked_up |= {payment_id}
                case _Wait(payment_id=payment_id):
                    looked_up |= {payment_id}  # a link that is opened while we wait cannot have been used before
                    pauses += 1
                    await self.clock.pause(PAUSE_SECONDS)
        raise CheckoutInProgress("this booking's checkout is being opened: ask again in a few seconds")

    def _step(
        self,
        request: CheckoutRequest,
        gateway: PaymentGateway,
        return_to: ReturnTo | None,
        looked_up: frozenset[PaymentId],
    ) -> Callable[[Tx], _Step]:
        payment_id, order_reference = self.ids.payment_id(), self.ids.order_reference()

        def decide(tx: Tx) -> _Step:
            now = self.clock.now()
            booking = tx.bookings.get(request.booking_id)
            if not request.by.may_see(booking):
                raise BookingNotFound
            if request.once is not None:
                request.once.check(tx)
            booking.require_payable()
            _require_taken(booking.amount, gateway, request.expected_amount)
            live = None
            for attempt in reversed(tx.payments.of_booking(booking.id)):
                if attempt.status is PaymentStatus.CREATED and not attempt.outcome_unknown:
                    if now < attempt.created_at + OPENING_TAKES_AT_MOST:
                        return _Wait(attempt.id)
                    tx.payments.save(attempt.unanswered("the opening was cut off", at=now))
                    continue
                if attempt.is_undecided and attempt.can_be_looked_up and attempt.id not in looked_up:
                    if len(looked_up) < MOST_LOOKS:
                        return _LookFirst(attempt.id)
                    raise StillBeingChecked(_CHECKING)
                if live is None and _is_through(attempt, gateway) and _may_be_shown(attempt, gateway, now):
                    live = attempt
                else:
                    _require_out_of_the_way(attempt)
            if live is not None:
                wanted = live.returning_to(return_to)
                found = OpenedCheckout(live if wanted is live else tx.payments.save(wanted), is_new=False)
                if request.once is not None:
                    request.once.finish(tx, found)
                return found
            payment = Payment.begin(
                id=payment_id,
                booking=booking,
                gateway=gateway.name,
                environment=gateway.environment,
                order_reference=order_reference,
                return_to=return_to,
                longest_life=gateway.capabilities.longest_life,
                actor=request.by.actor,
                at=now,
            )
            if request.once is not None:
                request.once.begin(tx)
            return _Begun(tx.payments.add(payment), booking)

        return decide

    async def _ask(
        self, gateway: PaymentGateway, begun: Payment, booking: Booking, once: Once[OpenedCheckout] | None
    ) -> OpenedCheckout:
        urls = Urls(
            return_url=f"{self.public_url}/return/{begun.id}/",
            failure_url=f"{self.public_url}/return/{begun.id}/unfinished/",
            website_url=self.public_url,
        )
        customer = booking.customer
        payer = Payer(name=customer.name, email=customer.email, phone=customer.phone)
        try:
            checkout = await gateway.open_checkout(order_of(begun, booking.title), urls, payer)
            if not checkout.can_be_watched(self.clock.now()):
                raise ProtocolError(_UNWATCHED)
        except (NothingSent, KeyRefused, GatewayNotConfigured) as error:
            why = f"not attempted: {error}"
            is_refused = isinstance(error, KeyRefused)
            await self._keep(begun, once, lambda payment: payment.not_attempted(why, at=self.clock.now()), is_refused)
            raise
        except CheckoutRefused as error:
            why = str(error)
            await self._keep(begun, once, lambda payment: payment.refused(why, at=self.clock.now()))
            raise
        except GatewayError as error:
            why = str(error)
            await self._keep(begun, once, lambda payment: payment.unanswered(why, at=self.clock.now()))
            raise
        return await self._show(begun, checkout, gateway.capabilities.default_life, once)

    async def _show(
        self, begun: Payment, checkout: Checkout, default_life: timedelta, once: Once[OpenedCheckout] | None
    ) -> OpenedCheckout:
        def record(tx: Tx) -> tuple[Payment, Booking, bool]:
            booking = tx.bookings.get(begun.booking_id)
            payment = tx.payments.get(begun.id)
            opened = tx.payments.save(payment.opened(checkout, default_life=default_life, at=self.clock.now()))
            is_shown = not payment.outcome_unknown and booking.status is BookingStatus.PENDING
            if once is not None and is_shown:
                once.finish(tx, OpenedCheckout(opened, is_new=True))
            elif once is not None:
                once.forget(tx)
            return opened, booking, payment.outcome_unknown

        try:
            payment, booking, was_given_up = await self.transact(record)
        except ReferenceTaken as error:
            why = "the gateway gave a reference that another payment has"
            await self._keep(begun, once, lambda payment: payment.unanswered(why, at=self.clock.now()))
            raise ProtocolError(why) from error
        booking.require_payable()
        if was_given_up:
            raise CheckoutInProgress("opening this booking's checkout took too long: ask again for its link")
        return OpenedCheckout(payment, is_new=True)

    async def _keep(
        self,
        begun: Payment,
        once: Once[OpenedCheckout] | None,
        change: Callable[[Payment], Payment],
        key_is_refused: bool = False,
    ) -> None:
        def record(tx: Tx) -> None:
            tx.bookings.get(begun.booking_id)
            tx.payments.save(change(tx.payments.get(begun.id)))
            if once is not None:
                once.forget(tx)
            if key_is_refused:
                pace = tx.paces.get(begun.gateway, begun.environment)
                tx.paces.save(begun.gateway, begun.environment, pace.refused(tx.time()))

        await self.transact(record)


_UNWATCHED: Final = f"what the gateway opened is dead already, or lives for more than {LONGEST_LIFE.days} days"
_CHECKING: Final = "an earlier payment of this booking is still being checked: do not pay again, ask in a minute"


def _require_taken(owed: Money, gateway: PaymentGateway, expected: Money | None) -> None:
    if expected is not None and expected != owed:
        raise AmountDiffers(f"Amount mismatch: expected {expected}, but {owed} is owed: show the customer this amount")
    can = gateway.capabilities
    if not can.takes(owed):
        limit = f"{can.least} or more" if owed < can.least else f"at most {can.greatest}"
        raise AmountNotTaken(f"{can.label} takes {limit}, and {owed} is owed")


def _is_through(attempt: Payment, gateway: PaymentGateway) -> bool:
    return attempt.gateway == gateway.name and attempt.environment is gateway.environment


def _may_be_shown(attempt: Payment, gateway: PaymentGateway, now: datetime) -> bool:
    """Whether its checkout can be given out once more. One that can be entered once, only to who pressed twice."""
    if not attempt.has_live_link(now):
        return False
    opened_at = attempt.opened_at or attempt.created_at
    return not gateway.capabilities.single_entry or now < opened_at + PRESSED_TWICE_WITHIN


def _require_out_of_the_way(attempt: Payment) -> None:
    """Raise `StillBeingChecked` where a further payment could be a second one for the same booking."""
    if attempt.status is PaymentStatus.PENDING:
        raise StillBeingChecked(_CHECKING)
    if attempt.status is PaymentStatus.UNDER_REVIEW and attempt.review_reason is not ReviewReason.CHECKOUT_REFUSED:
        raise StillBeingChecked("a payment of this booking is being looked at by a person: do not pay again")
    if attempt.outcome_unknown and attempt.can_be_looked_up:
        raise StillBeingChecked(_CHECKING)
