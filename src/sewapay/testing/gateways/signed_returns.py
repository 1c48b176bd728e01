"""What a gateway promises whose returns are signed: what the company did not sign is forged, and never signed."""

from collections.abc import Iterator
from typing import Final

import pytest
from attrs import evolve

from sewapay.application.ports import Authenticity, Order, ReturnHint, ReturnMessage
from sewapay.domain.checkout import Checkout
from sewapay.domain.observation import Reported
from sewapay.testing.clauses import NAMES_WHAT_IS_SIGNED, SIGNS_RETURNS, check
from sewapay.testing.gateways.returns import message_of
from sewapay.testing.stage import SignedReturns, Stage
from sewapay.testing.steps import PAYER, URLS, an_order, named

ANOTHER_KEY: Final = "another key of another merchant"
STRANGE_WORD: Final = "Undreamt of"
MONEY: Final = frozenset({Reported.COMPLETED, Reported.PARTIALLY_REFUNDED, Reported.REFUNDED})


@check(SIGNS_RETURNS)
async def a_genuine_return_is_signed(stage: Stage) -> None:
    """What the company signed is signed, names our order reference, and says that it was paid."""
    order, _, _, genuine = await _returned(stage)

    hint = stage.gateway().read_return(genuine)

    assert hint.authenticity is Authenticity.SIGNED
    assert hint.order_reference == str(order.reference)
    assert hint.claims
    assert hint.says_paid, "or who comes back while the look-up lags is led to pay again"


@check(SIGNS_RETURNS)
async def a_return_of_what_was_not_paid_does_not_say_paid(stage: Stage) -> None:
    """A return says that it was paid by the company's word for that, and by no other word, well signed as it is."""
    _, _, how, genuine = await _returned(stage)
    values = how.opened_up(genuine)
    paid = stage.gateway().read_return(genuine).claims
    holding = [name for name in how.signed if values.get(name) == paid]
    if not holding:
        pytest.skip("what is signed has no word for how it went")

    for word in (*_words_of_no_money(stage), STRANGE_WORD):
        told = {**values, **dict.fromkeys(holding, word)}
        for secret in stage.secrets:
            hint = stage.gateway().read_return(how.put_together(how.signed_with(secret, told)))

            assert word == paid or not hint.says_paid, f"{word} is taken for a word that it was paid"


@check(SIGNS_RETURNS)
async def a_changed_value_is_forged(stage: Stage) -> None:
    """A return of which any signed value was changed, by as little as one character, is forged."""
    _, _, how, genuine = await _returned(stage)
    values = how.opened_up(genuine)

    for name in (*how.signed, how.signature):
        for changed in _changes(values[name]):
            _is_forged(stage, how.put_together({**values, name: changed}), f"{name} changed to {changed!r}")


@check(SIGNS_RETURNS)
async def a_dropped_value_is_forged(stage: Stage) -> None:
    """A return of which any signed value, or the signature, was left out is forged."""
    _, _, how, genuine = await _returned(stage)
    values = how.opened_up(genuine)

    for name in (*how.signed, how.signature):
        left = {key: value for key, value in values.items() if key != name}
        _is_forged(stage, how.put_together(left), f"no {name}")


@check(SIGNS_RETURNS)
async def another_keys_signature_is_forged(stage: Stage) -> None:
    """A return that somebody signed with a key of his own, or with none, is forged."""
    _, _, how, genuine = await _returned(stage)
    values = how.opened_up(genuine)

    for key in (ANOTHER_KEY, "", *(secret[:-1] for secret in stage.secrets)):
        _is_forged(stage, how.put_together(how.signed_with(key, values)), "signed with another key")


@check(SIGNS_RETURNS, NAMES_WHAT_IS_SIGNED)
async def a_list_of_signed_names_of_its_own_is_forged(stage: Stage) -> None:
    """A return does not choose what is signed: a shorter list, another order or a repeated name is forged."""
    _, _, how, genuine = await _returned(stage)
    assert how.names is not None
    values = how.opened_up(genuine)

    for names in _lists(how.signed):
        told = {**values, how.names: ",".join(names)}
        _is_forged(stage, how.put_together(told), f"signed names {names}")
        for secret in stage.secrets:
            _is_forged(stage, how.put_together(how.signed_with(secret, told)), f"rightly signed over {names}")


@check(SIGNS_RETURNS)
async def the_signature_of_our_own_request_is_forged(stage: Stage) -> None:
    """The signature in our own request, which whoever pays can read, does not make a return."""
    _, checkout, how, genuine = await _returned(stage)
    stolen = how.of_our_own(checkout, how.opened_up(genuine))
    if stolen is None:
        pytest.skip("what the browser is given carries no signature")

    _is_forged(stage, how.put_together(stolen), "our own request's signature")


@check(SIGNS_RETURNS)
async def a_return_of_another_payment_names_that_one(stage: Stage) -> None:
    """A genuine return that is shown again, or in another payment's place, still names the payment that it is of."""
    one, _, _, genuine = await _returned(stage)
    other, _, _, _ = await _returned(stage)

    hints = [stage.gateway().read_return(genuine) for _ in range(2)]

    assert [hint.order_reference for hint in hints] == [str(one.reference)] * 2
    assert one.reference != other.reference


async def _returned(stage: Stage) -> tuple[Order, Checkout, SignedReturns, ReturnMessage]:
    """A payment that was made, and what the browser brought back."""
    assert stage.signed_returns is not None
    order = an_order()
    checkout = await stage.gateway().open_checkout(order, URLS, PAYER)
    order = evolve(order, gateway_reference=checkout.gateway_reference)
    assert stage.enters(order, checkout)
    return order, checkout, stage.signed_returns, message_of(stage.customer_pays(named(order)))


def _words_of_no_money(stage: Stage) -> list[str]:
    return [word for word, meaning in stage.documented_words.items() if meaning not in MONEY]


def _is_forged(stage: Stage, message: ReturnMessage, how: str) -> None:
    hint: ReturnHint = stage.gateway().read_return(message)
    assert hint.authenticity is Authenticity.FORGED, f"{how}: taken for {hint.authenticity}"


def _changes(value: str) -> Iterator[str]:
    """Other texts that are as much like it as can be."""
    yield value + "0"
    yield value[:-1]
    yield ("1" if value[:1] != "1" else "2") + value[1:]
    if value.swapcase() != value:
        yield value.swapcase()


def _lists(names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The list shortened, turned round, and with a name twice."""
    yield from (names[:end] for end in range(len(names)))
    yield from (tuple(name for name in names if name != left) for left in names)
    yield names[::-1]
    yield (*names, names[0])
