"""Each clause about forms and signed returns catches the gateway that is broken in the way it is meant for."""

from collections.abc import Mapping
from itertools import count
from typing import Any, Final, cast

import pytest
from attrs import evolve

from sewapay.application.ports import Authenticity, Capabilities, Order, Payer, ReturnHint, ReturnMessage, Urls
from sewapay.domain.checkout import Checkout, PostForm
from sewapay.domain.observation import Observation, Reported
from sewapay.testing.kit import CHECKS, put_through
from tests.backend.contracts.form_fake import KEY, FormGateway, form_stage, signature


def with_fields(checkout: Checkout, fields: Mapping[str, Any]) -> Checkout:
    assert isinstance(checkout.next_step, PostForm)
    return evolve(checkout, next_step=PostForm(checkout.next_step.url, fields))


class AsksBeforeItOpens(FormGateway):
    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        await self.look_up(order)
        return await super().open_checkout(order, urls, payer)


class PutsItsKeyInTheForm(FormGateway):
    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        checkout = await super().open_checkout(order, urls, payer)
        return with_fields(checkout, {**cast("PostForm", checkout.next_step).fields, "key": KEY})


class PostsNumbers(FormGateway):
    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        checkout = await super().open_checkout(order, urls, payer)
        return with_fields(checkout, {**cast("PostForm", checkout.next_step).fields, "tax": 0})


class ShufflesItsForm(FormGateway):
    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        checkout = await super().open_checkout(order, urls, payer)
        fields = list(cast("PostForm", checkout.next_step).fields.items())
        return with_fields(checkout, dict(fields[:: 1 if next(_turns) % 2 else -1]))


class LeadsSomewhereElse(FormGateway):
    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        checkout = await super().open_checkout(order, urls, payer)
        fields = cast("PostForm", checkout.next_step).fields
        return evolve(checkout, next_step=PostForm("https://form.example.evil.example/pay", fields))


class SaysThatItsFormCanBeShownAgain(FormGateway):
    @property
    def capabilities(self) -> Capabilities:
        return evolve(super().capabilities, single_entry=False)


class SignsNothing(FormGateway):
    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        checkout = await super().open_checkout(order, urls, payer)
        return with_fields(checkout, {**cast("PostForm", checkout.next_step).fields, "signature": ""})


class TakesTheAbsentForFailed(FormGateway):
    async def look_up(self, order: Order) -> Observation:
        seen = await super().look_up(order)
        return evolve(seen, reported=Reported.FAILED) if seen.reported is Reported.ABSENT else seen


class TakesTheAbsentForNotFound(FormGateway):
    async def look_up(self, order: Order) -> Observation:
        seen = await super().look_up(order)
        return evolve(seen, reported=Reported.NOT_FOUND) if seen.reported is Reported.ABSENT else seen


class RepeatsTheReferenceAskedFor(FormGateway):
    async def look_up(self, order: Order) -> Observation:
        return evolve(await super().look_up(order), order_reference=str(order.reference))


class KnowsNoOtherAmount(FormGateway):
    async def look_up(self, order: Order) -> Observation:
        seen = await super().look_up(order)
        return evolve(seen, amount=order.amount) if seen.amount else seen


class HidesThatItSigns(FormGateway):
    @property
    def capabilities(self) -> Capabilities:
        return evolve(super().capabilities, signed_return=False)


class NeverBelieves(FormGateway):
    def read_return(self, message: ReturnMessage) -> ReturnHint:
        return evolve(super().read_return(message), authenticity=Authenticity.UNSIGNED)


class HearsOfNoMoney(FormGateway):
    def read_return(self, message: ReturnMessage) -> ReturnHint:
        return evolve(super().read_return(message), says_paid=False)


class HearsOfMoneyInEachWord(FormGateway):
    def read_return(self, message: ReturnMessage) -> ReturnHint:
        hint = super().read_return(message)
        return evolve(hint, says_paid=hint.claims is not None)


class ReadsNoReference(FormGateway):
    def read_return(self, message: ReturnMessage) -> ReturnHint:
        return evolve(super().read_return(message), order_reference=None)


class NamesWhatItOpenedLast(FormGateway):
    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        _last[:] = [str(order.reference)]
        return await super().open_checkout(order, urls, payer)

    def read_return(self, message: ReturnMessage) -> ReturnHint:
        return evolve(super().read_return(message), order_reference=_last[0])


class ComparesHalfOfTheSignature(FormGateway):
    def verifies(self, values: Mapping[str, str]) -> bool:
        half = values.get("signature", "")[:32]
        return {**values, "signature": half} != values and super().verifies(
            {**values, "signature": half + signature(KEY, {"signed_names": "", **values})[32:]}
        )


class TrustsTheStatus(FormGateway):
    def verifies(self, values: Mapping[str, str]) -> bool:
        return super().verifies({**values, "status": "PAID"})


class TrustsTheReference(FormGateway):
    def verifies(self, values: Mapping[str, str]) -> bool:
        return super().verifies({**values, "reference": _last[0]})

    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        _last[:] = [str(order.reference)]
        return await super().open_checkout(order, urls, payer)


class TakesAMissingSignatureForUnsigned(FormGateway):
    def read_return(self, message: ReturnMessage) -> ReturnHint:
        hint = super().read_return(message)
        is_bare = "signature" not in dict(message.values)
        return evolve(hint, authenticity=Authenticity.UNSIGNED) if is_bare else hint


class TakesEmptyForLeftOut(FormGateway):
    def verifies(self, values: Mapping[str, str]) -> bool:
        return super().verifies({"status": "PAID", **values})


class HasAnEmptyKeyToo(FormGateway):
    def verifies(self, values: Mapping[str, str]) -> bool:
        if super().verifies(values):
            return True
        return "signed_names" in values and signature("", values) == values.get("signature")


class TrustsTheListInTheMessage(FormGateway):
    def verifies(self, values: Mapping[str, str]) -> bool:
        if "reference" not in values or "status" not in values or "signed_names" not in values:
            return False
        return signature(KEY, values) == values.get("signature")


class TakesAnyOrder(FormGateway):
    def verifies(self, values: Mapping[str, str]) -> bool:
        if sorted(values.get("signed_names", "").split(",")) != sorted(
            ("status", "amount", "reference", "signed_names")
        ):
            return False
        return signature(KEY, values) == values.get("signature")


_turns: Final = count()
_last: Final[list[str]] = [""]

CAUGHT_BY: Final[tuple[tuple[type[FormGateway], str], ...]] = (
    (AsksBeforeItOpens, "a_checkout_made_here_asks_nobody"),
    (PutsItsKeyInTheForm, "a_form_is_text_in_order_without_a_secret"),
    (PostsNumbers, "a_form_is_text_in_order_without_a_secret"),
    (ShufflesItsForm, "a_form_is_text_in_order_without_a_secret"),
    (LeadsSomewhereElse, "a_page_is_where_the_capabilities_say"),
    (SaysThatItsFormCanBeShownAgain, "a_checkout_is_entered_as_often_as_it_says"),
    (SignsNothing, "nothing_is_known_of_a_customer_who_is_not_described"),
    (TakesTheAbsentForFailed, "what_nobody_entered_decides_nothing"),
    (TakesTheAbsentForNotFound, "an_unknown_payment_is_not_found"),
    (RepeatsTheReferenceAskedFor, "an_answer_about_another_payment_is_passed_on"),
    (KnowsNoOtherAmount, "an_answer_with_another_amount_is_passed_on"),
    (HidesThatItSigns, "capabilities_are_honest"),
    (NeverBelieves, "a_genuine_return_is_signed"),
    (ReadsNoReference, "a_genuine_return_is_signed"),
    (HearsOfNoMoney, "a_genuine_return_is_signed"),
    (HearsOfMoneyInEachWord, "a_return_of_what_was_not_paid_does_not_say_paid"),
    (ReadsNoReference, "a_genuine_return_names_its_payment"),
    (NamesWhatItOpenedLast, "a_genuine_return_names_its_payment"),
    (NamesWhatItOpenedLast, "a_return_of_another_payment_names_that_one"),
    (ComparesHalfOfTheSignature, "a_changed_value_is_forged"),
    (TrustsTheStatus, "a_changed_value_is_forged"),
    (TrustsTheReference, "a_changed_value_is_forged"),
    (TakesAMissingSignatureForUnsigned, "a_dropped_value_is_forged"),
    (TakesEmptyForLeftOut, "a_dropped_value_is_forged"),
    (HasAnEmptyKeyToo, "another_keys_signature_is_forged"),
    (TrustsTheListInTheMessage, "a_list_of_signed_names_of_its_own_is_forged"),
    (TakesAnyOrder, "a_list_of_signed_names_of_its_own_is_forged"),
    (TrustsTheListInTheMessage, "the_signature_of_our_own_request_is_forged"),
)


@pytest.mark.parametrize("name", CHECKS)
async def test_the_form_gateway_keeps_the_contract(name: str) -> None:
    await put_through(name, form_stage)


@pytest.mark.parametrize(("broken", "name"), CAUGHT_BY)
async def test_a_broken_form_gateway_is_caught(broken: type[FormGateway], name: str) -> None:
    async with form_stage(lambda company: broken(company=company)) as stage:
        # pytest's own "did not raise" is no Exception
        with pytest.raises((Exception, pytest.fail.Exception)) as caught:
            await CHECKS[name](stage)

    assert not isinstance(caught.value, NotImplementedError | AttributeError | TypeError), caught.value
