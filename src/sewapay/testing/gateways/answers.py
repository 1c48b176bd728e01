"""What a gateway promises about answers that arrive whole and say too little, or two things at once."""

from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from sewapay.application.errors import GatewayError
from sewapay.application.ports import Order
from sewapay.domain.observation import Observation, Reported
from sewapay.testing.clauses import DOCUMENTS_WORDS, SPEAKS_HTTP, check
from sewapay.testing.stage import Call, Stage, Told
from sewapay.testing.steps import paid

MONEY: Final = frozenset({Reported.COMPLETED, Reported.PARTIALLY_REFUNDED, Reported.REFUNDED})
FOR_A_PERSON: Final = frozenset({Reported.UNKNOWN, Reported.AMBIGUOUS})
"""What may be said of an answer that contradicts itself, where it is no error: neither money nor an ending."""
NOTHING_KNOWN: Final = frozenset({Reported.NOT_FOUND, Reported.ABSENT})

HTTP_ERRORS: Final = (400, 403, 404, 405, 409, 429, 500, 502, 503)


def _of_a_framework(status: int) -> str:
    """The error that a widespread framework answers when nobody wrote another; its `status` is HTTP's."""
    reason = HTTPStatus(status).phrase
    return f'{{"timestamp": "2026-01-15T06:15:00.000+00:00", "status": {status}, "error": "{reason}", "path": "/x"}}'


SAYS_NOTHING: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {
        "an empty object": {"fault": "raw", "body": "{}"},
        "null": {"fault": "raw", "body": "null"},
        "a list": {"fault": "raw", "body": "[]"},
        "a text": {"fault": "raw", "body": '"ok"'},
        "true": {"fault": "raw", "body": "true"},
        "a notice": {"fault": "raw", "body": '{"message": "We will be back soon."}'},
        **{f"{{}} with {status}": {"fault": "raw", "status": status, "body": "{}"} for status in HTTP_ERRORS},
        **{
            f"a framework's {status}": {"fault": "raw", "status": status, "body": _of_a_framework(status)}
            for status in HTTP_ERRORS
        },
        **{f"somebody's {status}": {"fault": "status", "status": status} for status in HTTP_ERRORS},
    }
)

UNFIT: Final[tuple[object, ...]] = (None, True, [], {}, "")
"""What is neither a status nor an amount nor a name, at any company."""
UNFIT_AMOUNTS: Final[tuple[object, ...]] = (*UNFIT, "a lot", -1)


@check(SPEAKS_HTTP)
async def an_answer_that_says_nothing_decides_nothing(stage: Stage) -> None:
    """An answer without a word of the company's is an error, whatever HTTP says beside it; 404 may mean "not found"."""
    order = await paid(stage)
    for name, fault in SAYS_NOTHING.items():
        seen = await _seen(stage, order, fault)

        may_say = NOTHING_KNOWN if fault.get("status") == HTTPStatus.NOT_FOUND else frozenset()
        assert seen is None or seen.reported in may_say, f"{name} became {seen!r}"


@check(SPEAKS_HTTP, DOCUMENTS_WORDS)
async def money_beside_an_http_error_is_not_believed(stage: Stage) -> None:
    """The company's words for money count where HTTP says that the answer is one, and not beside its errors."""
    order = await paid(stage)
    for word in [word for word, meaning in stage.documented_words.items() if meaning in MONEY]:
        for status in HTTP_ERRORS:
            seen = await _seen(stage, order, {"fault": "status_word", "word": word, "status": status})

            assert seen is None or seen.reported in FOR_A_PERSON, f"{word} with HTTP {status} became {seen!r}"


@check(SPEAKS_HTTP)
async def what_an_answer_does_not_say_is_not_told(stage: Stage) -> None:
    """Status, amount, reference and transaction are the answer's, or are not told: none is filled in from the order."""
    order = await paid(stage)
    for told, key in stage.told.items():
        faults: list[Mapping[str, object]] = [{"fault": "missing", "key": key}]
        for value in UNFIT_AMOUNTS if told is Told.AMOUNT else UNFIT:
            faults.append({"fault": "change", "values": {key: value}})
        for fault in faults:
            seen = await _seen(stage, order, fault)

            assert seen is None or _tells(seen, order)[told] is None, f"{fault} became {seen!r}"
            assert seen is None or seen.reported in MONEY | FOR_A_PERSON, f"{fault} became {seen!r}"


@check(SPEAKS_HTTP)
async def what_is_said_twice_is_not_believed(stage: Stage) -> None:
    """An answer with two values under one key decides nothing: which of them counts is anybody's guess."""
    order = await paid(stage)
    for told, key in stage.told.items():
        seen = await _seen(stage, order, {"fault": "change", "values": {key: None}, "twice": True})

        assert seen is None or seen.reported in FOR_A_PERSON, f"two of {told} became {seen!r}"


def _tells(seen: Observation, order: Order) -> Mapping[Told, object]:
    """What an observation tells of the payment that this order is; None for what it does not."""
    named = seen.order_reference if order.gateway_reference is None else seen.gateway_reference
    return {
        Told.STATUS: None if seen.reported in FOR_A_PERSON else seen.reported,
        Told.AMOUNT: seen.amount,
        Told.REFERENCE: named,
        Told.TRANSACTION: seen.transaction_id,
    }


async def _seen(stage: Stage, order: Order, fault: Mapping[str, object]) -> Observation | None:
    """What one spoiled answer about a payment that was made is taken for; None: for no answer."""
    gateway = stage.gateway()
    stage.spoils(Call.LOOK_UP, fault)
    seen = None
    with suppress(GatewayError):
        seen = await gateway.look_up(order)
    assert (await gateway.look_up(order)).reported is Reported.COMPLETED, "the next look-up is not disturbed"
    return seen
