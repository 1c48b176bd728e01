"""A gateway's own account of what happened, in plain values: the statement that our books are compared with.

The form is what every stand-in shows at `GET /_sim/payments`; a statement from elsewhere is written as the same JSON.
`gateway` says whose it is. Of each payment a name, `amount` (paisa) and `reported` (`Reported`'s words) are needed:

    {"gateway": "esewa",
     "payments": [{"reference": "...", "order_reference": "...", "amount": 113000, "reported": "partially_refunded",
                   "transaction_id": "...", "fee": 0, "refunded_amount": 30000,
                   "refunds": [{"amount": 30000, "by": "panel"}]}]}

`reference` is the gateway's own name for it; where it gives none, our `order_reference` names the payment. Khalti's own
words are read as well: `pidx`, `purchase_order_id`, and `status` where there is no `reported`.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from attrs import field, frozen

from sewapay.application.errors import ApplicationError

__all__ = ["PAID", "GatewayTruth", "Line", "Returned", "UnreadableStatement", "truth_from_simulator"]

PAID: Final = frozenset({"completed", "partially_refunded", "refunded"})

KHALTI: Final = "khalti"

_REPORTED: Final = frozenset(
    {
        "initiated",
        "pending",
        "completed",
        "partially_refunded",
        "refunded",
        "canceled",
        "expired",
        "failed",
        "absent",
        "ambiguous",
    }
)
_KHALTIS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "initiated": "initiated",
        "pending": "pending",
        "completed": "completed",
        "partially refunded": "partially_refunded",
        "refunded": "refunded",
        "user canceled": "canceled",
        "expired": "expired",
        "failed": "failed",
    }
)
_IN_SANDBOX: Final[Mapping[str, str]] = MappingProxyType({KHALTI: "sandbox"})
_ENVIRONMENTS: Final = ("sandbox", "production")


def name_there(payment: Mapping[str, object]) -> str:
    """What the gateway calls the payment in this row: by its own reference, or by ours where it gives none."""
    return str(payment["gateway_reference"] or payment["order_reference"])


class UnreadableStatement(ApplicationError):
    """What should be a gateway's statement is not one."""


class By(StrEnum):
    """Who gave money back there: a program with our key, or a person in the gateway's own panel."""

    API = "api"
    PANEL = "panel"


@frozen(kw_only=True)
class Returned:
    """Money that went back, in paisa. `by` is None where the statement does not say."""

    amount: int
    by: By | None = None


@frozen(kw_only=True)
class Line:
    """One payment in the gateway's own books, its status in our words, amounts in paisa.

    `reference` is the gateway's name for it, or ours where it gives none. `refunds` is None where the statement does
    not list them one by one, and `fee` where it has none.
    """

    reference: str
    order_reference: str | None = None
    amount: int
    status: str
    transaction_id: str | None = None
    fee: int | None = None
    refunded_amount: int = 0
    refunds: tuple[Returned, ...] | None = None

    @property
    def paid(self) -> int:
        """What customers paid there."""
        return self.amount if self.status in PAID else 0

    def returned_by(self, who: By) -> list[int]:
        """The amounts that went back in this way."""
        return [each.amount for each in self.refunds or () if each.by is who]


@frozen(kw_only=True)
class GatewayTruth:
    """A gateway's books in one environment, all lines as they stand there.

    `is_whole`: it tells of every payment, the unpaid ones too; a statement of what was paid alone does not.
    """

    gateway: str = "khalti"
    environment: str = "sandbox"
    lines: tuple[Line, ...]
    is_whole: bool = True
    _by_reference: Mapping[str, Line] = field(init=False, repr=False, eq=False)

    @_by_reference.default
    def _by_their_names(self) -> Mapping[str, Line]:
        return {line.reference: line for line in reversed(self.lines)}

    def __iter__(self) -> Iterator[Line]:
        return iter(self._by_reference.values())

    def of(self, payment: Mapping[str, object]) -> Line | None:
        """The line of the payment in this row; None where it has none, or belongs to another gateway's books."""
        return self._by_reference.get(name_there(payment)) if self.is_about(payment) else None

    def has(self, reference: str) -> bool:
        """Whether there is a line with this reference."""
        return reference in self._by_reference

    def is_about(self, payment: Mapping[str, object]) -> bool:
        """Whether the payment in this row has to stand in these books."""
        return (payment["gateway"], payment["environment"]) == (self.gateway, self.environment)


def truth_from_simulator(
    shown: object, *, environments: Mapping[str, str] = _IN_SANDBOX, is_whole: bool = True
) -> GatewayTruth:
    """Read what a stand-in shows. Raises `UnreadableStatement` that names the first line that is not one.

    `environments`: which of each gateway's is meant where the statement does not say; others' statements are refused.
    """
    if not isinstance(shown, Mapping) or not isinstance(shown.get("payments"), list):
        raise UnreadableStatement('a statement is a JSON object with a list "payments"')
    lines = tuple(_line(number, line) for number, line in enumerate(shown["payments"], 1))
    gateway = shown.get("gateway")
    if gateway is None and all("pidx" in line for line in shown["payments"]):
        gateway = KHALTI
    if not isinstance(gateway, str):
        raise UnreadableStatement('a statement says which gateway\'s it is: "gateway"')
    environment = shown.get("environment", environments.get(gateway))
    if environment is None:
        raise UnreadableStatement("the statement is of a gateway that is not enabled here")
    if environment not in _ENVIRONMENTS:
        raise UnreadableStatement('the statement\'s environment is neither "sandbox" nor "production"')
    return GatewayTruth(gateway=gateway, environment=environment, lines=lines, is_whole=is_whole)


def _line(number: int, shown: object) -> Line:
    if not isinstance(shown, Mapping):
        raise UnreadableStatement(f"payment {number} of the statement is not an object")
    status = _status(number, shown)
    refunds = shown.get("refunds")
    if refunds is not None and not isinstance(refunds, list):
        raise UnreadableStatement(f"payment {number} of the statement has refunds that are no list")
    returned = None if refunds is None else tuple(_returned(number, refund) for refund in refunds)
    in_all = shown.get("refunded_amount")
    if in_all is None and returned is not None:
        in_all = sum(each.amount for each in returned)
    amount = _paisa(number, shown.get("amount"), "amount")
    if in_all is None:
        in_all = amount if status == "refunded" else 0
    return Line(
        reference=_named(number, shown),
        order_reference=_one_of(number, shown, "order_reference", "purchase_order_id"),
        amount=amount,
        status=status,
        transaction_id=_text_or_none(number, shown, "transaction_id"),
        fee=None if shown.get("fee") is None else _paisa(number, shown["fee"], "fee"),
        refunded_amount=_paisa(number, in_all, "refunded_amount"),
        refunds=returned,
    )


def _returned(number: int, shown: object) -> Returned:
    if not isinstance(shown, Mapping):
        raise UnreadableStatement(f"payment {number} of the statement has a refund that is no object")
    by = shown.get("by")
    if by not in (None, *By):
        raise UnreadableStatement(f'payment {number} of the statement has a refund by neither "api" nor "panel"')
    return Returned(amount=_paisa(number, shown.get("amount"), "refund"), by=None if by is None else By(by))


def _paisa(number: int, value: object, what: str) -> int:
    if type(value) is not int or value < 0:
        raise UnreadableStatement(f"payment {number} of the statement has no {what} in whole paisa")
    return value


def _status(number: int, shown: Mapping[object, object]) -> str:
    reported = _text_or_none(number, shown, "reported")
    if reported is not None:
        status = reported if reported in _REPORTED else None
    else:
        status = _KHALTIS.get((_text_or_none(number, shown, "status") or "").casefold())
    if status is None:
        raise UnreadableStatement(f"payment {number} of the statement has a status that nobody knows")
    return status


def _named(number: int, shown: Mapping[object, object]) -> str:
    name = _one_of(number, shown, "reference", "pidx", "order_reference")
    if name is None:
        raise UnreadableStatement(f"payment {number} of the statement has neither reference nor order_reference")
    return name


def _one_of(number: int, shown: Mapping[object, object], *names: str) -> str | None:
    """What stands under the first of these names that is there."""
    return next((text for name in names if (text := _text_or_none(number, shown, name)) is not None), None)


def _text_or_none(number: int, shown: Mapping[object, object], name: str) -> str | None:
    text = shown.get(name)
    if text is not None and (not isinstance(text, str) or not text):
        raise UnreadableStatement(f"payment {number} of the statement has a {name} that is no text")
    return text
