"""The steps that checks of a gateway are told in: an order, its checkout, its payment, and what is said meanwhile."""

import asyncio
import logging
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Final

import pytest
from attrs import evolve

from sewapay.application.ports import Order, Payer, PaymentGateway, RefundGateway, RefundOrder, Urls
from sewapay.domain.checkout import PostForm
from sewapay.domain.identifiers import BookingId, OrderReference, PaymentId
from sewapay.domain.money import Money
from sewapay.domain.observation import Reported
from sewapay.testing.stage import Stage

__all__ = [
    "LONGEST_ANSWER_SECONDS",
    "PAYER",
    "STRANGER",
    "UNDECIDED",
    "URLS",
    "Heard",
    "a_part",
    "an_order",
    "canceled",
    "everything",
    "hearing",
    "named",
    "opened",
    "paid",
    "refunding",
    "traces",
    "undecided",
]

PAYER: Final = Payer(name="Canary Bahadur", email="canary@shop.example", phone="9811111111")
URLS: Final = Urls(
    return_url="https://shop.example/return/17/",
    failure_url="https://shop.example/return/17/unfinished/",
    website_url="https://shop.example",
)
LONGEST_ANSWER_SECONDS: Final = 4.0
"""How long a call may take on a stage, whose gateways are set to give up after a second or so."""

STRANGER: Final = "zzzzzzzzzzzzzzzzzzzzzz"
"""A gateway's reference that no gateway gave to anybody."""

UNDECIDED: Final = frozenset({Reported.INITIATED, Reported.PENDING})
"""What may be said of a checkout that somebody entered, and that nobody paid yet, by any company."""

_numbers: Final = count(1)


def an_order(paisa: int = 113000) -> Order:
    """An order that nobody has seen before."""
    number = next(_numbers)
    return Order(
        payment_id=PaymentId(f"5f0c3f52-8a43-4a53-9d5f-{number:012d}"),
        booking_id=BookingId(number),
        reference=OrderReference(f"C{number:019d}"),
        gateway_reference=None,
        amount=Money(paisa),
        title="House cleaning",
    )


async def opened(stage: Stage, gateway: PaymentGateway, order: Order) -> Order:
    """The order as it is stored once its checkout is open, and the customer's browser is there."""
    checkout = await gateway.open_checkout(order, URLS, PAYER)
    form = checkout.next_step.fields if isinstance(checkout.next_step, PostForm) else {}
    order = evolve(order, gateway_reference=checkout.gateway_reference, form=form)
    assert stage.enters(order, checkout), "the company's page does not take the checkout"
    return order


def undecided(order: Order) -> frozenset[Reported]:
    """What may be said of this order once somebody entered its checkout, and nobody paid yet.

    A company that gives no reference of its own may say that it holds nothing until the customer confirms.
    """
    return UNDECIDED if order.gateway_reference is not None else UNDECIDED | {Reported.ABSENT}


def named(order: Order) -> str:
    """What the company calls it."""
    return order.gateway_reference or str(order.reference)


async def paid(stage: Stage, paisa: int = 113000) -> Order:
    """The order as it is stored once it was paid and looked up."""
    gateway = stage.gateway()
    order = await opened(stage, gateway, an_order(paisa))
    stage.customer_pays(named(order))
    return evolve(order, transaction_id=(await gateway.look_up(order)).transaction_id)


def refunding(gateway: PaymentGateway) -> RefundGateway:
    """The half of a gateway that gives money back."""
    assert gateway.refunds is not None
    return gateway.refunds


def everything(order: Order) -> RefundOrder:
    """All of it, of which nothing went back yet."""
    return RefundOrder(amount=order.amount, is_all=True)


def a_part(paisa: int) -> RefundOrder:
    """So many paisa of it."""
    return RefundOrder(amount=Money(paisa), is_all=False)


async def canceled(call: Coroutine[object, object, object], *, once: Callable[[], bool]) -> None:
    """Cancel the call, when the company has been asked, and see it end by that."""
    waiting = asyncio.ensure_future(call)
    for _ in range(10_000):
        if once():
            break
        await asyncio.sleep(0.001)
    else:
        waiting.cancel()
        pytest.fail("the company was never asked")

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


class Heard(logging.Handler):
    """Every log line, whoever wrote it; `ours` are those of this service."""

    def __init__(self) -> None:
        super().__init__(level=logging.DEBUG)
        self.lines: list[str] = []
        self.ours: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line, and all that came with it."""
        self.lines.append(f"{record.getMessage()} {record.__dict__}")
        if record.name.startswith("sewapay"):
            self.ours.append(self.lines[-1])


@contextmanager
def hearing() -> Iterator[Heard]:
    """What is logged meanwhile, down to the last detail."""
    heard = Heard()
    root = logging.getLogger()
    level = root.level
    root.addHandler(heard)
    root.setLevel(logging.DEBUG)
    try:
        yield heard
    finally:
        root.removeHandler(heard)
        root.setLevel(level)


def traces(*errors: BaseException) -> list[str]:
    """All that these errors would show to whoever prints them."""
    return [text for error in errors for text in (repr(error), "".join(traceback.format_exception(error)))]
