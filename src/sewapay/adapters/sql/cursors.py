"""A list's cursor: the time and the id of the last item of a page, so that new items shift nothing."""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import Final

from sewapay.application.errors import InvalidCursor

__all__ = ["read_cursor", "write_cursor"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
LONGEST: Final = 120


def write_cursor(at: datetime, id: str) -> str:
    """The cursor that continues after the item of this time and id."""
    text = f"{(at - _EPOCH) // _MICROSECOND}.{id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[datetime, str]:
    """The time and the id in a cursor; raises `InvalidCursor` for what was never one."""
    if len(cursor) > LONGEST:
        raise InvalidCursor
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        microseconds, dot, id = text.partition(".")
        at = _EPOCH + int(microseconds) * _MICROSECOND
    except (binascii.Error, ValueError, OverflowError) as error:
        raise InvalidCursor from error
    if not dot or write_cursor(at, id) != cursor:
        raise InvalidCursor
    return at, id
