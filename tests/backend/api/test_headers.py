"""What every answer carries, who may call from a browser, and what the log holds of a request."""

import json
import logging

import httpx
import pytest
from structlog.testing import LogCapture

from tests.backend.api.talking import client_of
from tests.servers import run_in_thread
from tests.shop import Shop

HOSTED_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)


async def test_a_request_id_is_taken_over(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health/live", headers={"X-Request-Id": "shop-7f3a.1"})

    assert answer.headers["X-Request-Id"] == "shop-7f3a.1"


@pytest.mark.parametrize("given", [None, "", "two words", "x" * 129, 'quote"', "<b>", "नमस्ते".encode()])
async def test_without_a_usable_request_id_one_is_made(client: httpx.AsyncClient, given: str | bytes | None) -> None:
    headers = {} if given is None else {b"X-Request-Id": given if isinstance(given, bytes) else given.encode()}

    first = await client.get("/health/live", headers=headers)
    second = await client.get("/health/live")

    assert len(first.headers["X-Request-Id"]) == 24
    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]


@pytest.mark.parametrize("path", ["/health/live", "/schema", "/problems/", "/static/sewapay.css", "/v1/gateways"])
async def test_head_answers_like_get_without_a_body(client: httpx.AsyncClient, shop: Shop, path: str) -> None:
    got = await client.get(path, headers=shop.as_staff())

    answer = await client.head(path, headers=shop.as_staff())

    assert answer.status_code == got.status_code == 200
    assert answer.content == b""
    assert answer.headers["Content-Length"] == str(len(got.content))


def test_a_head_over_tcp_leaves_the_connection_usable(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    one = httpx.Limits(max_connections=1)

    with run_in_thread(shop.app) as url, httpx.Client(base_url=url, trust_env=False, limits=one) as client:
        first = client.head("/schema")
        second = client.get("/schema")

    assert [first.status_code, second.status_code] == [200, 200]
    assert first.extensions["network_stream"] is second.extensions["network_stream"]
    assert first.headers["Content-Length"] == str(len(second.content))
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("path", ["/health/live", "/v1/payments", "/nowhere", "/problems/", "/return/x/"])
async def test_no_answer_is_sniffed_or_kept(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)

    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


async def test_only_production_asks_browsers_to_insist_on_https(client: httpx.AsyncClient) -> None:
    production = Shop(
        environ={
            "SEWAPAY_ENV": "production",
            "SEWAPAY_PUBLIC_URL": "https://pay.example",
            "SEWAPAY_DATABASE_URL": "postgresql://db/sewapay",
        }
    )

    async with client_of(production.app) as theirs:
        in_production = await theirs.get("/health/live")
    elsewhere = await client.get("/health/live")

    assert in_production.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert "Strict-Transport-Security" not in elsewhere.headers


@pytest.mark.parametrize("path", ["/problems/", "/problems/internal-error", "/return/unknown/", "/pay/1?key=x"])
async def test_pages_are_locked_down(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)

    assert answer.headers["Content-Security-Policy"].startswith(HOSTED_POLICY)
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/problems/", "/return/unknown/"])
async def test_no_page_holds_anything_inline_or_of_somebody_else(client: httpx.AsyncClient, path: str) -> None:
    page = (await client.get(path)).text

    assert "<style" not in page
    assert "style=" not in page
    assert " on" + "click" not in page
    assert "<script>" not in page
    assert 'src="http' not in page
    assert 'href="http' not in page


class TestCors:
    async def test_an_allowed_origin_may_ask_first_and_then_send_its_token(self, client: httpx.AsyncClient) -> None:
        asked = await client.options(
            "/api/bookings/payments/initiate_khalti_payment/",
            headers={
                "Origin": "https://shop.example",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type",
            },
        )

        assert asked.status_code == 204
        assert asked.headers["Access-Control-Allow-Origin"] == "https://shop.example"
        assert "POST" in asked.headers["Access-Control-Allow-Methods"]
        assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]

    async def test_an_allowed_origin_may_read_the_answer_of_a_refusal_too(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/v1/payments", headers={"Origin": "https://shop.example"})

        assert answer.status_code == 401
        assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"
        assert "Origin" in answer.headers["Vary"]
        assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]

    @pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://shop.example.evil", "http://["])
    async def test_no_other_origin_is_let_in(self, client: httpx.AsyncClient, origin: str) -> None:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}

        asked = await client.options("/v1/payments", headers=headers)
        answer = await client.get("/health/live", headers={"Origin": origin})

        assert "Access-Control-Allow-Origin" not in asked.headers
        assert "Access-Control-Allow-Origin" not in answer.headers

    async def test_in_development_every_port_of_this_machine_is_let_in(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/health/live", headers={"Origin": "http://localhost:3000"})

        assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"

    async def test_credentials_are_never_allowed(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/health/live", headers={"Origin": "https://shop.example"})

        assert "Access-Control-Allow-Credentials" not in answer.headers


class TestAccessLog:
    async def test_a_request_leaves_one_line(self, client: httpx.AsyncClient, logged: LogCapture) -> None:
        answer = await client.get("/health/live")

        [line] = logged.entries
        assert line["event"] == "request"
        assert line["method"] == "GET"
        assert line["path"] == "/health/live"
        assert line["status"] == 200
        assert line["request_id"] == answer.headers["X-Request-Id"]
        assert line["milliseconds"] >= 0

    @pytest.mark.fault("F31")
    async def test_no_query_no_token_and_no_telephone_number_gets_into_the_log(
        self, client: httpx.AsyncClient, shop: Shop, logged: LogCapture
    ) -> None:
        payment = await shop.given_an_open_payment()
        token = shop.token()

        await client.get(f"/return/{payment.id}/?pidx=bZQLD9wRVWo4CdESSfuSsB&mobile=98XXXXX904&status=Completed")
        await client.get("/v1/payments?cursor=9800000001", headers={"Authorization": f"Bearer {token}"})
        await client.post("/pay/1?key=secret-key-of-a-page", data={"gateway": "khalti"})

        text = json.dumps(logged.entries, default=str)
        found = [word for word in ("bZQLD9", "98XXXXX904", "9800000001", "secret-key", token) if word in text]
        assert found == []

    async def test_the_line_of_a_head_says_head(self, client: httpx.AsyncClient, logged: LogCapture) -> None:
        await client.head("/health/live")

        assert logged.entries[-1]["method"] == "HEAD"
