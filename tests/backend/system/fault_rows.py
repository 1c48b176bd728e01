"""What each fault of the stand-ins has to lead to, typed from docs/money-safety.md: one row a kind, company and place.

A fault holds until it is over. A row says where a payment stands that was paid meanwhile: `meanwhile`, once it is
`over`, and when it is never over (`for_good`: ten days of it).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from attrs import evolve, frozen

from tests.backend.system.walking import Stands

__all__ = ["ANOTHER_AMOUNT", "EXPIRED", "LOOK_UPS", "OPENINGS", "PAID", "PAYINGS", "LookUp", "Opening", "Paying"]

Fault = Mapping[str, Any]

AN_HOUR_OR_TWO: Final[tuple[Mapping[str, float], ...]] = ({"minutes": 45}, {"minutes": 75})

PAID: Final = Stands("completed", "confirmed", "paid", confirmed=1)
CHECKING: Final = Stands("open", "pending", "checking", unknown=True)
STUCK: Final = Stands("under_review", "pending", "review", review="stuck")
LOST: Final = Stands("under_review", "pending", "review", review="orphaned_reference")
ANOTHER_AMOUNT: Final = Stands("under_review", "pending", "review", review="amount_mismatch")
ANOTHER_PAYMENT: Final = Stands("under_review", "pending", "review", review="reference_mismatch")
STRANGE_WORD: Final = Stands("under_review", "pending", "review", review="unknown_status")
BOTH_AT_ONCE: Final = Stands("under_review", "pending", "review", review="contradictory")
NOT_SEEN: Final = Stands("open", "pending", "open")
PENDING: Final = Stands("pending", "pending", "checking")
DOUBTED: Final = Stands("pending", "pending", "checking", unknown=True)
EXPIRED: Final = Stands("expired", "pending", "expired")
CONFIRMED_BY_ANOTHER: Final = Stands("expired", "confirmed", "paid", confirmed=1)


@frozen(kw_only=True)
class LookUp:
    """A fault of the look-up. `is_slow`: it is noticed by the clock.

    Whoever brings eSewa's signed word that they paid is pending by it, where the look-up would leave them open.
    """

    gateway: str
    name: str
    fault: Fault
    meanwhile: Stands
    for_good: Stands
    over: Stands = PAID
    is_slow: bool = False

    @property
    def by_return(self) -> Stands:
        """Where it stands meanwhile, when the customer came back."""
        held = {CHECKING: DOUBTED, NOT_SEEN: PENDING} if self.gateway == "esewa" else {}
        return held.get(self.meanwhile, self.meanwhile)


@frozen(kw_only=True)
class Opening:
    """A fault where the checkout begins: our call to the company, or the browser's with the form.

    `answer`: the status of ours to the customer. `can_pay`: the customer comes to the page all the same.
    """

    gateway: str
    name: str
    fault: Fault
    answer: int = 201
    can_pay: bool = False
    is_slow: bool = False
    first: Stands = CONFIRMED_BY_ANOTHER


@frozen(kw_only=True)
class Paying:
    """What happens around the paying. `comes_to`: how it ends when the time has passed that `passes`, step by step.

    `when_asked`: how it ends once somebody asks, where nobody looks any more.
    """

    gateway: str
    name: str
    fault: Fault
    meanwhile: Stands = PAID
    comes_to: Stands = PAID
    passes: tuple[Mapping[str, float], ...] = AN_HOUR_OR_TWO
    when_asked: Stands | None = None


def fault(kind: str, **options: Any) -> Fault:
    return {"fault": kind, **options}


def raw(body: str, status: int = 200) -> Fault:
    return fault("raw", body=body, status=status)


# Answers that a lenient reader would take for a payment, in each company's own form.
KHALTI_PAID: Final = (
    '"pidx": "REFERENCE", "total_amount": 113000, "status": "Completed", "transaction_id": "GFq9PFS7b2iYvL8Lir9oXe", '
    '"fee": 0, "refunded": false'
)
ESEWA_PAID: Final = (
    '"product_code": "EPAYTEST", "transaction_uuid": "REFERENCE", "total_amount": 1130.0, "status": "COMPLETE", '
    '"ref_id": "000AE01"'
)
CONNECTIPS_PAID: Final = (
    '"referenceId": "REFERENCE", "txnAmt": 113000, "token": null, "status": "SUCCESS", '
    '"statusDesc": "TRANSACTION SUCCESSFUL"'
)
DEEP: Final = "[" * 20_000 + "]" * 20_000


def _hostile(paid: str, key: str, amount: str, status: str) -> Iterator[tuple[str, Fault]]:
    """JSON that two readers could read in two ways, or that has no end.

    `key` and `amount`: how the amount stands in it; `status`: the word for unpaid.
    """
    yield "deep", raw(f'{{{paid}, "more": {DEEP}}}')
    yield "a-key-twice", raw(f'{{"status": "{status}", {paid}}}')
    yield "an-amount-twice", raw(f'{{{paid}, "{key}": 1}}')
    yield "a-huge-number", raw(f"{{{paid.replace(amount, '9' * 5000)}}}")
    yield "a-number-beyond-all", raw(f"{{{paid.replace(amount, '1e400')}}}")
    yield "nan", raw(f"{{{paid.replace(amount, 'NaN')}}}")
    yield "infinity", raw(f"{{{paid.replace(amount, '-Infinity')}}}")
    yield "negative", raw(f"{{{paid.replace(amount, f'-{amount}')}}}")
    yield "nothing-paid", raw(f"{{{paid.replace(amount, 'null')}}}")
    yield "a-list-of-it", raw(f"[{{{paid}}}]")
    yield "two-of-it", raw(f"{{{paid}}}{{{paid}}}")
    yield "cut-off", raw(f"{{{paid}")
    yield "no-json", fault("raw", body=f"{{{paid}}}", headers=[["content-type", "text/plain"]])
    yield "as-an-error", raw(f"{{{paid}}}", status=500)


# No usable answer, whatever it looks like: the status stays, it is asked again, and it never means that nothing came.
SILENCES: Final[Mapping[str, Fault]] = {
    "delay": fault("delay", seconds=5),
    "drip": fault("drip", seconds=0.2),
    "closed-unheard": fault("drop_before"),
    "reset-unheard": fault("drop_before", reset=True),
    "closed-after": fault("drop_after"),
    "reset-after": fault("drop_after", reset=True),
    "400": fault("status", status=400),
    "401": fault("status", status=401),
    "403": fault("status", status=403),
    "404": fault("status", status=404),
    "429": fault("status", status=429),
    "500": fault("status", status=500),
    "503-html": fault("status", status=503, body="html"),
    "504-after": fault("status", status=504, effect=True),
    "html": fault("html"),
    "302": fault("redirect", status=302),
    "307": fault("redirect", status=307),
    "empty": raw(""),
    "an-empty-object": raw("{}"),
    # as a framework's own error page is in JSON, and a page about maintenance
    "a-frameworks-404": raw('{"timestamp": "2026-11-26T07:00:00Z", "status": 404, "error": "Not Found"}', 404),
    "a-frameworks-400": raw('{"timestamp": "2026-11-26T07:00:00Z", "status": 400, "error": "Bad Request"}', 400),
    "a-frameworks-word": raw('{"status": "NOT_FOUND", "message": "No handler found"}', 404),
    "a-status-of-its-own": raw('{"status": 503, "message": "maintenance"}'),
    "maintenance": raw('{"status": "failed", "message": "We will be back soon"}'),
    "no-http": fault("verbatim", text="lorem ipsum\r\n\r\n"),
    "a-length-that-lies": fault("verbatim", text="HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{}"),
    "malformed": fault("malformed"),
    "8-mib": fault("huge", mib=8),
    "gzip-bomb": fault("gzip_bomb", mib=4),
    "no-status": fault("missing", key="status"),
    "a-status-that-is-no-word": fault("change", values={"status": ["Completed", "COMPLETE"]}),
}
SLOW: Final = frozenset({"delay", "drip"})


def _every(gateway: str, amount: str) -> Iterator[LookUp]:
    """The rows that are the same at every company. `amount`: its key for the amount."""
    for name, silence in SILENCES.items():
        yield LookUp(
            gateway=gateway,
            name=name,
            fault=silence,
            meanwhile=CHECKING,
            for_good=STUCK,
            is_slow=name in SLOW,
        )
    yield _silence(gateway, "no-amount", fault("missing", key=amount))
    yield _silence(gateway, "an-amount-that-is-none", fault("change", values={amount: "much"}))
    for delta in (1, -1, 113000 * 99, -112900):
        name = f"amount-{delta:+}"
        yield _lie(gateway, name, fault("wrong_amount", delta=delta), ANOTHER_AMOUNT)
    yield _lie(gateway, "another-payment", fault("wrong_reference"), ANOTHER_PAYMENT)
    yield _lie(gateway, "a-word", fault("status_word", word="Unheard of"), STRANGE_WORD)
    yield _lie(gateway, "a-new-key", fault("change", values={"unheard_of": True}), PAID)
    yield _lie(gateway, "before-money-went-back", fault("stale"), PAID)
    yield _lie(gateway, "an-hour-fast", fault("clock_skew", seconds=3600), PAID)


def _lie(gateway: str, name: str, lie: Fault, meanwhile: Stands, for_good: Stands | None = None) -> LookUp:
    return LookUp(gateway=gateway, name=name, fault=lie, meanwhile=meanwhile, for_good=for_good or meanwhile)


def _silence(gateway: str, name: str, silence: Fault) -> LookUp:
    return LookUp(gateway=gateway, name=name, fault=silence, meanwhile=CHECKING, for_good=STUCK)


def _contradiction(name: str, lie: Fault) -> LookUp:
    """Money was seen, and it is not clear whether it is still there: a person decides, whatever is said later."""
    return LookUp(
        gateway="khalti", name=name, fault=lie, meanwhile=BOTH_AT_ONCE, for_good=BOTH_AT_ONCE, over=BOTH_AT_ONCE
    )


LOOK_UPS: Final[tuple[LookUp, ...]] = (
    *_every("khalti", "total_amount"),
    *(_silence("khalti", name, lie) for name, lie in _hostile(KHALTI_PAID, "total_amount", "113000", "Initiated")),
    _silence("khalti", "no-pidx", fault("missing", key="pidx")),
    _silence("khalti", "rupees", fault("change", values={"total_amount": 1130.0})),
    _silence("khalti", "text", fault("change", values={"total_amount": "113000"})),
    _lie("khalti", "another-pidx", fault("wrong_pidx"), ANOTHER_PAYMENT),
    _contradiction("paid-and-given-back", fault("change", values={"refunded": True})),
    _lie("khalti", "odd-case", fault("status_word", word="COMPLETED"), PAID),
    _lie("khalti", "not-found", raw('{"detail": "Not found.", "error_key": "validation_error"}', 404), CHECKING, LOST),
    _lie("khalti", "lag", fault("lag"), NOT_SEEN, STUCK),
    *_every("esewa", "total_amount"),
    *(_silence("esewa", name, lie) for name, lie in _hostile(ESEWA_PAID, "total_amount", "1130.0", "PENDING")),
    _silence("esewa", "no-transaction-uuid", fault("missing", key="transaction_uuid")),
    _silence("esewa", "no-ref-id", fault("change", values={"ref_id": None})),
    _silence("esewa", "another-merchant", fault("change", values={"product_code": "SOMEBODY-ELSE"})),
    _silence("esewa", "an-outage", raw('{"code": 0, "error_message": "Service is currently unavailable"}')),
    _silence("esewa", "a-third-of-a-paisa", fault("change", values={"total_amount": "1130.003"})),
    _lie("esewa", "odd-case", fault("status_word", word="Complete"), STRANGE_WORD),
    _lie("esewa", "ambiguous", fault("status_word", word="AMBIGUOUS"), DOUBTED, STUCK),
    # eSewa says in so many words that it holds nothing, and has signed that it was paid: a person has to ask
    _lie("esewa", "not-found", fault("status_word", word="NOT_FOUND"), NOT_SEEN, STUCK),
    _lie("esewa", "lag", fault("lag"), PENDING, STUCK),
    *_every("connectips", "txnAmt"),
    *(_silence("connectips", name, lie) for name, lie in _hostile(CONNECTIPS_PAID, "txnAmt", "113000", "ERROR")),
    _silence("connectips", "no-reference", fault("missing", key="referenceId")),
    _silence("connectips", "rupees", fault("change", values={"txnAmt": 1130.5})),
    _silence("connectips", "another-merchant", fault("change", values={"appId": "SOMEBODY-ELSE"})),
    _silence("connectips", "an-error", fault("status_word", word="ERROR")),
    _lie("connectips", "odd-case", fault("status_word", word="Success"), STRANGE_WORD),
    _lie("connectips", "failed-and-successful", fault("status_word", word="FAILED"), STRANGE_WORD),
    # ERROR and TRANSACTION INCOMPLETE: in so many words, that nobody has paid
    _lie("connectips", "lag", fault("lag"), NOT_SEEN, EXPIRED),
)  # fmt: skip

REFUSED: Final = Stands("under_review", "confirmed", "review", confirmed=1, review="checkout_refused")
KEY_REFUSED: Final = Stands("failed", "confirmed", "paid", confirmed=1)


def _lost_link(name: str, lost: Fault, answer: int = 502, *, is_slow: bool = False) -> Opening:
    return Opening(gateway="khalti", name=name, fault=lost, answer=answer, is_slow=is_slow)


def _harmless(gateway: str, name: str, odd: Fault) -> Opening:
    return Opening(gateway=gateway, name=name, fault=odd, can_pay=True, first=PAID)


def _forms(gateway: str) -> Iterator[Opening]:
    """Where the browser posts a form: what it sees then is the company's page, and no answer of ours."""
    lost: Mapping[str, Fault] = {
        "closed-unheard": fault("drop_before"),
        "closed-after": fault("drop_after"),
        "503": fault("status", status=503, body="html"),
        "502-after": fault("status", status=502, effect=True),
        "html": fault("html"),
        "302": fault("redirect"),
        "empty": raw(""),
        "no-http": fault("verbatim", text="lorem ipsum\r\n\r\n"),
        "malformed": fault("malformed"),
    }
    odd: Mapping[str, Fault] = {
        "delay": fault("delay", seconds=0.05),
        "drip": fault("drip", seconds=0.00001),
        "gzip": fault("gzip_bomb", mib=1),
        "1-mib": fault("huge", mib=1),
        "no-status": fault("missing", key="status"),
        "a-new-key": fault("change", values={"unheard_of": True}),
        "another-payment": fault("wrong_reference"),
        "an-hour-slow": fault("clock_skew", seconds=-3600),
    }
    yield from (Opening(gateway=gateway, name=name, fault=lost[name]) for name in lost)
    yield from (_harmless(gateway, name, odd[name]) for name in odd)


OPENINGS: Final[tuple[Opening, ...]] = (
    _lost_link("delay", fault("delay", seconds=5), 504, is_slow=True),
    _lost_link("drip", fault("drip", seconds=0.2), 504, is_slow=True),
    _lost_link("closed-unheard", fault("drop_before"), 504),
    _lost_link("closed-after", fault("drop_after"), 504),
    _lost_link("reset-after", fault("drop_after", reset=True), 504),
    _lost_link("429", fault("status", status=429), 504),
    _lost_link("503-html", fault("status", status=503, body="html"), 504),
    _lost_link("502-after", fault("status", status=502, effect=True), 504),
    evolve(_lost_link("400", fault("status", status=400)), first=REFUSED),
    evolve(_lost_link("401", fault("status", status=401)), first=KEY_REFUSED),
    _lost_link("html", fault("html")),
    _lost_link("html-after", fault("html", effect=True)),
    _lost_link("302", fault("redirect")),
    _lost_link("empty", raw("")),
    _lost_link("deep", raw(DEEP)),
    _lost_link("nan", raw('{"pidx": NaN}')),
    _lost_link("no-http", fault("verbatim", text="lorem ipsum\r\n\r\n"), 504),
    _lost_link("malformed", fault("malformed")),
    _lost_link("8-mib", fault("huge", mib=8)),
    _lost_link("gzip-bomb", fault("gzip_bomb", mib=4)),
    _lost_link("no-pidx", fault("missing", key="pidx")),
    _lost_link("no-link", fault("missing", key="payment_url")),
    _lost_link("a-link-that-is-none", fault("change", values={"payment_url": 7})),
    _lost_link("another-payment", fault("wrong_reference")),
    _lost_link("another-pidx", fault("wrong_pidx")),
    _lost_link("a-pidx-of-before", fault("repeat_pidx")),
    _lost_link("somebody-elses-page", fault("off_domain")),
    _harmless("khalti", "a-new-key", fault("change", values={"unheard_of": True})),
    _harmless("khalti", "an-hour-slow", fault("clock_skew", seconds=-3600)),
    *_forms("esewa"),
    *_forms("connectips"),
)

ALL_BACK: Final = Stands("refunded", "refunded", "refunded", confirmed=1, review="refunded_outside")
A_PART_BACK: Final = Stands("partially_refunded", "confirmed", "paid", confirmed=1, review="refunded_outside")
FIVE_MINUTES: Final = 300
TWO_DAYS: Final = 2 * 24 * 3600


def _payings(
    gateway: str, ended: Stands, all_back: Stands = ALL_BACK, a_part_back: Stands = A_PART_BACK
) -> Iterator[Paying]:
    """What can happen around a payment, the same at every company but for how it is told."""
    yield Paying(gateway=gateway, name="double-return", fault=fault("double_return"))
    yield Paying(gateway=gateway, name="late", fault=fault("late_payment", seconds=FIVE_MINUTES), meanwhile=ended)
    yield Paying(gateway=gateway, name="all-back", fault=fault("panel_refund", seconds=FIVE_MINUTES), comes_to=all_back)
    part = fault("panel_refund", seconds=FIVE_MINUTES, amount=50000)
    yield Paying(gateway=gateway, name="a-part-back", fault=part, comes_to=a_part_back)
    for seconds in (TWO_DAYS, -TWO_DAYS):
        yield Paying(gateway=gateway, name=f"clock-{seconds:+}", fault=fault("clock_skew", seconds=seconds))


def _found_later(gateway: str) -> Paying:
    """A form that was left open is looked at for a week."""
    late = fault("late_payment", seconds=TWO_DAYS)
    passes = (*AN_HOUR_OR_TWO, {"days": 3})
    return Paying(gateway=gateway, name="two-days-late", fault=late, meanwhile=NOT_SEEN, passes=passes)


PAYINGS: Final[tuple[Paying, ...]] = (
    *_payings("khalti", EXPIRED),
    # nobody looks at a dead link for days: it is found when somebody asks
    Paying(
        gateway="khalti",
        name="two-days-late",
        fault=fault("late_payment", seconds=TWO_DAYS),
        meanwhile=EXPIRED,
        passes=(*AN_HOUR_OR_TWO, {"days": 3}),
        comes_to=EXPIRED,
        when_asked=PAID,
    ),
    *_payings("esewa", NOT_SEEN),
    _found_later("esewa"),
    # no look-up tells that money went back
    *_payings("connectips", NOT_SEEN, all_back=PAID, a_part_back=PAID),
    _found_later("connectips"),
)
