"""`/pay/{booking_id}`: our own page where a booking is paid, for whoever holds its signed address.

A wrong or missing key looks like a missing booking. The page needs no script and keeps no session.
"""

from typing import Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from sewapay.adapters.web.body import ApiRequest, pairs_of, text_of_header
from sewapay.adapters.web.failures import note_gateway_failure
from sewapay.adapters.web.languages import Language, language_of
from sewapay.adapters.web.offers import offers_for
from sewapay.adapters.web.pages import BOOKING_ENDED
from sewapay.adapters.web.parameters import booking_id_of
from sewapay.adapters.web.returns import form_page_of
from sewapay.adapters.web.use_cases import HostedPage
from sewapay.application.access import Principal, Role
from sewapay.application.errors import (
    AmountNotTaken,
    BookingNotFound,
    CheckoutInProgress,
    GatewayError,
    StillBeingChecked,
)
from sewapay.application.open_checkout import CheckoutRequest
from sewapay.application.queries import BookingAndPayments
from sewapay.domain.errors import BookingAlreadyPaid, BookingIsCanceled, InvalidIdentifier
from sewapay.domain.identifiers import BookingId, GatewayName
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason

__all__ = ["pay", "show_checkout"]

RENEWED_AFTER: Final = 5

# What asks for a press, where nothing is there to be pressed.
_WITHOUT_A_BUTTON: Final = {"ready": "not_here", "gateway_away": "not_here"}


@get("/pay/{booking_id:str}", include_in_schema=False)
async def show_checkout(
    request: ApiRequest, booking_id: FromPath[str], hosted_page: NamedDependency[HostedPage]
) -> Response[str]:
    """What is owed, and a button for each gateway that can take this amount; or how the booking stands."""
    found = await _opened_page(request, hosted_page, booking_id)
    return _shown(request, hosted_page, found, "ready")


@post("/pay/{booking_id:str}", status_code=200, include_in_schema=False)
async def pay(
    request: ApiRequest, booking_id: FromPath[str], hosted_page: NamedDependency[HostedPage]
) -> Response[str]:
    """Open the chosen gateway's page and send the browser there; or say why not, with the buttons again."""
    found = await _opened_page(request, hosted_page, booking_id)
    booking = found.booking
    language = _language(request)
    try:
        gateway = GatewayName(dict(pairs_of(await request.body())).get("gateway", ""))
        opened = await hosted_page.open_checkout(
            CheckoutRequest(by=_holder(booking.id), booking_id=booking.id, gateway=gateway)
        )
    except (BookingAlreadyPaid, BookingIsCanceled, StillBeingChecked):
        again = await _opened_page(request, hosted_page, booking_id)
        return _shown(request, hosted_page, again, "ready", status=409)
    except (CheckoutInProgress, InvalidIdentifier):
        return _shown(request, hosted_page, found, "ready", status=409)
    except AmountNotTaken:
        return _shown(request, hosted_page, found, "amount_not_taken", status=422)
    except GatewayError as error:
        note_gateway_failure(request, error)
        return _shown(request, hosted_page, found, "gateway_away", status=503)
    if opened.payment.next_step is None:
        return _shown(request, hosted_page, found, "ready", status=409)
    form_page = form_page_of(opened.payment)
    return hosted_page.pages.next_step(opened.payment.next_step, language, form_page=form_page)


async def _opened_page(request: ApiRequest, page: HostedPage, booking_id: str) -> BookingAndPayments:
    """The booking, for the holder of its address. Raises `BookingNotFound` for a wrong key just as for none."""
    wanted = booking_id_of(booking_id)
    key = dict(pairs_of(request.scope["query_string"])).get("key", "")
    if not page.links.is_valid(wanted, key):
        raise BookingNotFound
    return await page.read_booking(wanted, _holder(wanted))


def _shown(
    request: ApiRequest, page: HostedPage, found: BookingAndPayments, state: str, *, status: int = 200
) -> Response[str]:
    language = _language(request)
    booking = found.booking
    if booking.status in BOOKING_ENDED:
        return page.pages.state(BOOKING_ENDED[booking.status], language, status=status)
    for payment in found.payments:
        if _may_have_gone_through(payment):
            state = "review" if payment.status is PaymentStatus.UNDER_REVIEW else "checking"
            refresh = None if state == "review" else RENEWED_AFTER
            reference = payment.order_reference
            return page.pages.state(state, language, status=status, refresh=refresh, reference=reference)
    gateways = offers_for(booking, page.gateways)
    return page.pages.show(
        "checkout.html",
        language,
        status=status,
        state=state if gateways else _WITHOUT_A_BUTTON.get(state, state),
        title=booking.title,
        amount=booking.amount.display,
        action=page.links.checkout_path(booking.id),
        gateways=gateways,
    )


def _may_have_gone_through(payment: Payment) -> bool:
    """Whether the customer must not pay again before this payment is decided."""
    if payment.status is PaymentStatus.UNDER_REVIEW:
        return payment.review_reason is not ReviewReason.CHECKOUT_REFUSED
    return payment.status is PaymentStatus.PENDING or (payment.outcome_unknown and payment.can_be_looked_up)


def _holder(booking_id: BookingId) -> Principal:
    return Principal(role=Role.LINK, id=str(booking_id))


def _language(request: ApiRequest) -> Language:
    return language_of(text_of_header(request.scope, b"accept-language"))
