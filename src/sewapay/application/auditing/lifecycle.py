"""Where each payment stands, and what shows it: I4 to I11 and I23 of docs/money-safety.md, for one booking."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from sewapay.application.auditing.books import MONEY, UNDECIDED, Book, Finding, Row, about, rupees
from sewapay.application.auditing.money import Case

__all__ = ["TOLD_BY", "lifecycle"]

_SOFT: Final = frozenset({"canceled", "expired", "failed"})
_MONEY_REPORTS: Final = frozenset({"completed", "partially_refunded", "refunded"})
_LATEST_LOOK: Final = timedelta(hours=24, minutes=10)
_ONE_PRESS: Final = timedelta(seconds=10)
_LONG_DEAD: Final = timedelta(minutes=10)

# A status never gives way to one of a lower rank; of the three endings without money none follows another.
_RANK: Final = MappingProxyType(
    {
        "created": 0,
        "open": 1,
        "pending": 2,
        "canceled": 3,
        "expired": 3,
        "failed": 3,
        "under_review": 4,
        "completed": 5,
        "partially_refunded": 6,
        "refunded": 7,
    }
)
TOLD_BY: Final[Mapping[str, str]] = MappingProxyType(
    {"payment.created": "created", "payment.opened": "open"}
    | {f"payment.{status}": status for status in _RANK if status not in ("created", "open")}
)
# Money that just came may be put before a person; money that was looked at may be put aside again.
_BACK_TO_REVIEW: Final = ("completed", "under_review")
# What no answer of the gateway caused, by who did.
_OURS: Final = frozenset({"created", "open", "under_review"})
# What holds a payment beside the look-ups: the gateway's own word that the customer's browser brought.
_SIGNED: Final = "a signed return says that it was paid"
# What else a gateway may have said where a payment came to this status.
_SAYS_SO: Final = MappingProxyType({"expired": ("expired", "absent"), "pending": ("pending", "ambiguous")})


def lifecycle(case: Case) -> Iterator[Finding]:
    """What is wrong about where this booking's payments stand."""
    yield from _links(case)
    for payment in case.book.payments:
        yield from _way(case.book, payment)
        yield from _evidence(case.book, payment)
        yield from _references(case, payment)
        yield from _not_failed(case.book, payment)
        yield from _not_stuck(case, payment)
        if case.is_quiet:
            yield from _at_rest(case, payment)


def _links(case: Case) -> Iterator[Finding]:
    """I4: one link a gateway that a customer could still pay at; where none can be shown twice, one a press."""
    live: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for payment in case.book.payments:
        is_dead = payment["expires_at"] is not None and case.now >= payment["expires_at"]
        if payment["status"] != "open" or payment["next_step"] is None or is_dead:
            continue
        if not _was_given_up(case.book, payment):
            live[payment["gateway"], payment["environment"]].append(payment)
    for (gateway, _), links in live.items():
        if gateway in case.single_entry:
            links = [link for link in links if any(_is_of_one_press(link, other) for other in links)]
        if len(links) > 1:
            text = f"it has {len(links)} live links at {gateway}: both could be paid"
            yield Finding(invariant="I4", subject=f"booking {case.book.booking['id']}", text=text)


def _is_of_one_press(payment: Row, other: Row) -> bool:
    """Whether the later of them was begun when the earlier had just been shown, and should have been it."""
    if payment is other or None in (payment["opened_at"], other["opened_at"]):
        return False
    earlier, later = sorted((payment, other), key=lambda row: row["created_at"])
    return bool(later["created_at"] < earlier["opened_at"] + _ONE_PRESS)


def _was_given_up(book: Book, payment: Row) -> bool:
    """Whether its link came when nobody waited for it any more: it was stored, and not shown beside another one."""
    kinds = [event["kind"] for event in book.events_of[payment["id"]]]
    return "payment.outcome_unknown" in kinds[: kinds.index("payment.opened")] if "payment.opened" in kinds else False


def _way(book: Book, payment: Row) -> Iterator[Finding]:
    """I6: forward only, from its beginning to where it stands."""
    told = book.events_of[payment["id"]]
    way = [(TOLD_BY[event["kind"]], event) for event in told if event["kind"] in TOLD_BY]
    statuses = [status for status, _ in way]
    if statuses[:1] != ["created"] or statuses[-1:] != [payment["status"]]:
        yield about("I6", payment, f"it is {payment['status']}, and its events tell {', '.join(statuses) or 'nothing'}")
    for (earlier, _), (later, event) in itertools.pairwise(way):
        if _RANK[later] > _RANK[earlier] or (earlier, later) == _BACK_TO_REVIEW:
            continue
        if later == "failed" and earlier not in MONEY and _was_just_decided(told, event, "close"):
            continue
        yield about("I6", payment, f"it went from {earlier} to {later}, which is no way forward")


def _was_just_decided(told: Sequence[Row], event: Row, *decisions: str) -> bool:
    """Whether the event before this one is a person's decision of this kind."""
    place = next(place for place, other in enumerate(told) if other["sequence"] == event["sequence"])
    before = told[place - 1] if place else None
    if before is None or before["kind"] != "payment.resolved":
        return False
    return before["data"].get("decision") in decisions


def _evidence(book: Book, payment: Row) -> Iterator[Finding]:
    """I7 and I8: money that was seen stays seen, and every fact about money stands in a stored answer."""
    answers = book.answers_about(payment)
    seen = [answer for answer in answers if answer["reported"] in _MONEY_REPORTS]
    is_lost = payment["status"] not in (*MONEY, "under_review") or payment["paid_at"] is None
    if seen and is_lost:
        text = f"the gateway said {seen[0]['reported']}, and it is {payment['status']} without money"
        yield about("I7", payment, text)
    if payment["paid_at"] is not None and payment["status"] not in (*MONEY, "under_review"):
        yield about("I7", payment, f"its money was seen, and it is {payment['status']}")
    if payment["paid_at"] is not None and payment["paid_at"] not in [answer["at"] for answer in seen]:
        yield about("I8", payment, "no stored answer of the gateway is from when it was paid")
    if payment["status"] in MONEY and payment["paid_at"] is None:
        yield about("I8", payment, f"it is {payment['status']}, and nobody knows since when")
    for column, answered, what in (
        ("amount_paid", "amount", "amount"),
        ("fee", "fee", "fee"),
        ("transaction_id", "transaction_id", "transaction"),
    ):
        if payment[column] is not None and payment[column] not in [answer[answered] for answer in seen]:
            yield about("I8", payment, f"no stored answer of the gateway names its {what}")
    given = {event["data"].get("gateway_reference") for event in book.told("payment.opened", payment)}
    for event in book.events_of[payment["id"]]:
        status = TOLD_BY.get(event["kind"])
        if status is None or status in _OURS or event["actor"] != "gateway":
            continue
        said = {answer["reported"] for answer in answers if answer["at"] == event["at"]}
        if said.isdisjoint(_SAYS_SO.get(status, (status,))):
            yield about("I8", payment, f"it became {status}, and no stored answer of the gateway says so")
        elif status == "expired" and status not in said and not _was_long_dead(payment, event):
            text = "it expired for being absent at the gateway, where it could still have been entered"
            yield about("I23", payment, text)
    if given and given != {payment["gateway_reference"]}:
        yield about("I5", payment, "it was opened under another reference of the gateway than the one it has")


def _was_long_dead(payment: Row, event: Row) -> bool:
    return payment["expires_at"] is not None and event["at"] >= payment["expires_at"] + _LONG_DEAD


def _references(case: Case, payment: Row) -> Iterator[Finding]:
    """I5 and I9: what it is stays what it is; it was written down before the gateway could know of it."""
    book, booking = case.book, case.book.booking
    if payment["amount"] != booking["amount"]:
        text = f"it asks for {rupees(payment['amount'])}, and {rupees(booking['amount'])} is owed"
        yield about("I3", payment, text)
    begun = [event["data"].get("amount") for event in book.told("payment.created", payment)]
    if begun and begun != [payment["amount"]]:
        yield about("I5", payment, f"it was begun for {rupees(begun[0])}, and asks for {rupees(payment['amount'])}")
    kinds = [event["kind"] for event in book.events_of[payment["id"]]]
    has_link = payment["next_step"] is not None or payment["gateway_reference"] is not None
    if has_link != ("payment.opened" in kinds):
        text = "it has a link, and nothing tells that" if has_link else "nothing is kept of the link that"
        yield about("I9", payment, f"{text} the gateway opened its page")
    if payment["status"] == "open" and payment["next_step"] is None:
        yield about("I9", payment, "it is open without a link that a customer could be given")
    if "payment.created" in kinds[1:]:
        yield about("I9", payment, "something had happened to it before it was written down")
    if case.truth is None or not case.truth.is_about(payment) or payment["gateway_reference"] is None:
        return
    line = case.truth.of(payment)
    if line is None and case.truth.is_whole:
        yield about("I9", payment, "it has a reference that the gateway never gave")
    if line is not None and line.order_reference not in (None, payment["order_reference"]):
        yield about("I5", payment, "the gateway gave its reference for another order than this one")


def _not_failed(book: Book, payment: Row) -> Iterator[Finding]:
    """I10 and I23: no silence became an ending, and no link died by our clock alone."""
    if payment["outcome_unknown"]:
        if payment["status"] not in UNDECIDED | _SOFT:
            yield about("I10", payment, f"it is {payment['status']} and unknown at once")
        is_doubted = any(answer["reported"] == "ambiguous" for answer in book.answers_about(payment))
        if not is_doubted and not book.told("payment.outcome_unknown", payment):
            yield about("I10", payment, "its outcome is unknown, and nothing tells since when")
    told = book.events_of[payment["id"]]
    for event in told:
        status, who = TOLD_BY.get(event["kind"]), event["actor"]
        if status in _OURS or status is None or who == "gateway":
            continue
        why = str(event["data"].get("reason"))
        if status == "completed" and (who == "sewapay" or _was_just_decided(told, event, "honour")):
            continue
        if status in ("partially_refunded", "refunded") and _was_just_decided(told, event, "close"):
            continue
        if status == "failed" and (why.startswith("not attempted") or _was_just_decided(told, event, "close")):
            continue
        if status == "expired" and payment["next_step"] is None and payment["gateway_reference"] is None:
            continue
        if status == "pending" and why == _SIGNED:
            continue
        invariant = "I23" if status == "expired" else "I10"
        yield about(invariant, payment, f"it became {status} because of {who} ({why}), and the gateway never said so")


def _not_stuck(case: Case, payment: Row) -> Iterator[Finding]:
    """I11: what is not final is looked at within a day, or waits for a person."""
    if payment["status"] == "under_review" and payment["review_reason"] is None:
        yield about("I11", payment, "it is under review, and nobody is asked to decide anything")
    if payment["review_reason"] is not None or not _is_unfinished(payment):
        return
    if payment["next_check_at"] is None:
        yield about("I11", payment, "it is not decided, and nobody will look at it")
    elif payment["next_check_at"] > case.now + _LATEST_LOOK:
        yield about("I11", payment, "it is not decided, and is looked at in more than a day only")


def _at_rest(case: Case, payment: Row) -> Iterator[Finding]:
    """I11, when all is quiet: nothing is open, due or held."""
    if _is_unfinished(payment) and payment["review_reason"] is None:
        yield about("I11", payment, f"it is {payment['status']} and still not decided")
    if payment["refund_due"] and payment["amount_reserved"] == 0:
        yield about("I11", payment, "it was decided to give it back, and that was not done")
    if payment["amount_reserved"] and payment["review_reason"] is None:
        yield about("I11", payment, f"whether {rupees(payment['amount_reserved'])} was given back is still open")
    if payment["next_check_at"] is not None and payment["next_check_at"] <= case.now:
        yield about("I11", payment, "it is due to be looked at, and was not")
    if payment["leased_until"] is not None and payment["leased_until"] > case.now.timestamp() * 1000:
        yield about("I11", payment, "somebody still holds it")


def _is_unfinished(payment: Row) -> bool:
    is_undecided = payment["status"] in UNDECIDED or payment["outcome_unknown"]
    return is_undecided or payment["refund_due"] or payment["amount_reserved"] > 0
