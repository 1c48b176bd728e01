"""A Tinypay of your own to try the gateway with: a real HTTP server with its own ledger, and no real money.

It shares no code with the gateway, or it would prove nothing: what it says was typed from Tinypay's docs.
"""

import hmac
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import ClassVar, Final
from urllib.parse import urlencode

import msgspec
from attrs import define, evolve, field, frozen
from sewapay.standins.company import Company
from sewapay.standins.control import Actions, control
from sewapay.standins.description import Description, Options
from sewapay.standins.exchange import Answer, NotJson, Reply, Request, html_reply, json_reply, named_in, parsed
from sewapay.standins.happenings import Left
from sewapay.standins.pages import back_to_shop
from sewapay.standins.refusals import NotPossible, Refused, UnknownPayment
from sewapay.standins.server import StandIn
from sewapay.standins.shape import Shape
from sewapay.standins.statement import Line, Reported, Returned, statement

ROUTES: Final[Mapping[str, str]] = {"/api/checkouts": "checkout", "/api/look-ups": "look_up", "/api/refunds": "refund"}
PAGE: Final = re.compile(r"/pay/([a-z0-9]+)")
RUPEES: Final = re.compile(r"[0-9]{1,14}\.[0-9]{2}", re.ASCII)
LIFE: Final = timedelta(minutes=15)
TRIAL_KEY: Final = "tinypay-trial-key"
MEANING: Final[Mapping[str, Reported]] = {
    "NEW": "initiated",
    "PROCESSING": "pending",
    "PAID": "completed",
    "CANCELED": "canceled",
    "EXPIRED": "expired",
    "PART_REFUNDED": "partially_refunded",
    "REFUNDED": "refunded",
}


def rupees(paisa: int) -> str:
    """An amount on Tinypay's wire: `1130.00`."""
    return f"{paisa // 100}.{paisa % 100:02}"


def paisa(text: object) -> int:
    """What such a text says. Raises `Refused`."""
    if not isinstance(text, str) or not RUPEES.fullmatch(text):
        raise Refused("invalid")
    return int(text.replace(".", ""))


class Quirks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What Tinypay does in one way today and in another tomorrow: nothing that anybody knows of."""


@frozen(kw_only=True)
class SimulatedPayment:
    """One payment. `amount` is whole paisa, `dies_at` aware UTC."""

    reference: str
    order: str
    amount: int
    return_url: str
    dies_at: datetime
    status: str = "NEW"
    transaction: str | None = None
    returned: tuple[Returned, ...] = ()

    @property
    def left(self) -> int:
        """What was not given back yet."""
        return self.amount - sum(each.amount for each in self.returned)


@define(kw_only=True, eq=False)
class Simulator(Company[Quirks]):
    """Every payment of the stand-in. It holds `lock` while it reads or writes."""

    shape: ClassVar[Shape] = Shape(
        reference="reference",
        routes=frozenset(ROUTES.values()),
        look_up="look_up",
        nameless=frozenset({"checkout", "refund"}),
        amount="amount",
        amount_moved=lambda amount, delta: rupees(paisa(amount) + delta),
        unpaid={"status": "NEW", "transaction": None},
        given_back=frozenset({"PART_REFUNDED", "REFUNDED"}),
        before_giving_back={"status": "PAID"},
    )

    quirks: Quirks = field(factory=Quirks)
    key: str = field(default=TRIAL_KEY, repr=False)
    payments: dict[str, SimulatedPayment] = field(factory=dict, init=False, repr=False)

    def open(self, order: str, amount: int, return_url: str) -> SimulatedPayment:
        """A merchant asks for a page. A name is good for one checkout."""
        if any(payment.order == order for payment in self.payments.values()):
            raise NotPossible("order_used")
        payment = SimulatedPayment(
            reference=f"{self.chance.getrandbits(64):016x}",
            order=order,
            amount=amount,
            return_url=return_url,
            dies_at=self.now() + LIFE,
        )
        self.payments[payment.reference] = payment
        return payment

    def find(self, reference: str) -> SimulatedPayment:
        """The payment as it stands now."""
        if reference not in self.payments:
            raise UnknownPayment("unknown_payment")
        payment = self.payments[reference]
        is_dead = payment.status == "NEW" and self.now() >= payment.dies_at
        return evolve(payment, status="EXPIRED") if is_dead else payment

    def pay(self, reference: str, /) -> object:
        """The payer pays in full, be it late."""
        return self._moved(reference, "PAID", {"NEW", "PROCESSING", "CANCELED", "EXPIRED"})

    def pend(self, reference: str, /) -> object:
        """The payer has paid, but the money is somewhere on its way."""
        return self._moved(reference, "PROCESSING", {"NEW"})

    def cancel(self, reference: str, /) -> object:
        """The payer gives up on the payment page."""
        return self._moved(reference, "CANCELED", {"NEW"})

    def expire(self, reference: str, /) -> object:
        """The link dies now."""
        return self._moved(reference, "EXPIRED", {"NEW"})

    def refund(self, reference: str, amount: int | None = None, /) -> object:
        """The merchant has money given back at Tinypay's office."""
        return self.give_back(reference, amount, by_call=False)

    def give_back(self, reference: str, amount: int | None, *, by_call: bool) -> object:
        """So much goes back, or all that is left; never more."""
        with self.lock:
            payment = self.find(reference)
            amount = payment.left if amount is None else amount
            if payment.status not in ("PAID", "PART_REFUNDED") or not 0 < amount <= payment.left:
                raise NotPossible("not_refundable")
            back = Returned(amount=amount, at=self.now(), by="api" if by_call else "panel")
            payment = evolve(payment, returned=(*payment.returned, back))
            self.payments[reference] = evolve(payment, status="PART_REFUNDED" if payment.left else "REFUNDED")
            return self.payments[reference]

    def left(self, reference: str, /) -> Left:
        """How the payment stands, and where the browser is sent: signed."""
        with self.lock:
            payment = self.find(reference)
            values = {"order": payment.order, "reference": payment.reference, "status": payment.status}
            proof = hmac.digest(self.key.encode(), "|".join(values.values()).encode(), "sha256").hex()
            query = urlencode({**values, "signature": proof})
            return Left(status=payment.status, return_url=f"{payment.return_url}?{query}")

    def forget(self) -> None:
        """Empty the ledger."""
        with self.lock:
            self.payments.clear()

    def _moved(self, reference: str, status: str, possible_from: set[str]) -> object:
        with self.lock:
            payment = self.find(reference)
            if payment.status not in possible_from:
                raise NotPossible(f"This payment is {payment.status}.")
            transaction = f"T{self.chance.getrandbits(40):010x}" if status == "PAID" else None
            self.payments[reference] = evolve(payment, status=status, transaction=transaction)
            return self.payments[reference]


def answer(simulator: Simulator, request: Request, too_large: bool = False) -> Answer:
    """What the stand-in answers, and does, as a plain function."""
    simulator.catch_up()
    if request.path.startswith("/_sim/"):
        return control(simulator, request, own=_own_actions(simulator), too_large=too_large)
    if request.path in ROUTES and not too_large:
        on = ROUTES[request.path]
        reference = named_in(request, "reference")
        return simulator.answered(on, reference, request.base_url, partial(_genuine, simulator, on, request))
    if found := PAGE.fullmatch(request.path):
        return _page(simulator, request, found[1])
    return json_reply(404, {"error": "not_here"})


def _genuine(simulator: Simulator, on: str, request: Request) -> Reply:
    """What Tinypay answers on this route when nothing goes wrong."""
    if request.headers.get("authorization") != f"Bearer {simulator.key}":
        return json_reply(401, {"error": "unauthorized"})
    try:
        asked = parsed(request.body)
        if not isinstance(asked, dict):
            raise Refused("invalid")
        return {"checkout": _checkout, "look_up": _look_up, "refund": _refund}[on](simulator, asked, request.base_url)
    except UnknownPayment as unknown:
        return json_reply(404, {"error": str(unknown)})
    except NotPossible as conflict:
        return json_reply(409, {"error": str(conflict)})
    except (Refused, NotJson):
        return json_reply(400, {"error": "invalid"})


def _checkout(simulator: Simulator, asked: Mapping[str, object], base_url: str) -> Reply:
    order, return_url = str(asked.get("order", "")), str(asked.get("return_url", ""))
    if not re.fullmatch(r"[A-Za-z0-9]{1,32}", order) or not return_url or paisa(asked.get("amount")) < 100:
        raise Refused("invalid")
    payment = simulator.open(order, paisa(asked.get("amount")), return_url)
    return json_reply(201, {"reference": payment.reference, "page": f"{base_url}/pay/{payment.reference}"})


def _look_up(simulator: Simulator, asked: Mapping[str, object], _base_url: str) -> Reply:
    payment = simulator.find(str(asked.get("reference", "")))
    told = {"reference": payment.reference, "order": payment.order, "status": payment.status}
    return json_reply(200, {**told, "amount": rupees(payment.amount), "transaction": payment.transaction})


def _refund(simulator: Simulator, asked: Mapping[str, object], _base_url: str) -> Reply:
    wanted = asked.get("transaction")
    for payment in simulator.payments.values():
        if payment.transaction is not None and payment.transaction == wanted:
            simulator.give_back(payment.reference, paisa(asked.get("amount")), by_call=True)
            return json_reply(200, {"refund": "ACCEPTED"})
    raise UnknownPayment("unknown_payment")


def _page(simulator: Simulator, request: Request, reference: str) -> Reply:
    """Where a person pays, or gives up."""
    try:
        if request.method == "POST":
            simulator.cancel(reference) if request.body == b"give=up" else simulator.pays(reference)
            return back_to_shop(simulator.left(reference))
        payment = simulator.find(reference)
    except Refused as refused:
        return html_reply(409, f"<!doctype html><title>Tinypay</title><p>{refused}")
    buttons = '<button>Pay</button> <button name="give" value="up">Give up</button>'
    form = f'<form method="post"><p>Rs {rupees(payment.amount)}, {payment.status}</p>{buttons}</form>'
    return html_reply(200, f'<!doctype html><html lang="en"><title>Tinypay</title>{form}')


def _own_actions(simulator: Simulator) -> Actions:
    """The ledger for tests: every payment, and how often each route was asked."""

    def ledger(request: Request) -> object:
        counts = {f"{on}s_seen": simulator.seen[on] for on in simulator.shape.routes}
        with simulator.lock:
            lines = [_line(simulator.find(reference)) for reference in simulator.payments]
        return statement("tinypay", lines, now=simulator.now(), query=request.query, counts=counts)

    return {"/_sim/payments": {"GET": ledger}}


def _line(payment: SimulatedPayment) -> Line:
    return Line(
        reference=payment.reference,
        order_reference=payment.order,
        amount=payment.amount,
        status=payment.status,
        reported=MEANING[payment.status],
        transaction_id=payment.transaction,
        returned=payment.returned,
    )


def create_app(options: Options) -> StandIn:
    """The stand-in as an ASGI application."""
    simulator = Simulator(seed=options.seed, key=options.secret_key or TRIAL_KEY)
    for script in options.faults:
        script.arm(simulator)
    return StandIn(partial(answer, simulator))


def environ(address: str) -> Mapping[str, str]:
    """The variables with which the service uses the stand-in."""
    return {"TINYPAY_SECRET_KEY": TRIAL_KEY, "TINYPAY_BASE_URL": f"{address}/api"}


STAND_IN: Final = Description(
    label="Tinypay's stand-in: its API, and a page with two buttons",
    port=8910,
    reference="reference",
    takes_key=True,
    create_app=create_app,
    environ=environ,
)
"""How it is run and used: `sewapay simulate tinypay` finds it by this name."""
