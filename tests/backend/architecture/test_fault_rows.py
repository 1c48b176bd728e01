"""No fault of a stand-in is without a row that says where it ends, at any place where it can happen.

Refunds are tried in `test_lying_gateway.py`.
"""

from collections.abc import Sequence

import pytest

from sewapay.entrypoints.gateways import registered
from sewapay.entrypoints.stand_ins import may_have_one
from sewapay.standins.shape import PAGE
from tests.backend.system.fault_rows import LOOK_UPS, OPENINGS, PAYINGS, LookUp, Opening, Paying
from tests.backend.system.walking import COMPANIES


def kinds_in(rows: Sequence[LookUp | Opening | Paying], gateway: str) -> set[str]:
    return {str(row.fault["fault"]) for row in rows if row.gateway == gateway}


@pytest.mark.parametrize("gateway", COMPANIES)
def test_every_kind_of_fault_has_a_row_wherever_it_can_happen(gateway: str) -> None:
    known = COMPANIES[gateway]

    assert kinds_in(LOOK_UPS, gateway) == known.kinds_on(known.look_up)
    assert kinds_in(OPENINGS, gateway) == known.kinds_on(known.opening)
    assert kinds_in(PAYINGS, gateway) == known.kinds_on(PAGE)


def test_every_company_in_the_table_has_a_stand_in() -> None:
    """A gateway that is added is in the gateways' contract by its name alone, and here once it has something new."""
    assert {"khalti", "esewa"} <= set(COMPANIES) <= {one.name for one in registered() if may_have_one(one)}
