"""What the use cases need from the world beside storage: gateways, the clock, names that nobody can guess.

Adapters implement these; tests bring their own. Times are aware UTC, money is `Money` (paisa).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, TypeVar

from attrs import field, frozen

from sewapay.domain.checkout import Checkout
from sewapay.domain.identifiers import BookingId, Environment, GatewayName, OrderReference, PaymentId, RefundId
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation

T = TypeVar("T")


class CheckoutKind(StrEnum):
    """How a gateway's page is reached."""

    REDIRECT = "redirect"
    POST_FORM = "post_form"


class RefundKind(StrEnum):
    """How much of a payment a gateway gives back by a call of ours."""

    NONE = "none"
    FULL = "full"
    PARTIAL = "partial"


@frozen(kw_only=True)
class Capabilities:
    """What a gateway can do; static, so that the core refuses early.

    - `reference_charset` is a regular expression for one character of our order reference.
    - `default_life` is how long a link lives when the gateway does not say, and `longest_life` the longest that one may
      live, 30 days at most: a link whose opening went unanswered is dead after that.
    - `page_origins` are where its pages live (`https://pay.example`), which our own pages' forms may lead to.
    - `single_entry`: its page takes an order reference once, so that a checkout which was shown cannot be shown again
      later; a customer who comes back is given a new payment, and the former is watched until it is final.
    - `registered_return`: where browsers return to was registered with it beforehand, and is the same for all payments:
      `/return/{gateway}/`, where the payment is found by the order reference in the return.
    - `panel`: where its own people give money back by hand, in words, with the address if there is one;
      `shows_refunds`: a look-up tells of it.
    - `configured` is false while something is missing without which it opens no checkout, such as a key: then customers
      are not offered it.
    """

    label: str
    checkout: CheckoutKind
    signed_return: bool
    refunds: RefundKind
    least: Money
    greatest: Money | None
    reference_charset: str
    reference_length: int
    default_life: timedelta
    longest_life: timedelta = timedelta(days=1)
    page_origins: tuple[str, ...] = ()
    single_entry: bool = False
    registered_return: bool = False
    panel: str = "its own panel"
    shows_refunds: bool = True
    configured: bool = True

    def takes(self, amount: Money) -> bool:
        """Whether it can be paid through this gateway."""
        return amount >= self.least and (self.greatest is None or amount <= self.greatest)


@frozen(kw_only=True)
class Order:
    """One payment as a gateway needs to know it; everything in it is stored before the gateway is called.

    `transaction_id`: the gateway's name for the money that came, once it said so. `form`: what the customer's browser
    was given to post, where that is how its page is reached; a payment is asked about as it was opened, whatever the
    settings are by now.
    """

    payment_id: PaymentId
    booking_id: BookingId
    reference: OrderReference
    gateway_reference: str | None
    amount: Money
    title: str
    transaction_id: str | None = None
    form: Mapping[str, str] = field(factory=dict, repr=False)


@frozen(kw_only=True)
class RefundOrder:
    """What to give back of an order: `amount`; `is_all`: this is the whole payment, of which nothing went back yet."""

    amount: Money
    is_all: bool


@frozen(kw_only=True)
class Payer:
    """What may be told to the gateway about the customer. All of it is optional, and none of it is logged."""

    name: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)


@frozen(kw_only=True)
class Urls:
    """Where the gateway sends the browser back to (ours, without a query), and the site it is told about.

    `failure_url` is for gateways that send those who did not pay somewhere else; it proves nothing either.
    """

    return_url: str
    failure_url: str
    website_url: str


class Authenticity(StrEnum):
    """Whether a message that came through the browser carries a proof of who wrote it."""

    UNSIGNED = "unsigned"
    SIGNED = "signed"
    FORGED = "forged"


@frozen(kw_only=True)
class ReturnMessage:
    """What came back through the browser: the query's or the form's values, in their order, repeats included."""

    values: tuple[tuple[str, str], ...]


@frozen(kw_only=True)
class ReturnHint:
    """What a return claims. It is a reason to look, and never moves money.

    `claims` is the status word of the message, `gateway_reference` and `order_reference` the names in it; each None
    when absent or unusable. `says_paid`: that word means that the money was taken, which keeps a customer from paying
    again, where it is signed, while the look-up does not know of it yet.
    """

    authenticity: Authenticity
    claims: str | None = None
    gateway_reference: str | None = None
    order_reference: str | None = None
    says_paid: bool = False


class PaymentGateway(Protocol):
    """A company that moves the money. It observes and decides nothing: amounts, references, finality and repeats are
    the core's business.
    """

    @property
    def name(self) -> GatewayName:
        """Its name in settings, addresses and storage."""
        ...

    @property
    def environment(self) -> Environment:
        """Whether its money is real. Stored with each payment, which is only ever looked up in the same one."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    @property
    def refunds(self) -> "RefundGateway | None":
        """How money is given back through it; None for a gateway that has no such call."""
        ...

    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        """Ask for a page where `order` can be paid. Never repeated by us, whatever happens.

        Raises `NothingSent`, `KeyRefused`, `CheckoutRefused`, `GatewayNotConfigured` when certainly nothing was
        opened, and `OutcomeUnknown` (`ProtocolError`) in every other case that is not a checkout.
        """
        ...

    def read_return(self, message: ReturnMessage) -> ReturnHint:
        """Read what the browser brought back. Pure; never raises, however strange the message is."""
        ...

    async def look_up(self, order: Order) -> Observation:
        """Ask what became of `order`, from stored data alone. Safe to repeat.

        Raises a `GatewayError` when there is no usable answer; that never means that the payment failed.
        """
        ...


class RefundGateway(Protocol):
    """The second, optional port: giving money back."""

    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        """Ask once to give this much of `order` back; returns the gateway's own word for yes. Never repeated by us.

        A yes is a reason to look, and the look-up decides. Raises `NothingSent`, `KeyRefused`, `GatewayNotConfigured`
        when certainly nothing was given back, `RefundRefused` when the gateway said no to this one (which may mean
        that it was given back before), and `OutcomeUnknown` (`ProtocolError`) in every other case.
        """
        ...


class WebhookSender(Protocol):
    """Signed messages to the merchant. Nothing implements it yet: events are read by `GET /v1/events`."""

    async def send(self, url: str, message_id: str, body: bytes) -> int:
        """Deliver one message, once, and tell the receiver's HTTP status. Raises `OSError` when none came."""
        ...


class Flights(Protocol):
    """At most one call a name at a time, in this process; whoever comes meanwhile shares an answer."""

    async def fresh(self, name: str, call: Callable[[bool], Awaitable[T]]) -> T:
        """The outcome of a call that begins now or later: one that runs already began too early and is not joined.

        `call` is told whether it had to wait for its turn.
        """
        ...

    async def joined(self, name: str, call: Callable[[], Awaitable[T]], *, seconds: float) -> T | None:
        """The outcome of the call that runs already, else of one that begins now; None when it takes longer than this.

        A call goes on to its end whoever stops waiting for it.
        """
        ...


class Together(Protocol):
    """Several calls at a time, as many as the machine bears."""

    async def __call__(self, calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T | Exception]:
        """Their outcomes, in their order; what one of them raises is its outcome, and does not stop the others."""
        ...


class Clock(Protocol):
    """The time, and the passing of it."""

    def now(self) -> datetime:
        """Now, aware, in UTC."""
        ...

    async def pause(self, seconds: float) -> None:
        """Let this much time pass."""
        ...


class Ids(Protocol):
    """Names that nobody can guess."""

    def payment_id(self) -> PaymentId:
        """A new random payment id."""
        ...

    def order_reference(self) -> OrderReference:
        """A new random order reference."""
        ...

    def refund_id(self) -> RefundId:
        """A new random refund id."""
        ...

    def secret(self) -> str:
        """A new random secret of 256 bits, as URL-safe text."""
        ...
