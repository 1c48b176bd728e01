"""Customers, staff, gateways, reconcilers, the shop and restarts in any order: the promises hold after every step.

Each rule is something that somebody does to the whole service over HTTP; each call may be repeated later, and several
may come at once, while reconcilers are at work. Beside Khalti there are two gateways that are sent a form, one of which
has one return address for everybody. The model is what callers were told and what each gateway's ledger says, in plain
dicts. After every step the promises are judged twice: by `promises.py`, and by the audit that operators run.

How hard it looks: the Hypothesis profile (`HYPOTHESIS_PROFILE`), times `SEWAPAY_TEST_TIMES` for a long night.
"""

import asyncio
import json
import os
from collections import ChainMap
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlencode

import httpx
import pytest
import uvloop
from attrs import evolve
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from sewapay.application.audit import Books, audit_invariants
from sewapay.application.reconcile_payments import Reconciled
from sewapay.standins.faults import Stale
from sewapay.standins.refusals import Refused
from tests.backend.system.forms import FAULTS as FORM_FAULTS
from tests.backend.system.forms import FormGateway
from tests.backend.system.model import Call, Judging, Model
from tests.backend.system.promises import (
    MONEY,
    SINGLE_ENTRY,
    Ledger,
    Rows,
    broken,
    broken_between,
    name_there,
    unsettled,
)
from tests.backend.system.simulation.gateway import BANK, FORMS
from tests.backend.system.simulation.truth import AllTruths, truth_of_till
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
    rows_in,
)

T = TypeVar("T")

# (examples, steps): what a profile that is not named here gets is "default".
FIGURES: Final = {
    "sqlite": {"default": (40, 30), "ci": (150, 50)},
    "postgres": {"default": (20, 30), "ci": (75, 50)},
}
TIMES: Final = int(os.environ.get("SEWAPAY_TEST_TIMES", "1"))
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
    {"on": "refund", "fault": "drop_before"},
    {"on": "refund", "fault": "drop_after"},
    {"on": "refund", "fault": "status", "status": 400},
    {"on": "refund", "fault": "status", "status": 401},
    {"on": "refund", "fault": "status", "status": 503, "body": "html"},
    {"on": "refund", "fault": "status", "status": 503, "effect": True},
    {"on": "refund", "fault": "html"},
    {"on": "refund", "fault": "malformed"},
)
AT_A_FORM: Final = ("pay", "pay", "pay", "pending", "absent", "canceled", "ambiguous")
GATEWAYS: Final = ("khalti", "khalti", "forms", "bank")
WORDS: Final = ("Completed", "User canceled", "Expired", "Pending", "Refunded", "completed", "", "zzz", "पूरा")
STRANGER: Final = "strangerstrangerstrang"
REASON: Final = "as the panel shows it"
DECISIONS: Final = ("honour", "refund", "hold", "close", "refund_happened", "refund_did_not_happen")
SHOWN: Final = (
    "status",
    "outcome_unknown",
    "surplus",
    "amount_paid",
    "amount_refunded",
    "amount_reserved",
    "transaction_id",
    "review_reason",
)
ENDED: Final = ("canceled", "expired", "failed")
MOST_ROUNDS: Final = 40
RARELY: Final = timedelta(hours=6)
WEEK_SECONDS: Final = 7 * 24 * 3600

which = st.integers(0, 9)
spoiled = st.sampled_from((None, None, None, *(fault for fault in FAULTS if fault["on"] == "lookup")))
form_spoiled = st.sampled_from((None, None, None, *FORM_FAULTS))
gateways = st.sampled_from(GATEWAYS)
refund_spoiled = st.sampled_from((None, None, *(fault for fault in FAULTS if fault["on"] == "refund")))
keys = st.sampled_from((None, None, None, "a", "b"))
policy = st.sampled_from(("hold", "honour", "refund"))
policies = st.fixed_dictionaries(
    {
        "SEWAPAY_ON_SURPLUS": policy,
        "SEWAPAY_ON_PAID_LATE": policy,
        "SEWAPAY_ON_AMOUNT_MISMATCH": st.just("hold"),  # here only answers lie about amounts, and never payments
        "SEWAPAY_ON_ORPHANED_REFERENCE": policy,
        "SEWAPAY_ON_REFUNDED_OUTSIDE": st.sampled_from(("hold", "honour")),
        "SEWAPAY_ON_STUCK_PENDING": policy,
        "SEWAPAY_ON_FULL_REFUND": st.sampled_from(("refunded", "keep")),
    }
)


class Payments(RuleBasedStateMachine):
    """A shop with two customers, what happens to it, and what must be true after each thing that happens.

    No rule has a precondition: which rules can be drawn must not hang on which of two calls was the faster one.
    """

    def __init__(self, world: World, runner: asyncio.Runner, forms: Mapping[str, FormGateway]) -> None:
        super().__init__()
        self.world = world
        self.runner = runner
        self.khalti = world.khalti
        self.forms = forms
        self.model = Model(world.khalti, forms)
        self.calls: list[Call] = []
        self.books = Books(time=datetime.now(UTC))
        self.rows = Rows(bookings={}, payments={}, events=(), answers={})

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(doing)

    # --- what happens ------------------------------------------------------------------------------------------------

    @initialize(policies=policies, form_gateway=st.sampled_from(("forms", "bank")))
    def a_new_day(self, policies: dict[str, str], form_gateway: str) -> None:
        self.khalti.forget()
        for gateway in self.forms.values():
            gateway.forget()
        self.world.clock.offset = timedelta()
        self.world.ids.made_today = 0
        self.world.decide_by(**policies)
        self.run(self.world.forget_the_past())
        self.model.cursor = self.world.cursor
        self._register(SITA, 113000)
        self._register(RAM, 113000)
        self.a_front_end_opens_a_checkout(booking=0, by_its_owner=True)
        self._do(self._opening(self._booking(1), form_gateway))
        self.every_promise_holds()

    @rule(owner=st.sampled_from((SITA, RAM)), amount=st.sampled_from((1000, 113000, 113001)))
    def the_shop_registers_a_booking(self, owner: str, amount: int) -> None:
        if len(self.model.bookings) < 5:
            self._register(owner, amount)

    @rule(booking=which, by_its_owner=st.sampled_from((True, True, True, False)))
    def a_front_end_opens_a_checkout(self, booking: int, by_its_owner: bool) -> None:
        number = self._booking(booking)
        body = {"booking_id": number, "return_url": f"{SHOP}/payment/callback?lang=ne", "website_url": SHOP}
        path = f"{GUIDE}/initiate_khalti_payment/"
        self._do(
            Call(kind="open", method="POST", path=path, who=self._who(number, by_its_owner), booking=number, body=body)
        )

    @rule(booking=which, gateway=gateways, return_url=st.sampled_from((None, f"{SHOP}/thanks")), key=keys)
    def the_shop_opens_a_checkout(self, booking: int, gateway: str, return_url: str | None, key: str | None) -> None:
        number = self._booking(booking)
        body = {"booking_id": number, "gateway": gateway, "return_url": return_url}
        self._do(
            Call(
                kind="open",
                method="POST",
                path="/v1/payments",
                who=STAFF,
                booking=number,
                body=body,
                key=self._key(key),
            )
        )

    @rule(booking=which, gateway=gateways)
    def somebody_with_the_link_opens_a_checkout(self, booking: int, gateway: str) -> None:
        self._do(self._opening(self._booking(booking), gateway))

    @rule(form=which, what=st.sampled_from(AT_A_FORM))
    def the_customer_does_something_at_a_form(self, form: int, what: str) -> None:
        """The form is posted first, which a gateway takes once."""
        self._at_a_form(self._form(form), what)

    @rule(form=which, before=st.sampled_from((None, *AT_A_FORM[3:])), back=st.integers(0, 2), fault=form_spoiled)
    def the_customer_pays_a_form_and_comes_back(
        self, form: int, before: str | None, back: int, fault: str | None
    ) -> None:
        """At once, or after something else that we were told of. Whoever paid is never told that they did not."""
        reference = self._form(form)
        gateway, row = self._of_form(reference)
        comes_back = self._returning(row, back)
        if before is not None:
            self._at_a_form(reference, before)
            self._do(comes_back)
        if not gateway.till.pay(reference, self.world.clock.now(), late=True):
            return
        is_spoiled = bool(gateway.armed) or fault is not None
        if fault is not None and len(gateway.armed) < 3:
            gateway.armed.append(fault)
        self._do(comes_back)
        self._read()
        status = self.rows.payments[row["id"]]["status"]
        assert is_spoiled or status in (*MONEY, "under_review"), f"{reference} was paid, and is {status}"

    @rule(form=which, then=gateways, ending=st.sampled_from((None, "absent", "canceled", "pay")))
    def the_customer_wants_to_pay_elsewhere(self, form: int, then: str, ending: str | None) -> None:
        """In the middle of a payment, which may be gone on with later."""
        reference = self._form(form)
        self._at_a_form(reference, "pending")
        self._do(self._opening(self.model.forms[reference], then))
        if ending is not None:
            self._at_a_form(reference, ending)
            self._do(self._opening(self.model.forms[reference], then))

    @rule(form=which, amount=st.sampled_from((None, 100, 500)))
    def the_merchant_refunds_in_a_form_gateways_panel(self, form: int, amount: int | None) -> None:
        reference = self._form(form)
        self._of_form(reference)[0].till.give_back(reference, amount, self.world.clock.now(), by="panel")

    @rule(form=which)
    def an_answer_about_a_form_comes_late(self, form: int) -> None:
        """It was paid while the answer was on its way."""
        gateway, row = self._of_form(self._form(form))
        gateway.armed.insert(0, "paid meanwhile")
        self._do(self._verifying(row, STAFF))

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
        if pidx not in self.model.links:
            return
        number = self.model.links[pidx]
        comes_back = self._processing(number, pidx, self.model.bookings[number]["owner"])
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
        if pidx in self.model.links:
            with suppress(Refused):
                getattr(self.khalti.simulator, gives_up)(pidx)
            self.khalti.ledger()
            self.a_front_end_opens_a_checkout(
                list(self.model.bookings).index(self.model.links[pidx]), by_its_owner=True
            )

    @rule(booking=which)
    def every_link_of_a_booking_is_paid(self, booking: int) -> None:
        number = self._booking(booking)
        for pidx in [pidx for pidx, of in self.model.links.items() if of == number]:
            with suppress(Refused):
                self.khalti.simulator.pay(pidx)
            self._do(self._processing(number, pidx, self.model.bookings[number]["owner"]))
        for reference in [reference for reference, of in self.model.forms.items() if of == number]:
            self._at_a_form(reference, "pay")
            self._do(self._returning(self._of_form(reference)[1], 0))

    @rule(payment=which)
    def khalti_goes_back_in_time_for_a_moment(self, payment: int) -> None:
        row = self._payment(payment)
        if row["gateway_reference"] in self.model.links:
            self._arm({"on": "lookup", "fault": "lag", "pidx": row["gateway_reference"]})
            self._do(self._verifying(row, STAFF))

    @rule(link=which, other=which)
    def khalti_answers_about_another_payment(self, link: int, other: int) -> None:
        asked, answered = self._pidx(link), self._pidx(other)
        if {asked, answered} <= set(self.model.links) and self.khalti.status(answered) == "Completed":
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
            number = self.model.links[asked]
            self._do(self._processing(number, asked, self.model.bookings[number]["owner"]))

    @rule(link=which, amount=st.sampled_from((None, 100, 500)))
    def the_merchant_refunds_in_khaltis_panel(self, link: int, amount: int | None) -> None:
        """While nothing of ours is on its way: nobody could tell the two apart, the merchant's staff included."""
        pidx = self._pidx(link)
        row = next((row for row in self.rows.payments.values() if row["gateway_reference"] == pidx), None)
        if row is None or row["amount_reserved"] or row["refund_due"]:
            return
        with suppress(Refused):
            self.khalti.simulator.refund(pidx, amount)

    @rule(payment=which, amount=st.sampled_from((None, None, 100, 500, 112500, 113001)), key=keys, fault=refund_spoiled)
    def staff_give_money_back(
        self, payment: int, amount: int | None, key: str | None, fault: dict[str, Any] | None
    ) -> None:
        row = self._payment(payment)
        self._arm(fault)
        self._do(self._refunding(row, amount, self._key(key)))

    @rule(payment=which, amounts=st.lists(st.sampled_from((None, 100, 60000)), min_size=2, max_size=4), key=keys)
    def several_refunds_come_at_once(self, payment: int, amounts: list[int | None], key: str | None) -> None:
        row = self._payment(payment)
        self._do(*(self._refunding(row, amount, self._key(key)) for amount in amounts))

    @rule(payment=which, amount=st.sampled_from((None, 500)), times=st.integers(1, 3))
    def khalti_shows_a_refund_late(self, payment: int, amount: int | None, times: int) -> None:
        """Not by an hour, though: what it does not show by then did not happen."""
        row = self._payment(payment)
        if row["gateway_reference"] is not None and not row["amount_reserved"] and not row["refund_due"]:
            self._arm({"on": "lookup", "fault": "stale", "pidx": row["gateway_reference"], "times": times})
            self._do(self._refunding(row, amount, None))

    @rule(payment=which, decision=st.sampled_from(DECISIONS), is_stale=st.sampled_from((False, False, True)), key=keys)
    def staff_decide(self, payment: int, decision: str, is_stale: bool, key: str | None) -> None:
        self._do(self._deciding(self._payment(payment), decision, is_stale=is_stale, key=self._key(key)))

    @rule(decision=st.sampled_from(DECISIONS))
    def staff_decide_about_what_waits_for_them(self, decision: str) -> None:
        for row in list(self.rows.payments.values()):
            if row["review_reason"] is not None or row["outcome_unknown"]:
                self._do(self._deciding(row, decision, is_stale=False, key=None))
                self._read()

    @rule(payment=which, who=st.sampled_from((SITA, RAM)), decides=st.booleans())
    def a_customer_tries_what_only_staff_may(self, payment: int, who: str, decides: bool) -> None:
        row = self._payment(payment)
        call = self._deciding(row, "honour", is_stale=False, key=None) if decides else self._refunding(row, None, None)
        self._do(evolve(call, who=who))

    @rule(workers=st.sampled_from((1, 1, 2)))
    def reconcilers_run(self, workers: int) -> None:
        self._do(workers=workers)

    @rule(workers=st.sampled_from((1, 2)), seconds=st.sampled_from((61, 700, 3700, 90000)))
    def reconcilers_run_after_a_while(self, workers: int, seconds: int) -> None:
        self._let_pass(seconds)
        self._do(workers=workers)

    @rule(payment=which, who=st.sampled_from((STAFF, SITA, RAM)), readers=st.integers(1, 3))
    def somebody_reads_a_payment(self, payment: int, who: str, readers: int) -> None:
        row = self._payment(payment)
        reading = partial(Call, kind="read", method="GET", who=who, booking=row["booking_id"])
        paths = [f"/v1/payments/{row['id']}"] * readers
        paths += [f"/v1/payments/{row['id']}/timeline", f"/v1/payments/{row['id']}/refunds"]
        self._do(*(reading(path=path) for path in paths))

    @rule(limit=st.sampled_from((1, 3, 100)), who=st.sampled_from((STAFF, STAFF, SITA)))
    def somebody_follows_the_events(self, limit: int, who: str) -> None:
        self._follow_events(limit, who)

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
        number = self.model.links.get(pidx, self._booking(booking)) if own else self._booking(booking)
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

    @rule(calls=st.lists(st.integers(0, 50), min_size=2, max_size=4), workers=st.sampled_from((0, 0, 1, 2)))
    def earlier_calls_come_all_at_once(self, calls: list[int], workers: int) -> None:
        self._do(*(self.calls[call % len(self.calls)] for call in calls), workers=workers)

    @rule(seconds=st.sampled_from((6, 60, 300, 900, 4000, 90000, WEEK_SECONDS)), only_at_khalti=st.booleans())
    def time_passes(self, seconds: int, only_at_khalti: bool) -> None:
        """Khalti's clock may run ahead of ours, never behind: a link that is dead at birth would be no link."""
        self._let_pass(seconds, only_at_khalti=only_at_khalti)

    @rule(fault=st.sampled_from(FAULTS))
    def something_will_go_wrong(self, fault: dict[str, Any]) -> None:
        if fault["fault"] != "repeat_pidx":
            self._arm(fault)
        elif self.model.links:
            self._arm({**fault, "known": next(iter(self.model.links))})

    @rule(gateway=st.sampled_from(("forms", "bank")), faults=st.lists(st.sampled_from(FORM_FAULTS), max_size=2))
    def something_will_go_wrong_at_a_form_gateway(self, gateway: str, faults: list[str]) -> None:
        self.forms[gateway].armed = faults

    @rule()
    def all_is_well_again(self) -> None:
        self._heal()
        self.run(self.world.calm_down())

    @rule(really=st.sampled_from((True, False, False)))
    def the_service_restarts(self, really: bool) -> None:
        if really:  # it takes as long as twenty calls
            self.run(self.world.restart())

    # --- what must be true -------------------------------------------------------------------------------------------

    @invariant()
    def every_promise_holds(self) -> None:
        if not self.model.bookings:
            return
        before = self.rows
        self._read()
        now = self.world.clock.now()

        wrong = broken(self.rows, self._ledger(), now) + broken_between(before, self.rows)
        wrong += self.model.untrue(self.rows) + self._findings(now, is_quiet=False)
        assert wrong == [], wrong

    def teardown(self) -> None:
        """All is well again: everything has to come right by itself, in the time that the schedule takes."""
        if not self.model.bookings:
            return
        self._heal()
        for row in self.rows.payments.values():
            if self._went_back_in_the_panel(row) or self._was_paid_too_late(row):
                self._do(self._verifying(row, STAFF))
        came_to_rest = self._let_the_schedule_run_out()
        self.every_promise_holds()
        wrong = unsettled(self.rows, self._ledger()) + self._findings(came_to_rest, is_quiet=True)
        assert wrong == [], wrong
        for number in self.model.bookings:
            self._is_shown_as_it_is(number)
        self._every_event_was_heard()

    def _let_the_schedule_run_out(self) -> datetime:
        """Work until nothing waits for its time any more; everything that was due then is done."""
        for _ in range(MOST_ROUNDS):
            self.run(self.world.calm_down())
            now = self.world.clock.now()
            done = self.run(self.world.reconcile_all())
            assert (done.broken, done.poisoned) == ((), ()), done
            self._read()
            due = [row["next_check_at"] for row in self.rows.payments.values() if _waits_for_time(row)]
            if not due:
                return now
            self._let_pass((max(due) - self.world.clock.now()) / timedelta(seconds=1) + 1)
        raise AssertionError(f"it never comes to rest: {[row for row in self.books.payments if _waits_for_time(row)]}")

    def _findings(self, now: datetime, *, is_quiet: bool) -> list[str]:
        found = audit_invariants(
            self.books,
            AllTruths.of_each([self.khalti.truth(), *(truth_of_till(gateway.till) for gateway in self.forms.values())]),
            now=now,
            is_quiet=is_quiet,
            honours_surplus=self.world.environ["SEWAPAY_ON_SURPLUS"] == "honour",
            single_entry=SINGLE_ENTRY,
        )
        return [str(finding) for finding in found]

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
            for name in SHOWN:
                assert row[name] == payment[name]

    def _every_event_was_heard(self) -> None:
        while self._follow_events(100, STAFF):
            pass
        self.world.cursor = self.model.cursor
        for number in self.model.bookings:
            stored = [event["sequence"] for event in self.rows.events if event["booking_id"] == number]
            assert stored == self.model.heard[number]

    # --- how ---------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        self.books = self.run(self.world.books())
        self.rows = rows_in(self.books)

    def _ledger(self) -> Ledger:
        return ChainMap(self.khalti.ledger(), *(gateway.ledger() for gateway in self.forms.values()))

    def _heal(self) -> None:
        self.khalti.heal()
        for gateway in self.forms.values():
            gateway.armed.clear()

    def _register(self, owner: str, amount: int) -> None:
        sent = a_booking(owner, amount)
        answer = self.run(self.world.http.post("/v1/bookings", json=sent, headers=self.world.as_shop))
        assert answer.status_code == 201, answer.text
        page = httpx.URL(answer.json()["checkout_url"]).raw_path.decode()
        number = answer.json()["id"]
        self.model.bookings[number] = {"owner": owner, "amount": amount, "is_canceled": False, "page": page}

    def _booking(self, place: int) -> int:
        return list(self.model.bookings)[place % len(self.model.bookings)]

    def _pidx(self, place: int) -> str:
        """One of the links that were shown; the last place is a pidx that nobody was shown."""
        return STRANGER if place == 9 else list(self.model.links)[place % len(self.model.links)]

    def _form(self, place: int) -> str:
        """One of the forms that were shown."""
        return list(self.model.forms)[place % len(self.model.forms)]

    def _of_form(self, reference: str) -> tuple[FormGateway, Any]:
        """The gateway that the form is for, and the payment's row."""
        row = next(row for row in self.rows.payments.values() if row["order_reference"] == reference)
        return self.forms[row["gateway"]], row

    def _at_a_form(self, reference: str, what: str) -> None:
        till, now = self._of_form(reference)[0].till, self.world.clock.now()
        till.enter(reference, now)
        if what == "pay":
            till.pay(reference, now, late=True)
        else:
            till.says(reference, what, now)

    def _payment(self, place: int) -> Any:
        return list(self.rows.payments.values())[place % len(self.rows.payments)]

    def _key(self, key: str | None) -> str | None:
        return None if key is None else f"{self.world.first}-{key}"

    def _arm(self, fault: dict[str, Any] | None) -> None:
        if fault is not None and self.khalti.armed < 3:
            self.khalti.arm(**fault)

    def _let_pass(self, seconds: float, *, only_at_khalti: bool = False) -> None:
        self.khalti.disarm(lambda fault: isinstance(fault, Stale))
        self.khalti.simulator.advance(seconds)
        if not only_at_khalti:
            self.world.clock.offset += timedelta(seconds=seconds)
        if seconds >= 300:
            self.run(self.world.calm_down())

    def _opening(self, number: int, gateway: str) -> Call:
        path = self.model.bookings[number]["page"]
        return Call(kind="open", method="POST", path=path, who="", booking=number, form={"gateway": gateway})

    def _returning(self, row: Any, back: int) -> Call:
        """To the payment's own address, to the one for those who did not pay, or to the one that all of them have."""
        path = (f"/return/{row['id']}/?status=COMPLETE", f"/return/{row['id']}/unfinished")[back % 2]
        if row["gateway"] == "bank":
            path = f"/return/bank/?TXNID={row['order_reference']}"
        return Call(kind="return", method="GET", path=path, who="", booking=row["booking_id"])

    def _processing(self, number: int, pidx: str, who: str) -> Call:
        body = {"pidx": pidx, "transaction_id": "forged", "booking_id": number, "purchase_order_id": "booking_1_1"}
        path = f"{GUIDE}/process_khalti_callback/"
        return Call(kind="process", method="POST", path=path, who=who, booking=number, pidx=pidx, body=body)

    def _verifying(self, row: Any, who: str) -> Call:
        path = f"/v1/payments/{row['id']}/verification"
        return Call(kind="verify", method="POST", path=path, who=who, booking=row["booking_id"])

    def _refunding(self, row: Any, amount: int | None, key: str | None) -> Call:
        return Call(
            kind="refund",
            method="POST",
            path=f"/v1/payments/{row['id']}/refunds",
            who=STAFF,
            booking=row["booking_id"],
            payment=row["id"],
            body={"reason": "the customer asked"} | ({} if amount is None else {"amount": amount}),
            key=key,
        )

    def _deciding(self, row: Any, decision: str, *, is_stale: bool, key: str | None) -> Call:
        """What somebody decides who has looked into Khalti's panel."""
        if decision.startswith("refund_"):
            sent = [refund for refund in self.rows.refunds if refund["payment_id"] == row["id"]]
            known = sum(refund["status"] == "confirmed" for refund in sent)
            there = self.khalti.ledger().get(row["gateway_reference"])
            happened = there is not None and len(there.given_back) > known
            decision = "refund_happened" if happened else "refund_did_not_happen"
        elif row["amount_paid"] not in (None, row["amount"]):
            decision = "hold"
        version = row["version"] - 1 if is_stale else row["version"]
        return Call(
            kind="resolve",
            method="POST",
            path=f"/v1/payments/{row['id']}/resolution",
            who=STAFF,
            booking=row["booking_id"],
            payment=row["id"],
            body={"decision": decision, "reason": REASON, "version": version},
            key=key,
        )

    def _follow_events(self, limit: int, who: str) -> bool:
        """Whether there were any that had not been read."""
        query = {"limit": str(limit)} | ({} if self.model.cursor is None else {"cursor": self.model.cursor})
        path, number = f"/v1/events?{urlencode(query)}", next(iter(self.model.bookings))
        before = self.model.cursor
        self._do(Call(kind="events", method="GET", path=path, who=who, booking=number), is_kept=False)
        return self.model.cursor != before

    def _was_paid_too_late(self, row: Any) -> bool:
        """After the last look, by somebody who never came back: only Khalti's statement tells."""
        there = self._ledger().get(name_there(row))
        is_over = row["next_check_at"] is None and row["status"] in ENDED
        return is_over and there is not None and there.transaction_id is not None

    def _went_back_in_the_panel(self, row: Any) -> bool:
        if row["gateway"] in self.forms:
            there = self.forms[row["gateway"]].till.payments.get(row["order_reference"])
            return there is not None and bool(there.refunds)
        pidx = row["gateway_reference"]
        return pidx is not None and any(refund.by == "panel" for refund in self.khalti.at(pidx).refunds)

    def _can_be_told_apart(self, call: Call) -> bool:
        """A part that went unanswered, from one that went back in the panel and was not noticed yet; and no staff
        gives back what they are told was not paid as it was owed.
        """
        if call.kind != "refund":
            return True
        row = self.rows.payments[str(call.payment)]
        is_a_part = call.body is not None and "amount" in call.body
        is_unseen = is_a_part and row["amount_refunded"] is not None and self._went_back_in_the_panel(row)
        is_quiet = not any(fault.on == "refund" for fault in self.khalti.simulator.armed())
        return row["amount_paid"] in (None, row["amount"]) and (is_quiet or not is_unseen)

    def _who(self, number: int, its_owner: bool) -> str:
        owner: str = self.model.bookings[number]["owner"]
        return owner if its_owner else {SITA: RAM, RAM: SITA}[owner]

    def _do(self, *calls: Call, workers: int = 0, is_kept: bool = True) -> None:
        """Make the calls, all at once, and judge each answer by what was known before and is at Khalti after."""
        if is_kept:
            self.calls += [call for call in calls if call not in self.calls]
        calls = tuple(call for call in calls if self._can_be_told_apart(call))
        judging = Judging(
            spoiled=self.khalti.armed > 0 or any(gateway.armed for gateway in self.forms.values()),
            alone=len(calls) == 1 and not workers,
            rows=self.rows,
            told_before=frozenset(self.model.successes),
        )
        began = self.world.clock.offset
        answers, runs = self.run(self._send(calls, workers))
        self.khalti.simulator.advance((self.world.clock.offset - began).total_seconds())
        for call, answer in zip(calls, answers, strict=True):
            self.model.judge(call, answer, judging)
        for done in runs:
            assert (done.broken, done.poisoned) == ((), ()), done

    async def _send(self, calls: tuple[Call, ...], workers: int) -> tuple[list[httpx.Response], list[Reconciled]]:
        sent = [self._made(call) for call in calls]
        runs = [self.world.reconcile(workers)] if workers else []
        answers, done = await asyncio.gather(asyncio.gather(*sent), asyncio.gather(*runs))
        return list(answers), [one for run in done for one in run]

    async def _made(self, call: Call) -> httpx.Response:
        """The answer, or the page with a form that it leads to."""
        key = {} if call.key is None else {"Idempotency-Key": call.key}
        headers = {**HEADERS_OF.get(call.who, {}), **key}
        answer = await self.world.http.request(call.method, call.path, json=call.body, data=call.form, headers=headers)
        onward = answer.headers.get("location", "")
        return await self.world.http.get(onward) if onward.endswith("/form/") else answer


def _waits_for_time(row: Any) -> bool:
    """Whether something of it is open that no person is asked about."""
    is_open = row["status"] in ("created", "open", "pending") or row["outcome_unknown"]
    may_be_paid_late = row["status"] in ENDED and row["next_check_at"] is not None
    is_asked_about = row["review_reason"] == "refund_unknown" or (row["review_reason"] is not None and _is_old(row))
    return bool(
        may_be_paid_late
        or (is_open and row["review_reason"] is None)
        or (row["amount_reserved"] and not is_asked_about)
        or (row["refund_due"] and not row["amount_reserved"])
    )


def _is_old(row: Any) -> bool:
    """Whether it is looked at so rarely that time decides no more about a refund: whoever is asked has to."""
    return None not in (row["looked_at"], row["next_check_at"]) and row["next_check_at"] - row["looked_at"] >= RARELY


def figures(store: str) -> settings:
    """How many examples of how many steps."""
    wanted = FIGURES[store]
    examples, steps = wanted.get(settings.get_current_profile_name(), wanted["default"])
    return settings(
        max_examples=examples * TIMES,
        stateful_step_count=steps,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


def test_the_promises_hold_whatever_happens_in_whatever_order(
    request: pytest.FixtureRequest, database_url: str, khalti: Khalti
) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        entered = a_world(database_url, khalti, SEWAPAY_LOOKUPS_PER_MINUTE="1000000")
        world = runner.run(entered.__aenter__())
        world.clock.hurries = True
        forms = {str(name): FormGateway(name=name, now=world.clock.now) for name in (FORMS, BANK)}
        world.beside_khalti = tuple(forms.values())
        runner.run(world.restart())
        try:
            store = request.node.callspec.params["database_url"]
            machine = cast(type[Payments], partial(Payments, world, runner, forms))
            run_state_machine_as_test(machine, settings=figures(store))
        finally:
            runner.run(entered.__aexit__(None, None, None))
