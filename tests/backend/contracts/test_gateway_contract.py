"""Every registered gateway keeps the contract."""

import pytest

from sewapay.domain.identifiers import GatewayName
from sewapay.entrypoints.gateways import REGISTRY
from tests.backend.contracts.gateway_contract import CHECKS, REFUND_CHECKS, WIRE_CHECKS, WIRE_REFUND_CHECKS, Stage
from tests.backend.contracts.gateway_stages import SPEAK_HTTP, STAGES, Khaltis

FAULTS = {
    "a_broken_answer_is_unknown": ("F07", "F40", "F41"),
    "a_compressed_answer_is_not_inflated": ("F42",),
    "a_large_answer_is_cut": ("F42",),
    "a_lost_answer_is_unknown": ("F01", "F40"),
    "a_redirect_is_not_followed": ("F44",),
    "a_refund_was_made_only_when_the_answer_says_so": ("F41", "F65"),
    "a_refund_without_an_answer_is_unknown_and_not_repeated": ("F64",),
    "a_return_never_raises_and_proves_nothing": ("F28",),
    "a_slow_answer_is_cut_by_the_clock": ("F43",),
    "an_unknown_payment_is_not_found": ("F46",),
    "an_unknown_word_is_unknown": ("F48",),
    "each_ending_is_an_answer": ("F45",),
    "no_connection_means_that_nothing_was_sent": ("F02", "F40"),
    "parts_go_back_to_the_paisa_and_add_up": ("F67",),
    "what_cannot_be_given_back_is_refused": ("F62", "F65"),
}


def of(name: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.fault(row) for row in FAULTS.get(name, ())]


def gives_money_back(stage: Stage) -> None:
    """Skips a gateway that has no such call; its capabilities say so, which is a clause of its own."""
    if stage.gateway().refunds is None:
        pytest.skip("this gateway gives nothing back")


def test_every_registered_gateway_has_its_stage() -> None:
    assert set(STAGES) == set(REGISTRY)


@pytest.mark.parametrize("name", [pytest.param(name, marks=of(name)) for name in CHECKS])
@pytest.mark.parametrize("gateway", REGISTRY)
async def test_a_gateway_keeps_the_contract(gateway: GatewayName, name: str, khaltis: Khaltis) -> None:
    async with STAGES[gateway](khaltis) as stage:
        await CHECKS[name](stage)


@pytest.mark.parametrize("name", [pytest.param(name, marks=of(name)) for name in REFUND_CHECKS])
@pytest.mark.parametrize("gateway", REGISTRY)
async def test_a_gateway_that_gives_money_back_keeps_the_contract(
    gateway: GatewayName, name: str, khaltis: Khaltis
) -> None:
    async with STAGES[gateway](khaltis) as stage:
        gives_money_back(stage)
        await REFUND_CHECKS[name](stage)


@pytest.mark.parametrize("name", [pytest.param(name, marks=of(name)) for name in WIRE_REFUND_CHECKS])
@pytest.mark.parametrize("gateway", sorted(SPEAK_HTTP))
async def test_a_gateway_that_gives_money_back_over_http_believes_nothing_else(
    gateway: GatewayName, name: str, khaltis: Khaltis
) -> None:
    async with STAGES[gateway](khaltis) as stage:
        gives_money_back(stage)
        await WIRE_REFUND_CHECKS[name](stage)


@pytest.mark.parametrize("name", [pytest.param(name, marks=of(name)) for name in WIRE_CHECKS])
@pytest.mark.parametrize("gateway", sorted(SPEAK_HTTP))
async def test_a_gateway_that_speaks_http_survives_whatever_it_is_told(
    gateway: GatewayName, name: str, khaltis: Khaltis
) -> None:
    async with STAGES[gateway](khaltis) as stage:
        await WIRE_CHECKS[name](stage)
