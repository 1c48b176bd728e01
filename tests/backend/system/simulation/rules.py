"""What customers, merchants, staff, workers and machines do, in whatever order."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from sewapay.application.cancel_booking import Cancellation
from sewapay.application.errors import ApplicationError
from sewapay.application.idempotency import AlreadyAnswered, Answer, KeyName, Once
from sewapay.application.open_checkout import CheckoutRequest, OpenedCheckout
from sewapay.application.refund_payment import RefundRequest
from sewapay.application.register_booking import NewBooking
from sewapay.application.resolve_payment import Resolution
from sewapay.application.verify_payment import Verification
from sewapay.domain.booking import Booking
from sewapay.domain.errors import DomainError
from sewapay.domain.identifiers import BookingId, GatewayName
from sewapay.domain.money import NOTHING, Money
from sewapay.domain.payment import Payment
from sewapay.domain.refund import Refund
from sewapay.domain.resolution import Decision
from tests.backend.system.simulation.gateway import CALM, Weather
from tests.backend.system.simulation.process import Process
from tests.backend.system.simulation.world import NAMES, World
from tests.shop import SERVICE, SITA, STAFF

__all__ = ["happen"]

Rule = Callable[[World], None]

MOST_BOOKINGS: Final = 8
KHALTI: Final = GatewayName("khalti")
PRICES: Final = (1000, 50000, 113000)
PAUSES: Final = (0.5, 5, 30, 61, 300, 900, 3700, 90000, 400000)
MOST_ROUNDS: Final = 4
LATEST: Final = timedelta(minutes=9)
ANY: Final = tuple(Decision)
OF_REFUNDS: Final = (Decision.REFUND_HAPPENED, Decision.REFUND_DID_NOT_HAPPEN)


async def happen(world: World, ops: int) -> None:
    """As many things as were asked for; then all is well, and everything has to settle. Raises `Broken`."""
    for _ in range(2):
        register(world)
    rules, weights = zip(*RULES.items(), strict=True)
    for _ in range(ops):
        rule = world.chance.choices(rules, weights)[0]
        rule(world)
        for _ in range(world.chance.choice((0, 0, 1, 3, 8, 25))):
            await world.shared.turns.wait()
        world.check()
        if rule is time_passes:
            await world.clock.pause(world.chance.choice(PAUSES))
            world.check()
    world.heal()
    await world.settle()
    world.till.ends_what_is_pending(world.clock.now())
    for _ in range(MOST_ROUNDS):
        if not await staff_settles(world):
            return
        await world.settle()
    world.shared.complaints.append("staff decided again and again, and something still waits for them")
    world.check()


# --- merchants and their staff ---------------------------------------------------------------------------------------


def register(world: World) -> None:
    if len(world.database.books().bookings) >= MOST_BOOKINGS:
        return
    amount = Money(world.chance.choice(PRICES))
    once = _once(world, SERVICE.actor, "register", f"{amount.paisa}", _booking_told)
    new = NewBooking(by=SERVICE, customer=SITA, title="Deep cleaning", amount=amount, once=once)
    process = world.somewhere()
    world.start(
        "register", process, lambda: process.container.register_booking()(new), _same(world, once, _booking_told)
    )


def cancel_booking(world: World) -> None:
    booking_id = _booking(world)
    if booking_id is None:
        return
    process, cancellation = world.somewhere(), Cancellation(by=STAFF, booking_id=booking_id)
    world.start(f"cancel booking {booking_id}", process, lambda: process.container.cancel_booking()(cancellation))


def refund(world: World) -> None:
    payment = _payment(world, lambda payment: payment.money_was_seen)
    if payment is not None:
        _refund(world, payment)


def several_refunds_at_once(world: World) -> None:
    payment = _payment(world, lambda payment: payment.money_was_seen)
    if payment is not None:
        for _ in range(3):
            _refund(world, payment)


def _refund(world: World, payment: Payment) -> None:
    paid = payment.amount_paid or payment.amount
    part = world.chance.choice((None, None, paid.paisa // 2, paid.paisa // 3 + 1))
    amount = None if part is None else Money(part)
    once = _once(world, STAFF.actor, f"refund {payment.id}", f"{part}", _refund_told)
    request = RefundRequest(by=STAFF, payment_id=payment.id, amount=amount, reason="asked for it", once=once)
    process = world.somewhere()
    what = f"refund {part or 'all'} of {payment.gateway_reference}"
    world.start(what, process, lambda: process.container.refund_payment()(request), _same(world, once, _refund_told))


def refund_in_the_panel(world: World) -> None:
    """While nothing of ours is on its way: nobody could tell the two apart, the merchant's staff included."""
    payment = _payment(world, lambda payment: payment.money_was_seen and payment.amount_reserved == NOTHING)
    if payment is None or payment.gateway_reference is None or payment.refund_due:
        return
    left = world.till.payments[payment.gateway_reference].left
    amount = world.chance.choice((None, None, left // 2))
    if left and world.till.give_back(payment.gateway_reference, amount, world.clock.now(), by="panel"):
        world.note(f"{amount or 'all'} of {payment.gateway_reference} is given back in the panel")
        if world.chance.random() < 0.5:
            return  # nobody tells us
        process = world.somewhere()
        look = Verification(by=STAFF, payment=payment.id, even_if_settled=True)
        world.start(
            f"verify {payment.gateway_reference} again", process, lambda: process.container.verify_payment()(look)
        )


def decide(world: World) -> None:
    payment = _payment(world, lambda payment: payment.needs_attention or payment.amount_reserved != NOTHING)
    if payment is None:
        return
    decision = world.chance.choice(ANY)
    if decision in OF_REFUNDS:
        decision = _what_the_panel_says(world, payment)
    if decision is Decision.CLOSE and not _is_over(world, payment):
        decision = Decision.HOLD
    process = world.somewhere()
    resolution = Resolution(
        by=STAFF, payment_id=payment.id, decision=decision, reason="as it stands there", version=payment.version
    )
    what = f"decide {decision} about {payment.gateway_reference}"
    world.start(what, process, lambda: process.container.resolve_payment()(resolution))


async def staff_settles(world: World) -> bool:
    """Whatever waits for a person is decided by one who looks into the panel; False when nothing waits."""
    waiting = [payment for payment in world.payments() if payment.needs_attention]
    process = world.processes[NAMES[0]]
    for payment in waiting:
        at_last = Decision.CLOSE if _is_over(world, payment) else Decision.HOLD
        tries = (_what_the_panel_says(world, payment), Decision.REFUND, Decision.HONOUR, at_last)
        for decision in tries:
            resolution = Resolution(
                by=STAFF, payment_id=payment.id, decision=decision, reason="at last", version=payment.version
            )
            try:
                await process.container.resolve_payment()(resolution)
            except (ApplicationError, DomainError) as refused:
                world.note(f"not {decision} about {payment.gateway_reference}: {refused}")
                continue
            world.note(f"{decision} is decided about {payment.gateway_reference}")
            break
        else:
            world.shared.complaints.append(f"nobody can decide about payment {payment.id}")
        world.check()
    return bool(waiting)


def _is_over(world: World, payment: Payment) -> bool:
    """Whether the panel shows that nobody can pay it any more, and that nothing came which is not known here."""
    there = world.till.payments.get(payment.gateway_reference or "")
    return there is None or payment.money_was_seen or there.held.status in ("canceled", "expired", "failed")


def _what_the_panel_says(world: World, payment: Payment) -> Decision:
    """Whether the refund that went unanswered stands in the gateway's books."""
    there = world.till.payments.get(payment.gateway_reference or "")
    sent = sum(amount for amount, by in there.refunds if by == "api") if there else 0
    refunds = world.database.read(lambda view: view.refunds.of_payment(payment.id))
    known = sum(refund.amount.paisa for refund in refunds if refund.status == "confirmed")
    return Decision.REFUND_HAPPENED if sent > known else Decision.REFUND_DID_NOT_HAPPEN


# --- customers -------------------------------------------------------------------------------------------------------


def open_checkout(world: World) -> None:
    booking_id = _booking(world)
    if booking_id is not None:
        _open(world, booking_id)


def several_tabs_at_once(world: World) -> None:
    booking_id = _booking(world)
    if booking_id is not None:
        for _ in range(3):
            _open(world, booking_id)


def _open(world: World, booking_id: BookingId) -> None:
    once = _once(world, SERVICE.actor, f"open {booking_id}", "", _opened_told)
    request = CheckoutRequest(by=SERVICE, booking_id=booking_id, gateway=KHALTI, once=once)
    process = world.somewhere()
    same = _same(world, once, _opened_told)

    def shown(result: Any) -> None:
        same(result)
        if isinstance(result, OpenedCheckout):
            world.show(result.payment)

    world.start(f"open a checkout of {booking_id}", process, lambda: process.container.open_checkout()(request), shown)


def pay(world: World) -> None:
    pidx = _link(world)
    if pidx is None:
        return
    there, odd = world.till.payments[pidx], world.chance.random()
    amount = there.order_amount + world.chance.choice((-500, 500)) if odd < 0.04 else None
    others = [paid.held.transaction_id for paid in world.till.payments.values() if paid.is_paid]
    transaction = world.chance.choice(others) if others and 0.04 < odd < 0.07 else None
    late = world.chance.random() < 0.3 and world.clock.now() < there.dies_at + LATEST
    if world.till.pay(pidx, world.clock.now(), late=late, amount=amount, transaction=transaction):
        world.note(f"{pidx} is paid{' late' if late else ''} {amount or ''} {transaction or ''}")


def pay_and_come_back(world: World) -> None:
    pay(world)
    come_back(world)


def give_up(world: World) -> None:
    pidx = _link(world)
    status = world.chance.choice(("canceled", "expired", "pending", "failed"))
    if pidx is not None and world.till.says(pidx, status, world.clock.now()):
        world.note(f"{pidx} is {status}")


def come_back(world: World) -> None:
    """From the gateway's page, or an old page that is loaded again."""
    pidx = _link(world)
    if pidx is not None:
        _come_back(world, pidx, world.somewhere())


def _come_back(world: World, pidx: str, process: Process) -> None:
    look = Verification(by=None, payment=world.shown[pidx].id)
    world.start(f"return of {pidx}", process, lambda: process.container.verify_payment()(look))


def many_come_back_at_once(world: World) -> None:
    pidx = _link(world)
    if pidx is None:
        return
    for name in (*NAMES, *NAMES):
        _come_back(world, pidx, world.processes[name])
    work(world)


def read(world: World) -> None:
    payment = _payment(world, lambda payment: True)
    if payment is not None:
        process = world.somewhere()
        what = f"read {payment.gateway_reference}"
        world.start(what, process, lambda: process.container.read_payment()(payment.id, STAFF))


# --- machines --------------------------------------------------------------------------------------------------------


def work(world: World) -> None:
    _work(world, world.somewhere())


def _work(world: World, process: Process) -> None:
    world.start("reconcile", process, lambda: world.reconcile(process))


def both_work(world: World) -> None:
    for name in NAMES:
        _work(world, world.processes[name])


def time_passes(world: World) -> None:
    world.note("time passes")


def weather_changes(world: World) -> None:
    fair = world.chance.random() < 0.3
    world.shared.weather = CALM if fair else Weather.of(world.shared.chance)
    world.shared.facts_change = 0.0 if fair else 0.05
    world.shared.commits_go_unheard = 0.0 if fair else world.chance.choice((0.0, 0.0, 0.02))
    world.note(f"the weather is {world.shared.weather}")


def database_goes_and_comes(world: World) -> None:
    world.shared.database_is_away = not world.shared.database_is_away and world.chance.random() < 0.4
    world.note(f"the database is {'away' if world.shared.database_is_away else 'there'}")


def crash(world: World) -> None:
    world.crash(world.chance.choice(NAMES))


def somebody_is_cut_off(world: World) -> None:
    """A client that goes away, or a shutdown: the task is canceled wherever it is."""
    if world.running:
        what, process, task = world.running[world.chance.randrange(len(world.running))]
        process.note(f"{what}: is cut off")
        task.cancel()


# --- what they choose ------------------------------------------------------------------------------------------------


def _booking(world: World) -> BookingId | None:
    rows = world.database.books().bookings
    return BookingId(world.chance.choice(rows)["id"]) if rows else None


def _payment(world: World, fits: Callable[[Payment], bool]) -> Payment | None:
    found = [payment for payment in world.payments() if fits(payment)]
    return world.chance.choice(found) if found else None


def _link(world: World) -> str | None:
    return world.chance.choice(list(world.shown)) if world.shown else None


def _once(world: World, actor: str, operation: str, wanted: str, told: Callable[[Any], Answer]) -> Once[Any] | None:
    """Half of the callers send a key, one of few: so that some come again, and some with another request."""
    if world.chance.random() < 0.5:
        return None
    day = world.clock.now() - timedelta(hours=world.clock.now().hour % 6)
    key = f"{day:%m%d%H}-{world.chance.randrange(3)}"
    return Once(
        name=KeyName(principal=actor, operation=operation, key=key), fingerprint=f"{operation} {wanted}", render=told
    )


def _same(world: World, once: Once[Any] | None, told: Callable[[Any], Answer]) -> Callable[[Any], None]:
    """I14: whoever asks again under a key hears what was said before, byte for byte, as long as it is kept."""

    def judge(result: Any) -> None:
        if once is None:
            return
        name = f"{once.name.principal} {once.name.operation} {once.name.key}"
        said = result.answer.body if isinstance(result, AlreadyAnswered) else told(result).body
        before = world.answered.setdefault(name, said)
        if before != said:
            world.shared.complaints.append(f"I14 {name} was answered {before!r}, and then {said!r}")

    return judge


def _booking_told(booking: Booking) -> Answer:
    return _answer(id=int(booking.id))


def _opened_told(opened: OpenedCheckout) -> Answer:
    return _answer(id=str(opened.payment.id), data={"pidx": opened.payment.gateway_reference})


def _refund_told(refund: Refund) -> Answer:
    return _answer(id=str(refund.id), payment_id=str(refund.payment_id), status=refund.status.value)


def _answer(**said: object) -> Answer:
    return Answer(status=201, headers={}, body=json.dumps(said).encode())


RULES: Final[dict[Rule, int]] = {
    register: 7,
    open_checkout: 14,
    several_tabs_at_once: 4,
    pay: 8,
    pay_and_come_back: 10,
    give_up: 6,
    come_back: 8,
    many_come_back_at_once: 3,
    read: 3,
    cancel_booking: 2,
    refund: 7,
    several_refunds_at_once: 2,
    refund_in_the_panel: 2,
    decide: 5,
    work: 10,
    both_work: 5,
    time_passes: 16,
    weather_changes: 5,
    database_goes_and_comes: 2,
    crash: 4,
    somebody_is_cut_off: 3,
}
