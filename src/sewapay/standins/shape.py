"""What faults have to know about a company: how its requests and answers are laid out, and what came before."""

from collections.abc import Callable, Mapping
from typing import Final

from attrs import field, frozen

from sewapay.standins.exchange import Reply

PAGE: Final = "page"
"""The route of what happens at the payment page, where a person or a control route pays (`happenings.py`)."""

Genuine = Callable[[], Reply]
"""Does what the request asks for and tells the honest answer."""


@frozen(kw_only=True)
class Shape:
    """How a company's requests and answers are laid out, for the faults that have to know it.

    A fault changes only keys that the honest answer has, so a key that is missing here and there needs no care.
    """

    reference: str
    """The key by which its requests and answers name a payment; faults and control routes take it too: `pidx`."""
    routes: frozenset[str]
    """The names that faults know its routes by: `initiate`, `lookup`, `refund`."""
    look_up: str
    """Which of them tells what became of a payment."""
    told_as: str | None = None
    """The key by which its answers name a payment, where that is another: `referenceId`."""
    nameless: frozenset[str] = frozenset()
    """Those of them whose requests name no payment, so that no fault can wait there for one."""
    status: str = "status"
    """The look-up's key for the payment's status."""
    amount: str
    """The look-up's key for what was paid."""
    amount_moved: Callable[[object, int], object]
    """An amount as a look-up writes it, moved by so many paisa."""
    unpaid: Mapping[str, object] = field(factory=dict)
    """What a look-up said, with HTTP 200, before anybody paid."""
    given_back: frozenset[str] = frozenset()
    """The status words that mean that money went back."""
    before_giving_back: Mapping[str, object] = field(factory=dict)
    """What the same look-up said before that."""
    stranger: str = "zzzzzzzzzzzzzzzzzzzz"
    """A reference that nobody asked about, in the company's own form."""


@frozen(kw_only=True)
class Scene:
    """What a fault may need to know: the company's ways, where the request came in, and which payment came before.

    `skew` makes the stand-in state its times wrongly from now on, by so many seconds.
    """

    shape: Shape
    base_url: str
    earlier: str | None
    skew: Callable[[float], None]
