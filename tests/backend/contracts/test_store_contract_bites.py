"""A store that is broken in one way is caught, by the clause that names it."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeVar, cast

import pytest
from attrs import evolve

from sewapay.adapters.memory.store import MemoryStore
from sewapay.application.errors import InvalidCursor, ReferenceTaken
from sewapay.application.idempotency import KeyName
from sewapay.application.storage import Claim, Page, PaymentFilter, Tx, View
from sewapay.domain.booking import Booking
from sewapay.domain.checkout import PostForm
from sewapay.domain.identifiers import Environment, GatewayName, OrderReference
from sewapay.domain.observation import Reported
from sewapay.domain.payment import Payment
from sewapay.domain.refund import Refund
from sewapay.testing.stores.contract import CLAUSES

T = TypeVar("T")


class Instead:
    """Something with a few of its attributes replaced."""

    def __init__(self, inner: object, **replaced: object) -> None:
        self._inner = inner
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Altered(MemoryStore):
    """The memory store, with what its functions see replaced."""

    def altered(self, tx: Any) -> Any:
        """What the function sees instead."""
        return tx

    async def transact(self, work: Callable[[Tx], T]) -> T:
        return await super().transact(lambda tx: work(cast("Tx", self.altered(tx))))

    async def read(self, work: Callable[[View], T]) -> T:
        return await super().read(lambda view: work(cast("View", self.altered(view))))


class ForgetsEvents(Altered):
    """The row is saved, and what happened is not."""

    def altered(self, tx: Any) -> Any:
        def save(booking: Booking) -> Any:
            return tx.bookings.save(evolve(booking, events=()))

        return Instead(tx, bookings=Instead(tx.bookings, save=save))


class GivesEventsBack(Altered):
    """What was written stays on the entity, and is written again with its next change."""

    def altered(self, tx: Any) -> Any:
        def add(booking: Booking) -> Any:
            return evolve(tx.bookings.add(booking), events=booking.events)

        return Instead(tx, bookings=Instead(tx.bookings, add=add))


class ForgetsMicroseconds(Altered):
    """A column of whole seconds."""

    def altered(self, tx: Any) -> Any:
        def add(payment: Payment) -> Any:
            paid_at = payment.paid_at and payment.paid_at.replace(microsecond=0)
            return tx.payments.add(evolve(payment, paid_at=paid_at))

        return Instead(tx, payments=Instead(tx.payments, add=add))


class SortsFields(Altered):
    """A column type that keeps an object's meaning and not its order."""

    def altered(self, tx: Any) -> Any:
        def add(payment: Payment) -> Any:
            step = payment.next_step
            if isinstance(step, PostForm):
                step = PostForm(step.url, dict(sorted(step.fields.items())))
            return tx.payments.add(evolve(payment, next_step=step))

        return Instead(tx, payments=Instead(tx.payments, add=add))


class LastWriterWins(Altered):
    """A save that does not look at the version."""

    def altered(self, tx: Any) -> Any:
        def save(booking: Booking) -> Any:
            return tx.bookings.save(evolve(booking, version=tx.bookings.get(booking.id).version))

        return Instead(tx, bookings=Instead(tx.bookings, save=save))


class OneTransactionIdEach(Altered):
    """A uniqueness that keeps a second payment's truth out."""

    def altered(self, tx: Any) -> Any:
        def add(payment: Payment) -> Any:
            where = (payment.gateway, payment.environment, payment.transaction_id)
            if payment.transaction_id and tx.payments.has_transaction(*where, besides=payment.id):
                raise AssertionError("UNIQUE constraint failed: payments.transaction_id")
            return tx.payments.add(payment)

        return Instead(tx, payments=Instead(tx.payments, add=add))


class MixesEnvironments(Altered):
    """A reference of the sandbox is taken for one of production."""

    def altered(self, tx: Any) -> Any:
        def find(gateway: GatewayName, environment: Environment, reference: str) -> Any:
            found = (tx.payments.with_gateway_reference(gateway, where, reference) for where in Environment)
            return next((payment for payment in found if payment), None)

        return Instead(tx, payments=Instead(tx.payments, with_gateway_reference=find))


class FindsOursAnywhere(Altered):
    """Our reference is looked for at whichever gateway has it."""

    def altered(self, tx: Any) -> Any:
        def find(_gateway: GatewayName, _environment: Environment, reference: OrderReference) -> Any:
            every = tx.payments.facts.payments.values()
            return next((payment for payment in every if payment.order_reference == reference), None)

        return Instead(tx, payments=Instead(tx.payments, with_order_reference=find))


class FindsTheGatewaysOnly(Altered):
    """A payment that the gateway gave no reference is found by nothing."""

    def altered(self, tx: Any) -> Any:
        return Instead(tx, payments=Instead(tx.payments, with_order_reference=tx.payments.with_gateway_reference))


class KeepsNoReferenceOfOurs(Altered):
    """An answer is kept without the order reference that it named."""

    def altered(self, tx: Any) -> Any:
        def save(payment: Payment) -> Any:
            evidence = tuple(
                evolve(each, observation=evolve(each.observation, order_reference=None)) for each in payment.evidence
            )
            return tx.payments.save(evolve(payment, evidence=evidence))

        return Instead(tx, payments=Instead(tx.payments, save=save))


class TakesAbsentForNotFound(Altered):
    """Two reports that sound alike become one."""

    def altered(self, tx: Any) -> Any:
        def save(payment: Payment) -> Any:
            evidence = tuple(
                evolve(each, observation=evolve(each.observation, reported=Reported.NOT_FOUND))
                if each.observation.reported is Reported.ABSENT
                else each
                for each in payment.evidence
            )
            return tx.payments.save(evolve(payment, evidence=evidence))

        return Instead(tx, payments=Instead(tx.payments, save=save))


class SharesReferences(Altered):
    """Two payments may have the same gateway reference."""

    def altered(self, tx: Any) -> Any:
        def save(payment: Payment) -> Any:
            try:
                return tx.payments.save(payment)
            except ReferenceTaken:
                return evolve(payment, version=payment.version + 1)

        return Instead(tx, payments=Instead(tx.payments, save=save))


class CountsOffsets(Altered):
    """A cursor that counts items: whatever is added in front shifts the pages."""

    def altered(self, tx: Any) -> Any:
        def page(wanted: PaymentFilter, page: Page) -> Any:
            try:
                skipped = int(page.cursor or 0)
            except ValueError as error:
                raise InvalidCursor from error
            found, _ = tx.payments.page(wanted, Page(limit=1000))
            reached = skipped + page.limit
            return found[skipped:reached], str(reached) if reached < len(found) else None

        return Instead(tx, payments=Instead(tx.payments, page=page))


class KeepsWhatFailed(MemoryStore):
    """An exception of the function does not undo what it did."""

    async def transact(self, work: Callable[[Tx], T]) -> T:
        failed: list[BaseException] = []

        def keep(tx: Tx) -> T | None:
            try:
                return work(tx)
            except LookupError as error:
                failed.append(error)
                return None

        result = await super().transact(keep)
        if failed:
            raise failed[0]
        return cast("T", result)


class AcknowledgesEarly(MemoryStore):
    """The caller is told before the change is there."""

    def __init__(self) -> None:
        super().__init__()
        self._later: set[asyncio.Task[None]] = set()

    async def transact(self, work: Callable[[Tx], T]) -> T:
        if not self._facts.bookings:
            return await super().transact(work)
        results: list[T] = []

        def look(view: View) -> None:
            results.append(work(cast("Tx", view)))

        await super().read(look)
        self._later.add(asyncio.create_task(self._do_it_later(work)))
        return results[0]

    async def _do_it_later(self, work: Callable[[Tx], T]) -> None:
        await asyncio.sleep(0.01)
        await super().transact(work)


class ReadsThenWrites(MemoryStore):
    """Works on a copy while others do the same: the last one puts its copy over theirs."""

    async def transact(self, work: Callable[[Tx], T]) -> T:
        copied = MemoryStore()
        copied._facts = self._facts.copy()
        result = await copied.transact(work)
        await asyncio.sleep(0)
        self._facts = copied._facts
        return result


class ShowsHalf(MemoryStore):
    """Each change is seen by readers as soon as it is made."""

    async def transact(self, work: Callable[[Tx], T]) -> T:
        before = self._facts
        result = await super().transact(work)
        after, self._facts = self._facts, before.copy()
        for number, booking in after.bookings.items():
            self._facts.bookings[number] = booking
            await asyncio.sleep(0)
        self._facts = after
        return result


class StopsHalfway(MemoryStore):
    """A caller that is canceled leaves the first half."""

    async def transact(self, work: Callable[[Tx], T]) -> T:
        before = self._facts
        result = await super().transact(work)
        after, self._facts = self._facts, before.copy()
        self._facts.bookings.update(after.bookings)
        await asyncio.sleep(0)
        self._facts = after
        return result


class LosesItsFile(MemoryStore):
    """What was acknowledged does not survive."""

    async def close(self) -> None:
        self._facts = MemoryStore()._facts


class ClaimsWhatIsHeld(Altered):
    """A query for what is due that does not look who holds it."""

    def altered(self, tx: Any) -> Any:
        def claim(*args: Any, **wanted: Any) -> Any:
            tx.payments.facts.leases.clear()
            return tx.payments.claim(*args, **wanted)

        return Instead(tx, payments=Instead(tx.payments, claim=claim))


class HasNoFence(Altered):
    """Who held a lease once may write for ever."""

    def altered(self, tx: Any) -> Any:
        def release(claim: Claim) -> Any:
            return tx.payments.release(evolve(claim, lease=tx.payments.facts.leases[claim.payment.id].number))

        return Instead(tx, payments=Instead(tx.payments, release=release))


class HoldsForEver(Altered):
    """A worker that died keeps its payments."""

    def altered(self, tx: Any) -> Any:
        def claim(*args: Any, **wanted: Any) -> Any:
            return tx.payments.claim(*args, **wanted | {"lease_seconds": 3600})

        return Instead(tx, payments=Instead(tx.payments, claim=claim))


class CountsLooks(Altered):
    """Putting a look off is a change like any other."""

    def altered(self, tx: Any) -> Any:
        def put_off(looked_at: Any) -> int:
            kept = [looked for claim, looked in looked_at if tx.payments.release(claim)]
            for looked in kept:
                tx.payments.save(looked)
            return len(kept)

        return Instead(tx, payments=Instead(tx.payments, put_off=put_off))


class PutsOffWhatChanged(Altered):
    """The next look of a payment is the one that was reckoned before it changed."""

    def altered(self, tx: Any) -> Any:
        def put_off(looked_at: Any) -> Any:
            stored = {claim.payment.id: tx.payments.get(claim.payment.id) for claim, _ in looked_at}
            current = [(evolve(claim, payment=stored[claim.payment.id]), looked) for claim, looked in looked_at]
            return tx.payments.put_off(current)

        return Instead(tx, payments=Instead(tx.payments, put_off=put_off))


class GivesBackNothing(Altered):
    """What was put off stays held until its lease ends."""

    def altered(self, tx: Any) -> Any:
        def put_off(looked_at: Any) -> Any:
            leases = dict(tx.payments.facts.leases)
            kept = tx.payments.put_off(looked_at)
            tx.payments.facts.leases.update(leases)
            return kept

        return Instead(tx, payments=Instead(tx.payments, put_off=put_off))


class MixesEnvironmentsInCounting(Altered):
    """What waits in production and in the sandbox is one number."""

    def altered(self, tx: Any) -> Any:
        def unfinished(*, due_at: datetime) -> Any:
            mixed: Counter[Any] = Counter()
            for (gateway, _), number in tx.payments.unfinished(due_at=due_at).items():
                mixed[gateway, Environment.SANDBOX] += number
            return mixed

        return Instead(tx, payments=Instead(tx.payments, unfinished=unfinished))


class CountsEveryLook(Altered):
    """Whatever is due is taken for unfinished."""

    def altered(self, tx: Any) -> Any:
        def unfinished(*, due_at: datetime) -> Any:
            every = tx.payments.facts.payments.values()
            is_due = [each for each in every if each.next_check_at and each.next_check_at <= due_at]
            return Counter((each.gateway, each.environment) for each in is_due)

        return Instead(tx, payments=Instead(tx.payments, unfinished=unfinished))


class CountsWhatIsFree(Altered):
    """What somebody holds is taken for looked at."""

    def altered(self, tx: Any) -> Any:
        def unfinished(*, due_at: datetime) -> Any:
            return {} if tx.payments.facts.leases else tx.payments.unfinished(due_at=due_at)

        return Instead(tx, payments=Instead(tx.payments, unfinished=unfinished))


class RefundsTwiceAtOnce(Altered):
    """Two refunds of one payment may both be without an outcome."""

    def altered(self, tx: Any) -> Any:
        def add(refund: Refund) -> Any:
            stored = evolve(refund, version=1, events=())
            tx.refunds.facts.refunds[refund.id] = stored
            return stored

        return Instead(tx, refunds=Instead(tx.refunds, add=add))


class ForgetsPostings(Altered):
    """Money is on the payment, and not in the ledger."""

    def altered(self, tx: Any) -> Any:
        def save(payment: Payment) -> Any:
            return tx.payments.save(evolve(payment, postings=()))

        return Instead(tx, payments=Instead(tx.payments, save=save))


class GivesPostingsBack(Altered):
    """What was posted stays on the payment, and is posted again with its next change."""

    def altered(self, tx: Any) -> Any:
        def add(payment: Payment) -> Any:
            return evolve(tx.payments.add(payment), postings=payment.postings)

        return Instead(tx, payments=Instead(tx.payments, add=add))


class FeedsByTime(Altered):
    """Events are told by their times: one whose clock was behind comes before what was told already."""

    def altered(self, tx: Any) -> Any:
        def feed(page: Page) -> Any:
            every, end = tx.events.feed(Page(limit=1000))
            every.sort(key=lambda one: one.event.at)
            try:
                skipped = int(page.cursor or 0)
            except ValueError as error:
                raise InvalidCursor from error
            found = every[skipped : skipped + page.limit]
            return found, str(skipped + len(found)) if end else None

        return Instead(tx, events=Instead(tx.events, feed=feed))


class TellsTheNewestOnly(Altered):
    """A reader that is slower than the writers misses what was in between."""

    def altered(self, tx: Any) -> Any:
        def feed(page: Page) -> Any:
            found, cursor = tx.events.feed(Page(cursor=page.cursor, limit=1000))
            return found[-page.limit :], cursor

        return Instead(tx, events=Instead(tx.events, feed=feed))


class HasOnePaceForAll(Altered):
    """A gateway that is away in the sandbox is away in production."""

    def altered(self, tx: Any) -> Any:
        def get(gateway: GatewayName, _: Environment) -> Any:
            return tx.paces.get(gateway, Environment.SANDBOX)

        return Instead(tx, paces=Instead(tx.paces, get=get))


class KnowsKeysByThemselves(Altered):
    """A key that two callers happened to choose gives one the answer of the other."""

    def altered(self, tx: Any) -> Any:
        def find(name: KeyName) -> Any:
            known = {kept.key: kept for kept in tx.answers.facts.answers}
            return tx.answers.find(known.get(name.key, name))

        return Instead(tx, answers=Instead(tx.answers, find=find))


class ForgetsTheNewestKeys(Altered):
    """Forgetting takes whatever it meets first."""

    def altered(self, tx: Any) -> Any:
        def forget_before(before: datetime, *, limit: int) -> int:
            old = [name for name, kept in tx.answers.facts.answers.items() if kept.begun_at < before][:limit]
            for name in old:
                tx.answers.forget(name)
            return len(old)

        return Instead(tx, answers=Instead(tx.answers, forget_before=forget_before))


CAUGHT_BY: Final[tuple[tuple[Callable[[], MemoryStore], str], ...]] = (
    (ForgetsEvents, "events_are_written_with_the_change_and_in_order"),
    (GivesEventsBack, "an_event_is_written_once"),
    (ForgetsMicroseconds, "a_full_payment_comes_back_as_it_was"),
    (SortsFields, "the_fields_of_a_form_keep_their_order"),
    (LastWriterWins, "a_stale_booking_makes_the_function_run_again"),
    (OneTransactionIdEach, "a_repeated_transaction_id_is_stored_and_found"),
    (MixesEnvironments, "the_same_reference_at_another_gateway_or_environment_is_another_one"),
    (FindsOursAnywhere, "a_payment_is_found_by_our_own_reference_at_its_gateway_and_environment"),
    (FindsTheGatewaysOnly, "a_payment_is_found_by_our_own_reference_at_its_gateway_and_environment"),
    (FindsTheGatewaysOnly, "what_is_found_by_our_own_reference_is_the_payment_as_it_stands"),
    (KeepsNoReferenceOfOurs, "every_answer_is_kept_in_order"),
    (TakesAbsentForNotFound, "every_answer_is_kept_in_order"),
    (SharesReferences, "a_gateway_reference_belongs_to_one_payment"),
    (CountsOffsets, "a_page_is_not_shifted_by_what_is_added_meanwhile"),
    (KeepsWhatFailed, "an_exception_takes_everything_back"),
    (AcknowledgesEarly, "what_was_acknowledged_is_read_at_once"),
    (ReadsThenWrites, "nothing_is_lost_between_transactions_on_one_booking"),
    (ShowsHalf, "a_reading_sees_whole_transactions_only"),
    (StopsHalfway, "a_caller_that_is_canceled_leaves_all_or_nothing"),
    (LosesItsFile, "what_was_acknowledged_is_there_when_the_store_is_opened_again"),
    (ClaimsWhatIsHeld, "two_workers_never_get_the_same_payment"),
    (ClaimsWhatIsHeld, "a_claimed_payment_is_left_alone_until_it_is_given_back"),
    (HasNoFence, "a_lease_that_ended_is_taken_over_and_its_holder_writes_nothing"),
    (HoldsForEver, "a_lease_that_ended_is_taken_over_and_its_holder_writes_nothing"),
    (CountsLooks, "what_is_put_off_keeps_its_version_and_everything_but_its_next_look"),
    (PutsOffWhatChanged, "what_changed_meanwhile_is_given_back_and_not_put_off"),
    (GivesBackNothing, "what_changed_meanwhile_is_given_back_and_not_put_off"),
    (MixesEnvironmentsInCounting, "what_is_due_and_unfinished_is_counted_by_gateway_and_environment"),
    (CountsEveryLook, "what_is_over_or_not_due_is_not_counted"),
    (CountsWhatIsFree, "what_somebody_holds_is_counted_until_its_look_is_put_off"),
    (RefundsTwiceAtOnce, "a_payment_has_one_refund_without_a_known_outcome"),
    (ForgetsPostings, "postings_are_written_with_their_payment_and_come_oldest_first"),
    (GivesPostingsBack, "a_posting_is_written_once"),
    (FeedsByTime, "the_feed_follows_the_order_of_the_changes_and_not_their_times"),
    (TellsTheNewestOnly, "nothing_is_passed_over_while_everybody_writes"),
    (ReadsThenWrites, "no_call_is_counted_twice_or_not_at_all"),
    (HasOnePaceForAll, "each_gateways_pace_is_kept"),
    (KnowsKeysByThemselves, "a_key_belongs_to_one_caller_and_one_operation"),
    (ForgetsTheNewestKeys, "the_oldest_keys_are_forgotten_first"),
    (ReadsThenWrites, "of_requests_with_one_key_the_first_is_carried_out"),
)


@pytest.mark.parametrize(("broken", "clause"), CAUGHT_BY)
async def test_a_broken_store_is_caught(broken: Callable[[], MemoryStore], clause: str) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await CLAUSES[clause](broken())
