"""Each clause of the gateways' contract catches the gateway that is broken in the way it is meant for."""

import asyncio
import logging
from collections.abc import Mapping
from itertools import count
from types import MappingProxyType
from typing import Final

import aiohttp
import httpx
import pytest
from attrs import evolve

from sewapay.adapters.khalti import protocol
from sewapay.adapters.khalti.gateway import KhaltiGateway
from sewapay.application.errors import (
    GatewayError,
    KeyRefused,
    NothingSent,
    OutcomeUnknown,
    ProtocolError,
    RefundRefused,
)
from sewapay.application.ports import (
    Authenticity,
    Capabilities,
    CheckoutKind,
    Order,
    Payer,
    RefundKind,
    RefundOrder,
    ReturnHint,
    ReturnMessage,
    Urls,
)
from sewapay.domain.checkout import Checkout
from sewapay.domain.identifiers import Environment
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation, Reported
from sewapay.testing.http_stage import Served, over_http
from sewapay.testing.kit import CHECKS
from tests.backend.contracts.stages.khalti import KEY, company
from tests.backend.contracts.test_esewa_contract_bites import CAUGHT_BY as ESEWAS_CAUGHT_BY
from tests.backend.contracts.test_form_contract_bites import CAUGHT_BY as FORMS_CAUGHT_BY


class GivesEveryPaymentOneName(KhaltiGateway):
    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        checkout = await super().open_checkout(order, urls, payer)
        return evolve(checkout, gateway_reference=_first.setdefault(id(self.client), checkout.gateway_reference))


class SaysWhenInNepalsTime(KhaltiGateway):
    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        checkout = await super().open_checkout(order, urls, payer)
        assert checkout.expires_at is not None
        return evolve(checkout, expires_at=checkout.expires_at.replace(tzinfo=None))


class WantsToKnowTheCustomer(KhaltiGateway):
    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        if not payer.phone:
            raise ValueError("no phone")
        return await super().open_checkout(order, urls, payer)


class RepeatsTheOpening(KhaltiGateway):
    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        try:
            return await super().open_checkout(order, urls, payer)
        except OutcomeUnknown:
            return await super().open_checkout(order, urls, payer)


class CountsInRupees(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        seen = await super().look_up(order)
        return evolve(seen, amount=Money(seen.amount.paisa // 100)) if seen.amount else seen


class RoundsToRupees(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        seen = await super().look_up(order)
        return evolve(seen, amount=Money(round(seen.amount.paisa / 100) * 100)) if seen.amount else seen


class RepeatsWhatIsExpected(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        return evolve(await super().look_up(order), amount=order.amount)


class RemembersItsFirstAnswer(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        key = f"{id(self.client)} {order.gateway_reference}"
        if key not in _answers:
            _answers[key] = await super().look_up(order)
        return _answers[key]


class ForgetsAtARestart(KhaltiGateway):
    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        checkout = await super().open_checkout(order, urls, payer)
        _mine.append((self, str(checkout.gateway_reference)))
        return checkout

    async def look_up(self, order: Order) -> Observation:
        if not any(gateway is self and reference == order.gateway_reference for gateway, reference in _mine):
            return Observation(reported=Reported.NOT_FOUND, said="Not found.")
        return await super().look_up(order)


class TakesTheUnknownForSuccess(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        seen = await super().look_up(order)
        is_success = seen.reported is Reported.UNKNOWN and seen.said.lower().startswith("complete")
        return evolve(seen, reported=Reported.COMPLETED) if is_success else seen


class TakesTheUnknownForFailure(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        seen = await super().look_up(order)
        return evolve(seen, reported=Reported.FAILED) if seen.reported is Reported.UNKNOWN else seen


class TakesHttp400ForAnError(KhaltiGateway):
    async def _ask(self, url: httpx.URL, body: bytes) -> protocol.Answer:
        answer = await super()._ask(url, body)
        if answer.status == 400:
            raise OutcomeUnknown("HTTP 400")
        return answer


class TakesAStrangerForExpired(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        seen = await super().look_up(order)
        return evolve(seen, reported=Reported.EXPIRED) if seen.reported is Reported.NOT_FOUND else seen


class OpensAnewWhenAsked(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        body = protocol.initiate_body(
            order,
            Urls(
                return_url="https://a.example/",
                failure_url="https://a.example/unfinished/",
                website_url="https://a.example",
            ),
            Payer(),
        )
        await self._ask(self._initiate_url, body)
        return await super().look_up(order)


class TakesSilenceForFailure(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        try:
            return await super().look_up(order)
        except OutcomeUnknown:
            return Observation(reported=Reported.FAILED, said="timeout")


class TakesSilenceForNothingSent(KhaltiGateway):
    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        try:
            return await super().open_checkout(order, urls, payer)
        except OutcomeUnknown as error:
            raise NothingSent("timeout") from error


class TrustsHttpxsNames(KhaltiGateway):
    async def _ask(self, url: httpx.URL, body: bytes) -> protocol.Answer:
        try:
            return await super()._ask(url, body)
        except OutcomeUnknown as error:
            if isinstance(error.__cause__, httpx.ConnectTimeout):
                raise NothingSent("could not connect") from error
            raise


class NeverSaysThatNothingWasSent(KhaltiGateway):
    async def _ask(self, url: httpx.URL, body: bytes) -> protocol.Answer:
        try:
            return await super()._ask(url, body)
        except NothingSent as error:
            raise OutcomeUnknown("could not connect") from error


class SwallowsCancellation(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        try:
            return await super().look_up(order)
        except asyncio.CancelledError as error:
            raise OutcomeUnknown("canceled") from error


class LogsItsKey(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        logging.getLogger("sewapay.khalti").debug("asking with %s", dict(self._headers))
        return await super().look_up(order)


class LogsTheCustomer(KhaltiGateway):
    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        logging.getLogger("sewapay.khalti").info("opening for %s", payer.phone)
        return await super().open_checkout(order, urls, payer)


class ShowsItsKey(KhaltiGateway):
    def __repr__(self) -> str:
        return f"Khalti({KEY})"


class PutsTheBodyInItsErrors(KhaltiGateway):
    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        try:
            return await super().open_checkout(order, urls, payer)
        except OutcomeUnknown as error:
            raise OutcomeUnknown(f"no answer to {protocol.initiate_body(order, urls, payer)!r}") from error


class ChokesOnReturns(KhaltiGateway):
    def read_return(self, message: ReturnMessage) -> ReturnHint:
        return ReturnHint(authenticity=Authenticity.UNSIGNED, claims=dict(message.values)["status"])


class BelievesReturns(KhaltiGateway):
    def read_return(self, message: ReturnMessage) -> ReturnHint:
        return evolve(super().read_return(message), authenticity=Authenticity.SIGNED)


class HandsOnWhatCameBack(KhaltiGateway):
    def read_return(self, message: ReturnMessage) -> ReturnHint:
        return evolve(super().read_return(message), claims=dict(message.values).get("status") or None)


class PromisesAForm(KhaltiGateway):
    @property
    def capabilities(self) -> Capabilities:
        return evolve(super().capabilities, checkout=CheckoutKind.POST_FORM)


class TakesNoReferenceOfOurs(KhaltiGateway):
    @property
    def capabilities(self) -> Capabilities:
        return evolve(super().capabilities, reference_charset="[a-z]")


class PromisesTooLittle(KhaltiGateway):
    @property
    def capabilities(self) -> Capabilities:
        return evolve(super().capabilities, least=Money(1))


class HasNoDeadline(KhaltiGateway):
    async def _ask(self, url: httpx.URL, body: bytes) -> protocol.Answer:
        extensions = self._caller.extensions
        try:
            answer = await self.client.post(url, content=body, headers=self._headers, extensions=extensions)
        except (httpx.HTTPError, aiohttp.ClientError) as error:
            raise OutcomeUnknown("no answer") from error
        return protocol.Answer(
            status=answer.status_code, content_type=answer.headers["content-type"], content=answer.content
        )


class ReadsWithoutEnd(KhaltiGateway):
    async def _ask(self, url: httpx.URL, body: bytes) -> protocol.Answer:
        answer = await self.client.post(url, content=body, headers=self._headers)
        content = answer.content.replace(b"x" * 1024, b"")
        return protocol.Answer(status=answer.status_code, content_type="application/json", content=content)


class InflatesWhatItGets(KhaltiGateway):
    async def _ask(self, url: httpx.URL, body: bytes) -> protocol.Answer:
        answer = await self.client.post(url, content=body, headers=self._headers)
        return protocol.Answer(
            status=answer.status_code, content_type="application/json", content=answer.content.strip()
        )


class FollowsRedirects(KhaltiGateway):
    async def _ask(self, url: httpx.URL, body: bytes) -> protocol.Answer:
        answer = await self.client.post(url, content=body, headers=self._headers, follow_redirects=True)
        return protocol.Answer(
            status=answer.status_code, content_type=answer.headers.get("content-type", ""), content=answer.content
        )


class LetsTransportErrorsThrough(KhaltiGateway):
    async def _ask(self, url: httpx.URL, body: bytes) -> protocol.Answer:
        try:
            return await super()._ask(url, body)
        except GatewayError as error:
            if isinstance(error.__cause__, aiohttp.ClientError):
                raise error.__cause__ from error
            raise


class AsksAgainByItself(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        try:
            return await super().look_up(order)
        except OutcomeUnknown as error:
            await super().look_up(order)
            raise error from None


class TakesAnErrorPageForARefusal(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        try:
            return await super().look_up(order)
        except ProtocolError:
            return Observation(reported=Reported.FAILED, said="no JSON")


class HidesItsRefunds(KhaltiGateway):
    @property
    def capabilities(self) -> Capabilities:
        return evolve(super().capabilities, refunds=RefundKind.NONE)


class SaysYesAndGivesNothingBack(KhaltiGateway):
    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        return "Transaction refund successful."


class KeepsAPaisa(KhaltiGateway):
    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        part = RefundOrder(amount=Money(wanted.amount.paisa - 1), is_all=False)
        return await super().refund(order, part if wanted.is_all else wanted)


class SaysYesWithoutAWord(KhaltiGateway):
    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        await super().refund(order, wanted)
        return ""


class SaysYesWithEverythingThatCame(KhaltiGateway):
    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        return f"{await super().refund(order, wanted)} {order!r}"


class RefundsInRupees(KhaltiGateway):
    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        return await super().refund(order, evolve(wanted, amount=Money(max(wanted.amount.paisa // 100, 1))))


class AlwaysGivesAllOfItBack(KhaltiGateway):
    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        return await super().refund(order, evolve(wanted, is_all=True))


class RefundsTheSameTransactionAgain(KhaltiGateway):
    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        transaction_id = _first.setdefault(id(self.client), order.transaction_id)
        try:
            return await super().refund(evolve(order, transaction_id=transaction_id), wanted)
        except RefundRefused:
            return "Transaction refund successful."


class TakesARefusalForAYes(KhaltiGateway):
    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        try:
            return await super().refund(order, wanted)
        except RefundRefused:
            return "already refunded"


class TakesARefusalForSilence(KhaltiGateway):
    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        try:
            return await super().refund(order, wanted)
        except RefundRefused as error:
            raise OutcomeUnknown("HTTP 400") from error


class RepeatsTheRefund(KhaltiGateway):
    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        try:
            return await super().refund(order, wanted)
        except OutcomeUnknown as error:
            try:
                return await super().refund(order, wanted)
            except RefundRefused:
                raise error from None


class TakesALostRefundForARefusal(KhaltiGateway):
    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        try:
            return await super().refund(order, wanted)
        except OutcomeUnknown as error:
            raise RefundRefused("timeout") from error


class TakesALostRefundForNothingSent(KhaltiGateway):
    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        try:
            return await super().refund(order, wanted)
        except OutcomeUnknown as error:
            raise NothingSent("timeout") from error


class NeverSaysThatNoRefundWasSent(NeverSaysThatNothingWasSent):
    pass


class SwallowsARefundsCancellation(KhaltiGateway):
    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        try:
            return await super().refund(order, wanted)
        except asyncio.CancelledError as error:
            raise OutcomeUnknown("canceled") from error


class LogsItsKeyWhenRefunding(KhaltiGateway):
    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        logging.getLogger("sewapay.khalti").debug("refunding with %s", dict(self._headers))
        return await super().refund(order, wanted)


class LogsTheTransaction(KhaltiGateway):
    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        logging.getLogger("sewapay.khalti").info("refunding %s", order.transaction_id)
        return await super().refund(order, wanted)


class BelievesAnyAnswerToARefund(KhaltiGateway):
    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        try:
            return await super().refund(order, wanted)
        except ProtocolError:
            return "refunded, or so"


class TakesARefusedKeyForFailed(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        try:
            return await super().look_up(order)
        except KeyRefused:
            return Observation(reported=Reported.FAILED, said="401")


class TakesAPageThatIsNotThereForExpired(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        try:
            return await super().look_up(order)
        except ProtocolError as error:
            if "HTTP 404" not in str(error):
                raise
            return Observation(reported=Reported.EXPIRED, said="404")


class KeepsWhatWasPaid(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        if order.reference not in _answers:
            seen = await super().look_up(order)
            if seen.reported is not Reported.COMPLETED:
                return seen
            _answers[order.reference] = seen
        return _answers[order.reference]


class NamesAMillionLetters(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        seen = await super().look_up(order)
        return evolve(seen, transaction_id=(seen.transaction_id or "")[:1] * 1_000_000 or None)


class RoundsWhatIsHuge(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        seen = await super().look_up(order)
        if seen.amount is None or seen.amount.paisa < 2**32:
            return seen
        return evolve(seen, amount=Money(seen.amount.paisa // 100 * 100))


class TakesAPageForARefusal(KhaltiGateway):
    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        try:
            return await super().refund(order, wanted)
        except ProtocolError as error:
            raise RefundRefused("no JSON") from error


class TakesAnErrorForARefund(KhaltiGateway):
    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        try:
            return await super().refund(order, wanted)
        except OutcomeUnknown:
            return "refunded, or so"


class OpensTwice(KhaltiGateway):
    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        await super().open_checkout(order, urls, payer)
        return await super().open_checkout(order, urls, payer)


class HidesItsPages(KhaltiGateway):
    @property
    def capabilities(self) -> Capabilities:
        return evolve(super().capabilities, page_origins=("https://khalti.com", "https://127.0.0.1"))


class SaysThatItsLinkWorksOnce(KhaltiGateway):
    @property
    def capabilities(self) -> Capabilities:
        return evolve(super().capabilities, single_entry=True)


class SendsBrowsersElsewhere(KhaltiGateway):
    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        return await super().open_checkout(order, evolve(urls, return_url="https://elsewhere.example/"), payer)


class SeesSevenDigits(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        seen = await super().look_up(order)
        return evolve(seen, amount=Money(int(float(f"{seen.amount.paisa:.7g}")))) if seen.amount else seen


class LosesAPaisaInAFloat(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        seen = await super().look_up(order)
        return evolve(seen, amount=Money(int(seen.amount.paisa / 100 * 100))) if seen.amount else seen


class RefusesAnotherAmount(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        seen = await super().look_up(order)
        if seen.amount != order.amount:
            raise ProtocolError("another amount")
        return seen


class NamesThePaymentAskedAbout(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        return evolve(await super().look_up(order), gateway_reference=order.gateway_reference)


class ForgotAWord(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        seen = await super().look_up(order)
        return evolve(seen, reported=Reported.UNKNOWN) if seen.reported is Reported.PARTIALLY_REFUNDED else seen


class TakesTheUnpaidForCanceled(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        seen = await super().look_up(order)
        return evolve(seen, reported=Reported.CANCELED) if seen.reported is Reported.INITIATED else seen


class MixesUpItsCalls(KhaltiGateway):
    async def look_up(self, order: Order) -> Observation:
        _asked[id(self.client)] = order
        await asyncio.sleep(0)
        return await super().look_up(_asked[id(self.client)])


class NeverSaysThatNothingWasOpened(NeverSaysThatNothingWasSent):
    pass


class LivesElsewhereEachTime(KhaltiGateway):
    @property
    def environment(self) -> Environment:
        return list(Environment)[next(_turns) % 2]


class ReadsReturnsWithoutAName(KhaltiGateway):
    def read_return(self, message: ReturnMessage) -> ReturnHint:
        return evolve(super().read_return(message), gateway_reference=None, order_reference=None)


class NamesOneForAll(KhaltiGateway):
    def read_return(self, message: ReturnMessage) -> ReturnHint:
        hint = super().read_return(message)
        return evolve(hint, gateway_reference=_first.setdefault(id(self.client), hint.gateway_reference))


_first: Final[dict[int, str | None]] = {}
_answers: Final[dict[str, Observation]] = {}
_asked: Final[dict[int, Order]] = {}
_turns: Final = count()
_mine: Final[list[tuple[KhaltiGateway, str]]] = []

CAUGHT_BY: Final[Mapping[type[KhaltiGateway], str]] = MappingProxyType(
    {
        SaysWhenInNepalsTime: "a_checkout_can_be_shown",
        PromisesAForm: "a_checkout_can_be_shown",
        WantsToKnowTheCustomer: "nothing_is_known_of_a_customer_who_is_not_described",
        GivesEveryPaymentOneName: "two_checkouts_are_two_payments",
        CountsInRupees: "what_is_paid_is_seen_exactly",
        RoundsToRupees: "what_is_paid_is_seen_exactly",
        RemembersItsFirstAnswer: "what_is_paid_is_seen_exactly",
        NamesAMillionLetters: "what_is_paid_is_seen_exactly",
        RoundsWhatIsHuge: "amounts_are_exact_to_the_paisa",
        KeepsWhatWasPaid: "each_look_up_asks_anew",
        TakesARefusedKeyForFailed: "a_refused_look_up_decides_nothing",
        TakesAPageThatIsNotThereForExpired: "a_refused_look_up_decides_nothing",
        RepeatsWhatIsExpected: "the_amount_is_the_gateways_word",
        TakesHttp400ForAnError: "each_ending_is_an_answer",
        TakesTheUnknownForSuccess: "an_unknown_word_is_unknown",
        TakesTheUnknownForFailure: "an_unknown_word_is_unknown",
        TakesAStrangerForExpired: "an_unknown_payment_is_not_found",
        OpensAnewWhenAsked: "asking_again_changes_nothing",
        ForgetsAtARestart: "a_restart_forgets_nothing",
        TakesSilenceForFailure: "a_lost_answer_is_unknown",
        TakesSilenceForNothingSent: "an_opening_without_an_answer_is_unknown",
        RepeatsTheOpening: "an_opening_is_not_repeated",
        NeverSaysThatNothingWasSent: "no_connection_means_that_nothing_was_sent",
        SwallowsCancellation: "a_canceled_call_ends_at_once",
        LogsItsKey: "secrets_show_nowhere",
        LogsTheCustomer: "secrets_show_nowhere",
        ShowsItsKey: "secrets_show_nowhere",
        PutsTheBodyInItsErrors: "an_opening_shows_no_secret",
        ChokesOnReturns: "a_return_never_raises_and_proves_nothing",
        BelievesReturns: "a_return_never_raises_and_proves_nothing",
        HandsOnWhatCameBack: "a_return_never_raises_and_proves_nothing",
        TakesNoReferenceOfOurs: "capabilities_are_honest",
        PromisesTooLittle: "capabilities_are_honest",
        TrustsHttpxsNames: "a_broken_answer_is_unknown",
        LetsTransportErrorsThrough: "a_broken_answer_is_unknown",
        AsksAgainByItself: "a_broken_answer_is_unknown",
        TakesAnErrorPageForARefusal: "a_broken_answer_is_unknown",
        ReadsWithoutEnd: "a_large_answer_is_cut",
        InflatesWhatItGets: "a_compressed_answer_is_not_inflated",
        HasNoDeadline: "a_slow_answer_is_cut_by_the_clock",
        FollowsRedirects: "a_redirect_is_not_followed",
        HidesItsRefunds: "capabilities_are_honest",
        SaysYesAndGivesNothingBack: "all_of_it_goes_back_exactly",
        KeepsAPaisa: "all_of_it_goes_back_exactly",
        SaysYesWithoutAWord: "all_of_it_goes_back_exactly",
        SaysYesWithEverythingThatCame: "all_of_it_goes_back_exactly",
        RefundsInRupees: "parts_go_back_to_the_paisa_and_add_up",
        AlwaysGivesAllOfItBack: "parts_go_back_to_the_paisa_and_add_up",
        RefundsTheSameTransactionAgain: "a_refund_leaves_other_payments_alone",
        TakesARefusalForAYes: "what_cannot_be_given_back_is_refused",
        TakesARefusalForSilence: "what_cannot_be_given_back_is_refused",
        RepeatsTheRefund: "a_refund_without_an_answer_is_unknown_and_not_repeated",
        TakesALostRefundForARefusal: "a_refund_without_an_answer_is_unknown_and_not_repeated",
        TakesALostRefundForNothingSent: "a_refund_without_an_answer_is_unknown_and_not_repeated",
        NeverSaysThatNoRefundWasSent: "no_connection_means_that_nothing_went_back",
        SwallowsARefundsCancellation: "a_canceled_refund_ends_at_once",
        LogsItsKeyWhenRefunding: "a_refund_shows_no_secret",
        LogsTheTransaction: "a_refund_shows_no_secret",
        TakesAnErrorForARefund: "a_broken_answer_is_unknown",
        BelievesAnyAnswerToARefund: "a_refund_was_made_only_when_the_answer_says_so",
        OpensTwice: "a_checkout_is_asked_for_once",
        HidesItsPages: "a_page_is_where_the_capabilities_say",
        SaysThatItsLinkWorksOnce: "a_checkout_is_entered_as_often_as_it_says",
        SendsBrowsersElsewhere: "the_browser_comes_back_where_we_said",
        SeesSevenDigits: "amounts_are_exact_to_the_paisa",
        LosesAPaisaInAFloat: "amounts_are_exact_to_the_paisa",
        RefusesAnotherAmount: "an_answer_with_another_amount_is_passed_on",
        NamesThePaymentAskedAbout: "an_answer_about_another_payment_is_passed_on",
        ForgotAWord: "each_documented_word_has_its_meaning",
        TakesTheUnpaidForCanceled: "what_nobody_entered_decides_nothing",
        MixesUpItsCalls: "calls_at_once_are_not_mixed_up",
        NeverSaysThatNothingWasOpened: "no_connection_means_that_nothing_was_opened",
        LivesElsewhereEachTime: "a_gateway_says_where_its_money_is",
        ReadsReturnsWithoutAName: "a_genuine_return_names_its_payment",
        NamesOneForAll: "a_genuine_return_names_its_payment",
        TakesAPageForARefusal: "a_refund_was_made_only_when_the_answer_says_so",
    }
)


SERVED: Final = Served(company().app)
"""One stand-in for all of them: they are broken, and it is not."""


def test_every_clause_has_something_to_catch() -> None:
    esewas = {name for names in ESEWAS_CAUGHT_BY.values() for name in names}
    caught = {*CAUGHT_BY.values(), *esewas, *(name for _, name in FORMS_CAUGHT_BY)}

    assert caught == set(CHECKS)


@pytest.mark.parametrize("broken", CAUGHT_BY, ids=lambda broken: broken.__name__)
async def test_a_broken_gateway_is_caught(broken: type[KhaltiGateway]) -> None:
    check = CHECKS[CAUGHT_BY[broken]]
    worse = company(lambda good: broken(config=good.config, client=good.client))

    async with over_http(worse, SERVED)() as stage:
        # pytest's own "did not raise" is no Exception
        with pytest.raises((Exception, pytest.fail.Exception)) as caught:
            await check(stage)

    assert not isinstance(caught.value, NotImplementedError | AttributeError | TypeError), caught.value
