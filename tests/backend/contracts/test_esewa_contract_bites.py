"""The contract catches eSewa's gateway when it is broken as others have broken theirs."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import pytest
from attrs import evolve

from sewapay.adapters.esewa import protocol
from sewapay.adapters.esewa.gateway import EsewaGateway
from sewapay.application.errors import OutcomeUnknown, ProtocolError
from sewapay.application.ports import Authenticity, Order, Payer, ReturnHint, ReturnMessage, Urls
from sewapay.domain.checkout import Checkout
from sewapay.domain.identifiers import Environment
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation, Reported
from sewapay.testing.http_stage import Served, over_http
from sewapay.testing.kit import CHECKS
from sewapay.wire.answers import Answer
from tests.backend.contracts.stages.esewa import KEY, company


class TrustsTheListInTheReturn(EsewaGateway):
    def read_return(self, message: ReturnMessage) -> ReturnHint:
        fields = json.loads(base64.b64decode(dict(message.values)["data"]))
        told = ",".join(f"{name}={fields.get(name)}" for name in fields["signed_field_names"].split(","))
        proof = base64.b64encode(hmac.digest(KEY.encode(), told.encode(), hashlib.sha256)).decode()
        is_signed = proof == fields.get("signature")
        return ReturnHint(
            authenticity=Authenticity.SIGNED if is_signed else Authenticity.FORGED,
            claims=fields.get("status"),
            order_reference=fields.get("transaction_uuid"),
        )


class ChecksNoSignature(EsewaGateway):
    def read_return(self, message: ReturnMessage) -> ReturnHint:
        hint = super().read_return(message)
        is_there = hint.order_reference is not None
        return evolve(hint, authenticity=Authenticity.SIGNED) if is_there else hint


class AsksWhenItOpens(EsewaGateway):
    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        await self.look_up(order)
        return await super().open_checkout(order, urls, payer)


class PostsWholeRupees(EsewaGateway):
    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        rounded = evolve(order, amount=Money(order.amount.paisa // 100 * 100))
        return await super().open_checkout(rounded, urls, payer)


class TakesTheAbsentForAStranger(EsewaGateway):
    async def look_up(self, order: Order) -> Observation:
        seen = await super().look_up(order)
        return evolve(seen, reported=Reported.NOT_FOUND) if seen.reported is Reported.ABSENT else seen


class TakesAmbiguousForFailed(EsewaGateway):
    async def look_up(self, order: Order) -> Observation:
        seen = await super().look_up(order)
        return evolve(seen, reported=Reported.FAILED) if seen.reported is Reported.AMBIGUOUS else seen


class TakesAnOutageForPaid(EsewaGateway):
    async def look_up(self, order: Order) -> Observation:
        try:
            return await super().look_up(order)
        except OutcomeUnknown as error:
            if isinstance(error, ProtocolError):
                raise
            return Observation(reported=Reported.COMPLETED, said="Service is currently unavailable")


class RepeatsTheReferenceAskedFor(EsewaGateway):
    async def look_up(self, order: Order) -> Observation:
        return evolve(await super().look_up(order), order_reference=str(order.reference))


class ReadsOtherwise(EsewaGateway):
    """As it should be; what follows reads the same answers in another way."""

    async def look_up(self, order: Order) -> Observation:
        url = self._status_url.copy_with(query=protocol.status_query(order, "NP-ES-CANARY").encode())
        return self.read(await self._caller.ask("GET", url, self._headers), order)

    def read(self, answer: Answer, order: Order) -> Observation:
        return protocol.read_status(answer, "NP-ES-CANARY")


class TakesAnObjectWithoutAStatusForFailed(ReadsOtherwise):
    def read(self, answer: Answer, order: Order) -> Observation:
        if answer.status == 200 and "status" not in loosely(answer, {"status": "no object"}):
            return Observation(reported=Reported.FAILED, said="none")
        return super().read(answer, order)


class TakesAnErrorInJsonForCanceled(ReadsOtherwise):
    def read(self, answer: Answer, order: Order) -> Observation:
        if answer.status in (400, 403, 404) and loosely(answer):
            return Observation(reported=Reported.CANCELED, said=str(answer.status))
        return super().read(answer, order)


class TakesHttpsNumberForAWord(ReadsOtherwise):
    def read(self, answer: Answer, order: Order) -> Observation:
        number = loosely(answer).get("status")
        if isinstance(number, int):
            return Observation(reported=Reported.UNKNOWN, said=str(number))
        return super().read(answer, order)


class BelievesMoneyBesideAnHttpError(ReadsOtherwise):
    def read(self, answer: Answer, order: Order) -> Observation:
        told = "total_amount" in loosely(answer)
        return super().read(evolve(answer, status=200) if told else answer, order)


class FillsTheAmountIn(ReadsOtherwise):
    def read(self, answer: Answer, order: Order) -> Observation:
        fields = loosely(answer)
        is_missing = "status" in fields and "total_amount" not in fields
        told = {**fields, "total_amount": order.amount.rupees}
        return super().read(written(answer, told) if is_missing else answer, order)


class TakesAnyAmountForOurs(ReadsOtherwise):
    def read(self, answer: Answer, order: Order) -> Observation:
        fields = loosely(answer)
        is_unfit = not isinstance(fields.get("total_amount", 0), int | float | str)
        told = {**fields, "total_amount": order.amount.rupees}
        return super().read(written(answer, told) if is_unfit else answer, order)


class FillsTheReferenceIn(ReadsOtherwise):
    def read(self, answer: Answer, order: Order) -> Observation:
        fields = loosely(answer)
        is_missing = "status" in fields and not fields.get("transaction_uuid")
        told = {**fields, "transaction_uuid": str(order.reference)}
        return super().read(written(answer, told) if is_missing else answer, order)


class MakesATransactionUp(ReadsOtherwise):
    def read(self, answer: Answer, order: Order) -> Observation:
        fields = loosely(answer)
        is_missing = fields.get("status") == "COMPLETE" and not fields.get("ref_id")
        told = {**fields, "ref_id": "unknown"}
        return super().read(written(answer, told) if is_missing else answer, order)


class TakesTheLastOfTwo(ReadsOtherwise):
    def read(self, answer: Answer, order: Order) -> Observation:
        fields = loosely(answer)
        return super().read(written(answer, fields) if "status" in fields else answer, order)


class IsAlwaysInProduction(EsewaGateway):
    @property
    def environment(self) -> Environment:
        return Environment.PRODUCTION


class SaysPaidWhateverCameBack(EsewaGateway):
    def read_return(self, message: ReturnMessage) -> ReturnHint:
        return evolve(super().read_return(message), says_paid=True)


class SaysPaidWhateverWasSigned(EsewaGateway):
    def read_return(self, message: ReturnMessage) -> ReturnHint:
        hint = super().read_return(message)
        return evolve(hint, says_paid=hint.authenticity is Authenticity.SIGNED)


def loosely(answer: Answer, otherwise: Mapping[str, Any] = MappingProxyType({})) -> Mapping[str, Any]:
    """The object in an answer as careless code reads it, else this."""
    try:
        fields = json.loads(answer.content)
    except ValueError:
        return otherwise
    return fields if isinstance(fields, dict) else otherwise


def written(answer: Answer, fields: Mapping[str, Any]) -> Answer:
    return evolve(answer, content=json.dumps(fields).encode()) if answer.status == 200 else answer


CAUGHT_BY: Final[Mapping[type[EsewaGateway], tuple[str, ...]]] = MappingProxyType(
    {
        TrustsTheListInTheReturn: (
            "the_signature_of_our_own_request_is_forged",
            "a_list_of_signed_names_of_its_own_is_forged",
        ),
        ChecksNoSignature: ("a_changed_value_is_forged", "another_keys_signature_is_forged"),
        AsksWhenItOpens: ("a_checkout_made_here_asks_nobody",),
        PostsWholeRupees: ("amounts_are_exact_to_the_paisa",),
        TakesTheAbsentForAStranger: ("an_unknown_payment_is_not_found", "each_ending_is_an_answer"),
        TakesAmbiguousForFailed: ("each_documented_word_has_its_meaning",),
        TakesAnOutageForPaid: ("a_lost_answer_is_unknown", "a_broken_answer_is_unknown"),
        RepeatsTheReferenceAskedFor: ("an_answer_about_another_payment_is_passed_on",),
        TakesAnObjectWithoutAStatusForFailed: ("an_answer_that_says_nothing_decides_nothing",),
        TakesAnErrorInJsonForCanceled: ("an_answer_that_says_nothing_decides_nothing",),
        TakesHttpsNumberForAWord: ("an_answer_that_says_nothing_decides_nothing",),
        BelievesMoneyBesideAnHttpError: ("money_beside_an_http_error_is_not_believed",),
        FillsTheAmountIn: ("what_an_answer_does_not_say_is_not_told",),
        TakesAnyAmountForOurs: ("what_an_answer_does_not_say_is_not_told",),
        FillsTheReferenceIn: ("what_an_answer_does_not_say_is_not_told",),
        MakesATransactionUp: ("what_an_answer_does_not_say_is_not_told",),
        TakesTheLastOfTwo: ("what_is_said_twice_is_not_believed",),
        IsAlwaysInProduction: ("a_gateway_says_where_its_money_is",),
        SaysPaidWhateverCameBack: (
            "a_return_never_raises_and_proves_nothing",
            "a_return_of_what_was_not_paid_does_not_say_paid",
        ),
        SaysPaidWhateverWasSigned: ("a_return_of_what_was_not_paid_does_not_say_paid",),
    }
)
SERVED: Final = Served(company().app)
"""One stand-in for all of them: they are broken, and it is not."""


@pytest.mark.parametrize(("broken", "name"), [(broken, name) for broken, names in CAUGHT_BY.items() for name in names])
async def test_a_broken_esewa_is_caught(broken: type[EsewaGateway], name: str) -> None:
    worse = company(lambda good: broken(config=good.config, client=good.client))

    async with over_http(worse, SERVED)() as stage:
        # pytest's own "did not raise" is no Exception
        with pytest.raises((Exception, pytest.fail.Exception)) as caught:
            await CHECKS[name](stage)

    assert not isinstance(caught.value, NotImplementedError | AttributeError | TypeError), caught.value
