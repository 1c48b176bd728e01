"""`/v1/events`: what happened, for merchants' own systems that follow it."""

from litestar import get
from litestar.di import NamedDependency

from sewapay.adapters.web.body import ApiRequest
from sewapay.adapters.web.openapi import problems
from sewapay.adapters.web.parameters import Cursor, Limit, page_of
from sewapay.adapters.web.schemas import EventAnswer, EventList
from sewapay.adapters.web.use_cases import Desk
from sewapay.application.queries import ListEvents

__all__ = ["list_events"]


@get("/events", summary="Follow what happens", tags=["events"], responses=problems(401, 403, 422, 503))
async def list_events(
    request: ApiRequest,
    list_events: NamedDependency[Desk[ListEvents]],
    cursor: Cursor = None,
    limit: Limit = 50,
) -> EventList:
    """Events of all bookings, oldest first: each once, and a booking's own in their order.

    Unlike other lists this one has no end. Keep `next_cursor` and ask again with it: what happened since comes then,
    and empty `items` mean that nothing did. It is null only while nothing has ever happened.
    """
    found, next_cursor = await list_events.use_case(page_of(cursor, limit), request.user)
    return EventList([EventAnswer.of(told) for told in found], next_cursor)
