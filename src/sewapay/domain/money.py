"""Money in whole paisa; rupees exist only as text at the edges, and floats nowhere.

NPR 1 is 100 paisa. The upper bound keeps every amount exact in JSON readers that use doubles (2**53) and
inside a 64-bit column; it is about ninety thousand billion rupees, so no real booking meets it.
"""

import re
from typing import Any, Final, Self

from attrs import Attribute, field, frozen

from sewapay.domain.errors import InvalidMoney

__all__ = ["CURRENCY", "GREATEST_PAISA", "NOTHING", "Money", "whole_paisa"]

CURRENCY: Final = "NPR"
GREATEST_PAISA: Final = 2**53 - 1

_RUPEE_TEXT: Final = re.compile(r"[0-9]{1,14}(\.[0-9]{1,2})?", re.ASCII)


def whole_paisa(_instance: object, _attribute: "Attribute[Any]", paisa: object) -> None:
    """Accept an `int` from 0 to `GREATEST_PAISA`; `True`, floats and text are not amounts."""
    if type(paisa) is not int:
        raise InvalidMoney("an amount is a whole number of paisa, such as 113000 for Rs 1,130.00")
    if not 0 <= paisa <= GREATEST_PAISA:
        raise InvalidMoney(f"an amount lies between 0 and {GREATEST_PAISA} paisa")


@frozen(order=True)
class Money:
    """A whole, non-negative number of paisa (100 paisa = NPR 1)."""

    paisa: int = field(validator=whole_paisa)

    @classmethod
    def from_rupees(cls, text: str) -> Self:
        """Read plain rupee text such as `"1130"` or `"1130.5"`; no sign, no commas, at most two decimals.

        Raises `InvalidMoney` for anything else.
        """
        if not isinstance(text, str) or not _RUPEE_TEXT.fullmatch(text):
            raise InvalidMoney("rupees are written like 1130 or 1130.50, without sign or commas")
        rupees, _, decimals = text.partition(".")
        return cls(int(rupees) * 100 + int(decimals.ljust(2, "0")))

    @property
    def rupees(self) -> str:
        """Plain rupee text with two decimals, such as `"1130.00"`."""
        return f"{self.paisa // 100}.{self.paisa % 100:02d}"

    @property
    def display(self) -> str:
        """What a person reads, grouped as Nepal writes it: `Rs 1,130.00`, `Rs 1,00,000.00`."""
        rupees = str(self.paisa // 100)
        head, tail = rupees[:-3], rupees[-3:]
        lakhs = [head[max(end - 2, 0) : end] for end in range(len(head), 0, -2)][::-1]
        return f"Rs {','.join([*lakhs, tail])}.{self.paisa % 100:02d}"

    def __add__(self, other: "Money") -> "Money":
        return Money(self.paisa + other.paisa)

    def __sub__(self, other: "Money") -> "Money":
        """The difference; `InvalidMoney` when it would be less than nothing."""
        return Money(self.paisa - other.paisa)

    def __str__(self) -> str:
        return self.display


NOTHING: Final = Money(0)
