"""`/v1/bookings`: what is owed, by whom."""

from typing import Annotated

from attrs import evolve
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from sewapay.adapters.web.bodies import NewBookingBody
from sewapay.adapters.web.body import ApiRequest
from sewapay.adapters.web.idempotent import IdempotencyKey, answered, told
from sewapay.adapters.web.links import Links
from sewapay.adapters.web.openapi import problems
from sewapay.adapters.web.parameters import BookingInPath, Cursor, Limit, booking_id_of, page_of
from sewapay.adapters.web.schemas import BookingAnswer, BookingList, BookingWithPayments
from sewapay.adapters.web.use_cases import Desk
from sewapay.application.access import Operation, Principal
from sewapay.application.cancel_booking import CancelBooking, Cancellation
from sewapay.application.idempotency import Answer
from sewapay.application.queries import ListBookings, ReadBooking
from sewapay.application.register_booking import NewBooking, RegisterBooking
from sewapay.application.storage import BookingFilter
from sewapay.domain.booking import Booking, BookingStatus, Customer
from sewapay.domain.identifiers import BookingId, CustomerId
from sewapay.domain.money import Money

__all__ = ["cancel_booking", "list_bookings", "read_booking", "register_booking"]

Status = Annotated[BookingStatus | None, QueryParameter(description="Only bookings in this status.")]


@post(
    "/bookings", summary="Register a booking", tags=["bookings"], responses=problems(401, 403, 409, 413, 415, 422, 503)
)
async def register_booking(
    request: ApiRequest,
    data: JSONBody[NewBookingBody],
    register_booking: NamedDependency[Desk[RegisterBooking]],
    idempotency_key: IdempotencyKey = None,
) -> Response[BookingAnswer]:
    """Say what is owed, by whom. Without an `id` the booking gets the next number.

    The amount is all that is owed, tax included, and does not change afterwards. `checkout_url` of the answer is a page
    where whoever holds that address can pay; a key reads it later only with the scope `payments`.
    """
    who = data.customer
    new = NewBooking(
        by=request.user,
        id=None if data.id is None else BookingId(data.id),
        customer=Customer(id=CustomerId(who.id), name=who.name, email=who.email, phone=who.phone),
        title=data.title,
        amount=Money(data.amount),
    )
    register, links = register_booking.use_case, register_booking.links

    def render(booking: Booking) -> Answer:
        shown = BookingAnswer.of(booking, links.checkout_url(booking.id))
        return told(shown, status=201, location=f"/v1/bookings/{booking.id}")

    return await answered(request, idempotency_key, render, lambda once: register(evolve(new, once=once)))


@get("/bookings", summary="List bookings", tags=["bookings"], responses=problems(401, 403, 422, 503))
async def list_bookings(
    request: ApiRequest,
    list_bookings: NamedDependency[Desk[ListBookings]],
    status: Status = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> BookingList:
    """Bookings, newest first: a customer's own, everyone's for staff and services."""
    wanted = BookingFilter(status=status)
    by, links = request.user, list_bookings.links
    found, next_cursor = await list_bookings.use_case(wanted, page_of(cursor, limit), by)
    return BookingList([BookingAnswer.of(booking, _checkout_url(by, links, booking)) for booking in found], next_cursor)


@get(
    "/bookings/{booking_id:str}",
    summary="Read a booking",
    tags=["bookings"],
    responses=problems(401, 403, 404, 422, 503),
)
async def read_booking(
    request: ApiRequest, booking_id: BookingInPath, read_booking: NamedDependency[Desk[ReadBooking]]
) -> BookingWithPayments:
    """A booking and every attempt to pay it. Somebody else's booking does not exist for a customer."""
    found = await read_booking.use_case(booking_id_of(booking_id), request.user)
    page = _checkout_url(request.user, read_booking.links, found.booking)
    return BookingWithPayments.telling(found.booking, found.payments, page, read_booking.now())


@post(
    "/bookings/{booking_id:str}/cancellation",
    status_code=200,
    summary="Cancel a booking",
    tags=["bookings"],
    responses=problems(401, 403, 404, 409, 413, 422, 503),
)
async def cancel_booking(
    request: ApiRequest,
    booking_id: BookingInPath,
    cancel_booking: NamedDependency[Desk[CancelBooking]],
    idempotency_key: IdempotencyKey = None,
) -> Response[BookingAnswer]:
    """Cancel a booking that is not paid. Canceling twice changes nothing; a paid booking is refused.

    Money that still comes for a canceled booking is kept, and put before a person.
    """
    by, cancel, links = request.user, cancel_booking.use_case, cancel_booking.links
    wanted = Cancellation(by=by, booking_id=booking_id_of(booking_id))

    def render(booking: Booking) -> Answer:
        return told(BookingAnswer.of(booking, _checkout_url(by, links, booking)))

    return await answered(request, idempotency_key, render, lambda once: cancel(evolve(wanted, once=once)))


def _checkout_url(by: Principal, links: Links, booking: Booking) -> str | None:
    """The booking's page, for callers who may open checkouts anyway: whoever holds its address can."""
    return links.checkout_url(booking.id) if by.may(Operation.OPEN_CHECKOUT) else None
