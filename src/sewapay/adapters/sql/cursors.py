"""Cursors. A list's: the time and the id of the last item of a page, so that new items shift nothing. The feed's: the
place of the last event.
"""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import Final

from sewapay.application.errors import InvalidCursor

__all__ = ["read_cursor", "read_place", "write_cursor", "write_place"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_FEED: Final = "feed"
_LAST_PLACE: Final = 2**63 - 1  # what the databases count to
LONGEST: Final = 120


def write_cursor(at: datetime, id: str) -> str:
    """The cursor that continues after the item of this time and id."""
    return _written(f"{(at - _EPOCH) // _MICROSECOND}.{id}")


def read_cursor(cursor: str) -> tuple[datetime, str]:
    """The time and the id in a cursor; raises `InvalidCursor` for what was never one."""
    microseconds, id = _read(cursor)
    try:
        at = _EPOCH + int(microseconds) * _MICROSECOND
    except (ValueError, OverflowError) as error:
        raise InvalidCursor from error
    if write_cursor(at, id) != cursor:
        raise InvalidCursor
    return at, id


def write_place(place: int) -> str:
    """The cursor that continues after this place in the feed."""
    return _written(f"{_FEED}.{place}")


def read_place(cursor: str) -> int:
    """The place in the feed's cursor; raises `InvalidCursor` for what was never one."""
    _, number = _read(cursor)
    try:
        place = int(number)
    except ValueError as error:
        raise InvalidCursor from error
    if not 1 <= place <= _LAST_PLACE or write_place(place) != cursor:
        raise InvalidCursor
    return place


def _written(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read(cursor: str) -> tuple[str, str]:
    if len(cursor) > LONGEST:
        raise InvalidCursor
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise InvalidCursor from error
    before, _, after = text.partition(".")
    return before, after
