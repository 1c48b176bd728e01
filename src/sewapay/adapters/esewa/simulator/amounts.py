"""Amounts of money as eSewa writes and reads them: rupees as text. Inside, the stand-in counts whole paisa.

100 paisa are NPR 1. No float is ever made: what a double would show is written digit by digit.
"""

import re
from decimal import Decimal
from typing import Final

_RUPEES: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,20})?([eE]\+?[0-9]{1,2})?", re.ASCII)
_MOST_PAISA: Final = 10**15 - 1
"""Fifteen digits: what a double holds exactly. eSewa documents no greatest amount."""

_SCIENTIFIC_FROM: Final = 10**9
"""Paisa from which Java's Double.toString writes an exponent: ten million rupees."""


def paisa_of(text: str) -> int | None:
    """The amount that a text of rupees states: `100`, `100.0`, `399.99`, `1.0E7`; None when it is none.

    Parts of a paisa are none, and so is a comma: eSewa's documents send neither, what it does with them is our guess.
    """
    if not _RUPEES.fullmatch(text):
        return None
    paisa = Decimal(text) * 100
    if paisa != paisa.to_integral_value() or paisa > _MOST_PAISA:
        return None
    return int(paisa)


def as_double(paisa: int) -> str:
    """Rupees as Java's Double.toString writes them, which is what every capture looks like: `250.0`, `399.99`.

    From ten million on it writes `1.0E7` (our guess: nobody captured so large a payment).
    """
    if paisa < _SCIENTIFIC_FROM:
        return _point_in(f"{paisa:03}", 2)
    digits = str(paisa)
    return f"{_point_in(digits, len(digits) - 1)}E{len(digits) - 3}"


def with_commas(paisa: int) -> str:
    """Rupees as returns of 2024 and 2025 showed them, with a comma a thousand: `6,600.0`."""
    rupees, _, part = _point_in(f"{paisa:03}", 2).partition(".")
    return f"{int(rupees):,}.{part}"


def _point_in(digits: str, decimals: int) -> str:
    """The digits with a point before the last so many, and no zero at the end but one right behind the point."""
    whole, part = digits[:-decimals], digits[-decimals:].rstrip("0")
    return f"{whole}.{part or '0'}"
