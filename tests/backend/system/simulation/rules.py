"""What customers, merchants, staff, workers and machines do, in whatever order."""

from collections.abc import Callable
from typing import Any, Final

from attrs import evolve

from sewapay.application.cancel_booking import Cancellation
from sewapay.application.open_checkout import CheckoutRequest, OpenedCheckout
from sewapay.application.ports import ReturnMessage
from sewapay.application.register_booking import NewBooking
from sewapay.application.verify_payment import OurReference, Verification, Verified
from sewapay.domain.identifiers import BookingId, PaymentId
from sewapay.domain.money import Money
from tests.backend.system.simulation.chosen import (
    a_booking,
    a_key,
    a_link,
    a_payment,
    booking_told,
    opened_told,
    same_answer,
    till_of,
)
from tests.backend.system.simulation.gateway import BANK, CALM, CAN, FORMS, KHALTI, Weather
from tests.backend.system.simulation.process import Process
from tests.backend.system.simulation.staff import (
    decide,
    refund,
    refund_in_the_panel,
    several_refunds_at_once,
    staff_settles,
)
from tests.backend.system.simulation.world import NAMES, World, name_of
from tests.shop import SERVICE, SITA, STAFF

__all__ = ["happen"]

Rule = Callable[[World], None]

MOST_BOOKINGS: Final = 8
CHOSEN: Final = {KHALTI: 6, FORMS: 3, BANK: 2}
PRICES: Final = (1000, 50000, 113000)
PAUSES: Final = (0.5, 5, 30, 61, 300, 900, 3700, 90000, 400000)
MOST_ROUNDS: Final = 4
ENDED: Final = ("canceled", "expired", "failed")
GIVES_UP: Final = {
    False: ("canceled", "expired", "pending", "failed"),
    True: ("canceled", "absent", "ambiguous", "failed"),
}


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
    for till in world.tills.values():
        till.ends_what_is_pending(world.clock.now())
    for _ in range(MOST_ROUNDS):
        if not await staff_settles(world):
            return
        await world.settle()
    world.shared.complaints.append("staff decided again and again, and something still waits for them")
    world.check()


# --- merchants -------------------------------------------------------------------------------------------------------


def register(world: World) -> None:
    if len(world.database.books().bookings) >= MOST_BOOKINGS:
        return
    amount = Money(world.chance.choice(PRICES))
    once = a_key(world, SERVICE.actor, "register", f"{amount.paisa}", booking_told)
    new = NewBooking(by=SERVICE, customer=SITA, title="Deep cleaning", amount=amount, once=once)
    process = world.somewhere()
    world.start(
        "register", process, lambda: process.container.register_booking()(new), same_answer(world, once, booking_told)
    )


def cancel_booking(world: World) -> None:
    booking_id = a_booking(world)
    if booking_id is None:
        return
    process, cancellation = world.somewhere(), Cancellation(by=STAFF, booking_id=booking_id)
    world.start(f"cancel booking {booking_id}", process, lambda: process.container.cancel_booking()(cancellation))


# --- customers -------------------------------------------------------------------------------------------------------


def open_checkout(world: World) -> None:
    booking_id = a_booking(world)
    if booking_id is not None:
        _open(world, booking_id)


def several_tabs_at_once(world: World) -> None:
    booking_id = a_booking(world)
    if booking_id is not None:
        for _ in range(3):
            _open(world, booking_id)


def _open(world: World, booking_id: BookingId) -> None:
    gateway = world.chance.choices(list(CHOSEN), list(CHOSEN.values()))[0]
    once = a_key(world, SERVICE.actor, f"open {booking_id} at {gateway}", "", opened_told)
    request = CheckoutRequest(by=SERVICE, booking_id=booking_id, gateway=gateway, once=once)
    process, what = world.somewhere(), f"open a checkout of {booking_id} at {gateway}"
    same = same_answer(world, once, opened_told)

    def shown(result: Any) -> None:
        same(result)
        if isinstance(result, OpenedCheckout):
            world.show(result.payment)

    world.start(what, process, lambda: process.container.open_checkout()(request), shown)


def enter(world: World) -> None:
    """A customer posts a form, and is at the gateway's page."""
    name = a_link(world)
    if name is not None and till_of(world, name).enter(name, world.clock.now()):
        world.note(f"{name} is entered")


def pay(world: World) -> None:
    name = a_link(world)
    if name is not None:
        _pay(world, name)


def every_attempt_is_paid(world: World) -> None:
    """A customer who opened several pages, at whatever gateways, pays at each of them."""
    booking_id = a_booking(world)
    for name, payment in world.shown.items():
        if payment.booking_id == booking_id:
            _pay(world, name)
            _come_back(world, name, world.somewhere())


def _pay(world: World, name: str) -> None:
    till, odd = till_of(world, name), world.chance.random()
    amount = till.payments[name].order_amount + world.chance.choice((-500, 500)) if odd < 0.04 else None
    others = [paid.held.transaction_id for paid in till.payments.values() if paid.is_paid]
    transaction = world.chance.choice(others) if others and 0.04 < odd < 0.07 else None
    late = world.chance.random() < 0.3
    if till.pay(name, world.clock.now(), late=late, amount=amount, transaction=transaction):
        world.note(f"{name} is paid{' late' if late else ''} {amount or ''} {transaction or ''}")


def pay_and_come_back(world: World) -> None:
    pay(world)
    come_back(world)


def give_up(world: World) -> None:
    name = a_link(world)
    if name is None:
        return
    till = till_of(world, name)
    till.enter(name, world.clock.now())
    status = world.chance.choice(GIVES_UP[till.by_form])
    if till.says(name, status, world.clock.now()):
        world.note(f"{name} is {status}")


def change_the_gateway(world: World) -> None:
    """A customer who is at one gateway's page wants to pay at another, which may be the same."""
    enter(world)
    open_checkout(world)


def come_back(world: World) -> None:
    """From the gateway's page, or an old page that is loaded again."""
    name = a_link(world)
    if name is not None:
        _come_back(world, name, world.somewhere())


def _come_back(world: World, name: str, process: Process) -> None:
    """To the payment's own address, or to one that all payments of the gateway have.

    Nobody who paid is told that they did not, unless the gateway lied; its silence is no reason. Who brings its signed
    word is not sent to pay even then.
    """
    payment, began = world.shown[name], len(process.answers)
    was_paid = till_of(world, name).payments[name].is_paid
    which: PaymentId | OurReference = payment.id
    if CAN[payment.gateway].registered_return:
        which = OurReference(payment.gateway, payment.environment, payment.order_reference)

    def told(verified: Verified) -> None:
        is_lied_to = not all(is_true for about, is_true in process.answers[began:] if about == name)
        status, is_doubted = verified.payment.status, verified.payment.outcome_unknown
        is_asked_again = status in ENDED and not (is_lied_to or is_doubted)
        if was_paid and (is_asked_again or (signs and status == "open")):
            world.shared.complaints.append(f"{name} was paid, and who paid was told {status}")
        if verified.payment.id != payment.id:
            world.shared.complaints.append(f"I5 {name} came back as payment {verified.payment.id}")

    signs = was_paid and CAN[payment.gateway].signed_return
    brought = ReturnMessage(values=(("signed", str(payment.order_reference)),) if signs else ())
    look = Verification(by=None, payment=which, brought=brought)
    world.start(f"return of {name}", process, lambda: process.container.verify_payment()(look), told)


def many_come_back_at_once(world: World) -> None:
    name = a_link(world)
    if name is None:
        return
    for where in (*NAMES, *NAMES):
        _come_back(world, name, world.processes[where])
    work(world)


def read(world: World) -> None:
    payment = a_payment(world, lambda payment: True)
    if payment is not None:
        process = world.somewhere()
        what = f"read {name_of(payment)}"
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
    """At one gateway, or at all of them at once."""
    fair = world.chance.random() < 0.3
    where = world.chance.choice((list(CAN), *([name] for name in CAN)))
    for name in where:
        world.shared.weather[name] = CALM if fair else _weather(world)
    world.shared.facts_change = 0.0 if fair else 0.05
    world.shared.commits_go_unheard = 0.0 if fair else world.chance.choice((0.0, 0.0, 0.02))
    world.note(f"the weather at {', '.join(where)} is {world.shared.weather[where[0]]}")


def _weather(world: World) -> Weather:
    """Amounts are lied about only where a person looks at each before anything is done."""
    weather = Weather.of(world.shared.chance)
    is_held = world.policies["SEWAPAY_ON_AMOUNT_MISMATCH"] == "hold"
    return weather if is_held else evolve(weather, wrong_amount=0)


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


RULES: Final[dict[Rule, int]] = {
    register: 7,
    open_checkout: 14,
    several_tabs_at_once: 4,
    enter: 3,
    pay: 8,
    pay_and_come_back: 10,
    every_attempt_is_paid: 2,
    give_up: 6,
    change_the_gateway: 3,
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
