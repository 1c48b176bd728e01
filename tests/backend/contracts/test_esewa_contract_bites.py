"""The contract catches eSewa's gateway when it is broken as others have broken theirs."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import pytest
from attrs import evolve

from sewapay.adapters.esewa.gateway import EsewaGateway
from sewapay.application.errors import OutcomeUnknown, ProtocolError
from sewapay.application.ports import Authenticity, Order, Payer, ReturnHint, ReturnMessage, Urls
from sewapay.domain.checkout import Checkout
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation, Reported
from sewapay.testing.http_stage import Served, over_http
from sewapay.testing.kit import CHECKS
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
