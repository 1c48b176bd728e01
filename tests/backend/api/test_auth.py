"""Who gets in: bearer tokens of the merchant's login, API keys of its services, and nothing else."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any, Final

import httpx
import jwt
import pytest

from sewapay.adapters.web.auth import LEEWAY_SECONDS, REMEMBERED, Authenticator, issue_token
from sewapay.adapters.web.config import JwtConfig
from sewapay.adapters.web.errors import NotSignedIn
from sewapay.application.access import Role, Scope
from tests.backend.api.talking import client_of
from tests.shop import JWT_SECRET, Shop

ADDRESS: Final = "/v1/gateways"
LATER: Final = 4_000_000_000


def signed(claims: dict[str, Any], *, secret: str = JWT_SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, secret, algorithm=algorithm)


def unsigned(claims: dict[str, Any], header: dict[str, Any]) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part(header)}.{part(claims)}."


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_customers_token_gets_in(client: httpx.AsyncClient) -> None:
    answer = await client.get(ADDRESS, headers=bearer(signed({"sub": "42", "exp": LATER})))

    assert answer.status_code == 200


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
async def test_the_schemes_case_does_not_matter(client: httpx.AsyncClient, shop: Shop, scheme: str) -> None:
    answer = await client.get(ADDRESS, headers={"Authorization": f"{scheme} {shop.token()}"})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("not.a.token", id="garbage"),
        pytest.param("a" * 5000, id="huge"),
        pytest.param(signed({"sub": "42", "exp": LATER}, secret="x" * 40), id="forged"),
        pytest.param(signed({"sub": "42", "exp": LATER}) + "x", id="altered"),
        pytest.param(signed({"sub": "42", "exp": 1_600_000_000}), id="expired"),
        pytest.param(signed({"sub": "42"}), id="without exp"),
        pytest.param(signed({"sub": "42", "exp": "4000000000"}), id="exp as text"),
        pytest.param(signed({"sub": "42", "exp": True}), id="exp as boolean"),
        pytest.param(signed({"sub": "42", "exp": LATER, "nbf": LATER}), id="not yet"),
        pytest.param(signed({"sub": "42", "exp": LATER}, secret=JWT_SECRET * 2, algorithm="HS512"), id="HS512"),
        pytest.param(unsigned({"sub": "42", "exp": LATER}, {"alg": "none", "typ": "JWT"}), id="alg none"),
        pytest.param(unsigned({"sub": "42", "exp": LATER}, {"alg": "HS256", "typ": "JWT"}), id="without signature"),
        pytest.param(signed({"sub": "42", "exp": LATER, "token_type": "refresh"}), id="refresh"),
        pytest.param(signed({"exp": LATER}), id="nobody's"),
        pytest.param(signed({"sub": "", "exp": LATER}), id="of an empty name"),
        pytest.param(signed({"sub": " 42", "exp": LATER}), id="of a name with a space"),
        pytest.param(signed({"sub": "x" * 129, "exp": LATER}), id="of a long name"),
        pytest.param(signed({"user_id": 42, "exp": LATER}), id="named by another claim"),
        pytest.param(signed({"sub": "42", "exp": LATER, "role": "admin"}), id="of an unknown role"),
        pytest.param(signed({"sub": "42", "exp": LATER, "role": "service"}), id="of a service's role"),
        pytest.param(signed({"sub": "42", "exp": LATER, "role": ["staff"]}), id="with a list of roles"),
        pytest.param("swp_test_0123456789abcdef_" + "x" * 43, id="unknown key"),
        pytest.param("swp_nonsense", id="malformed key"),
    ],
)
async def test_a_token_that_is_not_right_is_401_and_learns_no_more(client: httpx.AsyncClient, token: str) -> None:
    answer = await client.get(ADDRESS, headers=bearer(token))

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="sewapay"'
    assert answer.json()["type"].endswith("/problems/not-signed-in")


@pytest.mark.parametrize(
    "times",
    [
        b'"exp": Infinity',
        b'"exp": 1e999',
        b'"exp": NaN',
        b'"exp": 9007199254740992',
        b'"exp": 1%s' % (b"0" * 400),
        b'"exp": -Infinity',
        b'"exp": 4000000000, "nbf": Infinity',
        b'"exp": 4000000000, "iat": 1e999',
    ],
    ids=lambda times: times[:32].decode(),
)
async def test_a_time_that_never_comes_is_401(client: httpx.AsyncClient, times: bytes) -> None:
    token = jwt.api_jws.encode(b'{"sub": "42", %s}' % times, JWT_SECRET, algorithm="HS256")

    answer = await client.get(ADDRESS, headers=bearer(token))

    assert answer.status_code == 401


@pytest.mark.parametrize("claim", [True, 4.2, ["42"], {"id": 42}, None])
async def test_a_subject_that_is_neither_text_nor_a_whole_number_is_401(
    client: httpx.AsyncClient, claim: object
) -> None:
    token = jwt.api_jws.encode(json.dumps({"sub": claim, "exp": LATER}).encode(), JWT_SECRET, algorithm="HS256")

    answer = await client.get(ADDRESS, headers=bearer(token))

    assert answer.status_code == 401


async def test_basic_credentials_are_401(client: httpx.AsyncClient) -> None:
    answer = await client.get(ADDRESS, headers={"Authorization": "Basic NDI6cGFzc3dvcmQ="})

    assert answer.status_code == 401


async def test_cookies_and_queries_sign_nobody_in(client: httpx.AsyncClient, shop: Shop) -> None:
    cookies = {"Cookie": f"access_token={shop.token()}; Authorization=Bearer {shop.token()}"}

    by_cookie = await client.get(ADDRESS, headers=cookies)
    by_query = await client.get(ADDRESS, params={"access_token": shop.token()})

    assert [by_cookie.status_code, by_query.status_code] == [401, 401]


async def test_sewabazaars_tokens_work_as_they_are() -> None:
    shop = Shop(environ={"SEWAPAY_JWT_SUBJECT_CLAIM": "user_id"})
    booking = await shop.given_a_booking()
    simplejwt = signed({"token_type": "access", "exp": LATER, "iat": 1_700_000_000, "jti": "a1", "user_id": 42})

    async with client_of(shop.app) as client:
        answer = await client.get(f"/v1/bookings/{booking.id}", headers=bearer(simplejwt))

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("claims", "wanted"),
    [
        ({"aud": "sewapay", "iss": "https://shop.example"}, 200),
        ({"aud": "sewapay"}, 401),
        ({"iss": "https://shop.example"}, 401),
        ({"aud": ["sewapay", "another"], "iss": "https://shop.example"}, 401),
        ({"aud": "another", "iss": "https://shop.example"}, 401),
        ({"aud": "sewapay", "iss": "https://shop"}, 401),
        ({"aud": "sewapay", "iss": "https://shop.example.evil"}, 401),
    ],
)
async def test_audience_and_issuer_are_exact_when_they_are_set(claims: dict[str, Any], wanted: int) -> None:
    shop = Shop(environ={"SEWAPAY_JWT_AUDIENCE": "sewapay", "SEWAPAY_JWT_ISSUER": "https://shop.example"})

    async with client_of(shop.app) as client:
        answer = await client.get(ADDRESS, headers=bearer(signed({"sub": "42", "exp": LATER, **claims})))

    assert answer.status_code == wanted


async def test_audience_and_issuer_are_ignored_when_they_are_not_set(client: httpx.AsyncClient) -> None:
    token = signed({"sub": "42", "exp": LATER, "aud": "anything", "iss": "anyone"})

    answer = await client.get(ADDRESS, headers=bearer(token))

    assert answer.status_code == 200


async def test_a_revoked_key_is_useless_at_once(client: httpx.AsyncClient, shop: Shop) -> None:
    created = await shop.container.create_api_key()("shop", frozenset(Scope))
    before = await client.get(ADDRESS, headers=bearer(created.token))

    await shop.container.revoke_api_key()(created.key.id)
    after = await client.get(ADDRESS, headers=bearer(created.token))

    assert [before.status_code, after.status_code] == [200, 401]


async def test_a_key_with_another_secret_is_401(client: httpx.AsyncClient, shop: Shop) -> None:
    created = await shop.container.create_api_key()("shop", frozenset(Scope))
    other = created.token[:-1] + ("A" if created.token[-1] != "A" else "B")

    answer = await client.get(ADDRESS, headers=bearer(other))

    assert answer.status_code == 401


async def test_a_token_is_checked_before_the_body_is_looked_at(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/bookings", content=b"{", headers={"Content-Type": "application/json"})

    assert answer.status_code == 401


class TestRemembering:
    def authenticator(self, shop: Shop, now: Callable[[], float]) -> Authenticator:
        config = JwtConfig(secret=JWT_SECRET.encode())
        return Authenticator(config, shop.container.authenticate_service, now=now)

    async def test_a_remembered_token_is_forgotten_when_it_expires(self, shop: Shop) -> None:
        moment = time.time()
        token = issue_token(JWT_SECRET.encode(), subject="42", lifetime_seconds=60)
        authenticate = self.authenticator(shop, lambda: moment)
        assert (await authenticate(f"Bearer {token}")).id == "42"

        moment += 60 + LEEWAY_SECONDS - 2
        assert (await authenticate(f"Bearer {token}")).id == "42"

        moment += 3
        with pytest.raises(NotSignedIn):
            await authenticate(f"Bearer {token}")

    async def test_no_more_tokens_are_remembered_than_there_is_room_for(self, shop: Shop) -> None:
        authenticate = self.authenticator(shop, time.time)
        tokens = [issue_token(JWT_SECRET.encode(), subject=str(number)) for number in range(REMEMBERED + 10)]

        ids = [(await authenticate(f"Bearer {token}")).id for token in tokens]

        assert ids == [str(number) for number in range(REMEMBERED + 10)]
        assert len(authenticate._verified) == REMEMBERED

    async def test_staff_and_customers_come_out_as_what_they_are(self, shop: Shop) -> None:
        authenticate = self.authenticator(shop, time.time)
        staff = issue_token(JWT_SECRET.encode(), subject="7", role="staff")
        customer = issue_token(JWT_SECRET.encode(), subject="42", role="customer")

        assert (await authenticate(f"Bearer {staff}")).role is Role.STAFF
        assert (await authenticate(f"Bearer {customer}")).role is Role.CUSTOMER


def test_secrets_do_not_show_in_the_settings_of_the_web() -> None:
    assert JWT_SECRET not in repr(JwtConfig(secret=JWT_SECRET.encode()))
