"""`/return/{payment_id}/`: where gateways send browsers back to.

What the browser brings is a reason to look and nothing more: the payment is the one in the path, and the gateway is
asked by what we stored. Then the browser is sent on to the merchant's page, or shown how the payment stands. Nothing
about the booking is shown here, so this needs no login.

A gateway whose return address was registered beforehand sends everybody to `/return/{gateway}/`: there the payment is
the one whose order reference came along.
"""

import asyncio
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

import structlog
from litestar import HttpMethod, Response, get, post, route
from litestar.di import NamedDependency
from litestar.params import FromPath

from sewapay.adapters.web.body import ApiRequest, pairs_of, text_of_header
from sewapay.adapters.web.errors import BodyTooLarge
from sewapay.adapters.web.failures import note_gateway_failure
from sewapay.adapters.web.languages import Language, language_of
from sewapay.adapters.web.offers import offers_for
from sewapay.adapters.web.pages import BOOKING_ENDED, origin_of, see_other
from sewapay.adapters.web.parameters import payment_id_of
from sewapay.adapters.web.sewabazaar import IN_KHALTIS_WORDS, told_in_khaltis_words
from sewapay.adapters.web.use_cases import Returns
from sewapay.application.access import Principal, Role
from sewapay.application.errors import (
    AmountNotTaken,
    CheckoutInProgress,
    GatewayError,
    PaymentNotFound,
    StillBeingChecked,
)
from sewapay.application.open_checkout import CheckoutRequest
from sewapay.application.ports import Authenticity, PaymentGateway, ReturnMessage
from sewapay.application.queries import PaymentAndBooking
from sewapay.application.recording import Verified
from sewapay.application.verify_payment import OurReference, Verification
from sewapay.domain.booking import Booking, BookingStatus
from sewapay.domain.checkout import PostForm
from sewapay.domain.errors import BookingAlreadyPaid, BookingIsCanceled, InvalidIdentifier
from sewapay.domain.identifiers import GatewayName, OrderReference, PaymentId
from sewapay.domain.payment import Payment, PaymentStatus, ReturnStyle, ReturnTo

__all__ = ["come_back", "come_back_unfinished", "form_page_of", "show_form", "try_again"]

FORM_SHOWN_FOR: Final = timedelta(seconds=30)  # a slow telephone has come from the button to the form by then
PATIENCE_SECONDS: Final = 10  # and then a few for reading: browsers and people give up after 15 or so
RENEWED_AFTER: Final = {"checking": 5, "open": 10}
_TO_TRY_AGAIN: Final = frozenset({PaymentStatus.CANCELED, PaymentStatus.EXPIRED, PaymentStatus.FAILED})
_TO_PAY: Final = _TO_TRY_AGAIN | {PaymentStatus.OPEN}
_LOG: Any = structlog.get_logger("sewapay.web")

_Found = Verified | PaymentAndBooking


@route(
    "/return/{payment_id:str}",
    http_method=[HttpMethod.GET, HttpMethod.POST],
    status_code=200,
    include_in_schema=False,
)
async def come_back(request: ApiRequest, payment_id: FromPath[str], returns: NamedDependency[Returns]) -> Response[str]:
    """Verify, and send the browser on or show how the payment stands.

    With a query or a body: what the gateway's redirect brought. It leaves the address bar at once, because it holds
    references and telephone numbers. Without: our own page, which asks again while nothing is decided.
    """
    brought = await _brought(request)
    registered = _with_one_address(returns, payment_id)
    if registered is not None:
        return await _sent_on(returns, _named_in(registered, brought or ()), brought or ())
    wanted = payment_id_of(payment_id)
    if brought is not None:
        return await _sent_on(returns, wanted, brought)
    found: _Found = await returns.read_payment(wanted, None)
    if found.payment.is_undecided and found.payment.looked_at is None:  # reading has not had it looked up
        found = await _verified(returns, wanted)
    onward = _onward(found)
    return see_other(onward) if onward else _shown(returns, found, _language(request))


@route(
    "/return/{payment_id:str}/unfinished",
    http_method=[HttpMethod.GET, HttpMethod.POST],
    status_code=200,
    include_in_schema=False,
)
async def come_back_unfinished(
    request: ApiRequest, payment_id: FromPath[str], returns: NamedDependency[Returns]
) -> Response[str]:
    """Where gateways send those who did not pay, as far as the browser knows: verified like any other return."""
    return await _sent_on(returns, payment_id_of(payment_id), await _brought(request) or ())


@post("/return/{payment_id:str}/again", status_code=200, include_in_schema=False)
async def try_again(request: ApiRequest, payment_id: FromPath[str], returns: NamedDependency[Returns]) -> Response[str]:
    """Open a new checkout for the same booking, from the page that said that the last one came to nothing.

    Through the same gateway, or through the one that the form names.
    """
    found = await returns.read_payment(payment_id_of(payment_id), None)
    payment = found.payment
    holder = Principal(role=Role.LINK, id=str(payment.booking_id))
    language = _language(request)
    try:
        chosen = GatewayName(dict(pairs_of(await request.body())).get("gateway", payment.gateway))
        opened = await returns.open_checkout(CheckoutRequest(by=holder, booking_id=payment.booking_id, gateway=chosen))
    except BookingAlreadyPaid:
        is_refunded = found.booking.status is BookingStatus.REFUNDED
        return returns.pages.state("booking_refunded" if is_refunded else "paid", language, status=409)
    except BookingIsCanceled:
        return returns.pages.state("booking_canceled", language, status=409)
    except (StillBeingChecked, CheckoutInProgress):
        return returns.pages.state("checking", language, status=409, reload=f"/return/{payment.id}/")
    except (AmountNotTaken, InvalidIdentifier):
        return returns.pages.state("amount_not_taken", language, status=422, **_ways_to_pay(returns, found))
    except GatewayError as error:
        note_gateway_failure(request, error)
        return returns.pages.state("gateway_away", language, status=503, **_ways_to_pay(returns, found))
    if opened.payment.next_step is None:
        return returns.pages.state("checking", language, reload=f"/return/{opened.payment.id}/")
    return returns.pages.next_step(opened.payment.next_step, language, form_page=form_page_of(opened.payment))


@get("/return/{payment_id:str}/form", include_in_schema=False)
async def show_form(request: ApiRequest, payment_id: FromPath[str], returns: NamedDependency[Returns]) -> Response[str]:
    """The form that leads on to a gateway, for who has just chosen it; for everybody else how the payment stands.

    One that can be entered once is not shown when it may have been: going back from the gateway leads on from here.
    """
    found = await returns.read_payment(payment_id_of(payment_id), None)
    if not _has_a_form_to_show(returns, found):
        return see_other(f"/return/{found.payment.id}/")
    return returns.pages.state("redirecting", _language(request), continue_with=found.payment.next_step)


def form_page_of(payment: Payment) -> str:
    """Where its form is shown, if it has one."""
    return f"/return/{payment.id}/form/"


async def _brought(request: ApiRequest) -> tuple[tuple[str, str], ...] | None:
    """What came through the browser; None for nothing at all. What cannot be read was still a return."""
    query = request.scope["query_string"]
    try:
        form = await request.body() if request.scope["method"] == "POST" else b""
    except BodyTooLarge:
        return ()
    return (*pairs_of(query), *pairs_of(form)) if query or form else None


def _with_one_address(returns: Returns, name: str) -> PaymentGateway | None:
    """The enabled gateway of this name, if all its payments return to one address."""
    gateway = next((gateway for gateway in returns.gateways.values() if gateway.name == name), None)
    return gateway if gateway is not None and gateway.capabilities.registered_return else None


def _named_in(gateway: PaymentGateway, brought: tuple[tuple[str, str], ...]) -> OurReference:
    """Which payment a return is about. Raises `PaymentNotFound` when it does not say so."""
    named = gateway.read_return(ReturnMessage(values=brought)).order_reference
    try:
        return OurReference(gateway.name, gateway.environment, OrderReference(named or ""))
    except InvalidIdentifier:
        raise PaymentNotFound from None


async def _sent_on(
    returns: Returns, which: PaymentId | OurReference, brought: tuple[tuple[str, str], ...]
) -> Response[str]:
    """Look, note what the browser claimed otherwise, and send it to the merchant's page or to ours."""
    verified = await _verified(returns, which, ReturnMessage(values=brought))
    _note_differences(returns, verified.payment, brought)
    return see_other(_onward(verified) or f"/return/{verified.payment.id}/")


async def _verified(
    returns: Returns, which: PaymentId | OurReference, brought: ReturnMessage | None = None
) -> Verified:
    """Payment and booking after a look, or as they stand when the look takes longer than a person waits."""
    verification = Verification(by=None, payment=which, brought=brought)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await returns.verify_payment(verification)
    except TimeoutError:
        return await returns.verify_payment.without_waiting(verification)


def _note_differences(returns: Returns, payment: Payment, brought: tuple[tuple[str, str], ...]) -> None:
    """Log which of the browser's claims differ from what we know; never what they were."""
    gateway = returns.gateways.get(payment.gateway)
    if gateway is None or not brought:
        return
    hint = gateway.read_return(ReturnMessage(values=brought))
    differs = []
    if hint.authenticity is Authenticity.FORGED:
        differs.append("signature")
    if hint.gateway_reference not in (None, payment.gateway_reference):
        differs.append("gateway_reference")
    if hint.order_reference not in (None, payment.order_reference):
        differs.append("order_reference")
    if hint.claims is not None and payment.said is not None and hint.claims.casefold() != payment.said.casefold():
        differs.append("status")
    if differs:
        _LOG.info("return differs from the look-up", payment_id=payment.id, differs=differs)


def _onward(found: _Found) -> str | None:
    """The merchant's page for this payment; None when the browser stays with us.

    SewaBazaar's page calls everything but `Completed` a failure, so what may still be paid, or was, waits here.
    """
    payment = found.payment
    if payment.return_to is None:
        return None
    if payment.return_to.style is ReturnStyle.PAYMENT_ID:
        return _with_query(payment.return_to, urlencode({"payment_id": payment.id}))
    is_told = payment.status in IN_KHALTIS_WORDS and not payment.outcome_unknown
    if not is_told or _nothing_left_to_pay(payment, found.booking):
        return None
    return _with_query(payment.return_to, told_in_khaltis_words(payment))


def _with_query(return_to: ReturnTo, query: str) -> str:
    parts = urlsplit(return_to.url)
    joined = f"{parts.query}&{query}" if parts.query else query
    return urlunsplit(parts._replace(query=joined))


def _shown(returns: Returns, found: _Found, language: Language) -> Response[str]:
    """How the payment stands, in one sentence, and what can be done."""
    pages, payment = returns.pages, found.payment
    shop = None if payment.return_to is None else f"{origin_of(payment.return_to.url)}/"
    reference = payment.order_reference
    if payment.outcome_unknown:
        return pages.state("checking", language, refresh=RENEWED_AFTER["checking"], reference=reference, shop=shop)
    if ended := _nothing_left_to_pay(payment, found.booking):
        return pages.state(ended, language, reference=reference, shop=shop)
    if payment.status in _TO_TRY_AGAIN:
        ways = _ways_to_pay(returns, found)
        return pages.state(payment.status, language, reference=reference, shop=shop, **ways)
    if payment.has_live_link(returns.clock.now()):
        renewed, gateway = RENEWED_AFTER["open"], returns.gateways.get(payment.gateway)
        is_used_up = gateway is None or gateway.capabilities.single_entry
        ways = _ways_to_pay(returns, found) if is_used_up else {"continue_with": payment.next_step}
        return pages.state("open", language, refresh=renewed, reference=reference, shop=shop, **ways)
    if payment.holds_surplus:
        return pages.state("surplus", language, reference=reference, shop=shop)
    state = {
        PaymentStatus.COMPLETED: "paid",
        PaymentStatus.PARTIALLY_REFUNDED: "paid",
        PaymentStatus.REFUNDED: "refunded",
        PaymentStatus.UNDER_REVIEW: "review",
    }.get(payment.status, "checking")
    return pages.state(state, language, refresh=RENEWED_AFTER.get(state), reference=reference, shop=shop)


def _has_a_form_to_show(returns: Returns, found: _Found) -> bool:
    payment, now = found.payment, returns.clock.now()
    gateway = returns.gateways.get(payment.gateway)
    if gateway is None or payment.outcome_unknown or _nothing_left_to_pay(payment, found.booking):
        return False
    if not isinstance(payment.next_step, PostForm) or not payment.has_live_link(now):
        return False
    return not gateway.capabilities.single_entry or now < (payment.opened_at or payment.created_at) + FORM_SHOWN_FOR


def _nothing_left_to_pay(payment: Payment, booking: Booking) -> str | None:
    """How the booking ended, where the customer would be led to pay it; what came by this payment is told first."""
    if payment.money_was_seen or payment.status not in _TO_PAY:
        return None
    return BOOKING_ENDED.get(booking.status) if booking.settled_by != payment.id else None


def _ways_to_pay(returns: Returns, found: _Found) -> dict[str, Any]:
    """Once more through the same gateway, or through another one; each only if it can take the amount."""
    payment, offers = found.payment, offers_for(found.booking, returns.gateways)
    others = [offer for offer in offers if offer.name != payment.gateway]
    return {"pay_at": f"/return/{payment.id}/again/", "try_again": len(others) < len(offers), "others": others}


def _language(request: ApiRequest) -> Language:
    return language_of(text_of_header(request.scope, b"accept-language"))
