"""What a gateway promises that speaks HTTP, where its company, and anybody on the way, may answer anything."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import pytest

from sewapay.application.errors import GatewayError, OutcomeUnknown
from sewapay.domain.observation import Reported
from sewapay.testing.clauses import REFUNDS_OVER_HTTP, SPEAKS_HTTP, check
from sewapay.testing.stage import Call, Stage
from sewapay.testing.steps import (
    LONGEST_ANSWER_SECONDS,
    PAYER,
    URLS,
    an_order,
    everything,
    named,
    opened,
    paid,
    refunding,
)

COMPLETED_TEXT: Final = '{"status": "Completed", "total_amount": 113000'
BROKEN_ANSWERS: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {
        "closed before it had an effect": {"fault": "drop_before"},
        "reset before it had an effect": {"fault": "drop_before", "reset": True},
        "closed after it had its effect": {"fault": "drop_after"},
        "reset after it had its effect": {"fault": "drop_after", "reset": True},
        "429": {"fault": "status", "status": 429},
        "500 in HTML": {"fault": "status", "status": 500, "body": "html"},
        "502 in HTML": {"fault": "status", "status": 502, "body": "html"},
        "503 in JSON": {"fault": "status", "status": 503},
        "a page": {"fault": "html"},
        "half of it": {"fault": "malformed"},
        "no body": {"fault": "raw", "body": ""},
        "a number": {"fault": "raw", "body": "7"},
        "the wrong kind": {"fault": "raw", "body": "{}", "headers": [["content-type", "text/plain"]]},
        "no status line": {"fault": "verbatim", "text": "hello\r\n\r\n"},
        "an odd status line": {"fault": "verbatim", "text": "HTTP/1.1 two hundred OK\r\n\r\n"},
        "odd headers": {"fault": "verbatim", "text": "HTTP/1.1 200 OK\r\n\x00: 1\r\n\r\n{}"},
        "endless headers": {"fault": "verbatim", "text": "HTTP/1.1 200 OK\r\nx: " + "y" * 60_000},
        "a short body": {
            "fault": "verbatim",
            "text": "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n" + COMPLETED_TEXT,
        },
        "broken chunks": {
            "fault": "verbatim",
            "text": "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}",
        },
        "a chunk too few": {
            "fault": "verbatim",
            "text": "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{",
        },
        "two lengths": {
            "fault": "verbatim",
            "text": "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        },
    }
)


def _calls(stage: Stage) -> list[Call]:
    """The calls that an answer comes to."""
    return [call for call in Call if call in stage.calls]


def _openings(stage: Stage) -> int:
    """How many requests one checkout takes."""
    return int(Call.OPENING in stage.calls)


async def _spoiled(stage: Stage, on: Call, fault: Mapping[str, object]) -> GatewayError:
    """The error that one spoiled answer ends in."""
    gateway = stage.gateway()
    if on is Call.REFUND:
        order = await paid(stage)
        stage.spoils(on, fault)
        with pytest.raises(GatewayError) as failed:
            await refunding(gateway).refund(order, everything(order))
        assert (await gateway.look_up(order)).reported in (Reported.COMPLETED, Reported.REFUNDED)
        assert stage.given_back(named(order)) in (0, 113000), "once at most"
        return failed.value
    if on is Call.OPENING:
        stage.spoils(on, fault)
        with pytest.raises(GatewayError) as failed:
            await gateway.open_checkout(an_order(), URLS, PAYER)
        return failed.value
    order = await opened(stage, gateway, an_order())
    stage.customer_pays(named(order))
    stage.spoils(on, fault)
    with pytest.raises(GatewayError) as failed:
        await gateway.look_up(order)
    assert (await gateway.look_up(order)).reported is Reported.COMPLETED, "the next look-up is not disturbed"
    return failed.value


@check(SPEAKS_HTTP)
async def a_broken_answer_is_unknown(stage: Stage) -> None:
    """An answer that is broken on its way, or none, is unknown: neither failed nor done, and not asked for again."""
    for on in _calls(stage):
        for name, fault in BROKEN_ANSWERS.items():
            before = stage.initiated, stage.refunded, stage.looked_up

            error = await _spoiled(stage, on, fault)

            assert isinstance(error, OutcomeUnknown), f"{name} on {on} became {error!r}"
            assert not error.may_ask_again
            assert stage.initiated == before[0] + _openings(stage), f"{name} on {on}: the opening was repeated"
            assert stage.refunded == before[1] + (on is Call.REFUND), f"{name} on {on}: the refund was repeated"
            looks = 0 if on is Call.OPENING else 2
            assert stage.looked_up == before[2] + looks, f"{name} on {on}: the look-up was repeated"


DECIDES_NOTHING: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {
        "our key is not accepted": {"fault": "status", "status": 401},
        "a page that forbids": {"fault": "status", "status": 403, "body": "html"},
        "a page that says no": {"fault": "status", "status": 400, "body": "html"},
        "a page that is not there": {"fault": "status", "status": 404, "body": "html"},
        "not allowed": {"fault": "status", "status": 405, "body": "html"},
    }
)


@check(SPEAKS_HTTP)
async def a_refused_look_up_decides_nothing(stage: Stage) -> None:
    """A look-up that is refused, for its key or by somebody's page, is an error, and no ending of the payment."""
    for fault in DECIDES_NOTHING.values():
        await _spoiled(stage, Call.LOOK_UP, fault)


NOT_A_YES: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {
        "an empty object": {"fault": "raw", "body": "{}"},
        "null": {"fault": "raw", "body": "null"},
        "a list": {"fault": "raw", "body": "[]"},
        "a page": {"fault": "html"},
        "a page that says no": {"fault": "status", "status": 400, "body": "html"},
        "a page that is not there": {"fault": "status", "status": 404, "body": "html"},
        "not allowed": {"fault": "status", "status": 405},
    }
)


@check(*REFUNDS_OVER_HTTP)
async def a_refund_was_made_only_when_the_answer_says_so(stage: Stage) -> None:
    """An answer that does not say that the money went back is no yes, and a page of somebody's is no refusal."""
    for name, fault in NOT_A_YES.items():
        error = await _spoiled(stage, Call.REFUND, fault)

        assert isinstance(error, OutcomeUnknown), f"{name} became {error!r}"


@check(SPEAKS_HTTP)
async def a_large_answer_is_cut(stage: Stage) -> None:
    """An answer of any size is read up to a bound."""
    for on in _calls(stage):
        async with asyncio.timeout(LONGEST_ANSWER_SECONDS):
            error = await _spoiled(stage, on, {"fault": "huge", "mib": 8})

        assert isinstance(error, OutcomeUnknown)


@check(SPEAKS_HTTP)
async def a_compressed_answer_is_not_inflated(stage: Stage) -> None:
    """A compressed answer, which was not asked for, is not inflated."""
    for on in _calls(stage):
        error = await _spoiled(stage, on, {"fault": "gzip_bomb", "mib": 16})

        assert isinstance(error, OutcomeUnknown)


@check(SPEAKS_HTTP)
async def a_slow_answer_is_cut_by_the_clock(stage: Stage) -> None:
    """A call ends by the clock, however slowly its answer drips."""
    for on in _calls(stage):
        async with asyncio.timeout(LONGEST_ANSWER_SECONDS):
            error = await _spoiled(stage, on, {"fault": "drip", "seconds": 0.1})

        assert isinstance(error, OutcomeUnknown)


@check(SPEAKS_HTTP)
async def a_redirect_is_not_followed(stage: Stage) -> None:
    """A redirect is not followed, so that no request is sent twice or to somebody else."""
    for status in (301, 302, 303, 307, 308):
        for on in _calls(stage):
            before = stage.initiated, stage.looked_up, stage.refunded

            error = await _spoiled(stage, on, {"fault": "redirect", "status": status, "location": "same"})

            assert isinstance(error, OutcomeUnknown)
            looks = 0 if on is Call.OPENING else 2
            refunds = 1 if on is Call.REFUND else 0
            expected = before[0] + _openings(stage), before[1] + looks, before[2] + refunds
            assert (stage.initiated, stage.looked_up, stage.refunded) == expected
