from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sewapay.domain.errors import InvalidMoney
from sewapay.domain.money import CURRENCY, GREATEST_PAISA, NOTHING, Money

PAISA = st.integers(0, GREATEST_PAISA)


class AnInt(int):
    """Something that passes for an int."""


@pytest.mark.fault("F09")
@pytest.mark.parametrize(
    "amount", [True, False, 1000.0, float("nan"), "1000", b"1000", None, Decimal(1000), Fraction(1000), [1000]]
)
def test_only_a_whole_number_is_an_amount(amount: object) -> None:
    with pytest.raises(InvalidMoney, match="whole number of paisa"):
        Money(amount)  # type: ignore[arg-type]


def test_a_number_of_another_kind_is_not_an_amount() -> None:
    with pytest.raises(InvalidMoney, match="whole number of paisa"):
        Money(AnInt(1000))


@pytest.mark.fault("F09")
@pytest.mark.parametrize("paisa", [-1, -113000, 9007199254740992, 2**63, 10**400])
def test_an_amount_is_neither_negative_nor_too_large(paisa: int) -> None:
    with pytest.raises(InvalidMoney, match="between 0 and 9007199254740991"):
        Money(paisa)


def test_the_greatest_amount_is_exact_in_readers_that_use_doubles() -> None:
    greatest = Money(9007199254740991)

    assert int(float(greatest.paisa)) == greatest.paisa == GREATEST_PAISA


def test_money_is_nepalese_rupees() -> None:
    assert CURRENCY == "NPR"


@pytest.mark.parametrize(
    ("text", "paisa"),
    [("0", 0), ("0.01", 1), ("10", 1000), ("1130", 113000), ("1130.5", 113050), ("1130.05", 113005), ("007", 700)],
)
def test_rupee_text_is_read_to_the_paisa(text: str, paisa: int) -> None:
    assert Money(paisa) == Money.from_rupees(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "-1", "+1", "1,130", "1130.", ".5", "1130.500", "1e3", "NaN", "Infinity", "0x10", "1_000", "Rs 10"),
        *(" 10", "10 ", "10\n", "१०", "１０", "10.5.5", "100000000000000000", "99999999999999.99"),
    ],
)
def test_other_text_is_not_an_amount(text: str) -> None:
    with pytest.raises(InvalidMoney):
        Money.from_rupees(text)


@pytest.mark.parametrize("thing", [1130, 1130.0, None, b"1130", Decimal(1130)])
def test_rupees_are_text(thing: object) -> None:
    with pytest.raises(InvalidMoney):
        Money.from_rupees(thing)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("paisa", "display"),
    [
        (0, "Rs 0.00"),
        (5, "Rs 0.05"),
        (100, "Rs 1.00"),
        (99999, "Rs 999.99"),
        (100000, "Rs 1,000.00"),
        (113000, "Rs 1,130.00"),
        (9999999, "Rs 99,999.99"),
        (10000000, "Rs 1,00,000.00"),
        (123456789, "Rs 12,34,567.89"),
        (1000000000, "Rs 1,00,00,000.00"),
        (9007199254740991, "Rs 9,00,71,99,25,47,409.91"),
    ],
)
def test_a_person_reads_rupees_grouped_as_nepal_writes_them(paisa: int, display: str) -> None:
    assert display == Money(paisa).display == str(Money(paisa))


@settings(max_examples=3000)
@given(PAISA)
@example(0)
@example(GREATEST_PAISA)
def test_rupee_text_and_back_is_the_same_money(paisa: int) -> None:
    money = Money(paisa)

    assert money == Money.from_rupees(money.rupees)


@settings(max_examples=3000)
@given(PAISA)
def test_grouping_loses_no_digit_and_groups_by_two_before_the_last_three(paisa: int) -> None:
    rupees, decimals = Money(paisa).display.removeprefix("Rs ").split(".")

    assert paisa == int(rupees.replace(",", "")) * 100 + int(decimals)
    first, *middle, last = ["0", *rupees.split(",")] if "," not in rupees else rupees.split(",")
    assert 1 <= len(first) <= 2
    assert {2} >= {len(group) for group in middle}
    assert len(last) == 3 or "," not in rupees


@settings(max_examples=2000)
@given(PAISA, PAISA)
def test_sums_are_exact_or_refused(one: int, other: int) -> None:
    if one + other <= GREATEST_PAISA:
        assert Money(one + other) == Money(one) + Money(other)
        assert Money(one) == Money(one) + Money(other) - Money(other)
    else:
        with pytest.raises(InvalidMoney):
            Money(one) + Money(other)


@settings(max_examples=2000)
@given(PAISA, PAISA)
def test_a_difference_is_exact_or_refused(one: int, other: int) -> None:
    if one >= other:
        assert Money(one - other) == Money(one) - Money(other)
    else:
        with pytest.raises(InvalidMoney):
            Money(one) - Money(other)


@settings(max_examples=1000)
@given(PAISA, PAISA)
def test_money_compares_as_its_paisa_do(one: int, other: int) -> None:
    assert (one < other) == (Money(one) < Money(other))
    assert (one == other) == (Money(one) == Money(other))


@settings(max_examples=2000)
@given(st.text(max_size=24))
def test_any_text_is_an_amount_or_refused_and_never_an_accident(text: str) -> None:
    try:
        money = Money.from_rupees(text)
    except InvalidMoney:
        return

    assert Money.from_rupees(money.rupees) == money
    assert text.isascii()


@settings(max_examples=1500)
@given(st.one_of(st.floats(), st.booleans(), st.text(), st.none(), st.decimals(), st.integers(max_value=-1)))
def test_nothing_else_becomes_money(thing: object) -> None:
    with pytest.raises(InvalidMoney):
        Money(thing)  # type: ignore[arg-type]


def test_money_is_not_compared_with_a_number() -> None:
    with pytest.raises(TypeError):
        Money(5) < 6  # type: ignore[operator]  # noqa: B015
    assert Money(5) != 5  # type: ignore[comparison-overlap]


def test_nothing_is_no_money() -> None:
    assert Money(0) == NOTHING
