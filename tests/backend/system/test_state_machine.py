"""Customers, Khalti, the shop and restarts in any order: the promises hold after every step.

Each rule is something that somebody does to the whole service over HTTP; each call may be repeated later, and several
may come at once. The model is what callers were told and what Khalti's ledger says, in plain dicts.

How hard it looks: the Hypothesis profile (`HYPOTHESIS_PROFILE`).
"""

import asyncio
import json
import re
from collections.abc import Coroutine
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlencode

import httpx
import pytest
import uvloop
from attrs import field, frozen
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from sewapay.adapters.khalti.simulator.ledger import Refused
from tests.backend.system.promises import MONEY, PAID_AT_KHALTI, Rows, broken, broken_between, unsettled
from tests.backend.system.world import (
    GUIDE,
    HEADERS_OF,
    RAM,
    SHOP,
    SITA,
    STAFF,
    Khalti,
    World,
    a_booking,
    a_world,
)

T = TypeVar("T")

# (examples, steps): what a profile that is not named here gets is "default".
FIGURES: Final = {
    "sqlite": {"default": (40, 30), "ci": (150, 50)},
    "postgres": {"default": (20, 30), "ci": (75, 50)},
}
FAULTS: Final[tuple[dict[str, Any], ...]] = (
    {"on": "lookup", "fault": "drop_before"},
    {"on": "lookup", "fault": "drop_after", "reset": True},
    {"on": "lookup", "fault": "status", "status": 503, "body": "html"},
    {"on": "lookup", "fault": "status", "status": 429},
    {"on": "lookup", "fault": "html"},
    {"on": "lookup", "fault": "malformed"},
    {"on": "lookup", "fault": "wrong_amount", "delta": -1},
    {"on": "lookup", "fault": "wrong_amount", "delta": 1},
    {"on": "lookup", "fault": "wrong_pidx"},
    {"on": "lookup", "fault": "lag"},
    {"on": "lookup", "fault": "lag", "times": 3},
    {"on": "lookup", "fault": "status_word", "word": "Ambiguous"},
    {
        "on": "lookup",
        "fault": "raw",
        "status": 404,
        "body": '{"detail": "Not found.", "error_key": "validation_error"}',
    },
    {"on": "initiate", "fault": "drop_before"},
    {"on": "initiate", "fault": "drop_after"},
    {"on": "initiate", "fault": "status", "status": 502, "body": "html"},
    {"on": "initiate", "fault": "status", "status": 400},
    {"on": "initiate", "fault": "malformed"},
    {"on": "initiate", "fault": "missing", "key": "pidx"},
    {"on": "initiate", "fault": "off_domain"},
    {"on": "initiate", "fault": "repeat_pidx"},
)
WORDS: Final = ("Completed", "User canceled", "Expired", "Pending", "Refunded", "completed", "", "zzz", "पूरा")
PIDX: Final = re.compile(r"[?&]pidx=([2-9A-HJ-NP-Za-km-z]{22})(?![0-9A-Za-z])")
STRANGER: Final = "strangerstrangerstrang"

which = st.integers(0, 9)
spoiled = st.sampled_from((None, None, None, *(fault for fault in FAULTS if fault["on"] == "lookup")))


@frozen(kw_only=True)
class Call:
    """One request, so that it can be made again. `booking`, `pidx` and `who` are what it is about."""

    kind: str
    method: str
    path: str
    who: str
    booking: int
    pidx: str | None = None
    body: dict[str, Any] | None = None
    form: dict[str, str] | None = field(default=None)


class Payments(RuleBasedStateMachine):
    """A shop with two customers, what happens to it, and what must be true after each thing that happens.

    No rule has a precondition: which rules can be drawn must not hang on which of two calls was the faster one.
    """

    def __init__(self, world: World, runner: asyncio.Runner) -> None:
        super().__init__()
        self.world = world
        self.runner = runner
        self.khalti = world.khalti
        self.bookings: dict[int, dict[str, Any]] = {}
        self.links: dict[str, int] = {}
        self.successes: dict[tuple[int, str], dict[str, Any]] = {}
        self.told_before: frozenset[tuple[int, str]] = frozenset()
        self.calls: list[Call] = []
        self.rows = Rows(bookings={}, payments={}, events=(), answers={})

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(doing)

    # --- what happens ------------------------------------------------------------------------------------------------

    @initialize()
    def a_new_day(self) -> None:
        self.khalti.forget()
        self.world.clock.offset = timedelta()
        greatest = self.run(self.world.database.rows("SELECT max(id) AS id FROM bookings WHERE id >= $1", 1))
        self.world.first = (greatest[0]["id"] or 0) + 1
        self._register(SITA, 113000)
        self._register(RAM, 113000)
        self.a_front_end_opens_a_checkout(booking=0, by_its_owner=True)
        self.every_promise_holds()

    @rule(owner=st.sampled_from((SITA, RAM)), amount=st.sampled_from((1000, 113000, 113001)))
    def the_shop_registers_a_booking(self, owner: str, amount: int) -> None:
        if len(self.bookings) < 5:
            self._register(owner, amount)

    @rule(booking=which, by_its_owner=st.sampled_from((True, True, True, False)))
    def a_front_end_opens_a_checkout(self, booking: int, by_its_owner: bool) -> None:
        number = self._booking(booking)
        body = {"booking_id": number, "return_url": f"{SHOP}/payment/callback?lang=ne", "website_url": SHOP}
        path = f"{GUIDE}/initiate_khalti_payment/"
        self._do(
            Call(kind="open", method="POST", path=path, who=self._who(number, by_its_owner), booking=number, body=body)
        )

    @rule(booking=which, return_url=st.sampled_from((None, f"{SHOP}/thanks")))
    def the_shop_opens_a_checkout(self, booking: int, return_url: str | None) -> None:
        number = self._booking(booking)
        body = {"booking_id": number, "gateway": "khalti", "return_url": return_url}
        self._do(Call(kind="open", method="POST", path="/v1/payments", who=STAFF, booking=number, body=body))

    @rule(booking=which)
    def somebody_with_the_link_opens_a_checkout(self, booking: int) -> None:
        number = self._booking(booking)
        path = self.bookings[number]["page"]
        self._do(Call(kind="open", method="POST", path=path, who="", booking=number, form={"gateway": "khalti"}))

    @rule(link=which, what=st.sampled_from(("pay", "pay", "pay", "pend", "cancel", "expire")))
    def the_customer_does_something_at_khalti(self, link: int, what: str) -> None:
        try:
            getattr(self.khalti.simulator, what)(self._pidx(link))
        except Refused:
            return

    @rule(link=which, before=st.sampled_from((None, None, "pend", "cancel", "expire")), fault=spoiled)
    def the_customer_pays_and_comes_back(self, link: int, before: str | None, fault: dict[str, Any] | None) -> None:
        """At once, or after something else that we were told of."""
        pidx = self._pidx(link)
        if pidx not in self.links:
            return
        number = self.links[pidx]
        comes_back = self._processing(number, pidx, self.bookings[number]["owner"])
        try:
            if before is not None:
                getattr(self.khalti.simulator, before)(pidx)
                self.khalti.ledger()
                self._do(comes_back)
            self.khalti.simulator.pay(pidx)
        except Refused:
            return
        self._arm(fault)
        self._do(comes_back)

    @rule(link=which, gives_up=st.sampled_from(("cancel", "expire")))
    def the_customer_gives_up_and_tries_again(self, link: int, gives_up: str) -> None:
        pidx = self._pidx(link)
        if pidx in self.links:
            with suppress(Refused):
                getattr(self.khalti.simulator, gives_up)(pidx)
            self.khalti.ledger()
            self.a_front_end_opens_a_checkout(list(self.bookings).index(self.links[pidx]), by_its_owner=True)

    @rule(booking=which)
    def every_link_of_a_booking_is_paid(self, booking: int) -> None:
        number = self._booking(booking)
        for pidx in [pidx for pidx, of in self.links.items() if of == number]:
            with suppress(Refused):
                self.khalti.simulator.pay(pidx)
            self._do(self._processing(number, pidx, self.bookings[number]["owner"]))

    @rule(payment=which)
    def khalti_goes_back_in_time_for_a_moment(self, payment: int) -> None:
        row = self._payment(payment)
        if row["gateway_reference"] in self.links:
            self._arm({"on": "lookup", "fault": "lag", "pidx": row["gateway_reference"]})
            self._do(self._verifying(row, STAFF))

    @rule(link=which, other=which)
    def khalti_answers_about_another_payment(self, link: int, other: int) -> None:
        asked, answered = self._pidx(link), self._pidx(other)
        if {asked, answered} <= set(self.links) and self.khalti.status(answered) == "Completed":
            there = self.khalti.at(answered)
            answer = {
                "pidx": answered,
                "total_amount": there.purchase.amount,
                "status": "Completed",
                "transaction_id": there.transaction_id,
                "fee": 0,
                "refunded": False,
            }
            self._arm({"on": "lookup", "fault": "raw", "pidx": asked, "body": json.dumps(answer)})
            number = self.links[asked]
            self._do(self._processing(number, asked, self.bookings[number]["owner"]))

    @rule(link=which, amount=st.sampled_from((None, 100, 500)))
    def the_merchant_refunds_in_khaltis_panel(self, link: int, amount: int | None) -> None:
        try:
            self.khalti.simulator.refund(self._pidx(link), amount)
        except Refused:
            return

    @rule(payment=which, link=which, word=st.sampled_from(WORDS), with_a_query=st.booleans())
    def a_browser_comes_back(self, payment: int, link: int, word: str, with_a_query: bool) -> None:
        row = self._payment(payment)
        claims = {"pidx": self._pidx(link), "status": word, "transaction_id": "forged", "amount": "1"}
        query = f"?{urlencode(claims)}" if with_a_query else ""
        path = f"/return/{row['id']}/{query}"
        self._do(Call(kind="return", method="GET", path=path, who="", booking=row["booking_id"]))

    @rule(booking=which, link=which, own=st.sampled_from((True, True, True, False)), mine=st.booleans())
    def a_front_end_processes_the_callback(self, booking: int, link: int, own: bool, mine: bool) -> None:
        pidx = self._pidx(link)
        number = self.links.get(pidx, self._booking(booking)) if own else self._booking(booking)
        self._do(self._processing(number, pidx, self._who(number, mine or own)))

    @rule(payment=which, who=st.sampled_from((STAFF, SITA, RAM)), fault=spoiled)
    def somebody_verifies_a_payment(self, payment: int, who: str, fault: dict[str, Any] | None) -> None:
        row = self._payment(payment)
        self._arm(fault)
        self._do(self._verifying(row, who))

    @rule(booking=which, who=st.sampled_from((STAFF, SITA, RAM)))
    def somebody_cancels_a_booking(self, booking: int, who: str) -> None:
        number = self._booking(booking)
        path = f"/v1/bookings/{number}/cancellation"
        self._do(Call(kind="cancel", method="POST", path=path, who=who, booking=number))

    @rule(call=st.integers(0, 50))
    def an_earlier_call_is_repeated(self, call: int) -> None:
        self._do(self.calls[call % len(self.calls)])

    @rule(calls=st.lists(st.integers(0, 50), min_size=2, max_size=4))
    def earlier_calls_come_all_at_once(self, calls: list[int]) -> None:
        self._do(*(self.calls[call % len(self.calls)] for call in calls))

    @rule(seconds=st.sampled_from((60, 300, 900, 4000)), only_at_khalti=st.booleans())
    def time_passes(self, seconds: int, only_at_khalti: bool) -> None:
        """Khalti's clock may run ahead of ours, never behind: a link that is dead at birth would be no link."""
        self.khalti.simulator.advance(seconds)
        if not only_at_khalti:
            self.world.clock.offset += timedelta(seconds=seconds)

    @rule(fault=st.sampled_from(FAULTS))
    def something_will_go_wrong(self, fault: dict[str, Any]) -> None:
        if fault["fault"] != "repeat_pidx":
            self._arm(fault)
        elif self.links:
            self._arm({**fault, "known": next(iter(self.links))})

    @rule()
    def all_is_well_again(self) -> None:
        self.khalti.heal()

    @rule(really=st.sampled_from((True, False, False)))
    def the_service_restarts(self, really: bool) -> None:
        if really:  # it takes as long as twenty calls
            self.run(self.world.restart())

    # --- what must be true -------------------------------------------------------------------------------------------

    @invariant()
    def every_promise_holds(self) -> None:
        if not self.bookings:
            return
        before, self.rows = self.rows, self.run(self.world.rows())
        now = self.world.clock.now()

        wrong = broken(self.rows, self.khalti.ledger(), now) + broken_between(before, self.rows)
        assert wrong == [], wrong
        self._what_was_told_is_true()

    def _what_was_told_is_true(self) -> None:
        by_pidx = {payment["gateway_reference"]: payment for payment in self.rows.payments.values()}
        for pidx, number in self.links.items():
            assert by_pidx[pidx]["booking_id"] == number, "a link that was shown is kept, for the booking it was for"
        for number, booking in self.bookings.items():
            row = self.rows.bookings[number]
            assert row["amount"] == booking["amount"]
            assert (row["status"] == "canceled") == booking["is_canceled"]
        for number, pidx in self.successes:
            assert self.rows.bookings[number]["status"] == "confirmed"
            assert by_pidx[pidx]["status"] in MONEY

    def teardown(self) -> None:
        if not self.bookings:
            return
        self.khalti.heal()
        for payment_id in self.rows.payments:
            answer = self.run(self.world.verify(payment_id))
            assert answer.status_code == 200, answer.text
        self.every_promise_holds()
        wrong = unsettled(self.rows, self.khalti.ledger())
        assert wrong == [], wrong
        for number in self.bookings:
            self._is_shown_as_it_is(number)

    def _is_shown_as_it_is(self, number: int) -> None:
        answer = self.run(self.world.http.get(f"/v1/bookings/{number}", headers=self.world.as_shop))
        shown, row = answer.json(), self.rows.bookings[number]
        assert (row["status"], row["settled_by"], row["amount"]) == (
            shown["status"],
            shown["settled_by"],
            shown["amount"],
        )
        for payment in shown["payments"]:
            row = self.rows.payments[payment["id"]]
            for name in ("status", "outcome_unknown", "surplus", "amount_paid", "transaction_id", "review_reason"):
                assert row[name] == payment[name]

    # --- how ---------------------------------------------------------------------------------------------------------

    def _register(self, owner: str, amount: int) -> None:
        sent = a_booking(owner, amount)
        answer = self.run(self.world.http.post("/v1/bookings", json=sent, headers=self.world.as_shop))
        assert answer.status_code == 201, answer.text
        page = httpx.URL(answer.json()["checkout_url"]).raw_path.decode()
        self.bookings[answer.json()["id"]] = {"owner": owner, "amount": amount, "is_canceled": False, "page": page}

    def _booking(self, place: int) -> int:
        return list(self.bookings)[place % len(self.bookings)]

    def _pidx(self, place: int) -> str:
        """One of the links that were shown; the last place is a pidx that nobody was shown."""
        return STRANGER if place == 9 else list(self.links)[place % len(self.links)]

    def _payment(self, place: int) -> Any:
        return list(self.rows.payments.values())[place % len(self.rows.payments)]

    def _arm(self, fault: dict[str, Any] | None) -> None:
        if fault is not None and self.khalti.armed < 3:
            self.khalti.arm(**fault)

    def _processing(self, number: int, pidx: str, who: str) -> Call:
        body = {"pidx": pidx, "transaction_id": "forged", "booking_id": number, "purchase_order_id": "booking_1_1"}
        path = f"{GUIDE}/process_khalti_callback/"
        return Call(kind="process", method="POST", path=path, who=who, booking=number, pidx=pidx, body=body)

    def _verifying(self, row: Any, who: str) -> Call:
        path = f"/v1/payments/{row['id']}/verification"
        return Call(kind="verify", method="POST", path=path, who=who, booking=row["booking_id"])

    def _who(self, number: int, its_owner: bool) -> str:
        owner: str = self.bookings[number]["owner"]
        return owner if its_owner else {SITA: RAM, RAM: SITA}[owner]

    def _do(self, *calls: Call) -> None:
        """Make the calls, all at once, and judge each answer by what was known before and is at Khalti after."""
        self.calls += [call for call in calls if call not in self.calls]
        was_armed = self.khalti.armed > 0
        self.told_before = frozenset(self.successes)
        for call, answer in zip(calls, self.run(self._send(calls)), strict=True):
            away = was_armed and answer.status_code in (502, 503, 504)
            assert answer.status_code < 500 or away, f"{call} {answer.status_code} {answer.text}"
            if not away:
                getattr(self, f"_judge_{call.kind}")(call, answer, spoiled=was_armed, alone=len(calls) == 1)

    async def _send(self, calls: tuple[Call, ...]) -> list[httpx.Response]:
        return await asyncio.gather(
            *(
                self.world.http.request(
                    call.method, call.path, json=call.body, data=call.form, headers=HEADERS_OF.get(call.who, {})
                )
                for call in calls
            )
        )

    def _may_see(self, call: Call) -> bool:
        return call.who in ("", STAFF, self.bookings[call.booking]["owner"])

    def _judge_open(self, call: Call, answer: httpx.Response, *, spoiled: bool, alone: bool) -> None:
        if not self._may_see(call):
            assert answer.status_code == 404
            return
        found = PIDX.search(answer.headers.get("location", "") + answer.text)
        if answer.status_code not in (200, 201, 303) or found is None:
            assert answer.status_code in (200, 409), answer.text
            assert found is None
            return
        pidx = found[1]
        there = self.khalti.at(pidx)
        assert self.rows.bookings.get(call.booking, {"status": "pending"})["status"] == "pending"
        assert there.purchase.amount == self.bookings[call.booking]["amount"]
        assert self.links.setdefault(pidx, call.booking) == call.booking, "nobody is shown another booking's link"
        if alone and not spoiled:
            assert self.khalti.status(pidx) == "Initiated", "a link that was used is not handed out again"

    def _judge_process(self, call: Call, answer: httpx.Response, *, spoiled: bool, alone: bool) -> None:
        if not self._may_see(call):
            assert answer.status_code == 404
            return
        assert answer.status_code == 200
        body, pidx = answer.json(), str(call.pidx)
        if not body["success"]:
            told_before = (call.booking, pidx) in self.told_before
            assert not told_before or self.khalti.status(pidx) == "Refunded", "a success stays one until it is refunded"
            return
        assert self.links.get(pidx) == call.booking
        assert self.khalti.status(pidx) in PAID_AT_KHALTI
        assert self.successes.setdefault((call.booking, pidx), body) == body, "the same answer each time"

    def _judge_return(self, call: Call, answer: httpx.Response, *, spoiled: bool, alone: bool) -> None:
        assert answer.status_code in (200, 303)
        location = answer.headers.get("location", "")
        assert "forged" not in location + answer.text
        assert not location or location.startswith((f"{SHOP}/", "/return/"))

    def _judge_verify(self, call: Call, answer: httpx.Response, *, spoiled: bool, alone: bool) -> None:
        assert answer.status_code == (200 if self._may_see(call) else 404)

    def _judge_cancel(self, call: Call, answer: httpx.Response, *, spoiled: bool, alone: bool) -> None:
        if not self._may_see(call):
            assert answer.status_code == 404
            return
        assert answer.status_code in (200, 409)
        if answer.status_code == 200:
            self.bookings[call.booking]["is_canceled"] = True


def figures(store: str) -> settings:
    """How many examples of how many steps."""
    wanted = FIGURES[store]
    examples, steps = wanted.get(settings.get_current_profile_name(), wanted["default"])
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


def test_the_promises_hold_whatever_happens_in_whatever_order(
    request: pytest.FixtureRequest, database_url: str, khalti: Khalti
) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        entered = a_world(database_url, khalti)
        world = runner.run(entered.__aenter__())
        try:
            store = request.node.callspec.params["database_url"]
            machine = cast(type[Payments], partial(Payments, world, runner))
            run_state_machine_as_test(machine, settings=figures(store))
        finally:
            runner.run(entered.__aexit__(None, None, None))
