"""Every registered gateway keeps the contract."""

import pytest

from sewapay.domain.identifiers import GatewayName
from sewapay.entrypoints.gateways import REGISTRY
from tests.backend.contracts.gateway_contract import CHECKS, WIRE_CHECKS
from tests.backend.contracts.gateway_stages import SPEAK_HTTP, STAGES, Khaltis

FAULTS = {
    "a_broken_answer_is_unknown": ("F07", "F40", "F41"),
    "a_compressed_answer_is_not_inflated": ("F42",),
    "a_large_answer_is_cut": ("F42",),
    "a_lost_answer_is_unknown": ("F01", "F40"),
    "a_redirect_is_not_followed": ("F44",),
    "a_return_never_raises_and_proves_nothing": ("F28",),
    "a_slow_answer_is_cut_by_the_clock": ("F43",),
    "an_unknown_payment_is_not_found": ("F46",),
    "an_unknown_word_is_unknown": ("F48",),
    "each_ending_is_an_answer": ("F45",),
    "no_connection_means_that_nothing_was_sent": ("F02", "F40"),
}


def of(name: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.fault(row) for row in FAULTS.get(name, ())]


def test_every_registered_gateway_has_its_stage() -> None:
    assert set(STAGES) == set(REGISTRY)


@pytest.mark.parametrize("name", [pytest.param(name, marks=of(name)) for name in CHECKS])
@pytest.mark.parametrize("gateway", REGISTRY)
async def test_a_gateway_keeps_the_contract(gateway: GatewayName, name: str, khaltis: Khaltis) -> None:
    async with STAGES[gateway](khaltis) as stage:
        await CHECKS[name](stage)


@pytest.mark.parametrize("name", [pytest.param(name, marks=of(name)) for name in WIRE_CHECKS])
@pytest.mark.parametrize("gateway", sorted(SPEAK_HTTP))
async def test_a_gateway_that_speaks_http_survives_whatever_it_is_told(
    gateway: GatewayName, name: str, khaltis: Khaltis
) -> None:
    async with STAGES[gateway](khaltis) as stage:
        await WIRE_CHECKS[name](stage)
