"""What a gateway promises about its look-ups: what the company knows, told exactly, and nothing else."""

import asyncio
from typing import Final

from attrs import evolve

from sewapay.application.ports import PaymentGateway
from sewapay.domain.money import Money
from sewapay.domain.observation import Reported
from sewapay.testing.clauses import DOCUMENTS_WORDS, check
from sewapay.testing.stage import Stage
from sewapay.testing.steps import PAYER, STRANGER, UNDECIDED, URLS, an_order, named, opened, undecided

NOTHING_KNOWN: Final = frozenset({Reported.NOT_FOUND, Reported.ABSENT})
STRANGE_WORDS: Final = ("Ambiguous", "Complete", "completedness", "SUCCESSFUL!", "y" * 64)
SMALL_AND_LARGE: Final = (
    *(113000, 113001, 113010, 113099, 99_99_999),
    *(1_00_00_000_00, 1_00_00_000_01, 1_23_45_678_91, 1_23_45_67_890_12),
)
"""In paisa: steps of 0.01 rupee, ten million rupees, from where floats and Java write numbers otherwise, and more than
32 bits hold."""


@check()
async def what_is_paid_is_seen_exactly(stage: Stage) -> None:
    """A payment is seen as undecided before it was made, and completed afterwards, with its amount and transaction."""
    gateway = stage.gateway()
    order = await opened(stage, gateway, an_order(113001))
    before = await gateway.look_up(order)
    stage.customer_pays(named(order))

    seen = await gateway.look_up(order)

    assert before.reported in undecided(order)
    assert before.transaction_id is None
    assert seen.reported is Reported.COMPLETED
    assert seen.amount == Money(113001)
    assert seen.transaction_id
    assert seen.transaction_id.isprintable()
    assert len(seen.transaction_id) <= 128
    assert seen.gateway_reference == order.gateway_reference


@check()
async def amounts_are_exact_to_the_paisa(stage: Stage) -> None:
    """An amount is the same number of paisa on its way to the company and back, from the least to the greatest."""
    gateway = stage.gateway()
    for paisa in _amounts(gateway):
        order = await opened(stage, gateway, an_order(paisa))
        stage.customer_pays(named(order))

        assert (await gateway.look_up(order)).amount == Money(paisa)


@check()
async def the_amount_is_the_gateways_word(stage: Stage) -> None:
    """The amount of an answer is the company's, and not what we expect; asked with another, it may know nothing."""
    gateway = stage.gateway()
    order = await opened(stage, gateway, an_order(113000))
    stage.customer_pays(named(order))

    seen = await gateway.look_up(evolve(order, amount=Money(999_999)))

    if seen.reported not in NOTHING_KNOWN:
        assert seen.amount == Money(113000), "an adapter observes; it neither compares nor repeats what we expect"


@check()
async def an_answer_with_another_amount_is_passed_on(stage: Stage) -> None:
    """An amount that is not the one we asked about is told as it came: comparing is the core's business."""
    gateway = stage.gateway()
    order = await opened(stage, gateway, an_order(113000))
    stage.customer_pays(named(order))
    stage.misstates(named(order), 1)

    seen = await gateway.look_up(order)

    assert seen.amount == Money(113001)


@check()
async def an_answer_about_another_payment_is_passed_on(stage: Stage) -> None:
    """The references of an observation are those of the answer, and not of the question."""
    gateway = stage.gateway()
    await opened(stage, gateway, an_order())
    order = await opened(stage, gateway, an_order())
    stage.customer_pays(named(order))
    stage.answers_about_another(named(order))

    seen = await gateway.look_up(order)

    asked = str(order.reference) if order.gateway_reference is None else order.gateway_reference
    told = seen.order_reference if order.gateway_reference is None else seen.gateway_reference
    assert told is not None
    assert told != asked


@check()
async def each_ending_is_an_answer(stage: Stage) -> None:
    """A payment that ended without being paid is an answer like any other, and no error."""
    gateway = stage.gateway()
    for ending, reported in stage.endings.items():
        order = await opened(stage, gateway, an_order())
        stage.ends(named(order), ending)

        assert (await gateway.look_up(order)).reported is reported


@check(DOCUMENTS_WORDS)
async def each_documented_word_has_its_meaning(stage: Stage) -> None:
    """Every word that the company documents for a status is known, with the meaning that it has there."""
    gateway = stage.gateway()
    for word, reported in stage.documented_words.items():
        order = await opened(stage, gateway, an_order())
        stage.customer_pays(named(order))
        stage.says(named(order), word)

        seen = await gateway.look_up(order)

        assert (word, seen.reported) == (word, reported)


@check()
async def an_unknown_word_is_unknown(stage: Stage) -> None:
    """A word that the company does not document is neither a success nor a failure, and is kept as it came."""
    gateway = stage.gateway()
    documented = {word.lower() for word in stage.documented_words}
    for word in STRANGE_WORDS:
        if word.lower() in documented:
            continue
        order = await opened(stage, gateway, an_order())
        stage.customer_pays(named(order))
        stage.says(named(order), word)

        seen = await gateway.look_up(order)

        assert (seen.reported, seen.said) == (Reported.UNKNOWN, word)


@check()
async def an_unknown_payment_is_not_found(stage: Stage) -> None:
    """A payment that the company does not know is not found, or absent where it gives no reference of its own."""
    gateway = stage.gateway()
    known = await opened(stage, gateway, an_order())
    reference = None if known.gateway_reference is None else STRANGER

    seen = await gateway.look_up(evolve(an_order(), gateway_reference=reference))

    assert seen.reported is (Reported.ABSENT if reference is None else Reported.NOT_FOUND)


@check()
async def what_nobody_entered_decides_nothing(stage: Stage) -> None:
    """A checkout that was shown and that nobody went to is open, or absent: it has not failed, and may yet be paid."""
    gateway, order = stage.gateway(), an_order()
    checkout = await gateway.open_checkout(order, URLS, PAYER)
    order = evolve(order, gateway_reference=checkout.gateway_reference)

    before = await gateway.look_up(order)
    stage.enters(order, checkout)
    stage.customer_pays(named(order))
    after = await gateway.look_up(order)

    assert before.reported in ({Reported.ABSENT} if order.gateway_reference is None else UNDECIDED)
    assert after.reported is Reported.COMPLETED


@check()
async def asking_again_changes_nothing(stage: Stage) -> None:
    """A look-up may be repeated: it changes nothing at the company, and says the same."""
    gateway = stage.gateway()
    order = await opened(stage, gateway, an_order())
    stage.customer_pays(named(order))
    before = stage.initiated, stage.refunded

    answers = await asyncio.gather(*(gateway.look_up(order) for _ in range(8)))

    assert all(answer == answers[0] for answer in answers)
    assert (stage.initiated, stage.refunded) == before


@check()
async def each_look_up_asks_anew(stage: Stage) -> None:
    """No answer is kept for later, not even one that money came: it may go back, or have been wrong."""
    gateway = stage.gateway()
    order = await opened(stage, gateway, an_order(113000))
    stage.customer_pays(named(order))
    before = [await gateway.look_up(order) for _ in range(8)]
    stage.misstates(named(order), 1)

    after = await gateway.look_up(order)

    assert {seen.amount for seen in before} == {Money(113000)}
    assert after.amount == Money(113001), "this is an answer from before"


@check()
async def calls_at_once_are_not_mixed_up(stage: Stage) -> None:
    """What is asked at the same time is answered each for itself: its own payment, its own amount."""
    gateway = stage.gateway()
    orders = [an_order(113000 + number) for number in range(12)]
    checkouts = await asyncio.gather(*(gateway.open_checkout(order, URLS, PAYER) for order in orders))
    stored = [
        evolve(order, gateway_reference=checkout.gateway_reference)
        for order, checkout in zip(orders, checkouts, strict=True)
    ]
    for order, checkout in zip(stored, checkouts, strict=True):
        stage.enters(order, checkout)
    for order in stored[::2]:
        stage.customer_pays(named(order))

    seen = await asyncio.gather(*(gateway.look_up(order) for order in stored))

    assert len({named(order) for order in stored}) == len(orders)
    for number, (order, answer) in enumerate(zip(stored, seen, strict=True)):
        assert answer.reported in (undecided(order) if number % 2 else {Reported.COMPLETED})
        assert answer.amount in ((None, order.amount) if number % 2 else (order.amount,))
        assert answer.gateway_reference in (None, order.gateway_reference)


@check()
async def a_restart_forgets_nothing(stage: Stage) -> None:
    """A payment is looked up from stored data alone: by another process, after a restart."""
    order = await opened(stage, stage.gateway(), an_order())
    stage.customer_pays(named(order))

    seen = await stage.gateway().look_up(order)

    assert seen.reported is Reported.COMPLETED


def _amounts(gateway: PaymentGateway) -> list[int]:
    """What the gateway takes of them, and its own limits."""
    can = gateway.capabilities
    least, greatest = can.least.paisa, can.greatest.paisa if can.greatest else max(SMALL_AND_LARGE)
    wanted = {least, least + 1, greatest - 1, greatest, *SMALL_AND_LARGE}
    return sorted(paisa for paisa in wanted if least <= paisa <= greatest)
