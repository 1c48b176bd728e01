"""What a gateway promises that gives money back: exactly what was asked for, once, and never by guessing."""

import pytest
from attrs import evolve

from sewapay.application.errors import GatewayError, NothingSent, OutcomeUnknown, RefundRefused
from sewapay.application.ports import RefundKind
from sewapay.domain.money import Money
from sewapay.domain.observation import Reported
from sewapay.testing.clauses import GIVES_MONEY_BACK, GIVES_PARTS_BACK, check
from sewapay.testing.stage import Call, Stage
from sewapay.testing.steps import (
    a_part,
    an_order,
    canceled,
    everything,
    hearing,
    named,
    opened,
    paid,
    refunding,
    traces,
)


@check(GIVES_MONEY_BACK)
async def all_of_it_goes_back_exactly(stage: Stage) -> None:
    """All of a payment goes back in one request, to the paisa, and a look-up then says that it did."""
    gateway = stage.gateway()
    for paisa in (gateway.capabilities.least.paisa, 113001, 99_99_999):
        order = await paid(stage, paisa)
        before = stage.refunded

        said = await refunding(gateway).refund(order, everything(order))

        seen = await gateway.look_up(order)
        assert 1 <= len(said) <= 64
        assert said.isprintable()
        assert seen.reported is Reported.REFUNDED
        assert seen.refunded is not False
        assert seen.amount == Money(paisa), "what was paid, whatever went back"
        assert (stage.given_back(named(order)), stage.refunded) == (paisa, before + 1)


@check(GIVES_PARTS_BACK)
async def parts_go_back_to_the_paisa_and_add_up(stage: Stage) -> None:
    """Parts go back to the paisa, and add up to what was paid."""
    gateway = stage.gateway()
    order = await paid(stage, 113000)

    for part, given_back, reported in (
        (1, 1, Reported.PARTIALLY_REFUNDED),
        (12_999, 13_000, Reported.PARTIALLY_REFUNDED),
        (100_000, 113_000, Reported.REFUNDED),
    ):
        await refunding(gateway).refund(order, a_part(part))

        seen = await gateway.look_up(order)
        assert (seen.reported, stage.given_back(named(order))) == (reported, given_back)
        assert seen.amount == Money(113000)

    assert stage.refunded == 3


@check(GIVES_MONEY_BACK)
async def a_refund_leaves_other_payments_alone(stage: Stage) -> None:
    """A refund gives back the payment that is asked for, and no other."""
    gateway = stage.gateway()
    one, other, third = await paid(stage), await paid(stage), await paid(stage)

    await refunding(gateway).refund(third, everything(third))
    await refunding(gateway).refund(other, everything(other))

    assert (await gateway.look_up(one)).reported is Reported.COMPLETED
    assert [stage.given_back(named(order)) for order in (one, other, third)] == [0, 113000, 113000]


@check(GIVES_MONEY_BACK)
async def what_cannot_be_given_back_is_refused(stage: Stage) -> None:
    """What was not paid, was given back before or would be too much is refused, and moves nothing."""
    gateway = stage.gateway()
    unpaid = await opened(stage, gateway, an_order())
    order = await paid(stage)

    refused = [(unpaid, everything(unpaid)), (evolve(order, transaction_id="z" * 22), everything(order))]
    if gateway.capabilities.refunds is RefundKind.PARTIAL:
        refused.append((order, a_part(113001)))
    for whose, wanted in refused:
        with pytest.raises(RefundRefused) as too_much:
            await refunding(gateway).refund(whose, wanted)
        assert not too_much.value.may_ask_again
    assert (stage.given_back(named(unpaid)), stage.given_back(named(order))) == (0, 0)

    await refunding(gateway).refund(order, everything(order))
    with pytest.raises(RefundRefused):
        await refunding(gateway).refund(order, everything(order))
    assert stage.given_back(named(order)) == 113000


@check(GIVES_MONEY_BACK)
async def a_refund_without_an_answer_is_unknown_and_not_repeated(stage: Stage) -> None:
    """A refund may have been made although no answer came, and is not asked for again."""
    gateway = stage.gateway()
    order = await paid(stage)

    with stage.silent(Call.REFUND), pytest.raises(OutcomeUnknown) as unknown:
        await refunding(gateway).refund(order, everything(order))

    assert not unknown.value.may_ask_again
    assert stage.refunded == 1
    assert (await gateway.look_up(order)).reported is Reported.REFUNDED


@check(GIVES_MONEY_BACK)
async def no_connection_means_that_nothing_went_back(stage: Stage) -> None:
    """Where no connection could be made nothing was given back, and the gateway says so."""
    order = await paid(stage)

    with pytest.raises(NothingSent) as unreached:
        await refunding(stage.unreachable()).refund(order, everything(order))

    assert unreached.value.may_ask_again
    assert (stage.refunded, stage.given_back(named(order))) == (0, 0)


@check(GIVES_MONEY_BACK)
async def a_canceled_refund_ends_at_once(stage: Stage) -> None:
    """A refund that nobody waits for any more ends, and is neither a yes nor a no."""
    gateway = stage.gateway()
    order = await paid(stage)
    with stage.held(Call.REFUND):
        await canceled(refunding(gateway).refund(order, everything(order)), once=lambda: stage.refunded > 0)


@check(GIVES_MONEY_BACK)
async def a_refund_shows_no_secret(stage: Stage) -> None:
    """No key is in an answer, an error or a log line of a refund, and no transaction in a log line of ours."""
    gateway = stage.gateway()
    order, again = await paid(stage), await paid(stage)
    assert order.transaction_id
    told = []
    with hearing() as heard:
        told.append(await refunding(gateway).refund(order, everything(order)))
        with pytest.raises(GatewayError) as refused:
            await refunding(gateway).refund(order, everything(order))
        with stage.silent(Call.REFUND), pytest.raises(GatewayError) as unanswered:
            await refunding(gateway).refund(again, everything(again))
        with pytest.raises(GatewayError) as unreached:
            await refunding(stage.unreachable()).refund(again, everything(again))
    told += traces(refused.value, unanswered.value, unreached.value)

    for secret in stage.secrets:
        assert secret not in "\n".join(told), "in an answer or an error"
        assert secret not in "\n".join(heard.lines), "in a log line"
    for transaction_id in filter(None, (order.transaction_id, again.transaction_id)):
        assert transaction_id not in "\n".join(heard.ours), "in a log line of ours"
