"""How eSewa writes rupees, and how we write them to eSewa. Pure, and without floats.

It is sent plain rupee text. It answers with what looks like Java's `Double.toString`: `100.0`, `399.99`, and from ten
million on, by that method's rule and our guess, `1.0E7`.
"""

import re
from typing import Final

from sewapay.domain.errors import InvalidMoney
from sewapay.domain.money import Money
from sewapay.wire.answers import matching

__all__ = ["money_of", "rupee_text"]

# Captures: `6,600.0` in returns of 2024 and 2025. The exponent is our guess; a negative one would be less than a paisa.
_RUPEES: Final = re.compile(r"([0-9]{1,16}|[0-9]{1,3}(,[0-9]{3}){1,5})(\.[0-9]{1,20})?([eE]\+?[0-9]{1,2})?", re.ASCII)


def rupee_text(amount: Money) -> str:
    """Whole rupees without decimals, as in eSewa's docs, else two decimals, as in captures: `100`, `399.50`."""
    return amount.rupees.removesuffix(".00")


def money_of(value: object) -> Money | None:
    """The exact amount that this text says; None for what is no amount, or no whole number of paisa.

    A number in JSON is read as the text that stood there, so that none of it is lost.
    """
    written = matching(_RUPEES, value)
    if written is None:
        return None
    digits, _, places = written.replace(",", "").lower().partition("e")
    rupees, _, part = digits.partition(".")
    shift = int(places or 0) + 2 - len(part)
    paisa, rest = divmod(int(rupees + part) * 10 ** max(shift, 0), 10 ** max(-shift, 0))
    try:
        return Money(paisa) if rest == 0 else None
    except InvalidMoney:
        return None
