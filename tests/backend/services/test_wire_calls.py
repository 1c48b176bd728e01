"""One call to any company, over TCP: what is sent, and what each accident is called.

Khalti's integration tests and the gateways' contract try the rest of it.
"""

import asyncio
import logging
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from attrs import define, field

from sewapay.application.errors import GatewayError, KeyRefused, NothingSent, OutcomeUnknown
from sewapay.domain.identifiers import GatewayName
from sewapay.wire.calls import Caller, headers_for, telling
from sewapay.wire.client import build_client
from tests.backend.orders import an_order
from tests.servers import run_in_thread

QUERY = (
    "product_code=EPAYTEST&total_amount=100.10&transaction_uuid=7Q2M9X4KD8ZT1B6VHR3C&x=%2F%20%2B%26%3D%25%23%E0%A4%95"
)


@define
class Company:
    """An ASGI application that keeps what it is asked; one that `is_silent` waits until whoever asked hangs up."""

    asked: list[tuple[str, bytes, list[tuple[str, str]], bytes]] = field(factory=list)
    is_silent: bool = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = (await receive()).get("body", b"")
        headers = sorted((name.decode(), value.decode()) for name, value in scope["headers"])
        self.asked.append((scope["method"], scope["query_string"], headers, body))
        if self.is_silent:
            await receive()
            return
        kind = (b"content-type", b"application/json")
        await send({"type": "http.response.start", "status": 418, "headers": [kind, (b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})


@pytest.fixture
def company() -> Company:
    return Company()


@pytest.fixture
def address(company: Company) -> Iterator[str]:
    with run_in_thread(company) as address:
        yield address


async def test_a_get_arrives_value_for_value_with_the_headers_that_are_the_same_each_time(
    company: Company, address: str
) -> None:
    url = httpx.URL(f"{address}/status/?{QUERY}")

    async with build_client() as client:
        caller = Caller(company="TinyPay", client=client, deadline_seconds=5.0)
        answer = await caller.ask("GET", url, headers_for(url, {"Authorization": "Basic aGVsbG8="}))

    assert (answer.status, answer.content_type, answer.content) == (418, "application/json", b"{}")
    [(method, query, headers, body)] = company.asked
    assert (method, body) == ("GET", b"")
    assert parse_qsl(query.decode("ascii")) == [
        ("product_code", "EPAYTEST"),
        ("total_amount", "100.10"),
        ("transaction_uuid", "7Q2M9X4KD8ZT1B6VHR3C"),
        ("x", "/ +&=%#क"),
    ]
    assert headers == [
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("authorization", "Basic aGVsbG8="),
        ("host", address.removeprefix("http://")),
        ("user-agent", "sewapay"),
    ]


async def test_a_post_carries_its_bytes(company: Company, address: str) -> None:
    url = httpx.URL(f"{address}/api")

    async with build_client() as client:
        caller = Caller(company="TinyPay", client=client, deadline_seconds=5.0)
        await caller.ask("POST", url, headers_for(url, {"Content-Type": "application/json"}), b'{"a":1}')

    [(method, _, headers, body)] = company.asked
    assert (method, body) == ("POST", b'{"a":1}')
    assert ("content-type", "application/json") in headers
    assert ("content-length", "7") in headers


async def test_silence_is_unknown_after_the_deadline_and_nothing_is_asked_twice(company: Company, address: str) -> None:
    company.is_silent = True
    url = httpx.URL(address)

    async with build_client() as client, asyncio.timeout(30):
        caller = Caller(company="TinyPay", client=client, deadline_seconds=2.5)
        with pytest.raises(OutcomeUnknown, match=r"^TinyPay gave no whole answer within 2\.5 s$") as unknown:
            await caller.ask("GET", url, headers_for(url, {}))

    assert not unknown.value.may_ask_again
    assert len(company.asked) == 1


async def test_where_nobody_listens_nothing_was_sent() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = httpx.URL(f"http://127.0.0.1:{unused.getsockname()[1]}/")

        async with build_client() as client:
            caller = Caller(company="TinyPay", client=client, deadline_seconds=5.0)
            with pytest.raises(NothingSent, match=r"^TinyPay cannot be reached: no connection could be made$"):
                await caller.ask("GET", url, headers_for(url, {}))


async def test_a_connection_that_breaks_is_unknown() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server, build_client() as client:
        url = httpx.URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        caller = Caller(company="TinyPay", client=client, deadline_seconds=5.0)
        with pytest.raises(OutcomeUnknown, match=r"^the connection to TinyPay broke before its answer was whole$"):
            await caller.ask("POST", url, headers_for(url, {}), b"{}")


@pytest.mark.parametrize(
    ("error", "level"),
    [(KeyRefused("TinyPay does not accept TINYPAY_KEY"), logging.ERROR), (OutcomeUnknown("silence"), logging.WARNING)],
)
def test_what_went_wrong_is_told_once_and_passes_on(
    caplog: pytest.LogCaptureFixture, error: GatewayError, level: int
) -> None:
    log = logging.getLogger("sewapay.tinypay")

    with pytest.raises(GatewayError) as raised, telling(log, GatewayName("tinypay"), "look-up", an_order()):
        raise error

    assert raised.value is error
    [record] = [record for record in caplog.records if record.name == "sewapay.tinypay"]
    assert record.levelno == level
    assert record.getMessage() == f"tinypay look-up for 7Q2M9X4KD8ZT1B6VHR3C: {type(error).__name__}: {error}"


def test_a_bug_is_not_told_as_a_gateways_error(caplog: pytest.LogCaptureFixture) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        telling(logging.getLogger("sewapay.tinypay"), GatewayName("tinypay"), "look-up", an_order()),
    ):
        _ = 1 // 0

    assert caplog.records == []
