"""The stand-in's own truth: which payments exist, who paid, what the time is.

Nothing here knows HTTP. Amounts are whole paisa (100 paisa = NPR 1), times are aware UTC.

    Refused                 the stand-in will not do what was asked; the text says why, for a person
        UnknownPayment      no payment has this pidx, or this transaction id
        NotPossible         the payment is in a state from which this cannot happen
"""

import random
import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType
from typing import Annotated, Final, Literal

import msgspec
from attrs import define, evolve, field, frozen

from sewapay.adapters.khalti.simulator.faults import Fault

ID_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
"""The letters of a pidx and of a transaction id, as seen in public captures."""

ID_LENGTH: Final = 22
NEPAL: Final = timezone(timedelta(hours=5, minutes=45))
YEAR_SECONDS: Final = 365 * 24 * 3600
MOST_CLOCK_SECONDS: Final = 100 * YEAR_SECONDS


class Refused(Exception):
    """The stand-in will not do what was asked."""


class UnknownPayment(Refused):
    """No payment of this stand-in, or of this merchant, has the pidx or the transaction id."""


class NotPossible(Refused):
    """The payment is in a state from which the asked step cannot happen."""


class Status(StrEnum):
    """What a look-up can say about a payment, in Khalti's words (Khalti docs, lookup table)."""

    INITIATED = "Initiated"
    PENDING = "Pending"
    COMPLETED = "Completed"
    USER_CANCELED = "User canceled"
    EXPIRED = "Expired"
    PARTIALLY_REFUNDED = "Partially Refunded"
    REFUNDED = "Refunded"


PAID: Final = frozenset({Status.COMPLETED, Status.PARTIALLY_REFUNDED, Status.REFUNDED})
UNFINISHED: Final = frozenset({Status.INITIATED, Status.PENDING})

POSSIBLE_FROM: Final = MappingProxyType(
    {
        # Late payments happen in the real world: money may arrive after a cancel and after the link has expired.
        Status.COMPLETED: frozenset({Status.INITIATED, Status.PENDING, Status.USER_CANCELED, Status.EXPIRED}),
        Status.PENDING: frozenset({Status.INITIATED, Status.USER_CANCELED, Status.EXPIRED}),
        Status.USER_CANCELED: UNFINISHED,
        Status.EXPIRED: UNFINISHED,
        Status.PARTIALLY_REFUNDED: frozenset({Status.COMPLETED, Status.PARTIALLY_REFUNDED}),
        Status.REFUNDED: frozenset({Status.COMPLETED, Status.PARTIALLY_REFUNDED}),
    }
)
"""Which states a state can follow. Only a payment that ran out of time gets to EXPIRED without being told to."""


class Quirks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where Khalti's behaviour varies, or is not documented, and a test may want it otherwise."""

    expires_in: Annotated[int, msgspec.Meta(ge=1, le=YEAR_SECONDS)] = 1800
    """Seconds that a payment link lives: 1800 in every sandbox capture, 3600 documented for production."""
    fee: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Paisa that a look-up reports as `fee` once money moved; 0 in Khalti's samples."""
    max_amount: Annotated[int, msgspec.Meta(ge=1000)] = 2**63 - 1
    """The largest amount, in paisa, that initiate accepts. Khalti documents none."""
    unknown_pidx_status: Literal[400, 404] = 404
    """The HTTP status of a look-up for an unknown pidx; the body is documented, the status is not."""
    txn_id: bool = False
    """Whether a wallet callback carries `txnId` (seen with and without)."""
    space_as_plus: bool = False
    """Whether the callback's query writes a space as `+` instead of `%20` (both were seen)."""
    blind_question_mark: bool = True
    """Whether `/?` is appended to a return_url that has a query already, as in the one capture; otherwise `&`."""
    bank_style: bool = False
    """Whether the callback has the set and order of the bank capture, with the literal text `None`."""
    any_refund_path: bool = False
    """Whether refunds are taken below `/api/v2/` and `/api/v2/epayment/` too, where some public code asks for them."""
    refund_lag_lookups: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    """How many look-ups of a payment, after each refund of it, still say what they said before; undocumented."""


@frozen(kw_only=True)
class Purchase:
    """What a merchant asked for at initiate, after all checks."""

    amount: int
    purchase_order_id: str
    purchase_order_name: str
    return_url: str
    website_url: str
    merchant_extras: tuple[tuple[str, str], ...] = ()
    life_seconds: int | None = None


@frozen(kw_only=True)
class Refund:
    """Money that went back: `amount` in paisa, asked for by a merchant's program or in the merchant's panel."""

    amount: int
    at: datetime
    by: Literal["api", "panel"]


@frozen(kw_only=True)
class SimulatedPayment:
    """One payment link and what became of it. Methods return a new one.

    The next `lagging` look-ups still say `before_refund`.
    """

    pidx: str
    key_digest: str
    purchase: Purchase
    created_at: datetime
    expires_at: datetime
    recorded: Status = Status.INITIATED
    transaction_id: str | None = None
    mobile: str = ""
    refunds: tuple[Refund, ...] = ()
    lookups: int = 0
    lagging: int = 0
    before_refund: Status = Status.COMPLETED

    @property
    def refunded_amount(self) -> int:
        """All that went back, in paisa."""
        return sum(refund.amount for refund in self.refunds)

    def status(self, now: datetime) -> Status:
        """The payment's state at `now`: a link that nobody used dies when its time has passed."""
        if self.recorded is Status.INITIATED and now > self.expires_at:
            return Status.EXPIRED
        return self.recorded

    def told(self, now: datetime) -> Status:
        """What a look-up says about it, which may lag behind a refund."""
        return self.before_refund if self.lagging else self.status(now)

    def looked_up(self) -> "SimulatedPayment":
        """The payment after one more look-up."""
        return evolve(self, lookups=self.lookups + 1, lagging=max(self.lagging - 1, 0))

    def moved(self, to: Status, now: datetime) -> "SimulatedPayment":
        """The payment in state `to`. Raises NotPossible when that cannot follow the state it is in."""
        at_present = self.status(now)
        if at_present not in POSSIBLE_FROM[to]:
            raise NotPossible(f"The payment is {at_present.value!r}; it cannot become {to.value!r}.")
        return evolve(self, recorded=to)

    def refunded(
        self, amount: int | None, now: datetime, *, by: Literal["api", "panel"], lag: int
    ) -> "SimulatedPayment":
        """The payment after `amount` paisa (all that is left when None) went back to the payer."""
        left = self.purchase.amount - self.refunded_amount
        amount = left if amount is None else amount
        moved = self.moved(Status.REFUNDED if amount == left else Status.PARTIALLY_REFUNDED, now)
        if not 1 <= amount <= left:
            raise NotPossible(f"{left} paisa can be refunded, not {amount}.")
        return evolve(
            moved,
            refunds=(*self.refunds, Refund(amount=amount, at=now, by=by)),
            before_refund=self.told(now),
            lagging=lag,
        )


def system_now() -> datetime:
    """The machine's time, aware UTC."""
    return datetime.now(UTC)


def nepal_time(moment: datetime) -> str:
    """A moment as Khalti writes it: ISO 8601, microseconds, Nepal's +05:45."""
    return moment.astimezone(NEPAL).isoformat(timespec="microseconds")


def key_digest(secret_key: str) -> str:
    """A short name for a merchant's key that does not tell the key."""
    return sha256(secret_key.encode()).hexdigest()[:16]


def _not_empty(_instance: object, _attribute: object, value: str | None) -> None:
    if value == "":
        raise ValueError("secret_key is empty; leave it out to accept any key")


@define(kw_only=True, eq=False)
class Simulator:
    """The whole state of one stand-in: ledger, armed faults, clock and quirks. Safe to use from any thread.

    A test may hold it in its own process while a server in another thread answers from it. `clock` returns an aware
    datetime; `seed` makes pidx and transaction ids repeatable.
    """

    secret_key: str | None = field(default=None, repr=False, validator=_not_empty)
    quirks: Quirks = field(factory=Quirks)
    clock: Callable[[], datetime] = field(default=system_now, repr=False)
    seed: int | None = None
    initiates_seen: int = field(default=0, init=False)
    lookups_seen: int = field(default=0, init=False)
    refunds_seen: int = field(default=0, init=False)
    _offset: timedelta = field(default=timedelta(), init=False)
    _payments: dict[str, SimulatedPayment] = field(factory=dict, init=False, repr=False)
    _pidx_paid_by: dict[str, str] = field(factory=dict, init=False, repr=False)
    _order_initiates: dict[tuple[str, str], int] = field(factory=dict, init=False, repr=False)
    _faults: list[Fault] = field(factory=list, init=False, repr=False)
    _first_quirks: Quirks = field(init=False, repr=False)
    _random: random.Random = field(init=False, repr=False)
    ticket_key: bytes = field(factory=lambda: secrets.token_bytes(32), init=False, repr=False)
    _lock: threading.RLock = field(factory=threading.RLock, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._first_quirks = self.quirks
        self._random = random.Random(self.seed)  # noqa: S311 - a stand-in's ids guard nothing and must be repeatable

    def now(self) -> datetime:
        """The stand-in's own time, aware UTC."""
        with self._lock:
            return self.clock() + self._offset

    def advance(self, seconds: float) -> datetime:
        """Move the stand-in's time by `seconds` (backwards when negative) and tell the new time."""
        with self._lock:
            moved = self._offset.total_seconds() + seconds
            if abs(moved) > MOST_CLOCK_SECONDS:
                raise Refused("The clock moves by a hundred years at most.")
            self._offset = timedelta(seconds=moved)
            return self.now()

    def reset(self) -> None:
        """Forget everything but the key: ledger, faults, clock, counts and changed quirks.

        Ids go on from where they were, so that whoever remembers an old pidx never meets it again.
        """
        with self._lock:
            self._payments.clear()
            self._pidx_paid_by.clear()
            self._order_initiates.clear()
            self._faults.clear()
            self._offset = timedelta()
            self.quirks = self._first_quirks
            self.initiates_seen = self.lookups_seen = self.refunds_seen = 0

    def open(self, purchase: Purchase, *, secret_key: str) -> SimulatedPayment:
        """Make a new payment link. The same purchase_order_id makes another one, as at Khalti."""
        with self._lock:
            now, digest = self.now(), key_digest(secret_key)
            life = timedelta(seconds=purchase.life_seconds or self.quirks.expires_in)
            made = SimulatedPayment(
                pidx=self._new_id(), key_digest=digest, purchase=purchase, created_at=now, expires_at=now + life
            )
            order = (digest, purchase.purchase_order_id)
            self._order_initiates[order] = self._order_initiates.get(order, 0) + 1
            return self._kept(made)

    def find(self, pidx: str) -> SimulatedPayment:
        """The payment as it stands. Raises UnknownPayment."""
        with self._lock:
            if pidx not in self._payments:
                raise UnknownPayment("No payment of this stand-in has that pidx.")
            return self._payments[pidx]

    def look_up(self, pidx: str, *, secret_key: str) -> SimulatedPayment:
        """The payment as a merchant may see it: another merchant's is as unknown as one that never was.

        It is handed out as it was when the question came.
        """
        with self._lock:
            found = self.find(pidx)
            if found.key_digest != key_digest(secret_key):
                raise UnknownPayment("No payment of this merchant has that pidx.")
            self._kept(found.looked_up())
            return found

    def payments(self) -> tuple[SimulatedPayment, ...]:
        """Every payment, the oldest first."""
        with self._lock:
            return tuple(self._payments.values())

    def latest_pidx(self) -> str | None:
        """The pidx that was given out last, if any was."""
        with self._lock:
            return next(reversed(self._payments), None)

    def order_initiates(self, payment: SimulatedPayment) -> int:
        """How many links the same merchant asked for with this payment's purchase_order_id."""
        with self._lock:
            return self._order_initiates.get((payment.key_digest, payment.purchase.purchase_order_id), 0)

    def pay(self, pidx: str, *, mobile: str = "9800000000") -> SimulatedPayment:
        """The payer pays in full, be it late: after a cancel or an expiry too."""
        with self._lock:
            paid = self.find(pidx).moved(Status.COMPLETED, self.now())
            transaction_id = self._new_id()
            self._pidx_paid_by[transaction_id] = pidx
            return self._kept(evolve(paid, mobile=mobile, transaction_id=transaction_id))

    def pend(self, pidx: str, *, mobile: str = "9800000000") -> SimulatedPayment:
        """The payer has paid, but the money is somewhere on its way (or lost at a bank)."""
        with self._lock:
            return self._kept(evolve(self.find(pidx).moved(Status.PENDING, self.now()), mobile=mobile))

    def cancel(self, pidx: str) -> SimulatedPayment:
        """The payer gives up on the payment page."""
        with self._lock:
            return self._kept(self.find(pidx).moved(Status.USER_CANCELED, self.now()))

    def expire(self, pidx: str) -> SimulatedPayment:
        """The link dies now, whatever the clock says."""
        with self._lock:
            return self._kept(self.find(pidx).moved(Status.EXPIRED, self.now()))

    def refund(self, pidx: str, amount: int | None = None) -> SimulatedPayment:
        """The merchant refunds in their own panel: `amount` paisa, or all that is left."""
        with self._lock:
            return self._refunded(self.find(pidx), amount, by="panel")

    def refund_transaction(
        self, transaction_id: str, amount: int | None = None, *, secret_key: str
    ) -> SimulatedPayment:
        """The merchant's program refunds `amount` paisa of its own payment, or all that is left."""
        with self._lock:
            found = self.find(self.pidx_paid_by(transaction_id) or "")
            if found.key_digest != key_digest(secret_key):
                raise UnknownPayment("No payment of this merchant has that transaction id.")
            return self._refunded(found, amount, by="api")

    def pidx_paid_by(self, transaction_id: str) -> str | None:
        """The pidx of the payment that this transaction made, if there is one."""
        with self._lock:
            return self._pidx_paid_by.get(transaction_id)

    def arm(self, fault: Fault) -> None:
        """Let `fault` happen, after those that are armed already."""
        with self._lock:
            self._faults.append(fault)

    def armed(self) -> tuple[Fault, ...]:
        """The faults that are still to happen, in order."""
        with self._lock:
            return tuple(self._faults)

    def take_fault(self, on: str, pidx: str | None) -> Fault | None:
        """The first armed fault that is meant for this request, used up once."""
        with self._lock:
            for place, fault in enumerate(self._faults):
                if fault.on == on and fault.pidx in (None, pidx):
                    remaining = fault.used_once()
                    self._faults[place : place + 1] = [] if remaining is None else [remaining]
                    return fault
            return None

    def count(self, on: str) -> None:
        """Note that a request arrived at initiate, look-up or refund, whatever comes of it."""
        with self._lock:
            self.initiates_seen += on == "initiate"
            self.lookups_seen += on == "lookup"
            self.refunds_seen += on == "refund"

    def _refunded(self, payment: SimulatedPayment, amount: int | None, by: Literal["api", "panel"]) -> SimulatedPayment:
        return self._kept(payment.refunded(amount, self.now(), by=by, lag=self.quirks.refund_lag_lookups))

    def _kept(self, payment: SimulatedPayment) -> SimulatedPayment:
        self._payments[payment.pidx] = payment
        return payment

    def _new_id(self) -> str:
        return "".join(self._random.choices(ID_ALPHABET, k=ID_LENGTH))
