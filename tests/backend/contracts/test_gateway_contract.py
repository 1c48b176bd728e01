"""Every registered gateway keeps the contract. Its stage is the module of its name in `stages`."""

from importlib import import_module

import pytest

from sewapay.domain.identifiers import GatewayName
from sewapay.entrypoints.gateways import REGISTRY
from sewapay.testing.kit import CHECKS, put_through
from sewapay.testing.stage import StageFactory

FAULTS = {
    "a_broken_answer_is_unknown": ("F07", "F40", "F41"),
    "a_compressed_answer_is_not_inflated": ("F42",),
    "a_large_answer_is_cut": ("F42",),
    "a_lost_answer_is_unknown": ("F40",),
    "an_answer_that_says_nothing_decides_nothing": ("F41",),
    "an_opening_without_an_answer_is_unknown": ("F01",),
    "a_redirect_is_not_followed": ("F44",),
    "a_refund_was_made_only_when_the_answer_says_so": ("F41", "F65"),
    "a_refund_without_an_answer_is_unknown_and_not_repeated": ("F64",),
    "a_return_never_raises_and_proves_nothing": ("F28",),
    "a_slow_answer_is_cut_by_the_clock": ("F43",),
    "an_unknown_payment_is_not_found": ("F46",),
    "an_unknown_word_is_unknown": ("F48",),
    "each_ending_is_an_answer": ("F45",),
    "no_connection_means_that_nothing_was_opened": ("F02",),
    "no_connection_means_that_nothing_was_sent": ("F40",),
    "parts_go_back_to_the_paisa_and_add_up": ("F67",),
    "what_cannot_be_given_back_is_refused": ("F62", "F65"),
    "what_is_said_twice_is_not_believed": ("F41",),
}


def of(name: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.fault(row) for row in FAULTS.get(name, ())]


def stage_of(gateway: GatewayName) -> StageFactory:
    made: StageFactory = import_module(f"tests.backend.contracts.stages.{gateway}").stage
    return made


def test_the_faults_are_those_of_checks() -> None:
    assert set(FAULTS) <= set(CHECKS)


@pytest.mark.parametrize("name", [pytest.param(name, marks=of(name)) for name in CHECKS])
@pytest.mark.parametrize("gateway", REGISTRY)
async def test_a_gateway_keeps_the_contract(gateway: GatewayName, name: str) -> None:
    await put_through(name, stage_of(gateway))
