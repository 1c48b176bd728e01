"""eSewa's gateway against the stand-in, over TCP: the journeys of a payment, and what eSewa does now and then."""

import base64
import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from attrs import frozen

from sewapay.adapters.esewa import build
from sewapay.adapters.esewa.gateway import EsewaGateway
from sewapay.adapters.esewa.simulator import STAND_IN, Simulator, create_app
from sewapay.application.errors import OutcomeUnknown, ProtocolError
from sewapay.application.ports import Authenticity, Order, Payer, ReturnMessage, Urls
from sewapay.domain.checkout import PostForm
from sewapay.domain.identifiers import Environment
from sewapay.domain.money import Money
from sewapay.domain.observation import Reported
from sewapay.testing.servers import run_in_thread
from sewapay.wire.client import build_client
from tests.backend.orders import REFERENCE, URLS, an_order

NOON: Final = datetime(2026, 1, 15, 6, 15, tzinfo=UTC)  # 12:00 in Kathmandu


@frozen
class Esewa:
    """The stand-in, and where it is."""

    simulator: Simulator
    address: str

    def tell(self, route: str, **body: object) -> dict[str, Any]:
        """Post this to one of the stand-in's own routes."""
        answer = httpx.post(f"{self.address}/_sim/{route}", json=body, trust_env=False)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def happens(self, action: str) -> str:
        """Something happens to the payment; where its payer's browser is sent."""
        return str(self.tell(action, transaction_uuid=REFERENCE)["return_url"])


@pytest.fixture(scope="module")
def running() -> Iterator[Esewa]:
    simulator = Simulator(clock=lambda: NOON, seed=7)
    with run_in_thread(create_app(simulator)) as address:
        yield Esewa(simulator, address)


@pytest.fixture
def esewa(running: Esewa) -> Esewa:
    running.simulator.reset()
    return running


@pytest.fixture
async def gateway(esewa: Esewa) -> AsyncIterator[EsewaGateway]:
    async with build_client() as client:
        yield build(STAND_IN.environ(esewa.address), client, is_production=False)


async def entered(gateway: EsewaGateway, order: Order, urls: Urls = URLS) -> PostForm:
    """The form of this order, which a browser posted."""
    step = (await gateway.open_checkout(order, urls, Payer())).next_step
    assert isinstance(step, PostForm)
    page = posted(step)
    assert page.status_code == 200, page.text
    return step


def posted(form: PostForm) -> httpx.Response:
    """What a browser sees that posts this form."""
    return httpx.post(form.url, data=dict(form.fields), trust_env=False)


def brought_back(address: str) -> ReturnMessage:
    return ReturnMessage(values=tuple(parse_qsl(urlsplit(address).query, keep_blank_values=True)))


async def test_somebody_pays_at_the_page_and_comes_back_with_a_signed_return(
    gateway: EsewaGateway, esewa: Esewa
) -> None:
    order = an_order(113050)
    before = await gateway.look_up(order)
    await entered(gateway, order)

    async with httpx.AsyncClient(base_url=f"{esewa.address}/pay/{REFERENCE}", trust_env=False) as browser:
        page = await browser.post("/login", data={"esewa_id": "9806800001", "password": "Nepal@123"})
        meanwhile = await gateway.look_up(order)
        carried = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
        left = await browser.post("/pay", data={**carried, "otp": "123456"})

    hint = gateway.read_return(brought_back(left.headers["location"]))
    seen = await gateway.look_up(order)
    assert gateway.environment is Environment("sandbox")
    assert (before.reported, before.said) == (Reported.ABSENT, "NOT_FOUND")
    assert (meanwhile.reported, meanwhile.said) == (Reported.PENDING, "PENDING")
    assert left.headers["location"].startswith("https://shop.example/return/77/?data=")
    assert (hint.authenticity, hint.claims, hint.order_reference) == (Authenticity.SIGNED, "COMPLETE", REFERENCE)
    assert (seen.reported, seen.said) == (Reported.COMPLETED, "COMPLETE")
    assert (seen.amount, seen.order_reference) == (Money(113050), REFERENCE)
    assert seen.transaction_id == esewa.simulator.find(REFERENCE).transaction_code


@pytest.mark.parametrize(
    ("action", "said", "reported"),
    [
        ("cancel", "CANCELED", Reported.CANCELED),
        ("pend", "PENDING", Reported.PENDING),
        ("ambiguous", "AMBIGUOUS", Reported.AMBIGUOUS),
        ("expire", "NOT_FOUND", Reported.ABSENT),
    ],
)
async def test_who_did_not_pay_comes_back_without_a_signature_and_may_have_paid_later(
    gateway: EsewaGateway, esewa: Esewa, action: str, said: str, reported: Reported
) -> None:
    order = an_order(113050)
    await entered(gateway, order)

    came_back = esewa.happens(action)

    hint = gateway.read_return(brought_back(came_back))
    seen = await gateway.look_up(order)
    esewa.happens("pay")
    late = await gateway.look_up(order)
    assert came_back == "https://shop.example/return/77/unfinished/"
    assert (hint.authenticity, hint.claims, hint.order_reference) == (Authenticity.UNSIGNED, None, None)
    assert (seen.reported, seen.said) == (reported, said)
    assert (late.reported, late.amount) == (Reported.COMPLETED, Money(113050))


async def test_a_form_that_nobody_posted_is_absent_and_so_is_one_whose_session_ended(
    gateway: EsewaGateway, esewa: Esewa
) -> None:
    order = an_order(113050)
    shown = await gateway.look_up(order)
    await entered(gateway, order)
    esewa.happens("login")

    esewa.tell("clock", advance_seconds=301)

    assert (shown.reported, shown.transaction_id) == (Reported.ABSENT, None)
    assert (await gateway.look_up(order)).reported is Reported.ABSENT


async def test_money_that_goes_back_in_the_portal_is_seen(gateway: EsewaGateway, esewa: Esewa) -> None:
    order = an_order(113050)
    await entered(gateway, order)
    esewa.happens("pay")

    esewa.tell("refund", transaction_uuid=REFERENCE, amount=50)
    partly = await gateway.look_up(order)
    esewa.happens("refund")
    wholly = await gateway.look_up(order)

    assert (partly.reported, wholly.reported) == (Reported.PARTIALLY_REFUNDED, Reported.REFUNDED)
    assert partly.transaction_id == wholly.transaction_id == esewa.simulator.find(REFERENCE).transaction_code


@pytest.mark.parametrize(
    ("paisa", "total", "shown"),
    [
        (100, "1", "1.0"),
        (11000, "110", "110.0"),
        (39999, "399.99", "399.99"),
        (113050, "1130.50", "1130.5"),
        (1_000_000_000, "10000000", "1.0E7"),
        (1_234_567_891, "12345678.91", "1.234567891E7"),
    ],
)
@pytest.mark.parametrize("quirks", [{}, {"number": True}, {"comma": True}, {"integer_total": True}], ids=str)
async def test_every_way_to_write_a_total_is_the_same_money(
    gateway: EsewaGateway, esewa: Esewa, paisa: int, total: str, shown: str, quirks: dict[str, bool]
) -> None:
    esewa.tell("quirks", **quirks)
    order = an_order(paisa)
    form = await entered(gateway, order)

    came_back = esewa.happens("pay")

    text = base64.b64decode(came_back.partition("data=")[2]).decode()
    seen = await gateway.look_up(order)
    assert form.fields["total_amount"] == total
    assert (f'"{shown}"' in text) is (not quirks.get("number") and (not quirks.get("comma") or paisa < 100000))
    assert gateway.read_return(brought_back(came_back)).authenticity is Authenticity.SIGNED
    assert (seen.reported, seen.amount) == (Reported.COMPLETED, Money(paisa))


@pytest.mark.parametrize("status", [200, 503])
async def test_an_outage_is_no_answer_and_passes(gateway: EsewaGateway, esewa: Esewa, status: int) -> None:
    order = an_order(113050)
    await entered(gateway, order)
    esewa.happens("pay")
    esewa.tell("quirks", outage=status)

    with pytest.raises(OutcomeUnknown):
        await gateway.look_up(order)

    esewa.tell("quirks", outage=None)
    assert (await gateway.look_up(order)).reported is Reported.COMPLETED


async def test_an_older_answer_in_camel_case_is_read(gateway: EsewaGateway, esewa: Esewa) -> None:
    order = an_order(113050)
    await entered(gateway, order)
    esewa.happens("pay")
    now = await gateway.look_up(order)

    esewa.tell("quirks", camel_case=True)

    assert await gateway.look_up(order) == now


@pytest.mark.parametrize("is_blind", [True, False])
async def test_a_return_behind_a_query_is_read_too(gateway: EsewaGateway, esewa: Esewa, is_blind: bool) -> None:
    esewa.tell("quirks", blind_question_mark=is_blind)
    with_query = Urls(
        return_url="https://shop.example/return/?ref_id=TXN-1", failure_url=URLS.failure_url, website_url=""
    )
    await entered(gateway, an_order(113050), with_query)

    came_back = esewa.happens("pay")

    hint = gateway.read_return(brought_back(came_back))
    assert (hint.authenticity, hint.order_reference) == (Authenticity.SIGNED, REFERENCE)


async def test_a_return_made_from_our_own_form_is_forged(gateway: EsewaGateway, esewa: Esewa) -> None:
    order = an_order(113050)
    fields = (await entered(gateway, order)).fields
    made_up = {
        "transaction_code": "000FAKE",
        "status": "COMPLETE",
        "total_amount": fields["total_amount"],
        "transaction_uuid": fields["transaction_uuid"],
        "product_code": fields["product_code"],
        "signed_field_names": "total_amount,transaction_uuid,product_code",
        "signature": fields["signature"],
    }
    data = base64.b64encode(json.dumps(made_up).encode()).decode()

    hint = gateway.read_return(ReturnMessage(values=(("data", data),)))

    assert hint.authenticity is Authenticity.FORGED
    assert (await gateway.look_up(order)).reported is Reported.ABSENT


async def test_a_return_that_another_key_signed_is_forged(gateway: EsewaGateway, esewa: Esewa) -> None:
    await entered(gateway, an_order(113050))
    came_back = esewa.happens("pay")

    async with build_client() as client:
        environ = {**STAND_IN.environ(esewa.address), "ESEWA_SECRET_KEY": "another-merchants-key"}
        other = build(environ, client, is_production=False)
        hint = other.read_return(brought_back(came_back))

    assert hint.authenticity is Authenticity.FORGED


async def test_a_form_is_taken_once_and_says_so(gateway: EsewaGateway, esewa: Esewa) -> None:
    form = await entered(gateway, an_order(113050))

    again = posted(form)

    assert gateway.capabilities.single_entry
    assert again.status_code == 400
    assert "transaction-uuid-used" in again.text


async def test_another_amount_finds_nothing(gateway: EsewaGateway, esewa: Esewa) -> None:
    await entered(gateway, an_order(113050))
    esewa.happens("pay")

    seen = await gateway.look_up(an_order(113051))

    assert (seen.reported, seen.transaction_id) == (Reported.ABSENT, None)


async def test_an_answer_about_another_amount_or_payment_is_told_as_it_came(
    gateway: EsewaGateway, esewa: Esewa
) -> None:
    order = an_order(113050)
    await entered(gateway, order)
    esewa.happens("pay")
    esewa.tell("faults", on="status", fault="wrong_amount", delta=1)
    esewa.tell("faults", on="status", fault="wrong_reference", instead="SOMEBODY-ELSES")

    dearer, other = await gateway.look_up(order), await gateway.look_up(order)

    assert (dearer.reported, dearer.amount) == (Reported.COMPLETED, Money(113051))
    assert (other.reported, other.order_reference) == (Reported.COMPLETED, "SOMEBODY-ELSES")


async def test_an_answer_about_another_merchant_is_no_answer(gateway: EsewaGateway, esewa: Esewa) -> None:
    order = an_order(113050)
    await entered(gateway, order)
    esewa.happens("pay")
    esewa.tell("faults", on="status", fault="change", values={"product_code": "NP-ES-OTHER"})

    with pytest.raises(ProtocolError):
        await gateway.look_up(order)


async def test_a_status_check_that_lags_says_what_was_true_before(gateway: EsewaGateway, esewa: Esewa) -> None:
    order = an_order(113050)
    await entered(gateway, order)
    esewa.happens("login")
    esewa.tell("quirks", lag_lookups=1)
    esewa.happens("pay")

    seen = [(await gateway.look_up(order)).reported for _ in range(2)]

    assert seen == [Reported.PENDING, Reported.COMPLETED]


async def test_one_look_up_is_one_request_also_when_its_connection_breaks(gateway: EsewaGateway, esewa: Esewa) -> None:
    order = an_order(113050)
    await entered(gateway, order)
    esewa.happens("pay")
    await gateway.look_up(order)
    esewa.tell("faults", on="status", fault="drop_before")

    with pytest.raises(OutcomeUnknown):
        await gateway.look_up(order)

    assert esewa.simulator.seen["status"] == 2
