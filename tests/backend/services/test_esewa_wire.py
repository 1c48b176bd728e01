"""eSewa's status check over TCP, against a few lines that answer as told: what leaves, and what comes of it."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import httpx
import pytest
from attrs import Factory, field, frozen

from sewapay.adapters.esewa import build
from sewapay.adapters.esewa.gateway import EsewaGateway
from sewapay.application.errors import NothingSent, OutcomeUnknown
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation, Reported
from sewapay.wire.client import build_client
from tests.backend.orders import an_order

UAT_KEY: Final = "8gBm/:&EnhH.1/q"
COMPLETE: Final[Mapping[str, object]] = {
    "product_code": "EPAYTEST",
    "transaction_uuid": "7Q2M9X4KD8ZT1B6VHR3C",
    "total_amount": 1130.5,
    "status": "COMPLETE",
    "ref_id": "0007G36",
}


@frozen
class Answering:
    """Gives every request the same answer, and keeps what was asked."""

    answer: bytes
    asked: list[str] = field(default=Factory(list))

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(self.answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


def http(status: str, body: object) -> bytes:
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + content


@asynccontextmanager
async def esewa_that(answering: Answering, path: str = "/api/epay/transaction/status/") -> AsyncIterator[EsewaGateway]:
    server = await asyncio.start_server(answering, "127.0.0.1", 0)
    async with server, build_client() as client:
        port = server.sockets[0].getsockname()[1]
        yield gateway_at(f"http://127.0.0.1:{port}{path}", client)


def gateway_at(status_url: str, client: httpx.AsyncClient) -> EsewaGateway:
    variables = {
        "ESEWA_PRODUCT_CODE": "EPAYTEST",
        "ESEWA_SECRET_KEY": UAT_KEY,
        "ESEWA_STATUS_URL": status_url,
        "ESEWA_DEADLINE_SECONDS": "5",
    }
    return build(variables, client, is_production=False)


@pytest.mark.parametrize("path", ["/api/epay/transaction/status/", "/api/epay/transaction/status"])
@pytest.mark.parametrize(("paisa", "total"), [(113050, "1130.50"), (113000, "1130")])
async def test_the_question_is_the_documented_one_and_carries_no_secret(path: str, paisa: int, total: str) -> None:
    answering = Answering(http("200 OK", COMPLETE))

    async with esewa_that(answering, path) as esewa:
        await esewa.look_up(an_order(paisa))

    [asked] = answering.asked
    assert asked.splitlines()[0] == (
        "GET /api/epay/transaction/status/"
        f"?product_code=EPAYTEST&total_amount={total}&transaction_uuid=7Q2M9X4KD8ZT1B6VHR3C HTTP/1.1"
    )
    names = {line.partition(":")[0].lower() for line in asked.splitlines()[1:] if line}
    assert names == {"host", "accept", "accept-encoding", "user-agent"}
    assert UAT_KEY not in asked


async def test_a_completed_payment_is_seen_to_the_paisa() -> None:
    async with esewa_that(Answering(http("200 OK", COMPLETE))) as esewa:
        seen = await esewa.look_up(an_order(113050))

    assert seen == Observation(
        reported=Reported.COMPLETED,
        said="COMPLETE",
        amount=Money(113050),
        transaction_id="0007G36",
        order_reference="7Q2M9X4KD8ZT1B6VHR3C",
    )


@pytest.mark.fault("F07")
@pytest.mark.parametrize("status", ["200 OK", "503 Service Unavailable"])
async def test_an_outage_is_no_answer_with_either_status(status: str) -> None:
    outage = {"code": 0, "error_message": "Service is currently unavailable"}

    async with esewa_that(Answering(http(status, outage))) as esewa:
        with pytest.raises(OutcomeUnknown):
            await esewa.look_up(an_order(113050))


async def test_what_went_wrong_is_logged_in_our_words_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async with build_client() as client:
        with pytest.raises(NothingSent):
            await gateway_at("http://127.0.0.1:1/status/", client).look_up(an_order(113050))

    told = [record.getMessage() for record in caplog.records if record.name == "sewapay.esewa"]
    assert told == [
        "esewa status check for 7Q2M9X4KD8ZT1B6VHR3C: NothingSent: eSewa cannot be reached: no connection could be made"
    ]
    assert UAT_KEY not in caplog.text
