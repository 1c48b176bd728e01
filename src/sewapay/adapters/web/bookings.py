"""`/v1/bookings`: what is owed, by whom."""

from typing import Annotated

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from sewapay.adapters.web.body import ApiRequest
from sewapay.adapters.web.links import Links
from sewapay.adapters.web.openapi import problems
from sewapay.adapters.web.parameters import BookingInPath, Cursor, Limit, booking_id_of, page_of
from sewapay.adapters.web.schemas import BookingAnswer, BookingList, BookingWithPayments, NewBookingBody
from sewapay.adapters.web.use_cases import Desk
from sewapay.application.access import Operation, Principal
from sewapay.application.cancel_booking import CancelBooking, Cancellation
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
    request: ApiRequest, data: JSONBody[NewBookingBody], register_booking: NamedDependency[Desk[RegisterBooking]]
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
    booking = await register_booking.use_case(new)
    answer = BookingAnswer.of(booking, register_booking.links.checkout_url(booking.id))
    return Response(answer, headers={"Location": f"/v1/bookings/{booking.id}"})


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
    responses=problems(401, 403, 404, 409, 422, 503),
)
async def cancel_booking(
    request: ApiRequest, booking_id: BookingInPath, cancel_booking: NamedDependency[Desk[CancelBooking]]
) -> BookingAnswer:
    """Cancel a booking that is not paid. Canceling twice changes nothing; a paid booking is refused.

    Money that still comes for a canceled booking is kept, and put before a person.
    """
    booking = await cancel_booking.use_case(Cancellation(by=request.user, booking_id=booking_id_of(booking_id)))
    return BookingAnswer.of(booking, _checkout_url(request.user, cancel_booking.links, booking))


def _checkout_url(by: Principal, links: Links, booking: Booking) -> str | None:
    """The booking's page, for callers who may open checkouts anyway: whoever holds its address can."""
    return links.checkout_url(booking.id) if by.may(Operation.OPEN_CHECKOUT) else None
