"""What the merchant's staff do: give money back, here and in the gateways' panels, and decide what waits for them."""

from typing import Final

from sewapay.application.errors import ApplicationError
from sewapay.application.refund_payment import RefundRequest
from sewapay.application.resolve_payment import Resolution
from sewapay.application.verify_payment import Verification
from sewapay.domain.errors import DomainError
from sewapay.domain.money import NOTHING, Money
from sewapay.domain.payment import Payment
from sewapay.domain.resolution import Decision
from tests.backend.system.simulation.chosen import a_key, a_payment, refund_told, same_answer
from tests.backend.system.simulation.world import NAMES, World, name_of
from tests.shop import STAFF

__all__ = ["decide", "refund", "refund_in_the_panel", "several_refunds_at_once", "staff_settles"]

ANY: Final = tuple(Decision)
OF_REFUNDS: Final = (Decision.REFUND_HAPPENED, Decision.REFUND_DID_NOT_HAPPEN)


def refund(world: World) -> None:
    payment = a_payment(world, lambda payment: payment.money_was_seen)
    if payment is not None:
        _refund(world, payment)


def several_refunds_at_once(world: World) -> None:
    payment = a_payment(world, lambda payment: payment.money_was_seen)
    if payment is not None:
        for _ in range(3):
            _refund(world, payment)


def _refund(world: World, payment: Payment) -> None:
    if _was_lied_about(world, payment):
        return
    paid = payment.amount_paid or payment.amount
    part = world.chance.choice((None, None, paid.paisa // 2, paid.paisa // 3 + 1))
    amount = None if part is None else Money(part)
    once = a_key(world, STAFF.actor, f"refund {payment.id}", f"{part}", refund_told)
    request = RefundRequest(by=STAFF, payment_id=payment.id, amount=amount, reason="asked for it", once=once)
    process = world.somewhere()
    what = f"refund {part or 'all'} of {name_of(payment)}"
    world.start(
        what, process, lambda: process.container.refund_payment()(request), same_answer(world, once, refund_told)
    )


def refund_in_the_panel(world: World) -> None:
    """While nothing of ours is on its way: nobody could tell the two apart, the merchant's staff included."""
    payment = a_payment(world, lambda payment: payment.money_was_seen and payment.amount_reserved == NOTHING)
    if payment is None or payment.refund_due:
        return
    if _in_the_panel(world, payment, part=world.chance.random() < 0.3) and world.chance.random() < 0.5:
        process, look = world.somewhere(), Verification(by=STAFF, payment=payment.id, even_if_settled=True)
        world.start(f"verify {name_of(payment)} again", process, lambda: process.container.verify_payment()(look))


def _in_the_panel(world: World, payment: Payment, *, part: bool) -> bool:
    """The merchant's staff give it back there; nobody tells us. Not where they may have been told another amount."""
    there = world.there(payment)
    if there is not None and there.was_lied_about:
        return False
    amount = there.left // 2 if there is not None and part else None
    if there is None or not world.tills[payment.gateway].give_back(there.name, amount, world.clock.now(), by="panel"):
        return False
    world.note(f"{amount or 'all'} of {there.name} is given back in the panel")
    return True


def decide(world: World) -> None:
    payment = a_payment(world, lambda payment: payment.needs_attention or payment.amount_reserved != NOTHING)
    if payment is None:
        return
    decision = world.chance.choice(ANY)
    if decision in OF_REFUNDS:
        decision = _what_the_panel_says(world, payment)
    if _was_lied_about(world, payment) or (decision is Decision.CLOSE and not _is_over(world, payment)):
        decision = Decision.HOLD
    process = world.somewhere()
    resolution = Resolution(
        by=STAFF, payment_id=payment.id, decision=decision, reason="as it stands there", version=payment.version
    )
    what = f"decide {decision} about {name_of(payment)}"
    world.start(what, process, lambda: process.container.resolve_payment()(resolution))


async def staff_settles(world: World) -> bool:
    """Whatever waits for a person is decided by one who looks into the panel; False when nothing waits."""
    waiting = [payment for payment in world.payments() if payment.needs_attention]
    process = world.processes[NAMES[0]]
    for payment in waiting:
        at_last = Decision.CLOSE if _is_over(world, payment) else Decision.HOLD
        tries: tuple[Decision, ...] = (_what_the_panel_says(world, payment), Decision.REFUND, Decision.HONOUR, at_last)
        if _was_lied_about(world, payment):
            tries = (Decision.HOLD,)
        for decision in tries:
            resolution = Resolution(
                by=STAFF, payment_id=payment.id, decision=decision, reason="at last", version=payment.version
            )
            try:
                await process.container.resolve_payment()(resolution)
            except (ApplicationError, DomainError) as refused:
                world.note(f"not {decision} about {name_of(payment)}: {refused}")
                continue
            world.note(f"{decision} is decided about {name_of(payment)}")
            break
        else:
            world.shared.complaints.append(f"nobody can decide about payment {payment.id}")
        world.check()
    return bool(waiting)


def _is_over(world: World, payment: Payment) -> bool:
    """Whether the panel shows that nobody can pay it any more, and that nothing came which is not known here."""
    there = world.there(payment)
    if there is None or payment.money_was_seen:
        return True
    return world.tills[payment.gateway].is_over(there.name, world.clock.now())


def _was_lied_about(world: World, payment: Payment) -> bool:
    """Whether the panel shows another amount than we were told: nobody does anything about it but ask again."""
    there = world.there(payment)
    return there is not None and payment.amount_paid is not None and payment.amount_paid.paisa != there.held.amount


def _what_the_panel_says(world: World, payment: Payment) -> Decision:
    """Whether the refund that went unanswered stands in the gateway's books."""
    there = world.there(payment)
    sent = sum(amount for amount, by in there.refunds if by == "api") if there else 0
    refunds = world.database.read(lambda view: view.refunds.of_payment(payment.id))
    known = sum(refund.amount.paisa for refund in refunds if refund.status == "confirmed")
    return Decision.REFUND_HAPPENED if sent > known else Decision.REFUND_DID_NOT_HAPPEN
