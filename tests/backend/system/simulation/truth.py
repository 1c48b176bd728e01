"""The gateways' own books, as an audit reads them: one till's, or all of them beside each other."""

import itertools
from collections.abc import Iterable, Iterator, Mapping

from attrs import field, frozen

from sewapay.application.auditing.truth import By, GatewayTruth, Line, Returned
from tests.backend.system.simulation.till import FEE, Paid, Till

__all__ = ["AllTruths", "truth_of_till"]


def truth_of_till(till: Till) -> GatewayTruth:
    """A gateway's own books, as an audit reads them."""
    return GatewayTruth(gateway=till.gateway, lines=tuple(_line(paid) for paid in till.payments.values()))


def _line(paid: Paid) -> Line:
    return Line(
        reference=paid.name,
        order_reference=paid.order_reference,
        amount=paid.held.amount,
        status=paid.held.status,
        transaction_id=paid.held.transaction_id,
        fee=FEE if paid.is_paid else None,
        refunded_amount=paid.given_back,
        refunds=tuple(Returned(amount=amount, by=By(who)) for amount, who in paid.refunds),
    )


@frozen(kw_only=True)
class AllTruths(GatewayTruth):
    """The books of all gateways, each payment to be found in its own gateway's only. No name stands in two of them."""

    told: Mapping[str, GatewayTruth] = field(repr=False)

    @classmethod
    def of_each(cls, truths: Iterable[GatewayTruth]) -> "AllTruths":
        """One for each gateway."""
        return cls(lines=(), told={truth.gateway: truth for truth in truths})

    def __iter__(self) -> Iterator[Line]:
        return itertools.chain.from_iterable(self.told.values())

    def of(self, payment: Mapping[str, object]) -> Line | None:
        return self.told[str(payment["gateway"])].of(payment)

    def is_about(self, payment: Mapping[str, object]) -> bool:
        return self.told[str(payment["gateway"])].is_about(payment)
