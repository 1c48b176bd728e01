"""A Khalti that takes the money and says nothing, lags, lies about the amount, or answers anything but an answer.

Each lie is told at each call: when a link is opened, when a payment is looked up for a customer who came back and for
one who did not, and when money is given back. Where it ends is typed here from docs/money-safety.md.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pytest
from attrs import frozen

from sewapay.application.audit import audit_invariants, truth_from_simulator
from tests.backend.system.world import AS_STAFF, PRICE, Khalti, World, a_world

OPEN: Final = "open"
REVIEW: Final = "under_review"
PATIENCE: Final = "2"  # seconds for one call, where the lie is that it takes long
A_PART: Final = 50000


@frozen(kw_only=True)
class Lie:
    """What Khalti does instead of answering. `is_slow`: it is noticed by the clock."""

    fault: str
    options: Mapping[str, Any]
    is_slow: bool = False

    def tell(self, khalti: Khalti, on: str, times: int = 1) -> None:
        """From now on, this many times."""
        khalti.arm(on, self.fault, times=times, **self.options)


def lie(fault: str, *, is_slow: bool = False, **options: Any) -> Lie:
    return Lie(fault=fault, options=options, is_slow=is_slow)


HAS_EFFECT: Final[Mapping[str, Lie]] = {
    "timed-out-after-it-took-the-money": lie("delay", seconds=4, is_slow=True),
    "closed-after-it-took-the-money": lie("drop_after"),
    "reset-after-it-took-the-money": lie("drop_after", reset=True),
    "502-after-it-took-the-money": lie("status", status=502, body="html", effect=True),
    "504-after-it-took-the-money": lie("status", status=504, effect=True),
    "html-after-it-took-the-money": lie("html", effect=True),
    "cut-off": lie("malformed"),
    "8-mb": lie("huge", mib=8),
    "gzip-bomb": lie("gzip_bomb", mib=16),
    "drip": lie("drip", seconds=0.2, is_slow=True),
}
NO_EFFECT: Final[Mapping[str, Lie]] = {
    "closed-unheard": lie("drop_before"),
    "429": lie("status", status=429),
    "500": lie("status", status=500),
    "503-html": lie("status", status=503, body="html"),
    "html": lie("html"),
    "empty": lie("raw", body=""),
    "a-list": lie("raw", body="[]"),
    "nan": lie("raw", body='{"status": NaN}'),
    "redirect": lie("redirect", status=302),
    "redirect-307": lie("redirect", status=307),
    "no-http": lie("verbatim", text="lorem ipsum\r\n\r\n"),
}
NOT_FOUND: Final = lie("raw", status=404, body='{"detail": "Not found.", "error_key": "validation_error"}')


def refusal(status: int) -> Lie:
    return lie("raw", status=status, body='{"detail": "This cannot be done.", "error_key": "validation_error"}')


@pytest.fixture
async def world(database_url: str, khalti: Khalti) -> AsyncIterator[World]:
    """The service on a good day, and nothing of other days in sight. At its end the books are audited."""
    async with a_world(database_url, khalti) as world:
        await world.forget_the_past()
        yield world
        await it_is_clean(world)


async def it_is_clean(world: World) -> None:
    """The audit finds nothing, with Khalti's own books beside ours."""
    shown = world.khalti.http.get(f"{world.khalti.address}/_sim/payments").json()
    now = datetime.now(UTC) + world.clock.offset
    found = audit_invariants(await world.books(), truth_from_simulator(shown), now=now, is_quiet=False)
    assert [str(finding) for finding in found] == []


async def with_patience(world: World, seconds: str) -> None:
    world.environ = {**world.environ, "KHALTI_DEADLINE_SECONDS": seconds}
    await world.restart()


async def later(world: World, **passed: float) -> None:
    """Time passes, for us and for Khalti; what is due then is done."""
    world.clock.offset += timedelta(**passed)
    world.khalti.control("clock", advance_seconds=timedelta(**passed).total_seconds())
    await world.calm_down()
    await world.reconcile_all()


def standing(row: Mapping[str, Any]) -> tuple[str, bool, str | None]:
    """Status, whether the outcome is unknown, and what a person is asked."""
    return row["status"], row["outcome_unknown"], row["review_reason"]


UNKNOWN: Final = ("created", True, None)
OPENINGS: Final = [
    *(pytest.param(each, UNKNOWN, id=name, marks=pytest.mark.fault("F01")) for name, each in HAS_EFFECT.items()),
    *(pytest.param(each, UNKNOWN, id=name, marks=pytest.mark.fault("F07")) for name, each in NO_EFFECT.items()),
    pytest.param(lie("off_domain"), UNKNOWN, id="off-domain", marks=pytest.mark.fault("F05")),
    pytest.param(lie("wrong_pidx"), UNKNOWN, id="wrong-pidx", marks=pytest.mark.fault("F05")),
    pytest.param(lie("missing", key="pidx"), UNKNOWN, id="no-pidx", marks=pytest.mark.fault("F05")),
    *(
        pytest.param(
            refusal(status), (REVIEW, False, "checkout_refused"), id=f"{status}", marks=pytest.mark.fault("F06")
        )
        for status in (400, 403, 404)
    ),
    pytest.param(refusal(401), ("failed", False, None), id="401", marks=pytest.mark.fault("F06")),
]


@pytest.mark.invariant("I9")
@pytest.mark.invariant("I10")
@pytest.mark.parametrize(("told", "expected"), OPENINGS)
async def test_when_a_link_is_opened_nobody_is_shown_what_is_none(
    world: World, told: Lie, expected: tuple[str, bool, str | None]
) -> None:
    booking = await world.register()
    if told.is_slow:
        await with_patience(world, PATIENCE)
    told.tell(world.khalti, "initiate")

    answer = await world.initiate(booking)
    (lost,) = await world.attempts(booking)
    if told.is_slow:
        await with_patience(world, "10")
    _, pidx, _ = await world.open_link(booking)
    world.khalti.pay(pidx)
    await later(world, hours=25)

    assert (answer.status_code, list(answer.json())) == (503, ["error"])
    assert "http" not in answer.text
    assert standing(lost) == expected
    assert lost["has_link"] is False
    assert (await world.booking(booking))["settled_by"] == (await world.payment(pidx))["id"]
    ended = next(row for row in await world.attempts(booking) if row["id"] == lost["id"])
    assert standing(ended) == (("expired", False, None) if expected == UNKNOWN else expected)


ASKED: Final = (OPEN, True, None)
AS_GOOD_AS_ANOTHER: Final = frozenset({"502", "504", "html", "reset"})  # a look-up has no effect
LOOKS: Final = [
    *(
        pytest.param(each, ASKED, id=name, marks=pytest.mark.fault("F40"))
        for name, each in HAS_EFFECT.items()
        if name.partition("-")[0] not in AS_GOOD_AS_ANOTHER
    ),
    *(pytest.param(each, ASKED, id=name, marks=pytest.mark.fault("F41")) for name, each in NO_EFFECT.items()),
    pytest.param(refusal(400), ASKED, id="400", marks=pytest.mark.fault("F45")),
    pytest.param(refusal(401), ASKED, id="401", marks=pytest.mark.fault("F40")),
    pytest.param(NOT_FOUND, ASKED, id="404", marks=pytest.mark.fault("F46")),
    pytest.param(lie("lag"), (OPEN, False, None), id="lag", marks=pytest.mark.fault("F21")),
    *(
        pytest.param(
            lie("wrong_amount", delta=delta),
            (REVIEW, False, "amount_mismatch"),
            id=f"amount-{delta}",
            marks=pytest.mark.fault("F47"),
        )
        for delta in (1, -1, PRICE * 99, -PRICE + 1130)
    ),
    pytest.param(lie("wrong_pidx"), (REVIEW, False, "reference_mismatch"), id="pidx", marks=pytest.mark.fault("F47")),
    pytest.param(
        lie("status_word", word="Ambiguous"),
        (REVIEW, False, "unknown_status"),
        id="word",
        marks=pytest.mark.fault("F48"),
    ),
]


@pytest.mark.invariant("I3")
@pytest.mark.invariant("I8")
@pytest.mark.invariant("I10")
@pytest.mark.parametrize("by", ["return", "worker"])
@pytest.mark.parametrize(("told", "expected"), LOOKS)
async def test_when_a_payment_is_looked_up_nothing_is_believed_that_is_no_answer(
    world: World, told: Lie, expected: tuple[str, bool, str | None], by: str
) -> None:
    booking, pidx, payment = await world.open_link()
    back = world.khalti.pay(pidx)
    if told.is_slow:
        await with_patience(world, PATIENCE)
    told.tell(world.khalti, "lookup")

    if by == "return":
        await world.come_back(back)
    else:
        world.clock.offset += timedelta(seconds=61)
        await world.reconcile()
    stands = await world.payment(pidx)
    unconfirmed = await world.booking(booking)
    if told.is_slow:
        await with_patience(world, "10")
    world.khalti.heal()
    await later(world, hours=1, minutes=10)
    settled = await world.verify(payment["id"])

    assert standing(stands) == expected
    assert unconfirmed["status"] == "pending"
    assert settled.json()["status"] == "completed", settled.text
    assert (await world.booking(booking))["settled_by"] == payment["id"]


async def given_back(world: World, payment_id: str, amount: int | None = None) -> httpx.Response:
    body = {"reason": "the cleaner was ill", **({} if amount is None else {"amount": amount})}
    return await world.http.post(f"/v1/payments/{payment_id}/refunds", json=body, headers=AS_STAFF)


async def refund_now(world: World, refund_id: str) -> str:
    answer = await world.http.get(f"/v1/refunds/{refund_id}", headers=AS_STAFF)
    status: str = answer.json()["status"]
    return status


CONFIRMED_BY_A_LOOK: Final = ("confirmed", "confirmed", A_PART)
GIVEN_UP_AFTER_AN_HOUR: Final = ("unknown", "rejected", 0)
REFUSED: Final = ("rejected", "rejected", 0)
REFUNDS: Final = [
    *(pytest.param(each, CONFIRMED_BY_A_LOOK, id=name) for name, each in HAS_EFFECT.items()),
    pytest.param(lie("missing", key="detail"), CONFIRMED_BY_A_LOOK, id="no-detail"),
    *(pytest.param(each, GIVEN_UP_AFTER_AN_HOUR, id=name) for name, each in NO_EFFECT.items()),
    *(pytest.param(refusal(status), REFUSED, id=f"{status}") for status in (400, 401, 403, 404, 409, 422)),
]


@pytest.mark.fault("F64")
@pytest.mark.fault("F65")
@pytest.mark.invariant("I1")
@pytest.mark.invariant("I12")
@pytest.mark.invariant("I13")
@pytest.mark.parametrize(("told", "expected"), REFUNDS)
async def test_when_money_is_given_back_it_happens_once_and_the_look_up_decides(
    world: World, told: Lie, expected: tuple[str, str, int]
) -> None:
    booking, pidx, payment = await world.open_link()
    await world.come_back(world.khalti.pay(pidx))
    if told.is_slow:
        await with_patience(world, PATIENCE)
    told.tell(world.khalti, "refund")

    answer = await given_back(world, payment["id"], A_PART)
    if told.is_slow:
        await with_patience(world, "10")
    at_once = answer.json()["status"]
    sent = world.khalti.simulator.refunds_seen
    for _ in range(3):
        await later(world, minutes=40)

    assert (answer.status_code, at_once) == (201, expected[0])
    assert await refund_now(world, answer.json()["id"]) == expected[1]
    assert world.khalti.at(pidx).refunded_amount == expected[2]
    assert (await world.payment(pidx))["amount_refunded"] == expected[2]
    assert world.khalti.simulator.refunds_seen == sent == 1, "nothing was sent a second time"
    rest = await given_back(world, payment["id"])
    assert (rest.json()["status"], rest.json()["amount"]) == ("confirmed", PRICE - expected[2])
    assert world.khalti.at(pidx).refunded_amount == PRICE
    assert (await world.booking(booking))["status"] == "refunded"


@pytest.mark.fault("F65")
async def test_a_look_up_that_lags_behind_a_refund_is_waited_for(world: World) -> None:
    _, pidx, payment = await world.open_link()
    await world.come_back(world.khalti.pay(pidx))
    world.khalti.arm("lookup", "stale", times=100)

    answer = await given_back(world, payment["id"])
    await later(world, minutes=10)
    meanwhile = await refund_now(world, answer.json()["id"])
    world.khalti.heal()
    for _ in range(3):
        await later(world, minutes=10)

    assert (answer.json()["status"], meanwhile) == ("submitted", "submitted")
    assert await refund_now(world, answer.json()["id"]) == "confirmed"
    assert world.khalti.at(pidx).refunded_amount == PRICE == (await world.payment(pidx))["amount_refunded"]


@pytest.mark.fault("F65")
@pytest.mark.invariant("I11")
async def test_a_yes_that_no_look_up_ever_shows_is_put_before_a_person(world: World) -> None:
    booking, pidx, payment = await world.open_link()
    await world.come_back(world.khalti.pay(pidx))
    world.khalti.arm("refund", "raw", body='{"detail": "Transaction refund successful."}')

    answer = await given_back(world, payment["id"])
    for _ in range(8):
        await later(world, hours=6)

    stands = await world.payment(pidx)
    assert (answer.json()["status"], await refund_now(world, answer.json()["id"])) == ("submitted", "submitted")
    assert (stands["status"], stands["review_reason"]) == ("completed", "refund_unknown")
    assert (await world.booking(booking))["status"] == "confirmed"
    again = await given_back(world, payment["id"])
    assert again.status_code == 409, "what may have gone back is not given back twice"
    assert world.khalti.at(pidx).refunded_amount == 0
