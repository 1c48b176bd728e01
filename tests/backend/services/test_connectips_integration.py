"""connectIPS's gateway against the stand-in, over TCP: the journeys of a payment, and what goes wrong on the way."""

import asyncio
import base64
import json
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from attrs import evolve, field, frozen

from sewapay.adapters.connectips import build
from sewapay.adapters.connectips.gateway import ConnectipsGateway
from sewapay.adapters.connectips.simulator import Simulator, create_app, merchant_of
from sewapay.adapters.connectips.simulator.certificate import new_pfx
from sewapay.application.errors import KeyRefused, OutcomeUnknown
from sewapay.application.ports import Authenticity, Order, Payer, ReturnMessage
from sewapay.domain.checkout import PostForm
from sewapay.domain.money import Money
from sewapay.domain.observation import Reported
from sewapay.testing.servers import run_in_thread
from sewapay.testing.steps import canceled
from sewapay.wire.client import build_client
from tests.backend.orders import URLS, an_order

ROOT: Final = Path(__file__).resolve().parents[3]
NOON: Final = datetime(2026, 1, 15, 6, 15, tzinfo=UTC)  # 12:00 in Kathmandu
TXNID: Final = "7Q2M9X4KD8ZT1B6VHR3C"


@frozen
class ConnectIps:
    """The stand-in, where it is, and the merchant's variables."""

    simulator: Simulator
    address: str
    variables: Mapping[str, str] = field(repr=False)

    def tell(self, route: str, **body: object) -> dict[str, Any]:
        """Post this to one of the stand-in's own routes."""
        answer = httpx.post(f"{self.address}/_sim/{route}", json=body, trust_env=False)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def happens(self, action: str) -> str:
        """Something happens to the payment; where its payer's browser is sent."""
        return str(self.tell(action, TXNID=TXNID)["return_url"])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConnectIps]:
    file = tmp_path_factory.mktemp("merchant") / "merchant.pfx"
    file.write_bytes(new_pfx("opens-it"))
    known = merchant_of(file.read_bytes(), "opens-it", id="980", app_id="MER-980-APP-1", password="secret1")
    simulator = Simulator(clock=lambda: NOON, seed=7, merchant=known)
    with run_in_thread(create_app(simulator)) as address:
        variables = {
            "CONNECTIPS_MERCHANT_ID": "980",
            "CONNECTIPS_APP_ID": "MER-980-APP-1",
            "CONNECTIPS_APP_NAME": "Sewa Bazaar",
            "CONNECTIPS_APP_PASSWORD": "secret1",
            "CONNECTIPS_PFX": str(file),
            "CONNECTIPS_PFX_PASSWORD": "opens-it",
            "CONNECTIPS_BASE_URL": address,
        }
        yield ConnectIps(simulator, address, variables)


@pytest.fixture
def connectips(running: ConnectIps) -> ConnectIps:
    running.simulator.reset()
    return running


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with build_client() as client:
        yield client


@pytest.fixture
def gateway(connectips: ConnectIps, client: httpx.AsyncClient) -> ConnectipsGateway:
    return build(connectips.variables, client, is_production=False)


async def entered(gateway: ConnectipsGateway, order: Order) -> Order:
    """The order as it is stored once a browser posted its form."""
    step = (await gateway.open_checkout(order, URLS, Payer())).next_step
    assert isinstance(step, PostForm)
    page = posted(step)
    assert page.status_code == 200, page.text
    return evolve(order, form=step.fields)


def posted(form: PostForm) -> httpx.Response:
    """What a browser sees that posts this form."""
    return httpx.post(form.url, data=dict(form.fields), trust_env=False)


def brought_back(address: str) -> ReturnMessage:
    return ReturnMessage(values=tuple(parse_qsl(urlsplit(address).query, keep_blank_values=True)))


async def test_somebody_pays_at_the_page_and_comes_back(gateway: ConnectipsGateway, connectips: ConnectIps) -> None:
    before = await gateway.look_up(an_order(113050))
    order = await entered(gateway, an_order(113050))

    async with httpx.AsyncClient(base_url=f"{connectips.address}/pay/{TXNID}", trust_env=False) as browser:
        page = await browser.post("/login", data={"user": "standin", "password": "standin"})
        meanwhile = await gateway.look_up(order)
        carried = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
        left = await browser.post("/pay", data={**carried, "otp": "123456"})

    hint = gateway.read_return(brought_back(left.headers["location"]))
    seen = await gateway.look_up(order)
    assert (before.reported, before.said) == (Reported.ABSENT, "ERROR: TRANSACTION NOT FOUND")
    assert (meanwhile.reported, meanwhile.said) == (Reported.ABSENT, "ERROR: TRANSACTION INCOMPLETE")
    assert left.headers["location"] == f"http://127.0.0.1:8000/return/connectips/?TXNID={TXNID}"
    assert (hint.authenticity, hint.claims, hint.order_reference) == (Authenticity.UNSIGNED, None, TXNID)
    assert (seen.reported, seen.said, seen.amount) == (Reported.COMPLETED, "SUCCESS", Money(113050))
    assert seen.order_reference == TXNID
    assert seen.transaction_id == str(connectips.simulator.find(TXNID).number)


@pytest.mark.parametrize(
    ("action", "reported"),
    [
        ("cancel", Reported.ABSENT),
        ("pend", Reported.ABSENT),
        ("expire", Reported.ABSENT),
        ("fail", Reported.FAILED),
    ],
)
async def test_who_did_not_pay_comes_back_likewise_and_may_have_paid_later(
    gateway: ConnectipsGateway, connectips: ConnectIps, action: str, reported: Reported
) -> None:
    order = await entered(gateway, an_order(113050))

    hint = gateway.read_return(brought_back(connectips.happens(action)))
    before = await gateway.look_up(order)
    connectips.happens("pay")
    after = await gateway.look_up(order)

    assert hint.order_reference == TXNID
    assert (before.reported, after.reported) == (reported, Reported.COMPLETED)


async def test_a_malformed_return_names_its_payment(gateway: ConnectipsGateway, connectips: ConnectIps) -> None:
    connectips.tell("quirks", double_question_mark=True)
    await entered(gateway, an_order(113050))

    address = connectips.happens("pay")

    assert address.endswith(f"?TXNID={TXNID}?TXNID={TXNID}")
    assert gateway.read_return(brought_back(address)).order_reference == TXNID


@pytest.mark.parametrize(
    "title",
    ["Deep cleaning, two rooms", "a=b,TOKEN=TOKEN", "घर सफाइ — काठमाडौँ 🏠", '"><script>&', "%2C+%3D", "x" * 300],
)
async def test_every_title_is_signed_as_it_is_posted(gateway: ConnectipsGateway, title: str) -> None:
    await entered(gateway, an_order(113050, title=title))


@pytest.mark.parametrize("paisa", [100, 113000, 1_23_45_678_91])
@pytest.mark.parametrize("quirks", [{}, {"number": True}, {"misspelled": True}])
async def test_an_amount_is_the_same_on_its_way_there_and_back(
    gateway: ConnectipsGateway, connectips: ConnectIps, quirks: dict[str, object], paisa: int
) -> None:
    connectips.tell("quirks", **quirks)
    order = await entered(gateway, an_order(paisa))
    connectips.happens("pay")

    seen = await gateway.look_up(order)

    assert (seen.reported, seen.amount) == (Reported.COMPLETED, Money(paisa))


async def test_only_a_payment_that_was_made_is_asked_for_its_details(
    gateway: ConnectipsGateway, connectips: ConnectIps
) -> None:
    order = await entered(gateway, an_order(113050))
    await gateway.look_up(order)
    unpaid = dict(connectips.simulator.seen)
    connectips.happens("pay")
    await gateway.look_up(order)

    assert unpaid == {"form": 1, "validatetxn": 1}
    assert dict(connectips.simulator.seen) == {"form": 1, "validatetxn": 2, "gettxndetail": 1}


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "drop_before"},
        {"fault": "status", "status": 503},
        {"fault": "status", "status": 404, "body": "html"},
        {"fault": "html"},
        {"fault": "malformed"},
        {"fault": "wrong_reference"},
        {"fault": "missing", "key": "txnId"},
        {"fault": "change", "values": {"status": "ERROR"}},
    ],
)
async def test_details_that_do_not_come_are_not_missed(
    gateway: ConnectipsGateway, connectips: ConnectIps, fault: dict[str, object]
) -> None:
    order = await entered(gateway, an_order(113050))
    connectips.happens("pay")
    connectips.tell("faults", on="gettxndetail", **fault)

    without, with_it = await gateway.look_up(order), await gateway.look_up(order)

    assert (without.reported, without.amount, without.transaction_id) == (Reported.COMPLETED, Money(113050), None)
    assert with_it.transaction_id


async def test_both_questions_are_asked_within_one_deadline(connectips: ConnectIps, client: httpx.AsyncClient) -> None:
    gateway = build({**connectips.variables, "CONNECTIPS_DEADLINE_SECONDS": "6"}, client, is_production=False)
    order = await entered(gateway, an_order(113050))
    connectips.happens("pay")
    connectips.tell("faults", on="validatetxn", fault="delay", seconds=3)
    connectips.tell("faults", on="gettxndetail", fault="delay", seconds=20)
    began = time.monotonic()

    seen = await gateway.look_up(order)

    assert (seen.reported, seen.transaction_id) == (Reported.COMPLETED, None)
    assert time.monotonic() - began < 8.9


async def test_a_look_up_that_nobody_waits_for_ends_while_it_asks_for_details(
    gateway: ConnectipsGateway, connectips: ConnectIps
) -> None:
    order = await entered(gateway, an_order(113050))
    connectips.happens("pay")
    connectips.tell("faults", on="gettxndetail", fault="delay", seconds=20)

    await canceled(gateway.look_up(order), once=lambda: connectips.simulator.seen["gettxndetail"] > 0)


async def test_a_wrong_password_is_told_as_that(connectips: ConnectIps, client: httpx.AsyncClient) -> None:
    gateway = build({**connectips.variables, "CONNECTIPS_APP_PASSWORD": "secret2"}, client, is_production=False)

    with pytest.raises(KeyRefused):
        await gateway.look_up(an_order(113050))


async def test_anothers_key_opens_nothing_and_its_question_has_no_answer(
    connectips: ConnectIps, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    file = tmp_path / "another.pfx"
    file.write_bytes(new_pfx("opens-it"))
    gateway = build({**connectips.variables, "CONNECTIPS_PFX": str(file)}, client, is_production=False)
    step = (await gateway.open_checkout(an_order(113050), URLS, Payer())).next_step
    assert isinstance(step, PostForm)

    page = posted(step)

    assert page.status_code == 400
    assert '<code id="code">token</code>' in page.text
    with pytest.raises(OutcomeUnknown, match="token does not fit"):
        await gateway.look_up(an_order(113050))


async def test_what_leaves_is_the_documented_request(connectips: ConnectIps, client: httpx.AsyncClient) -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(re.findall(rb"(?i)content-length: (\d+)", head)[0])
        asked.append(head + await reader.readexactly(length))
        writer.write(b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        gateway = build({**connectips.variables, "CONNECTIPS_BASE_URL": f"{address}/"}, client, is_production=False)
        with pytest.raises(OutcomeUnknown):
            await gateway.look_up(an_order(113050))

    [request] = asked
    head, _, body = request.decode().partition("\r\n\r\n")
    first, *headers = head.split("\r\n")
    names = {name.lower(): value for name, _, value in (header.partition(": ") for header in headers)}
    assert first == "POST /connectipswebws/api/creditor/validatetxn HTTP/1.1"
    assert names["authorization"] == "Basic " + base64.b64encode(b"MER-980-APP-1:secret1").decode()
    assert names["content-type"] == "application/json"
    assert {name: value for name, value in json.loads(body).items() if name != "token"} == {
        "merchantId": 980,
        "appId": "MER-980-APP-1",
        "referenceId": "7Q2M9X4KD8ZT1B6VHR3C",
        "txnAmt": 113050,
    }


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One of our commands, with no settings but its own."""
    program = (sys.executable, "-c", "from sewapay.entrypoints.cli import main; main()")
    environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src"), "SEWAPAY_GATEWAYS": "connectips"}
    command = [*program, *arguments]
    return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=60)


def test_it_is_among_the_gateways_and_starts_without_its_settings(tmp_path: Path) -> None:
    done = run(tmp_path, "gateways")

    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"connectips +connectIPS +sandbox +post_form +Rs 1\.00 +no refunds.*\n", done.stdout)


def test_the_demo_walks_a_payment_through_it_until_the_booking_is_confirmed(tmp_path: Path) -> None:
    done = run(tmp_path, "demo", "--once", "--gateway", "connectips")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "3. The customer paid at connectIPS's page: TRANSACTION SUCCESSFUL." in done.stdout
    assert done.stdout.splitlines()[-1] == "6. Booking 123 is confirmed: Rs 1,130.00 came, once."
