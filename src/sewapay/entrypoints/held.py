"""Gateways of other people, held to what the port says: a call ends, raises what it may, and answers what can be kept.

The conformance kit is run by whoever wrote the gateway, or it is not. Here the service sees to what would harm others:
a look-up without an end would keep the reconciler from every payment, and a name that the database refuses would lose
the news that money came.
"""

import logging
from datetime import datetime, timedelta
from typing import Final

from attrs import evolve, field, frozen

from sewapay.application.errors import ProtocolError
from sewapay.application.ports import (
    Authenticity,
    Capabilities,
    Order,
    Payer,
    PaymentGateway,
    RefundGateway,
    RefundOrder,
    ReturnHint,
    ReturnMessage,
    Urls,
)
from sewapay.domain.checkout import Checkout, PostForm, Redirect
from sewapay.domain.identifiers import Environment, GatewayName
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation, Reported
from sewapay.entrypoints.fit_gateways import told
from sewapay.entrypoints.held_calls import ended
from sewapay.wire.answers import word

__all__ = ["HeldGateway", "held"]

LONGEST_CALL_SECONDS: Final = 15.0
"""More than the longest deadline that settings take (12 s), and less than an opening may take (20 s)."""

LONGEST_NAME: Final = 128
LONGEST_URL: Final = 2000
MOST_FIELDS: Final = 64
NOTHING_READ: Final = ReturnHint(authenticity=Authenticity.UNSIGNED)

_log: Final = logging.getLogger("sewapay.gateways")


def held(gateway: PaymentGateway, *, seconds: float = LONGEST_CALL_SECONDS) -> "HeldGateway":
    """This gateway, with each call at most so long. What is said to be static is read once, now."""
    refunds = gateway.refunds
    return HeldGateway(
        gateway=gateway,
        name=gateway.name,
        environment=gateway.environment,
        capabilities=gateway.capabilities,
        refunds=None if refunds is None else _HeldRefunds(name=gateway.name, refunds=refunds, seconds=seconds),
        seconds=seconds,
    )


@frozen(kw_only=True, eq=False)
class HeldGateway:
    """A `PaymentGateway` around somebody's. Whatever goes wrong in it is an outcome that is not known."""

    gateway: PaymentGateway = field(repr=False)
    name: GatewayName
    environment: Environment
    capabilities: Capabilities = field(repr=False)
    refunds: RefundGateway | None = field(repr=False)
    seconds: float

    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        """Its checkout, if that can be kept and shown. Raises `GatewayError`."""
        checkout = await ended(self.name, lambda: self.gateway.open_checkout(order, urls, payer), self.seconds)
        if not _can_be_shown(checkout):
            raise ProtocolError(f"the gateway {self.name} opened something that is no checkout")
        return checkout

    def read_return(self, message: ReturnMessage) -> ReturnHint:
        """What it reads; nothing at all where it breaks: a return is a reason to look, whatever it holds."""
        try:
            hint = self.gateway.read_return(message)
        except KeyboardInterrupt:
            raise  # that is the operator
        except BaseException as error:  # other people's code may raise anything, and may exit
            _log.error("the gateway %s broke over a return: %s", self.name, told(error))
            return NOTHING_READ
        return hint if _is_hint(hint) else NOTHING_READ

    async def look_up(self, order: Order) -> Observation:
        """Its answer, if that can be kept. Raises `GatewayError`."""
        seen = await ended(self.name, lambda: self.gateway.look_up(order), self.seconds)
        if not _can_be_kept(seen):
            raise ProtocolError(f"the gateway {self.name} answered what is no observation")
        return evolve(seen, said=word(seen.said))


@frozen(kw_only=True, eq=False)
class _HeldRefunds:
    """A `RefundGateway` around somebody's."""

    name: GatewayName
    refunds: RefundGateway = field(repr=False)
    seconds: float

    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        """Its word for yes. Raises `GatewayError`."""
        said = await ended(self.name, lambda: self.refunds.refund(order, wanted), self.seconds)
        if not isinstance(said, str):
            raise ProtocolError(f"the gateway {self.name} answered a refund with what is no word")
        return word(said)


def _can_be_shown(checkout: object) -> bool:
    if not isinstance(checkout, Checkout) or not isinstance(checkout.next_step, Redirect | PostForm):
        return False
    step = checkout.next_step
    if not _is_text(step.url, LONGEST_URL) or not step.url.startswith(("https://", "http://")):
        return False
    if isinstance(step, PostForm):
        texts = [text for pair in step.fields.items() for text in pair]
        if len(step.fields) > MOST_FIELDS or not all(isinstance(text, str) and text.isprintable() for text in texts):
            return False
    is_aware = isinstance(checkout.expires_at, datetime) and checkout.expires_at.utcoffset() is not None
    return (
        _is_name(checkout.gateway_reference)
        and (checkout.life is None or isinstance(checkout.life, timedelta))
        and (checkout.expires_at is None or is_aware)
    )


def _can_be_kept(seen: object) -> bool:
    if not isinstance(seen, Observation) or not isinstance(seen.reported, Reported) or not isinstance(seen.said, str):
        return False
    amounts = (seen.amount, seen.fee)
    names = (seen.transaction_id, seen.gateway_reference, seen.order_reference)
    return (
        all(amount is None or isinstance(amount, Money) for amount in amounts)
        and all(_is_name(name) for name in names)
        and (seen.refunded is None or isinstance(seen.refunded, bool))
    )


def _is_hint(hint: object) -> bool:
    if not isinstance(hint, ReturnHint) or not isinstance(hint.authenticity, Authenticity):
        return False
    texts = (hint.claims, hint.gateway_reference, hint.order_reference)
    return all(text is None or isinstance(text, str) for text in texts)


def _is_name(name: object) -> bool:
    return name is None or _is_text(name, LONGEST_NAME)


def _is_text(text: object, longest: int) -> bool:
    return isinstance(text, str) and 0 < len(text) <= longest and text.isprintable()
