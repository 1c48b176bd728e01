from collections import Counter

from sewapay.adapters.system import RandomIds, SystemClock


def test_order_references_use_every_letter_and_digit_about_as_often() -> None:
    ids = RandomIds()

    seen = Counter("".join(ids.order_reference() for _ in range(3600)))

    assert set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == set(seen)
    assert all(1700 < count < 2300 for count in seen.values()), "2000 of each are expected; 300 are seven deviations"


def test_no_name_is_given_twice() -> None:
    ids = RandomIds()

    assert len({ids.order_reference() for _ in range(1000)}) == 1000
    assert len({ids.payment_id() for _ in range(1000)}) == 1000
    assert len({ids.secret() for _ in range(1000)}) == 1000


def test_the_clock_knows_its_zone() -> None:
    offset = SystemClock().now().utcoffset()

    assert offset is not None
    assert offset.total_seconds() == 0
