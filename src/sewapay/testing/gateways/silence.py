"""What a gateway promises when no answer comes: it is never taken for a failure, and nothing is sent twice."""

import pytest
from attrs import evolve

from sewapay.application.errors import GatewayError, NothingSent, OutcomeUnknown
from sewapay.testing.clauses import OPENS_BY_A_CALL, check
from sewapay.testing.stage import Call, Stage
from sewapay.testing.steps import PAYER, STRANGER, URLS, an_order, canceled, opened, undecided


@check()
async def a_lost_answer_is_unknown(stage: Stage) -> None:
    """A look-up without an answer means neither that the payment failed nor that it was made."""
    gateway = stage.gateway()
    order = await opened(stage, gateway, an_order())

    with stage.silent(Call.LOOK_UP), pytest.raises(OutcomeUnknown) as unknown:
        await gateway.look_up(order)

    assert not unknown.value.may_ask_again
    assert (await gateway.look_up(order)).reported in undecided(order)


@check(OPENS_BY_A_CALL)
async def an_opening_without_an_answer_is_unknown(stage: Stage) -> None:
    """A checkout may have been opened although no answer came."""
    with stage.silent(Call.OPENING), pytest.raises(OutcomeUnknown) as unknown:
        await stage.gateway().open_checkout(an_order(), URLS, PAYER)

    assert not unknown.value.may_ask_again


@check(OPENS_BY_A_CALL)
async def an_opening_is_not_repeated(stage: Stage) -> None:
    """A checkout is asked for once, whatever happens: a second one would be a second payment."""
    with stage.silent(Call.OPENING), pytest.raises(GatewayError):
        await stage.gateway().open_checkout(an_order(), URLS, PAYER)

    assert stage.initiated == 1


@check()
async def no_connection_means_that_nothing_was_sent(stage: Stage) -> None:
    """Where no connection could be made nothing was sent, and the gateway says so: it may be asked again."""
    gateway = stage.unreachable()

    with pytest.raises(NothingSent) as unreached:
        await gateway.look_up(evolve(an_order(), gateway_reference=STRANGER))

    assert unreached.value.may_ask_again
    assert stage.looked_up == 0


@check(OPENS_BY_A_CALL)
async def no_connection_means_that_nothing_was_opened(stage: Stage) -> None:
    """Where no connection could be made nothing was opened, and the gateway says so: it may be asked again."""
    with pytest.raises(NothingSent) as unreached:
        await stage.unreachable().open_checkout(an_order(), URLS, PAYER)

    assert unreached.value.may_ask_again
    assert stage.initiated == 0


@check()
async def a_canceled_call_ends_at_once(stage: Stage) -> None:
    """A call that nobody waits for any more ends, and is no answer."""
    gateway = stage.gateway()
    order = await opened(stage, gateway, an_order())
    with stage.held(Call.LOOK_UP):
        await canceled(gateway.look_up(order), once=lambda: stage.looked_up > 0)
