"""What every gateway promises, as checks that any of them can be put through without its company.

A check gets a `Stage`: gateways, and a hand on what stands behind them. `CHECKS` holds them by name; `REFUND_CHECKS`
are for gateways that give money back; `WIRE_CHECKS` and `WIRE_REFUND_CHECKS` for those that speak HTTP, whose company
may answer anything. `test_gateway_contract_bites.py` proves that each of them catches a gateway that is broken in the
way it is meant for.
"""

import asyncio
import logging
import re
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from string import ascii_uppercase, digits
from types import MappingProxyType
from typing import Final, Protocol

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from sewapay.application.errors import GatewayError, NothingSent, OutcomeUnknown, RefundRefused
from sewapay.application.ports import (
    Authenticity,
    CheckoutKind,
    Order,
    Payer,
    PaymentGateway,
    RefundGateway,
    RefundKind,
    RefundOrder,
    ReturnHint,
    ReturnMessage,
    Urls,
)
from sewapay.domain.checkout import Checkout, PostForm, Redirect
from sewapay.domain.identifiers import BookingId, OrderReference, PaymentId
from sewapay.domain.money import Money
from sewapay.domain.observation import Reported

PAYER: Final = Payer(name="Canary Bahadur", email="canary@shop.example", phone="9811111111")
URLS: Final = Urls(
    return_url="https://shop.example/return/17/",
    failure_url="https://shop.example/return/17/unfinished/",
    website_url="https://shop.example",
)
LONGEST_ANSWER_SECONDS: Final = 4.0
"""How long a call may take on a stage, whose gateways are set to give up after well under a second."""


class Stage(Protocol):
    """A gateway's world in a test. `on` is `initiate`, `look-up` or `refund`; `reference` is the gateway's own."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must show nowhere: keys."""
        ...

    @property
    def initiated(self) -> int:
        """How many requests for a checkout arrived at the company."""
        ...

    @property
    def looked_up(self) -> int:
        """How many look-ups arrived."""
        ...

    @property
    def refunded(self) -> int:
        """How many requests for a refund arrived."""
        ...

    def given_back(self, reference: str) -> int:
        """How many paisa of a payment went back, by the company's own books."""
        ...

    def gateway(self) -> PaymentGateway:
        """The gateway as it is after a restart: a new one, on the same company."""
        ...

    def unreachable(self) -> PaymentGateway:
        """A gateway whose company takes no connections."""
        ...

    def silent(self, on: str) -> AbstractContextManager[None]:
        """One request has its effect, and its answer does not come in time."""
        ...

    def held(self, on: str) -> AbstractContextManager[None]:
        """One request arrives, and its answer is not there yet."""
        ...

    def spoils(self, on: str, fault: Mapping[str, object]) -> None:
        """One answer on the wire goes wrong."""
        ...

    def customer_pays(self, reference: str) -> None: ...
    def customer_cancels(self, reference: str) -> None: ...
    def leaves_pending(self, reference: str) -> None: ...
    def link_expires(self, reference: str) -> None: ...
    def says(self, reference: str, word: str) -> None: ...


Check = Callable[[Stage], Awaitable[None]]
_numbers = iter(range(1, 10**9))


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


async def opened(gateway: PaymentGateway, order: Order) -> Order:
    """The order as it is stored once its checkout is open."""
    checkout = await gateway.open_checkout(order, URLS, PAYER)
    return evolve(order, gateway_reference=checkout.gateway_reference)


def named(order: Order) -> str:
    """What the company calls it."""
    return order.gateway_reference or str(order.reference)


async def paid(stage: Stage, paisa: int = 113000) -> Order:
    """The order as it is stored once it was paid and looked up."""
    gateway = stage.gateway()
    order = await opened(gateway, an_order(paisa))
    stage.customer_pays(named(order))
    return evolve(order, transaction_id=(await gateway.look_up(order)).transaction_id)


def refunding(gateway: PaymentGateway) -> RefundGateway:
    """The half of a gateway that gives money back."""
    assert gateway.refunds is not None
    return gateway.refunds


def everything(order: Order) -> RefundOrder:
    return RefundOrder(amount=order.amount, is_all=True)


def a_part(paisa: int) -> RefundOrder:
    return RefundOrder(amount=Money(paisa), is_all=False)


# --- every gateway ----------------------------------------------------------------------------------------------------


async def a_checkout_can_be_shown(stage: Stage) -> None:
    gateway = stage.gateway()

    checkout = await gateway.open_checkout(an_order(), URLS, PAYER)

    assert isinstance(checkout, Checkout)
    kind = {CheckoutKind.REDIRECT: Redirect, CheckoutKind.POST_FORM: PostForm}[gateway.capabilities.checkout]
    assert isinstance(checkout.next_step, kind)
    assert checkout.next_step.url.startswith(("https://", "http://127.0.0.1"))
    if checkout.gateway_reference is not None:
        assert 1 <= len(checkout.gateway_reference) <= 128
        assert checkout.gateway_reference.isprintable()
    if checkout.expires_at is not None:
        assert checkout.expires_at.utcoffset() == timedelta(0)
    assert stage.initiated == 1


async def nothing_is_known_of_a_customer_who_is_not_described(stage: Stage) -> None:
    checkout = await stage.gateway().open_checkout(an_order(), URLS, Payer())

    assert checkout.next_step.url


async def two_checkouts_are_two_payments(stage: Stage) -> None:
    gateway = stage.gateway()
    one, other = await opened(gateway, an_order()), await opened(gateway, an_order())

    stage.customer_pays(named(one))

    assert (await gateway.look_up(one)).reported is Reported.COMPLETED
    assert (await gateway.look_up(other)).reported is Reported.INITIATED


async def what_is_paid_is_seen_exactly(stage: Stage) -> None:
    gateway = stage.gateway()
    for paisa in (gateway.capabilities.least.paisa, 113000, 113001, 99_99_999):
        order = await opened(gateway, an_order(paisa))
        before = await gateway.look_up(order)
        stage.customer_pays(named(order))

        seen = await gateway.look_up(order)

        assert before.reported is Reported.INITIATED
        assert before.transaction_id is None
        assert seen.reported is Reported.COMPLETED
        assert seen.amount == Money(paisa)
        assert seen.transaction_id
        assert seen.transaction_id.isprintable()
        assert seen.gateway_reference == order.gateway_reference


async def the_amount_is_the_gateways_word(stage: Stage) -> None:
    gateway = stage.gateway()
    order = await opened(gateway, an_order(113000))
    stage.customer_pays(named(order))

    seen = await gateway.look_up(evolve(order, amount=Money(999_999)))

    assert seen.amount == Money(113000), "an adapter observes; it neither compares nor repeats what we expect"


async def each_ending_is_an_answer(stage: Stage) -> None:
    gateway = stage.gateway()
    endings = {
        Reported.CANCELED: stage.customer_cancels,
        Reported.PENDING: stage.leaves_pending,
        Reported.EXPIRED: stage.link_expires,
    }
    for reported, happens in endings.items():
        order = await opened(gateway, an_order())
        happens(named(order))

        assert (await gateway.look_up(order)).reported is reported


async def an_unknown_word_is_unknown(stage: Stage) -> None:
    gateway = stage.gateway()
    for word in ("Ambiguous", "Complete", "completedness", "y" * 64):
        order = await opened(gateway, an_order())
        stage.customer_pays(named(order))
        stage.says(named(order), word)

        seen = await gateway.look_up(order)

        assert seen.reported is Reported.UNKNOWN
        assert seen.said == word


async def an_unknown_payment_is_not_found(stage: Stage) -> None:
    gateway = stage.gateway()
    known = await opened(gateway, an_order())
    stranger = an_order()
    reference = None if known.gateway_reference is None else "zzzzzzzzzzzzzzzzzzzzzz"

    seen = await gateway.look_up(evolve(stranger, gateway_reference=reference))

    assert seen.reported is Reported.NOT_FOUND


async def asking_again_changes_nothing(stage: Stage) -> None:
    gateway = stage.gateway()
    order = await opened(gateway, an_order())
    stage.customer_pays(named(order))

    answers = await asyncio.gather(*(gateway.look_up(order) for _ in range(8)))

    assert all(answer == answers[0] for answer in answers)
    assert stage.initiated == 1


async def a_restart_forgets_nothing(stage: Stage) -> None:
    order = await opened(stage.gateway(), an_order())
    stage.customer_pays(named(order))

    seen = await stage.gateway().look_up(order)

    assert seen.reported is Reported.COMPLETED


async def a_lost_answer_is_unknown(stage: Stage) -> None:
    gateway = stage.gateway()
    order = await opened(gateway, an_order())

    with stage.silent("look-up"), pytest.raises(OutcomeUnknown) as on_look_up:
        await gateway.look_up(order)
    with stage.silent("initiate"), pytest.raises(OutcomeUnknown) as on_initiate:
        await gateway.open_checkout(an_order(), URLS, PAYER)

    assert not on_look_up.value.may_ask_again
    assert not on_initiate.value.may_ask_again
    assert (await gateway.look_up(order)).reported is Reported.INITIATED


async def an_opening_is_not_repeated(stage: Stage) -> None:
    with stage.silent("initiate"), pytest.raises(GatewayError):
        await stage.gateway().open_checkout(an_order(), URLS, PAYER)

    assert stage.initiated == 1


async def no_connection_means_that_nothing_was_sent(stage: Stage) -> None:
    gateway = stage.unreachable()

    with pytest.raises(NothingSent) as on_initiate:
        await gateway.open_checkout(an_order(), URLS, PAYER)
    with pytest.raises(NothingSent):
        await gateway.look_up(evolve(an_order(), gateway_reference="zzzzzzzzzzzzzzzzzzzzzz"))

    assert on_initiate.value.may_ask_again
    assert (stage.initiated, stage.looked_up) == (0, 0)


async def a_canceled_call_ends_at_once(stage: Stage) -> None:
    gateway = stage.gateway()
    order = await opened(gateway, an_order())
    with stage.held("look-up"):
        call = asyncio.ensure_future(gateway.look_up(order))
        for _ in range(2000):
            if stage.looked_up:
                break
            await asyncio.sleep(0.001)

        call.cancel()

        with pytest.raises(asyncio.CancelledError):
            await call


async def secrets_show_nowhere(stage: Stage) -> None:
    with _hearing() as heard:
        gateway = stage.gateway()
        told = [repr(gateway), str(gateway), repr(gateway.capabilities)]
        order = await opened(gateway, an_order())
        await gateway.look_up(order)
        with stage.silent("look-up"), pytest.raises(GatewayError) as on_look_up:
            await gateway.look_up(order)
        with stage.silent("initiate"), pytest.raises(GatewayError) as on_initiate:
            await gateway.open_checkout(an_order(), URLS, PAYER)
        with pytest.raises(GatewayError) as unreached:
            await stage.unreachable().open_checkout(an_order(), URLS, PAYER)
    for failed in (on_look_up, on_initiate, unreached):
        told += [repr(failed.value), "".join(traceback.format_exception(failed.value))]

    personal = (PAYER.name, PAYER.email, PAYER.phone)
    for private in (*stage.secrets, *filter(None, personal)):
        assert private not in "\n".join(told), "in a representation or an error"
        assert private not in "\n".join(heard.lines), "in a log line"


async def a_return_never_raises_and_proves_nothing(stage: Stage) -> None:
    gateway = stage.gateway()
    names = st.sampled_from(["pidx", "status", "reference", "transaction_uuid", "data", "purchase_order_id"])

    @settings(max_examples=60, database=None, deadline=None)
    @given(st.lists(st.tuples(names | st.text(), st.text() | st.sampled_from(["Completed", "\x00" * 65536, "\ud800"]))))
    def read(values: list[tuple[str, str]]) -> None:
        hint = gateway.read_return(ReturnMessage(values=tuple(values)))

        assert isinstance(hint, ReturnHint)
        assert hint.authenticity is not Authenticity.SIGNED, "nobody signed this"
        for text in (hint.claims, hint.gateway_reference, hint.order_reference):
            assert text is None or (text.isprintable() and 0 < len(text) <= 2000)

    read()


async def capabilities_are_honest(stage: Stage) -> None:
    gateway = stage.gateway()
    can = gateway.capabilities

    assert can == stage.gateway().capabilities
    assert can.label.strip() == can.label != ""
    assert can.least.paisa >= 1
    assert can.greatest is None or can.greatest >= can.least
    assert can.longest_life >= can.default_life > timedelta(0)
    assert can.reference_length >= 20, "our order references have 20 characters"
    assert all(re.fullmatch(can.reference_charset, letter) for letter in ascii_uppercase + digits)
    assert (can.refunds is RefundKind.NONE) == (gateway.refunds is None)
    assert isinstance(await opened(gateway, an_order(can.least.paisa)), Order), "the least amount is taken"


# --- gateways that give money back ------------------------------------------------------------------------------------


async def all_of_it_goes_back_exactly(stage: Stage) -> None:
    gateway = stage.gateway()
    for paisa in (gateway.capabilities.least.paisa, 113001, 99_99_999):
        order = await paid(stage, paisa)
        before = stage.refunded

        said = await refunding(gateway).refund(order, everything(order))

        seen = await gateway.look_up(order)
        assert 1 <= len(said) <= 64
        assert said.isprintable()
        assert seen.reported is Reported.REFUNDED
        assert seen.refunded is not False
        assert seen.amount == Money(paisa), "what was paid, whatever went back"
        assert (stage.given_back(named(order)), stage.refunded) == (paisa, before + 1)


async def parts_go_back_to_the_paisa_and_add_up(stage: Stage) -> None:
    gateway = stage.gateway()
    if gateway.capabilities.refunds is not RefundKind.PARTIAL:
        return
    order = await paid(stage, 113000)

    for part, given_back, reported in (
        (1, 1, Reported.PARTIALLY_REFUNDED),
        (12_999, 13_000, Reported.PARTIALLY_REFUNDED),
        (100_000, 113_000, Reported.REFUNDED),
    ):
        await refunding(gateway).refund(order, a_part(part))

        seen = await gateway.look_up(order)
        assert (seen.reported, stage.given_back(named(order))) == (reported, given_back)
        assert seen.amount == Money(113000)

    assert stage.refunded == 3


async def a_refund_leaves_other_payments_alone(stage: Stage) -> None:
    gateway = stage.gateway()
    one, other, third = await paid(stage), await paid(stage), await paid(stage)

    await refunding(gateway).refund(third, everything(third))
    await refunding(gateway).refund(other, everything(other))

    assert (await gateway.look_up(one)).reported is Reported.COMPLETED
    assert [stage.given_back(named(order)) for order in (one, other, third)] == [0, 113000, 113000]


async def what_cannot_be_given_back_is_refused(stage: Stage) -> None:
    gateway = stage.gateway()
    unpaid = await opened(gateway, an_order())
    order = await paid(stage)

    refused = [(unpaid, everything(unpaid)), (evolve(order, transaction_id="z" * 22), everything(order))]
    if gateway.capabilities.refunds is RefundKind.PARTIAL:
        refused.append((order, a_part(113001)))
    for whose, wanted in refused:
        with pytest.raises(RefundRefused) as too_much:
            await refunding(gateway).refund(whose, wanted)
        assert not too_much.value.may_ask_again
    assert (stage.given_back(named(unpaid)), stage.given_back(named(order))) == (0, 0)

    await refunding(gateway).refund(order, everything(order))
    with pytest.raises(RefundRefused):
        await refunding(gateway).refund(order, everything(order))
    assert stage.given_back(named(order)) == 113000


async def a_refund_without_an_answer_is_unknown_and_not_repeated(stage: Stage) -> None:
    gateway = stage.gateway()
    order = await paid(stage)

    with stage.silent("refund"), pytest.raises(OutcomeUnknown) as unknown:
        await refunding(gateway).refund(order, everything(order))

    assert not unknown.value.may_ask_again
    assert stage.refunded == 1
    assert (await gateway.look_up(order)).reported is Reported.REFUNDED


async def no_connection_means_that_nothing_went_back(stage: Stage) -> None:
    order = await paid(stage)

    with pytest.raises(NothingSent) as unreached:
        await refunding(stage.unreachable()).refund(order, everything(order))

    assert unreached.value.may_ask_again
    assert (stage.refunded, stage.given_back(named(order))) == (0, 0)


async def a_canceled_refund_ends_at_once(stage: Stage) -> None:
    gateway = stage.gateway()
    order = await paid(stage)
    with stage.held("refund"):
        call = asyncio.ensure_future(refunding(gateway).refund(order, everything(order)))
        for _ in range(2000):
            if stage.refunded:
                break
            await asyncio.sleep(0.001)

        call.cancel()

        with pytest.raises(asyncio.CancelledError):
            await call


async def a_refund_shows_no_secret(stage: Stage) -> None:
    gateway = stage.gateway()
    order, again = await paid(stage), await paid(stage)
    assert order.transaction_id
    told = []
    with _hearing() as heard:
        told.append(await refunding(gateway).refund(order, everything(order)))
        with pytest.raises(GatewayError) as refused:
            await refunding(gateway).refund(order, everything(order))
        with stage.silent("refund"), pytest.raises(GatewayError) as unanswered:
            await refunding(gateway).refund(again, everything(again))
        with pytest.raises(GatewayError) as unreached:
            await refunding(stage.unreachable()).refund(again, everything(again))
    for failed in (refused, unanswered, unreached):
        told += [repr(failed.value), "".join(traceback.format_exception(failed.value))]

    for secret in stage.secrets:
        assert secret not in "\n".join(told), "in an answer or an error"
        assert secret not in "\n".join(heard.lines), "in a log line"
    for transaction_id in filter(None, (order.transaction_id, again.transaction_id)):
        assert transaction_id not in "\n".join(heard.ours), "in a log line of ours"


# --- gateways that speak HTTP -----------------------------------------------------------------------------------------

COMPLETED_TEXT: Final = '{"status": "Completed", "total_amount": 113000'
BROKEN_ANSWERS: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {
        "closed before it had an effect": {"fault": "drop_before"},
        "reset before it had an effect": {"fault": "drop_before", "reset": True},
        "closed after it had its effect": {"fault": "drop_after"},
        "reset after it had its effect": {"fault": "drop_after", "reset": True},
        "429": {"fault": "status", "status": 429},
        "500 in HTML": {"fault": "status", "status": 500, "body": "html"},
        "502 in HTML": {"fault": "status", "status": 502, "body": "html"},
        "503 in JSON": {"fault": "status", "status": 503},
        "a page": {"fault": "html"},
        "half of it": {"fault": "malformed"},
        "no body": {"fault": "raw", "body": ""},
        "a number": {"fault": "raw", "body": "7"},
        "the wrong kind": {"fault": "raw", "body": "{}", "headers": [["content-type", "text/plain"]]},
        "no status line": {"fault": "verbatim", "text": "hello\r\n\r\n"},
        "an odd status line": {"fault": "verbatim", "text": "HTTP/1.1 two hundred OK\r\n\r\n"},
        "odd headers": {"fault": "verbatim", "text": "HTTP/1.1 200 OK\r\n\x00: 1\r\n\r\n{}"},
        "endless headers": {"fault": "verbatim", "text": "HTTP/1.1 200 OK\r\nx: " + "y" * 60_000},
        "a short body": {
            "fault": "verbatim",
            "text": "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n" + COMPLETED_TEXT,
        },
        "broken chunks": {
            "fault": "verbatim",
            "text": "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}",
        },
        "a chunk too few": {
            "fault": "verbatim",
            "text": "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{",
        },
        "two lengths": {
            "fault": "verbatim",
            "text": "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        },
    }
)


def _routes(stage: Stage) -> tuple[str, ...]:
    """The calls that an answer comes to."""
    return ("initiate", "look-up") if stage.gateway().refunds is None else ("initiate", "look-up", "refund")


async def _spoiled(stage: Stage, on: str, fault: Mapping[str, object]) -> GatewayError:
    """The error that one spoiled answer ends in."""
    gateway = stage.gateway()
    if on == "refund":
        order = await paid(stage)
        stage.spoils(on, fault)
        with pytest.raises(GatewayError) as failed:
            await refunding(gateway).refund(order, everything(order))
        assert (await gateway.look_up(order)).reported in (Reported.COMPLETED, Reported.REFUNDED)
        assert stage.given_back(named(order)) in (0, 113000), "once at most"
        return failed.value
    if on == "initiate":
        stage.spoils(on, fault)
        with pytest.raises(GatewayError) as failed:
            await gateway.open_checkout(an_order(), URLS, PAYER)
        return failed.value
    order = await opened(gateway, an_order())
    stage.customer_pays(named(order))
    stage.spoils(on, fault)
    with pytest.raises(GatewayError) as failed:
        await gateway.look_up(order)
    assert (await gateway.look_up(order)).reported is Reported.COMPLETED, "the next look-up is not disturbed"
    return failed.value


async def a_broken_answer_is_unknown(stage: Stage) -> None:
    for on in _routes(stage):
        for name, fault in BROKEN_ANSWERS.items():
            before = stage.initiated, stage.refunded

            error = await _spoiled(stage, on, fault)

            assert isinstance(error, OutcomeUnknown), f"{name} on {on} became {error!r}"
            assert not error.may_ask_again
            assert stage.initiated == before[0] + 1, f"{name} on {on}: the opening was repeated"
            assert stage.refunded == before[1] + (on == "refund"), f"{name} on {on}: the refund was repeated"


NOT_A_YES: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {
        "an empty object": {"fault": "raw", "body": "{}"},
        "null": {"fault": "raw", "body": "null"},
        "a list": {"fault": "raw", "body": "[]"},
        "a page": {"fault": "html"},
        "a page that says no": {"fault": "status", "status": 400, "body": "html"},
        "a page that is not there": {"fault": "status", "status": 404, "body": "html"},
        "not allowed": {"fault": "status", "status": 405},
    }
)


async def a_refund_was_made_only_when_the_answer_says_so(stage: Stage) -> None:
    for name, fault in NOT_A_YES.items():
        error = await _spoiled(stage, "refund", fault)

        assert isinstance(error, OutcomeUnknown), f"{name} became {error!r}"


async def a_large_answer_is_cut(stage: Stage) -> None:
    for on in _routes(stage):
        async with asyncio.timeout(LONGEST_ANSWER_SECONDS):
            error = await _spoiled(stage, on, {"fault": "huge", "mib": 8})

        assert isinstance(error, OutcomeUnknown)


async def a_compressed_answer_is_not_inflated(stage: Stage) -> None:
    for on in _routes(stage):
        error = await _spoiled(stage, on, {"fault": "gzip_bomb", "mib": 16})

        assert isinstance(error, OutcomeUnknown)


async def a_slow_answer_is_cut_by_the_clock(stage: Stage) -> None:
    for on in _routes(stage):
        async with asyncio.timeout(LONGEST_ANSWER_SECONDS):
            error = await _spoiled(stage, on, {"fault": "drip", "seconds": 0.1})

        assert isinstance(error, OutcomeUnknown)


async def a_redirect_is_not_followed(stage: Stage) -> None:
    for status in (301, 302, 303, 307, 308):
        for on in _routes(stage):
            before = stage.initiated, stage.looked_up, stage.refunded

            error = await _spoiled(stage, on, {"fault": "redirect", "status": status, "location": "same"})

            assert isinstance(error, OutcomeUnknown)
            looks = 0 if on == "initiate" else 2
            refunds = 1 if on == "refund" else 0
            expected = before[0] + 1, before[1] + looks, before[2] + refunds
            assert (stage.initiated, stage.looked_up, stage.refunded) == expected


class _Heard(logging.Handler):
    """Every log line, whoever wrote it; `ours` are those of this service."""

    def __init__(self) -> None:
        super().__init__(level=logging.DEBUG)
        self.lines: list[str] = []
        self.ours: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()} {record.__dict__}")
        if record.name.startswith("sewapay"):
            self.ours.append(self.lines[-1])


@contextmanager
def _hearing() -> Iterator[_Heard]:
    """What is logged meanwhile, down to the last detail."""
    heard = _Heard()
    root = logging.getLogger()
    level = root.level
    root.addHandler(heard)
    root.setLevel(logging.DEBUG)
    try:
        yield heard
    finally:
        root.removeHandler(heard)
        root.setLevel(level)


def _by_name(*checks: Check) -> Mapping[str, Check]:
    return MappingProxyType({getattr(check, "__name__"): check for check in checks})  # noqa: B009 (not in its type)


CHECKS: Final = _by_name(
    a_checkout_can_be_shown,
    nothing_is_known_of_a_customer_who_is_not_described,
    two_checkouts_are_two_payments,
    what_is_paid_is_seen_exactly,
    the_amount_is_the_gateways_word,
    each_ending_is_an_answer,
    an_unknown_word_is_unknown,
    an_unknown_payment_is_not_found,
    asking_again_changes_nothing,
    a_restart_forgets_nothing,
    a_lost_answer_is_unknown,
    an_opening_is_not_repeated,
    no_connection_means_that_nothing_was_sent,
    a_canceled_call_ends_at_once,
    secrets_show_nowhere,
    a_return_never_raises_and_proves_nothing,
    capabilities_are_honest,
)
REFUND_CHECKS: Final = _by_name(
    all_of_it_goes_back_exactly,
    parts_go_back_to_the_paisa_and_add_up,
    a_refund_leaves_other_payments_alone,
    what_cannot_be_given_back_is_refused,
    a_refund_without_an_answer_is_unknown_and_not_repeated,
    no_connection_means_that_nothing_went_back,
    a_canceled_refund_ends_at_once,
    a_refund_shows_no_secret,
)
WIRE_CHECKS: Final = _by_name(
    a_broken_answer_is_unknown,
    a_large_answer_is_cut,
    a_compressed_answer_is_not_inflated,
    a_slow_answer_is_cut_by_the_clock,
    a_redirect_is_not_followed,
)
WIRE_REFUND_CHECKS: Final = _by_name(a_refund_was_made_only_when_the_answer_says_so)
