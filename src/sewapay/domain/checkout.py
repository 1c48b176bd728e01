"""How a customer gets to the gateway's page: where the browser goes next, and what must be kept before it goes."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from attrs import field, frozen

__all__ = ["Checkout", "NextStep", "PostForm", "Redirect"]


def _read_only(fields: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(fields))


@frozen
class Redirect:
    """Send the browser to `url`, exactly as it stands (HTTP 303 or a link)."""

    url: str


@frozen
class PostForm:
    """Have the browser post `fields`, in this order, to `url`."""

    url: str
    fields: Mapping[str, str] = field(converter=_read_only)


NextStep = Redirect | PostForm


@frozen(kw_only=True)
class Checkout:
    """What a gateway gave us when a checkout was opened.

    `gateway_reference` is the gateway's name for the payment, if it gives one at this point. `life` is how long the
    link lives from now on, and `expires_at` (UTC) when it dies by the gateway's clock, each if the gateway says so.
    """

    next_step: NextStep
    gateway_reference: str | None = None
    life: timedelta | None = None
    expires_at: datetime | None = None
