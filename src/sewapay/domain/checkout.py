"""How a customer gets to the gateway's page: where the browser goes next, and what must be kept before it goes."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from attrs import field, frozen

__all__ = ["LONGEST_LIFE", "Checkout", "NextStep", "PostForm", "Redirect"]

LONGEST_LIFE: Final = timedelta(days=30)
"""How long a link of any gateway may live: a link that may be paid has to be watched until its end."""


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
    link lives from now on, and `expires_at` (UTC) when it dies by the gateway's clock, each if the gateway says so. It
    dies later than now, and within 30 days; of the two `life` counts.
    """

    next_step: NextStep
    gateway_reference: str | None = None
    life: timedelta | None = None
    expires_at: datetime | None = None

    def can_be_watched(self, at: datetime) -> bool:
        """Whether the link, opened at this time, is alive and dies soon enough; what is not said is in order."""
        if self.life is not None:
            return timedelta(0) < self.life <= LONGEST_LIFE
        return self.expires_at is None or at < self.expires_at <= at + LONGEST_LIFE
