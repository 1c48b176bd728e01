"""Which rows cannot be read at all: a word that nobody knows, an amount that is no whole number of paisa, no time.

The lists are typed by hand; a test compares them with the code's own words.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final, TypeAlias

from sewapay.application.auditing.books import Finding, Row
from sewapay.domain.money import GREATEST_PAISA

__all__ = ["SHAPES", "WORDS", "strange"]

_Judge: TypeAlias = Callable[[object], bool]

WORDS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "booking status": frozenset({"pending", "confirmed", "canceled", "refunded"}),
        "payment status": frozenset(
            {
                "created", "open", "pending", "completed", "canceled", "expired", "failed", "under_review",
                "partially_refunded", "refunded",
            }
        ),
        "review reason": frozenset(
            {
                "amount_mismatch", "reference_mismatch", "transaction_repeated", "booking_canceled",
                "refunded_outside", "contradictory", "unknown_status", "checkout_refused", "surplus", "stuck",
                "orphaned_reference", "refund_unknown",
            }
        ),
        "report": frozenset(
            {
                "initiated", "pending", "completed", "partially_refunded", "refunded", "canceled", "expired", "failed",
                "not_found", "absent", "ambiguous", "unknown",
            }
        ),
        "kind of event": frozenset(
            {
                "booking.registered", "booking.confirmed", "booking.canceled", "booking.refunded", "payment.created",
                "payment.opened", "payment.pending", "payment.completed", "payment.canceled", "payment.expired",
                "payment.failed", "payment.under_review", "payment.partially_refunded", "payment.refunded",
                "payment.surplus", "payment.outcome_unknown", "payment.contradicted", "payment.refunded_outside",
                "payment.needs_attention", "payment.resolved", "refund.submitted", "refund.confirmed",
                "refund.rejected", "refund.outcome_unknown",
            }
        ),
        "refund status": frozenset({"submitted", "confirmed", "rejected", "unknown"}),
        "account": frozenset({"customer_funds", "merchant_receivable", "gateway_fee", "refunds"}),
        "environment": frozenset({"sandbox", "production"}),
        "way to come back": frozenset({"payment_id", "khalti_words"}),
    }
)  # fmt: skip

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_GATEWAY: Final = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_ORDER: Final = re.compile(r"[A-Z0-9]{20}", re.ASCII)


def _is_paisa(value: object) -> bool:
    return type(value) is int and 0 <= value <= GREATEST_PAISA


def _is_some_paisa(value: object) -> bool:
    return _is_paisa(value) and value != 0


def _is_moved_paisa(value: object) -> bool:
    return type(value) is int and value != 0


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_number(value: object) -> bool:
    return type(value) is int and value >= 1


def _is_booking_id(value: object) -> bool:
    return type(value) is int and 1 <= value <= 2**53


def _is_time(value: object) -> bool:
    return isinstance(value, datetime) and value.tzinfo is not None


def _is_truth(value: object) -> bool:
    return type(value) is bool


def _is_object(value: object) -> bool:
    return isinstance(value, Mapping)


def _is_bytes(value: object) -> bool:
    return isinstance(value, bytes)


def _is_step(value: object) -> bool:
    return isinstance(value, Mapping) and value.get("kind") in ("redirect", "post_form") and "url" in value


def _text(longest: int | None = None) -> _Judge:
    def is_text(value: object) -> bool:
        return isinstance(value, str) and value.strip() != "" and (longest is None or len(value) <= longest)

    return is_text


def _like(shape: re.Pattern[str]) -> _Judge:
    return lambda value: isinstance(value, str) and shape.fullmatch(value) is not None


def _word(of: str) -> _Judge:
    return lambda value: isinstance(value, str) and value in WORDS[of]


def _or_none(judge: _Judge) -> _Judge:
    return lambda value: value is None or judge(value)


_ANY_TEXT: Final = _text()
_ID: Final = _like(_UUID)

# For each column: what breaks when it is otherwise (money I2, states I6, everything else I17), and what it has to be.
_Shape: TypeAlias = tuple[str, _Judge, str]
_PAISA: Final[_Shape] = ("I2", _is_paisa, "a whole number of paisa")
_SOME: Final[_Shape] = ("I2", _is_some_paisa, "1 paisa or more, a whole number")
_PERHAPS: Final[_Shape] = ("I2", _or_none(_is_paisa), "a whole number of paisa, or nothing")
_TIME: Final[_Shape] = ("I17", _is_time, "a time with a zone")
_PERHAPS_TIME: Final[_Shape] = ("I17", _or_none(_is_time), "a time with a zone, or nothing")
_TRUTH: Final[_Shape] = ("I17", _is_truth, "true or false")
_TEXT: Final[_Shape] = ("I17", _ANY_TEXT, "text")
_PERHAPS_TEXT: Final[_Shape] = ("I17", _or_none(lambda value: isinstance(value, str)), "text, or nothing")
_NAME: Final[_Shape] = ("I17", _ID, "a UUID in lower case")
_PERHAPS_NAME: Final[_Shape] = ("I17", _or_none(_ID), "a UUID in lower case, or nothing")
_BOOKING: Final[_Shape] = ("I17", _is_booking_id, "a whole number from 1 to 2^53")
_COUNT: Final[_Shape] = ("I17", _is_count, "a whole number, not negative")
_NUMBER: Final[_Shape] = ("I17", _is_number, "a whole number from 1 on")


def _one_of(of: str, *, or_none: bool = False) -> _Shape:
    judge = _or_none(_word(of)) if or_none else _word(of)
    return ("I6", judge, f"a {of} that we know")


SHAPES: Final[Mapping[str, Mapping[str, _Shape]]] = MappingProxyType(
    {
        "booking": {
            "id": _BOOKING,
            "customer_id": ("I17", _text(128), "1 to 128 characters"),
            "title": ("I17", _text(200), "1 to 200 characters"),
            "amount": _SOME,
            "registered_at": _TIME,
            "status": _one_of("booking status"),
            "settled_by": _PERHAPS_NAME,
            "version": _NUMBER,
        },
        "payment": {
            "id": _NAME,
            "booking_id": _BOOKING,
            "gateway": ("I17", _like(_GATEWAY), "a gateway's name"),
            "environment": _one_of("environment"),
            "order_reference": ("I17", _like(_ORDER), "20 of A-Z and 0-9"),
            "amount": _SOME,
            "created_at": _TIME,
            "status": _one_of("payment status"),
            "gateway_reference": ("I17", _or_none(_ANY_TEXT), "text, or nothing"),
            "next_step": ("I17", _or_none(_is_step), "where the browser goes next, or nothing"),
            "opened_at": _PERHAPS_TIME,
            "expires_at": _PERHAPS_TIME,
            "return_style": _one_of("way to come back", or_none=True),
            "said": _PERHAPS_TEXT,
            "outcome_unknown": _TRUTH,
            "vouched": _TRUTH,
            "surplus": _TRUTH,
            "review_reason": _one_of("review reason", or_none=True),
            "reason": _PERHAPS_TEXT,
            "amount_paid": _PERHAPS,
            "amount_refunded": _PERHAPS,
            "amount_reserved": _PAISA,
            "refund_due": _TRUTH,
            "fee": _PERHAPS,
            "transaction_id": _PERHAPS_TEXT,
            "paid_at": _PERHAPS_TIME,
            "next_check_at": _PERHAPS_TIME,
            "looked_at": _PERHAPS_TIME,
            "silences": _COUNT,
            "version": _NUMBER,
            "leased_until": ("I17", _or_none(_is_count), "milliseconds, or nothing"),
            "lease": _COUNT,
        },
        "event": {
            "booking_id": _BOOKING,
            "sequence": _NUMBER,
            "payment_id": _PERHAPS_NAME,
            "kind": _one_of("kind of event"),
            "at": _TIME,
            "actor": _TEXT,
            "data": ("I17", _is_object, "an object"),
        },
        "answer of the gateway": {
            "payment_id": _NAME,
            "at": _TIME,
            "reported": _one_of("report"),
            "said": _PERHAPS_TEXT,
            "amount": _PERHAPS,
            "fee": _PERHAPS,
            "transaction_id": _PERHAPS_TEXT,
            "gateway_reference": _PERHAPS_TEXT,
            "order_reference": _PERHAPS_TEXT,
            "refunded": ("I17", _or_none(_is_truth), "true, false or nothing"),
        },
        "refund": {
            "id": _NAME,
            "payment_id": _NAME,
            "booking_id": _BOOKING,
            "amount": ("I12", _is_some_paisa, "1 paisa or more, a whole number"),
            "is_all": _TRUTH,
            "reason": ("I17", _text(500), "1 to 500 characters"),
            "requested_by": _TEXT,
            "requested_at": _TIME,
            "status": _one_of("refund status"),
            "accepted_at": _PERHAPS_TIME,
            "refused": _TRUTH,
            "said": _PERHAPS_TEXT,
            "settled_at": _PERHAPS_TIME,
            "version": _NUMBER,
        },
        "ledger entry": {
            "payment_id": _NAME,
            "payment_version": _NUMBER,
            "posting": _NUMBER,
            "place": _NUMBER,
            "booking_id": _BOOKING,
            "at": _TIME,
            "why": _TEXT,
            "account": _one_of("account"),
            "paisa": ("I2", _is_moved_paisa, "a whole number of paisa, not 0"),
        },
        "kept answer": {
            "principal": _TEXT,
            "operation": _TEXT,
            "key": ("I14", _text(255), "1 to 255 characters"),
            "fingerprint": ("I14", _ANY_TEXT, "a digest of the request"),
            "begun_at": ("I14", _is_time, "a time with a zone"),
            "subject": _PERHAPS_TEXT,
            "status": ("I14", _or_none(_is_number), "an HTTP status, or nothing"),
            "headers": ("I14", _or_none(_is_object), "an object, or nothing"),
            "body": ("I14", _or_none(_is_bytes), "bytes, or nothing"),
        },
    }
)


def strange(kind: str, row: Row) -> Iterator[Finding]:
    """What of this row is not as it has to be. The row itself is not shown: it may hold a person's data."""
    for column, (invariant, judge, wanted) in SHAPES[kind].items():
        if not judge(row.get(column)):
            yield Finding(
                invariant=invariant,
                subject=_name(kind, row),
                text=f"its {column} is not {wanted}: it cannot be read, and nothing else of its booking was checked",
            )


def _name(kind: str, row: Row) -> str:
    if kind in ("booking", "payment", "refund"):
        return f"{kind} {row.get('id')}"
    if kind == "event":
        return f"booking {row.get('booking_id')}"
    if kind == "kept answer":
        return f"kept answer of {row.get('principal')} to {row.get('operation')}"
    return f"payment {row.get('payment_id')}"
