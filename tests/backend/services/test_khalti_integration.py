"""Khalti's gateway against the stand-in, over TCP: the journeys of a payment, and what a connection can do to them."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pytest
from attrs import evolve, frozen
from httpx_aiohttp import AiohttpTransport

from sewapay.adapters.khalti import build
from sewapay.adapters.khalti.gateway import KhaltiGateway
from sewapay.adapters.khalti.simulator import Simulator, create_app
from sewapay.application.errors import (
    CheckoutRefused,
    GatewayError,
    KeyRefused,
    NothingSent,
    OutcomeUnknown,
    ProtocolError,
    RefundRefused,
)
from sewapay.application.ports import Order, Payer, RefundOrder
from sewapay.domain.checkout import Redirect
from sewapay.domain.identifiers import Environment
from sewapay.domain.money import Money
from sewapay.domain.observation import Reported
from sewapay.wire.client import build_client
from tests.backend.orders import URLS, an_order
from tests.servers import run_in_thread

KEY: Final = "05bf95cc57244045b8df5fad06748dab"
NOON: Final = datetime(2026, 1, 15, 6, 15, tzinfo=UTC)  # 12:00 in Kathmandu
ALL: Final = RefundOrder(amount=Money(113000), is_all=True)
PAYER: Final = Payer(name="Test Bahadur", email="test@khalti.com", phone="9800000001")


@frozen
class Khalti:
    """The stand-in, and where it is."""

    simulator: Simulator
    address: str

    def spoil(self, on: str, fault: str, **parameters: object) -> None:
        """Let the next answer on this route go wrong."""
        self.tell("faults", on=on, fault=fault, **parameters)

    def tell(self, route: str, **body: object) -> None:
        """Post this to one of the stand-in's own routes."""
        answer = httpx.post(f"{self.address}/_sim/{route}", json=body, trust_env=False)
        assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def running() -> Iterator[Khalti]:
    simulator = Simulator(clock=lambda: NOON, seed=7)
    with run_in_thread(create_app(simulator)) as address:
        yield Khalti(simulator, address)


@pytest.fixture
def khalti(running: Khalti) -> Khalti:
    running.simulator.reset()
    return running


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with build_client() as client:
        yield client


@pytest.fixture
def gateway(khalti: Khalti, client: httpx.AsyncClient) -> KhaltiGateway:
    return gateway_at(khalti.address, client)


def gateway_at(
    address: str, client: httpx.AsyncClient, *, key: str = KEY, seconds: str = "5", **variables: str
) -> KhaltiGateway:
    environ = {
        "KHALTI_SECRET_KEY": key,
        "KHALTI_BASE_URL": f"{address}/api/v2",
        "KHALTI_DEADLINE_SECONDS": seconds,
        **variables,
    }
    return build(environ, client, is_production=False)


async def opened(gateway: KhaltiGateway) -> tuple[Order, str]:
    """An order with an open checkout, and its pidx."""
    checkout = await gateway.open_checkout(an_order(), URLS, PAYER)
    pidx = str(checkout.gateway_reference)
    return evolve(an_order(), gateway_reference=pidx), pidx


async def paid(khalti: Khalti, gateway: KhaltiGateway) -> tuple[Order, str]:
    """An order that was paid, with its transaction, and its pidx."""
    order, pidx = await opened(gateway)
    return evolve(order, transaction_id=khalti.simulator.pay(pidx).transaction_id), pidx


def part(paisa: int) -> RefundOrder:
    return RefundOrder(amount=Money(paisa), is_all=False)


# --- journeys ---------------------------------------------------------------------------------------------------------


async def test_an_opened_checkout_leads_to_khaltis_page_and_dies_when_khalti_says(
    khalti: Khalti, gateway: KhaltiGateway
) -> None:
    checkout = await gateway.open_checkout(an_order(), URLS, PAYER)

    [payment] = khalti.simulator.payments()
    assert checkout.gateway_reference == payment.pidx
    assert checkout.next_step == Redirect(f"{khalti.address}/?pidx={payment.pidx}")
    assert checkout.expires_at == NOON + timedelta(minutes=30)
    assert (payment.purchase.amount, payment.purchase.purchase_order_id) == (113000, "7Q2M9X4KD8ZT1B6VHR3C")
    assert payment.purchase.return_url == "https://shop.example/return/77/"
    assert gateway.environment is Environment.SANDBOX


async def test_a_paid_payment_is_completed_with_its_transaction(khalti: Khalti, gateway: KhaltiGateway) -> None:
    order, pidx = await opened(gateway)
    paid = khalti.simulator.pay(pidx)

    seen = await gateway.look_up(order)

    assert (seen.reported, seen.said, seen.amount) == (Reported.COMPLETED, "Completed", Money(113000))
    assert (seen.transaction_id, seen.gateway_reference, seen.refunded) == (paid.transaction_id, pidx, False)


@pytest.mark.fault("F45")
async def test_cancel_and_expiry_come_with_http_400_and_are_answers(khalti: Khalti, gateway: KhaltiGateway) -> None:
    canceled, canceled_pidx = await opened(gateway)
    expired, _ = await opened(gateway)
    khalti.simulator.cancel(canceled_pidx)
    khalti.simulator.advance(1801)

    assert (await gateway.look_up(canceled)).reported is Reported.CANCELED
    assert (await gateway.look_up(expired)).reported is Reported.EXPIRED


@pytest.mark.fault("F49")
async def test_pending_may_become_completed(khalti: Khalti, gateway: KhaltiGateway) -> None:
    order, pidx = await opened(gateway)
    khalti.simulator.pend(pidx)
    before = await gateway.look_up(order)

    khalti.simulator.pay(pidx)

    assert before.reported is Reported.PENDING
    assert (await gateway.look_up(order)).reported is Reported.COMPLETED


@pytest.mark.fault("F22")
async def test_a_payment_after_the_links_end_is_seen(khalti: Khalti, gateway: KhaltiGateway) -> None:
    order, pidx = await opened(gateway)
    khalti.simulator.advance(1801)
    assert (await gateway.look_up(order)).reported is Reported.EXPIRED

    khalti.simulator.pay(pidx)

    assert (await gateway.look_up(order)).reported is Reported.COMPLETED


@pytest.mark.fault("F50")
async def test_a_refund_in_khaltis_panel_is_seen(khalti: Khalti, gateway: KhaltiGateway) -> None:
    order, pidx = await opened(gateway)
    khalti.simulator.pay(pidx)
    khalti.simulator.refund(pidx, 1000)
    partly = await gateway.look_up(order)

    khalti.simulator.refund(pidx)

    wholly = await gateway.look_up(order)
    assert (partly.reported, partly.amount) == (Reported.PARTIALLY_REFUNDED, Money(113000))
    assert (wholly.reported, wholly.refunded) == (Reported.REFUNDED, True)


@pytest.mark.fault("F46")
@pytest.mark.parametrize("status", [400, 404])
async def test_a_pidx_of_nobody_or_of_another_merchant_is_not_found(
    khalti: Khalti, client: httpx.AsyncClient, gateway: KhaltiGateway, status: int
) -> None:
    khalti.tell("quirks", unknown_pidx_status=status)
    order, _ = await opened(gateway)
    another_merchants = gateway_at(khalti.address, client, key="ffffffffffffffffffffffffffffffff")

    assert (await another_merchants.look_up(order)).reported is Reported.NOT_FOUND
    nobodys = evolve(order, gateway_reference="zzzzzzzzzzzzzzzzzzzzzz")
    assert (await gateway.look_up(nobodys)).reported is Reported.NOT_FOUND


async def test_a_payment_that_never_got_a_pidx_cannot_be_looked_up(khalti: Khalti, gateway: KhaltiGateway) -> None:
    with pytest.raises(OutcomeUnknown, match="never got one"):
        await gateway.look_up(an_order())

    assert khalti.simulator.lookups_seen == 0


async def test_what_reaches_khalti_is_a_json_post_with_the_key_and_nothing_of_anybody_else(
    client: httpx.AsyncClient,
) -> None:
    requests: list[tuple[str, str, dict[str, str]]] = []

    async def record(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            requests.append((scope["method"], scope["path"], headers))
            cookie = [(b"set-cookie", b"session=1; Path=/"), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 200, "headers": cookie})
            await send({"type": "http.response.body", "body": b""})

    with run_in_thread(record) as address:
        gateway = gateway_at(address, client)
        for _ in range(2):
            with pytest.raises(ProtocolError):
                await gateway.look_up(evolve(an_order(), gateway_reference="HT6o6PEZRWFJ5ygavzHWd5"))

    assert requests[0] == requests[1]
    method, path, headers = requests[0]
    assert (method, path) == ("POST", "/api/v2/epayment/lookup/")
    assert headers == {
        "host": address.removeprefix("http://"),
        "authorization": f"Key {KEY}",
        "content-type": "application/json",
        "content-length": "33",
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": "sewapay",
    }


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.fault("F06")
async def test_a_wrong_key_opens_nothing_and_is_reported_loudly(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    simulator = Simulator(secret_key="ffffffffffffffffffffffffffffffff")
    with run_in_thread(create_app(simulator)) as address:
        gateway = gateway_at(address, client)

        with pytest.raises(KeyRefused):
            await gateway.open_checkout(an_order(), URLS, PAYER)
        with pytest.raises(KeyRefused):
            await gateway.look_up(evolve(an_order(), gateway_reference="zzzzzzzzzzzzzzzzzzzzzz"))

    assert simulator.payments() == ()
    [line, _] = [record for record in caplog.records if record.name == "sewapay.khalti"]
    assert line.levelno == logging.ERROR
    assert line.getMessage() == (
        "khalti initiate for 7Q2M9X4KD8ZT1B6VHR3C: KeyRefused: "
        "Khalti does not accept KHALTI_SECRET_KEY: is it this environment's key?"
    )


@pytest.mark.fault("F06")
@pytest.mark.fault("F09")
async def test_an_amount_below_the_least_is_refused_in_khaltis_words(khalti: Khalti, gateway: KhaltiGateway) -> None:
    with pytest.raises(CheckoutRefused, match=r"amount: .* greater than Rs\. 10, that is 1000 paisa\."):
        await gateway.open_checkout(an_order(999), URLS, PAYER)

    assert khalti.simulator.initiates_seen == 1


async def test_the_least_amount_is_taken(gateway: KhaltiGateway) -> None:
    assert (await gateway.open_checkout(an_order(1000), URLS, PAYER)).gateway_reference


@pytest.mark.fault("F05")
@pytest.mark.parametrize(
    ("fault", "parameters"),
    [
        ("off_domain", {}),
        ("off_domain", {"host": "pay.khalti.com.evil.example"}),
        ("off_domain", {"host": "pay.khalti.com@evil.example"}),
        ("missing", {"key": "pidx"}),
        ("missing", {"key": "payment_url"}),
        ("wrong_pidx", {}),
        ("html", {}),
    ],
)
async def test_a_link_that_cannot_be_trusted_is_not_handed_out(
    khalti: Khalti, gateway: KhaltiGateway, fault: str, parameters: dict[str, Any]
) -> None:
    khalti.spoil("initiate", fault, **parameters)

    with pytest.raises(ProtocolError):
        await gateway.open_checkout(an_order(), URLS, PAYER)

    assert khalti.simulator.initiates_seen == 1


@pytest.mark.fault("F05")
@pytest.mark.parametrize("key", ["expires_at", "expires_in"])
async def test_a_link_without_an_expiry_is_a_link(khalti: Khalti, gateway: KhaltiGateway, key: str) -> None:
    khalti.spoil("initiate", "missing", key=key)

    checkout = await gateway.open_checkout(an_order(), URLS, PAYER)

    assert (checkout.expires_at is None) == (key == "expires_at")


# --- answers that do not come, or not as they should ------------------------------------------------------------------


@pytest.mark.fault("F01")
@pytest.mark.fault("F43")
@pytest.mark.parametrize(
    ("fault", "parameters"), [("delay", {"seconds": 20}), ("drip", {"seconds": 0.05}), ("drop_after", {})]
)
async def test_a_lost_initiate_has_made_a_link_that_nobody_has(
    khalti: Khalti, client: httpx.AsyncClient, fault: str, parameters: dict[str, Any]
) -> None:
    gateway = gateway_at(khalti.address, client, seconds="0.4")
    khalti.spoil("initiate", fault, **parameters)

    with pytest.raises(OutcomeUnknown) as unknown:
        await gateway.open_checkout(an_order(), URLS, PAYER)

    assert not unknown.value.may_ask_again
    assert len(khalti.simulator.payments()) == 1
    assert khalti.simulator.initiates_seen == 1


@pytest.mark.fault("F40")
@pytest.mark.parametrize(
    ("fault", "parameters"),
    [
        ("delay", {"seconds": 20}),
        ("drop_before", {}),
        ("drop_before", {"reset": True}),
        ("drop_after", {}),
        ("status", {"status": 429}),
        ("status", {"status": 500, "body": "html"}),
        ("status", {"status": 503, "body": "html"}),
    ],
)
async def test_a_look_up_without_an_answer_leaves_everything_open(
    khalti: Khalti, client: httpx.AsyncClient, fault: str, parameters: dict[str, Any]
) -> None:
    gateway = gateway_at(khalti.address, client, seconds="0.4")
    order, pidx = await opened(gateway)
    khalti.simulator.pay(pidx)
    khalti.spoil("lookup", fault, **parameters)

    with pytest.raises(OutcomeUnknown):
        await gateway.look_up(order)

    assert khalti.simulator.lookups_seen == 1
    assert (await gateway.look_up(order)).reported is Reported.COMPLETED


@pytest.mark.fault("F41")
@pytest.mark.parametrize(
    ("fault", "parameters"),
    [
        ("html", {}),
        ("malformed", {}),
        ("raw", {"body": ""}),
        ("raw", {"body": '{"status":"Completed","status":"Completed"}'}),
        ("raw", {"body": '{"pidx":NaN}'}),
        ("raw", {"body": "[" * 60_000}),
        ("raw", {"body_base64": "77u/e30="}),
        ("raw", {"body_base64": "/////w=="}),
        ("raw", {"body": "{}", "headers": [["content-type", "text/html"]]}),
        ("raw", {"body": "{}", "headers": [["content-type", "application/json; charset=utf-16"]]}),
        ("missing", {"key": "total_amount"}),
        ("missing", {"key": "transaction_id"}),
        ("missing", {"key": "pidx"}),
        ("missing", {"key": "status"}),
    ],
)
async def test_an_unreadable_answer_completes_nothing(
    khalti: Khalti, gateway: KhaltiGateway, fault: str, parameters: dict[str, Any]
) -> None:
    order, pidx = await opened(gateway)
    khalti.simulator.pay(pidx)
    khalti.spoil("lookup", fault, **parameters)

    with pytest.raises(ProtocolError):
        await gateway.look_up(order)


@pytest.mark.fault("F42")
@pytest.mark.parametrize(("fault", "mib"), [("huge", 16), ("gzip_bomb", 64)])
async def test_a_body_is_read_up_to_its_bound_and_never_inflated(
    khalti: Khalti, gateway: KhaltiGateway, fault: str, mib: int
) -> None:
    order, _ = await opened(gateway)
    khalti.spoil("lookup", fault, mib=mib)

    with pytest.raises(ProtocolError, match=r"compressed|more than 65536 bytes"):
        await gateway.look_up(order)


@pytest.mark.fault("F42")
async def test_a_body_without_end_is_cut_and_its_connection_closed(client: httpx.AsyncClient) -> None:
    order = evolve(an_order(), gateway_reference="zzzzzzzzzzzzzzzzzzzzzz")
    async with endless_listener() as (address, hung_up):
        with pytest.raises(ProtocolError, match="more than 65536 bytes"):
            await gateway_at(address, client).look_up(order)

        async with asyncio.timeout(5):
            await hung_up.wait()


@asynccontextmanager
async def endless_listener() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A port whose answers have no end, and the moment when the client had enough."""
    hung_up = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        with suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b"4000\r\n" + b" " * 16384 + b"\r\n")
                await writer.drain()
        hung_up.set()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", hung_up


@pytest.mark.fault("F44")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_and_the_key_stays_here(
    khalti: Khalti, gateway: KhaltiGateway, status: int
) -> None:
    order, _ = await opened(gateway)
    elsewhere = Simulator()
    with run_in_thread(create_app(elsewhere)) as address:
        khalti.spoil("lookup", "redirect", status=status, location=f"{address}/api/v2/epayment/lookup/")

        with pytest.raises(ProtocolError):
            await gateway.look_up(order)

    assert elsewhere.lookups_seen == 0


@pytest.mark.fault("F47")
async def test_a_wrong_amount_or_pidx_is_handed_on_as_it_was_said(khalti: Khalti, gateway: KhaltiGateway) -> None:
    order, pidx = await opened(gateway)
    khalti.simulator.pay(pidx)
    khalti.spoil("lookup", "wrong_amount", delta=-1)
    short = await gateway.look_up(order)
    khalti.spoil("lookup", "wrong_pidx")

    other = await gateway.look_up(order)

    assert short.amount == Money(112999)
    assert other.gateway_reference == "zzzzzzzzzzzzzzzzzzzzzz"


@pytest.mark.fault("F48")
@pytest.mark.parametrize(
    ("word", "http_status", "reported"),
    [
        ("COMPLETED", None, Reported.COMPLETED),
        ("Canceled", 400, Reported.CANCELED),
        ("Failed", 400, Reported.FAILED),
        ("Failed", 200, Reported.FAILED),
        ("Ambiguous", None, Reported.UNKNOWN),
        ("partially refunded", None, Reported.PARTIALLY_REFUNDED),
    ],
)
async def test_words_are_read_in_any_case_and_the_unknown_stays_unknown(
    khalti: Khalti, gateway: KhaltiGateway, word: str, http_status: int | None, reported: Reported
) -> None:
    order, pidx = await opened(gateway)
    khalti.simulator.pay(pidx)
    khalti.spoil("lookup", "status_word", word=word, status=http_status)

    assert (await gateway.look_up(order)).reported is reported


# --- what was certainly not sent --------------------------------------------------------------------------------------


async def certainly_not_sent(gateway: KhaltiGateway) -> None:
    with pytest.raises(NothingSent) as on_initiate:
        await gateway.open_checkout(an_order(), URLS, PAYER)
    with pytest.raises(NothingSent):
        await gateway.look_up(evolve(an_order(), gateway_reference="zzzzzzzzzzzzzzzzzzzzzz"))
    with pytest.raises(NothingSent):
        await gateway.refund(evolve(an_order(), transaction_id="zzzzzzzzzzzzzzzzzzzzzz"), ALL)

    assert on_initiate.value.may_ask_again


@pytest.mark.fault("F02")
async def test_a_refused_connection_sent_nothing(client: httpx.AsyncClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        port = closed_soon.getsockname()[1]

    await certainly_not_sent(gateway_at(f"http://127.0.0.1:{port}", client))


@pytest.mark.fault("F02")
async def test_an_unknown_host_was_sent_nothing(client: httpx.AsyncClient) -> None:
    await certainly_not_sent(gateway_at("https://khalti.invalid", client))


@pytest.mark.fault("F02")
async def test_failed_tls_sent_nothing(khalti: Khalti, client: httpx.AsyncClient) -> None:
    await certainly_not_sent(gateway_at(khalti.address.replace("http:", "https:"), client))

    assert (khalti.simulator.initiates_seen, khalti.simulator.lookups_seen) == (0, 0)


@pytest.mark.fault("F02")
async def test_a_full_pool_sent_nothing(khalti: Khalti) -> None:
    transport = AiohttpTransport(limits=httpx.Limits(max_connections=1), trust_env=False)
    async with httpx.AsyncClient(transport=transport, trust_env=False) as narrow:
        gateway = gateway_at(khalti.address, narrow, seconds="8")
        order, _ = await opened(gateway)
        khalti.spoil("lookup", "delay", seconds=30)
        held = asyncio.ensure_future(gateway.look_up(order))
        await asyncio.sleep(0)

        with pytest.raises(NothingSent):
            await gateway.open_checkout(an_order(), URLS, PAYER)

        held.cancel()
        with pytest.raises(asyncio.CancelledError):
            await held
    assert khalti.simulator.initiates_seen == 1


@pytest.mark.fault("F02")
async def test_a_connection_that_is_taken_and_then_silent_may_have_been_heard(client: httpx.AsyncClient) -> None:
    async with silent_listener() as address:
        with pytest.raises(OutcomeUnknown, match=r"within 0\.4 s"):
            await gateway_at(address, client, seconds="0.4").open_checkout(an_order(), URLS, PAYER)


@asynccontextmanager
async def silent_listener() -> AsyncIterator[str]:
    """A port that accepts and never says a word."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


# --- giving money back ------------------------------------------------------------------------------------------------


async def test_a_refund_gives_back_what_was_asked_for_and_then_the_rest(khalti: Khalti, gateway: KhaltiGateway) -> None:
    order, pidx = await paid(khalti, gateway)

    said = await gateway.refund(order, part(5050))
    partly = await gateway.look_up(order)
    await gateway.refund(order, part(107950))

    wholly = await gateway.look_up(order)
    assert said == "Transaction refund successful."
    assert (partly.reported, partly.amount) == (Reported.PARTIALLY_REFUNDED, Money(113000))
    assert (wholly.reported, wholly.amount) == (Reported.REFUNDED, Money(113000))
    assert [refund.amount for refund in khalti.simulator.find(pidx).refunds] == [5050, 107950]


async def test_a_payment_without_a_transaction_is_not_refunded(khalti: Khalti, gateway: KhaltiGateway) -> None:
    order, _ = await opened(gateway)

    with pytest.raises(RefundRefused, match="look it up first"):
        await gateway.refund(order, ALL)

    assert khalti.simulator.refunds_seen == 0


@pytest.mark.fault("F62")
async def test_what_khalti_does_not_give_back_is_refused_in_its_words(
    khalti: Khalti, client: httpx.AsyncClient, gateway: KhaltiGateway
) -> None:
    order, pidx = await paid(khalti, gateway)
    another_merchants = gateway_at(khalti.address, client, key="ffffffffffffffffffffffffffffffff")

    with pytest.raises(RefundRefused, match=r"113000 paisa can be refunded, not 113001\."):
        await gateway.refund(order, part(113001))
    with pytest.raises(RefundRefused, match=r"Not found\."):
        await another_merchants.refund(order, ALL)
    with pytest.raises(RefundRefused, match=r"Not found\."):
        await gateway.refund(evolve(order, transaction_id=pidx), ALL)

    assert khalti.simulator.find(pidx).refunds == ()


@pytest.mark.fault("F64")
@pytest.mark.fault("F65")
@pytest.mark.parametrize(
    ("fault", "parameters"),
    [("delay", {"seconds": 20}), ("drop_after", {}), ("status", {"status": 504, "body": "html", "effect": True})],
)
async def test_a_refund_whose_answer_was_lost_went_back_once_and_a_look_up_shows_it(
    khalti: Khalti, client: httpx.AsyncClient, fault: str, parameters: dict[str, Any]
) -> None:
    gateway = gateway_at(khalti.address, client, seconds="0.4")
    order, pidx = await paid(khalti, gateway)
    khalti.spoil("refund", fault, pidx=pidx, **parameters)

    with pytest.raises(OutcomeUnknown) as unknown:
        await gateway.refund(order, ALL)

    assert not unknown.value.may_ask_again
    assert khalti.simulator.refunds_seen == 1
    assert (await gateway.look_up(order)).reported is Reported.REFUNDED
    with pytest.raises(RefundRefused):
        await gateway.refund(order, ALL)
    assert [refund.amount for refund in khalti.simulator.find(pidx).refunds] == [113000]


async def test_a_refund_at_the_wrong_address_is_not_taken_for_a_refusal(
    khalti: Khalti, client: httpx.AsyncClient, gateway: KhaltiGateway
) -> None:
    order, _ = await paid(khalti, gateway)
    elsewhere = gateway_at(khalti.address, client, KHALTI_REFUND_URL=f"{khalti.address}/api/v2")

    with pytest.raises(ProtocolError):
        await elsewhere.refund(order, ALL)
    khalti.tell("quirks", any_refund_path=True)
    await elsewhere.refund(order, ALL)

    assert (await gateway.look_up(order)).reported is Reported.REFUNDED


@pytest.mark.fault("F67")
@pytest.mark.parametrize(("wanted", "body"), [(ALL, b"{}"), (part(5050), b'{"amount":5050}')])
async def test_a_refund_is_a_json_post_to_the_address_of_refunds(
    client: httpx.AsyncClient, wanted: RefundOrder, body: bytes
) -> None:
    requests: list[tuple[str, bytes, dict[str, str], bytes]] = []

    async def record(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            requests.append((scope["method"], scope["raw_path"], headers, (await receive())["body"]))
            kind = [(b"content-type", b"application/json"), (b"content-length", b"15")]
            await send({"type": "http.response.start", "status": 200, "headers": kind})
            await send({"type": "http.response.body", "body": b'{"detail":"ok"}'})

    order = evolve(an_order(), transaction_id="a/../b?c%2F")
    with run_in_thread(record) as address:
        gateway = gateway_at("http://localhost:1", client, KHALTI_REFUND_URL=f"{address}/api")

        said = await gateway.refund(order, wanted)

    assert said == "ok"
    [(method, path, headers, sent)] = requests
    assert (method, path) == ("POST", b"/api/merchant-transaction/a%2F..%2Fb%3Fc%252F/refund/")
    assert sent == body
    assert headers == {
        "host": address.removeprefix("http://"),
        "authorization": f"Key {KEY}",
        "content-type": "application/json",
        "content-length": str(len(body)),
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": "sewapay",
    }


# --- many, and quietly ------------------------------------------------------------------------------------------------


async def test_a_hundred_look_ups_at_once_get_each_their_own_answer(khalti: Khalti, gateway: KhaltiGateway) -> None:
    orders = [await opened(gateway) for _ in range(100)]
    for number, (_, pidx) in enumerate(orders):
        if number % 2:
            khalti.simulator.pay(pidx)

    seen = await asyncio.gather(*(gateway.look_up(order) for order, _ in orders))

    assert [answer.gateway_reference for answer in seen] == [pidx for _, pidx in orders]
    assert [answer.reported for answer in seen] == [Reported.INITIATED, Reported.COMPLETED] * 50


@pytest.mark.fault("F40")
async def test_a_warning_names_the_order_and_the_kind_and_nothing_else(
    khalti: Khalti, gateway: KhaltiGateway, caplog: pytest.LogCaptureFixture
) -> None:
    order, pidx = await opened(gateway)
    khalti.spoil("lookup", "status", status=503, body="html")

    with pytest.raises(GatewayError):
        await gateway.look_up(order)

    [line] = [record for record in caplog.records if record.name == "sewapay.khalti"]
    assert line.levelno == logging.WARNING
    assert line.getMessage() == (
        "khalti look-up for 7Q2M9X4KD8ZT1B6VHR3C: OutcomeUnknown: "
        "Khalti answered HTTP 503: it could not say what became of the request"
    )
    assert pidx not in caplog.text
