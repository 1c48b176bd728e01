"""What callers of the service were told, in plain values, and what that means for the next answers.

It knows requests, answers and the gateways' ledgers. It never asks our own code what would be right.
"""

import re
from collections import ChainMap, defaultdict
from collections.abc import Mapping
from typing import Any, Final

import httpx
from attrs import define, field, frozen

from tests.backend.system.forms import FormGateway
from tests.backend.system.promises import MONEY, PAID_THERE, SETTLED, Rows, name_there
from tests.backend.system.world import STAFF, Khalti

__all__ = ["Call", "Model"]

FORM: Final = re.compile(r'(?:"reference":"|name="reference" value=")([A-Z0-9]{20})"')
PIDX: Final = re.compile(r"[?&]pidx=([2-9A-HJ-NP-Za-km-z]{22})(?![0-9A-Za-z])")
FOR_STAFF: Final = frozenset({"refund", "resolve", "events"})
REFUND_BECOMES: Final = {
    "submitted": frozenset({"submitted", "unknown", "confirmed", "rejected"}),
    "unknown": frozenset({"unknown", "confirmed", "rejected"}),
    "confirmed": frozenset({"confirmed"}),
    "rejected": frozenset({"rejected"}),
}


@frozen(kw_only=True)
class Call:
    """One request, so that it can be made again. `booking`, `pidx`, `payment` and `who` are what it is about."""

    kind: str
    method: str
    path: str
    who: str
    booking: int
    pidx: str | None = None
    payment: str | None = None
    body: dict[str, Any] | None = None
    form: dict[str, str] | None = None
    key: str | None = None


@frozen(kw_only=True)
class Kept:
    """The answer that was given to a request with a key."""

    body: dict[str, Any] | None
    status: int
    content: bytes


@frozen(kw_only=True)
class Judging:
    """What an answer is judged by. `spoiled`: something was to go wrong at Khalti. `alone`: nothing else happened."""

    spoiled: bool
    alone: bool
    rows: Rows
    told_before: frozenset[tuple[int, str]]


@define
class Model:
    """What was told since the day began.

    `links`: the booking of each pidx that somebody was shown, and `forms` of each form, by our reference. `successes`:
    what the guide's second call said, without the booking's status. `heard`: the numbers of a booking's events in the
    order in which the feed told them.
    """

    khalti: Khalti
    form_gateways: Mapping[str, FormGateway] = field(factory=dict)
    bookings: dict[int, dict[str, Any]] = field(factory=dict)
    links: dict[str, int] = field(factory=dict)
    forms: dict[str, int] = field(factory=dict)
    successes: dict[tuple[int, str], dict[str, Any]] = field(factory=dict)
    kept: dict[tuple[str, str, str], Kept] = field(factory=dict)
    refunds: dict[str, dict[str, Any]] = field(factory=dict)
    heard: defaultdict[int, list[int]] = field(factory=lambda: defaultdict(list))
    cursor: str | None = None

    def judge(self, call: Call, answer: httpx.Response, judging: Judging) -> None:
        """Whether this may be the answer, and what it says from now on."""
        assert answer.status_code != 500, f"{call} {answer.text}"
        if answer.status_code > 500:
            assert judging.spoiled, f"{call} {answer.status_code} {answer.text}"
            return
        if not self._may_do(call):
            assert answer.status_code == 403, f"{call} {answer.status_code} {answer.text}"
        elif not self._may_see(call):
            assert answer.status_code == 404, f"{call} {answer.status_code} {answer.text}"
        elif call.key is None or not self._was_answered_before(call, answer, judging):
            getattr(self, f"_judge_{call.kind}")(call, answer, judging)

    def _may_do(self, call: Call) -> bool:
        return call.kind not in FOR_STAFF or call.who == STAFF

    def _may_see(self, call: Call) -> bool:
        return call.who in ("", STAFF, str(self.bookings[call.booking]["owner"]))

    def _was_answered_before(self, call: Call, answer: httpx.Response, judging: Judging) -> bool:
        """The same key and request: the same answer to the byte. Another request: refused."""
        name = (call.who, call.path, str(call.key))
        kept, was_replayed = self.kept.get(name), bool(answer.headers.get("idempotent-replayed") == "true")
        if kept is None:
            assert not was_replayed or not judging.alone, "nobody had asked this before"
            if answer.is_success:
                self.kept[name] = Kept(body=call.body, status=answer.status_code, content=answer.content)
            return was_replayed
        if kept.body != call.body:
            assert answer.status_code in ((400, 422) if judging.alone else (400, 409, 422)), answer.text
            return True
        if answer.status_code == 409 and not judging.alone:
            return True
        assert (answer.status_code, answer.content) == (kept.status, kept.content), "the same answer for the same key"
        assert was_replayed or not judging.alone, "and it says so"
        return True

    # --- what each may say -------------------------------------------------------------------------------------------

    def _judge_open(self, call: Call, answer: httpx.Response, judging: Judging) -> None:
        form = FORM.search(answer.text)
        if answer.is_success and form is not None:
            self._note_form(call, form[1], judging)
            return
        onward = answer.headers.get("location", "")
        if call.form is not None and call.form["gateway"] in self.form_gateways and onward.startswith("/return/"):
            return  # it is told how that payment stands instead
        found = PIDX.search(onward + answer.text)
        if answer.status_code not in (200, 201, 303) or found is None:
            refused = (200, 409, 422) if call.key is not None else (200, 409)
            assert answer.status_code in refused, answer.text
            assert found is None
            return
        pidx = found[1]
        there = self.khalti.at(pidx)
        assert judging.rows.bookings.get(call.booking, {"status": "pending"})["status"] == "pending"
        assert there.purchase.amount == self.bookings[call.booking]["amount"]
        assert self.links.setdefault(pidx, call.booking) == call.booking, "nobody is shown another booking's link"
        if judging.alone and not judging.spoiled:
            assert self.khalti.status(pidx) == "Initiated", "a link that was used is not handed out again"

    def _note_form(self, call: Call, reference: str, judging: Judging) -> None:
        gateway = self.form_gateways[str((call.body or call.form or {})["gateway"])]
        there = gateway.till.payments[reference]
        assert judging.rows.bookings.get(call.booking, {"status": "pending"})["status"] == "pending"
        assert there.order_amount == self.bookings[call.booking]["amount"]
        assert self.forms.setdefault(reference, call.booking) == call.booking, "nobody is shown another booking's form"
        if judging.alone and not judging.spoiled:
            assert there.held.status == "absent", "a form that is known to have been posted is not handed out again"

    def _judge_process(self, call: Call, answer: httpx.Response, judging: Judging) -> None:
        assert answer.status_code == 200
        body, pidx = answer.json(), str(call.pidx)
        if not body["success"]:
            told_before = (call.booking, pidx) in judging.told_before
            assert not told_before or self.khalti.status(pidx) == "Refunded", "a success stays one until it is refunded"
            return
        assert self.links.get(pidx) == call.booking
        assert self.khalti.status(pidx) in PAID_THERE
        assert body.pop("booking_status") in SETTLED
        assert self.successes.setdefault((call.booking, pidx), body) == body, "the same answer each time"

    def _judge_return(self, call: Call, answer: httpx.Response, judging: Judging) -> None:
        assert answer.status_code in (200, 303)
        location = answer.headers.get("location", "")
        assert "forged" not in location + answer.text
        assert not location or location.startswith(("https://shop.example/", "/return/"))

    def _judge_verify(self, call: Call, answer: httpx.Response, judging: Judging) -> None:
        assert answer.status_code == 200

    def _judge_read(self, call: Call, answer: httpx.Response, judging: Judging) -> None:
        assert answer.status_code == 200

    def _judge_cancel(self, call: Call, answer: httpx.Response, judging: Judging) -> None:
        assert answer.status_code in (200, 409)
        if answer.status_code == 200:
            self.bookings[call.booking]["is_canceled"] = True

    def _judge_refund(self, call: Call, answer: httpx.Response, judging: Judging) -> None:
        """Made, or refused with a reason; never more than was asked for."""
        if answer.status_code != 201:
            assert answer.status_code in (409, 422), answer.text
            return
        told, wanted = answer.json(), (call.body or {}).get("amount")
        assert told["payment_id"] == call.payment
        assert told["amount"] == wanted or wanted is None
        assert told["id"] not in self.refunds, "a refund of its own for each request"
        self.refunds[told["id"]] = told

    def _judge_resolve(self, call: Call, answer: httpx.Response, judging: Judging) -> None:
        """Only the version that was reviewed is decided about."""
        assert answer.status_code in (200, 409, 422), answer.text
        body, known = call.body or {}, judging.rows.payments.get(str(call.payment))
        if known is None or not judging.alone:
            return
        if known["version"] != body["version"]:
            assert answer.status_code == 409, "a stale decision is refused"
            assert answer.json()["version"] == known["version"], f"and told what to review: {answer.text}"
        elif answer.status_code == 200:
            assert answer.json()["version"] > body["version"]

    def _judge_events(self, call: Call, answer: httpx.Response, judging: Judging) -> None:
        """Each event once, and a booking's own in their order without a gap."""
        assert answer.status_code == 200, answer.text
        page = answer.json()
        self.cursor = page["next_cursor"]
        for event in page["items"]:
            if event["booking_id"] not in self.bookings:
                continue  # of an earlier day
            heard = self.heard[event["booking_id"]]
            assert event["sequence"] == len(heard) + 1, f"event {event['sequence']} after {heard}"
            assert event["id"] == f"evt_{event['booking_id']}_{event['sequence']}"
            heard.append(event["sequence"])

    # --- what stays true of it ---------------------------------------------------------------------------------------

    def untrue(self, rows: Rows) -> list[str]:
        """Everything that somebody was told, and that the rows do not bear out."""
        by_name = {name_there(payment): payment for payment in rows.payments.values()}
        wrong = [
            f"{name} was shown for booking {number}"
            for name, number in ChainMap(self.links, self.forms).items()
            if name not in by_name or by_name[name]["booking_id"] != number
        ]
        for number, booking in self.bookings.items():
            row = rows.bookings[number]
            if row["amount"] != booking["amount"]:
                wrong.append(f"booking {number} owed {booking['amount']}")
            if row["status"] == "canceled" and not booking["is_canceled"]:
                wrong.append(f"booking {number} is canceled, and nobody was told")
            if booking["is_canceled"] and row["status"] == "pending":
                wrong.append(f"booking {number} was canceled and is pending")
        for number, pidx in self.successes:
            if rows.bookings[number]["status"] not in SETTLED or by_name[pidx]["status"] not in MONEY:
                wrong.append(f"payment {pidx} of booking {number} was a success")
        kept = {refund["id"]: refund for refund in rows.refunds}
        for id, told in self.refunds.items():
            now = kept.get(id)
            if now is None or now["amount"] != told["amount"] or now["status"] not in REFUND_BECOMES[told["status"]]:
                wrong.append(f"refund {id} was {told['amount']}, {told['status']}")
        for booking_id, heard in self.heard.items():
            if booking_id in rows.bookings and len(heard) > sum(e["booking_id"] == booking_id for e in rows.events):
                wrong.append(f"booking {booking_id} told events that are not stored")
        return wrong
