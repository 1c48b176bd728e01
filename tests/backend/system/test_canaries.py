"""A canary in every secret and every field about a person; after a day of work none sings where it must not.

One process serves, its worker beside it; then its log, its database, every refusal, every story and what the commands
print are searched.
"""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest
from attrs import define, field

from sewapay.adapters.web.auth import issue_token
from tests.backend.system.serving import PROGRAM, ROOT, Service, a_service, wait_for
from tests.backend.system.world import GUIDE, SHOP, Khalti, database_at, environ_for

# A key that Khalti would take, a secret that is long enough, and so on: each is found nowhere else.
KHALTI_KEY: Final = "canarykhaltikey0123456789abcdef01"
JWT_SECRET: Final = "canary-jwt-secret-of-forty-characters-or-so"
LINK_SECRET: Final = "canary-link-secret-of-forty-characters-now"
DATABASE_PASSWORD: Final = "canarydatabasepassword"
NAME: Final = "Canary Namaskar"
EMAIL: Final = "canary.mail@example.com"
PHONE: Final = "9811122233"
MOBILE: Final = "9844455566"
CLAIM: Final = "canaryinquery"
BODY: Final = "canaryinbody"
KEY: Final = "canary-idempotency-key"

# What may stand where. An answer that is kept for a day is the caller's own, byte for byte.
ALLOWED: Final[Mapping[str, frozenset[tuple[str, str]]]] = {
    NAME: frozenset({("bookings", "customer_name"), ("answers", "body")}),
    EMAIL: frozenset({("bookings", "customer_email"), ("answers", "body")}),
    PHONE: frozenset({("bookings", "customer_phone"), ("answers", "body")}),
    KEY: frozenset({("answers", "key")}),
}
ECHO: Final = json.dumps(
    {
        "customer_info": {"name": [f"{NAME} is not valid."], "phone": [f"{PHONE} is not valid."]},
        "detail": f'The key "{KHALTI_KEY}" may not do this for {EMAIL}.',
        "error_key": "validation_error",
    }
)


@define
class Day:
    """One day of the service: what it was asked, what it refused, and what it told."""

    service: Service
    khalti: Khalti
    http: httpx.AsyncClient
    customer: Mapping[str, str]
    staff: Mapping[str, str]
    refused: list[str] = field(factory=list)
    told: list[str] = field(factory=list)

    async def ask(
        self, method: str, path: str, who: Mapping[str, str], body: Any = None, **more: str
    ) -> httpx.Response:
        answer = await self.http.request(
            method, f"{self.service.url}{path}", json=body, headers={**who, **more}, follow_redirects=False
        )
        if answer.status_code >= 400:
            self.refused.append(answer.text)
        return answer

    async def booking(self) -> int:
        customer = {"id": "42", "name": NAME, "email": EMAIL, "phone": PHONE}
        body = {"customer": customer, "title": "Deep cleaning", "amount": 113000}
        answer = await self.ask("POST", "/v1/bookings", self.staff, body)
        number: int = answer.json()["id"]
        return number

    async def open(self, booking: int, *, key: str | None = None) -> httpx.Response:
        more = {} if key is None else {"Idempotency-Key": key}
        return await self.ask(
            "POST", "/v1/payments", self.customer, {"booking_id": booking, "gateway": "khalti"}, **more
        )

    async def paid(self) -> tuple[str, str]:
        """A payment that the customer came back from, with everything that their browser brought."""
        opened = (await self.open(await self.booking())).json()
        back = self.khalti.pay(opened["gateway_reference"])
        path = back.removeprefix(self.service.url)
        await self.ask("GET", f"{path}&mobile={MOBILE}&secret={CLAIM}", {})
        return opened["id"], opened["gateway_reference"]


@pytest.fixture
async def day(fresh_database_url: str, khalti: Khalti, tmp_path: Path) -> AsyncIterator[Day]:
    url = fresh_database_url
    if not url.startswith("sqlite"):
        parts = urlsplit(url)
        who = f"{parts.username}:{DATABASE_PASSWORD}@{parts.hostname}:{parts.port}"
        url = urlunsplit(parts._replace(netloc=who))
    environ = {
        **environ_for(url, khalti.address),
        "SEWAPAY_JWT_SECRET": JWT_SECRET,
        "SEWAPAY_LINK_SECRET": LINK_SECRET,
        "KHALTI_SECRET_KEY": KHALTI_KEY,
        "SEWAPAY_LOG_FILE": str(tmp_path / "sewapay.log"),
        "KHALTI_DEADLINE_SECONDS": "2",
    }
    with a_service(environ, tmp_path) as service:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            yield Day(service, khalti, http, _as("42"), _as("7", "staff"))


def _as(subject: str, role: str | None = None) -> dict[str, str]:
    return {"Authorization": f"Bearer {issue_token(JWT_SECRET.encode(), subject=subject, role=role)}"}


async def what_happens_in_a_day(day: Day, url: str) -> str:
    """Payments, refunds, decisions, faults and refusals; the payment of which most went back."""
    khalti, staff = day.khalti, day.staff
    booking = await day.booking()
    await day.open(booking, key=KEY)
    await day.open(booking, key=KEY)
    page = (await day.ask("GET", f"/v1/bookings/{booking}", staff)).json()["checkout_url"]
    await day.ask("GET", page.removeprefix(day.service.url), {})
    first, pidx = await day.paid()
    await day.ask(
        "POST", f"/v1/payments/{first}/refunds", staff, {"reason": "late", "amount": 1000}, **{"Idempotency-Key": KEY}
    )
    khalti.arm("refund", "raw", status=400, body=ECHO)
    await day.ask("POST", f"/v1/payments/{first}/refunds", staff, {"reason": "late", "amount": 2000})
    khalti.arm("refund", "drop_after")
    await day.ask("POST", f"/v1/payments/{first}/refunds", staff, {"reason": "late", "amount": 3000})
    for status, body in ((400, ECHO), (500, ECHO), (200, ECHO), (401, ECHO)):
        khalti.arm("initiate", "raw", status=status, body=body)
        await day.open(await day.booking())
    for fault in (
        {"fault": "raw", "status": 500, "body": ECHO},
        {"fault": "raw", "body": ECHO},
        {"fault": "malformed"},
    ):
        payment, _ = await day.paid()
        khalti.arm("lookup", **fault)
        await day.ask("POST", f"/v1/payments/{payment}/verification", staff)
    late = (await day.open(other := await day.booking())).json()
    await day.ask("POST", f"/v1/bookings/{other}/cancellation", staff)
    khalti.pay(late["gateway_reference"])
    held = (await day.ask("POST", f"/v1/payments/{late['id']}/verification", staff)).json()
    decision = {"decision": "refund", "reason": "paid too late", "version": held["version"]}
    await day.ask("POST", f"/v1/payments/{late['id']}/resolution", staff, decision)
    await _is_refused(day, first, pidx)
    await _the_worker_looks(day, url)
    for payment in (first, late["id"]):
        day.told.append((await day.ask("GET", f"/v1/payments/{payment}/timeline", staff)).text)
    day.told.append((await day.ask("GET", "/v1/events?limit=100", staff)).text)
    return str(first)


async def _is_refused(day: Day, payment: str, pidx: str) -> None:
    """Requests that nobody should make, with canaries in them."""
    wrong = {"Authorization": f"{day.staff['Authorization']}x"}
    await day.ask("GET", f"/v1/bookings?status={CLAIM}&customer={MOBILE}", day.staff)
    await day.ask("GET", f"/v1/bookings/1?mobile={MOBILE}&status={CLAIM}", wrong)
    await day.ask("POST", f"/v1/payments/{payment}/refunds", day.customer, {"reason": BODY, "amount": BODY})
    await day.ask("POST", f"/v1/payments/{payment}/refunds", day.staff, {"reason": BODY, "amount": 10**9})
    await day.ask("POST", f"{GUIDE}/process_khalti_callback/", day.customer, {"pidx": pidx, "booking_id": BODY})
    claims = {"pidx": pidx, "booking_id": 1, "transaction_id": BODY, "voucher_code": BODY, "expected_amount": BODY}
    await day.ask("POST", f"{GUIDE}/process_khalti_callback/", day.customer, claims)
    initiation = {"booking_id": 1, "return_url": f"{SHOP}/", "website_url": SHOP, "voucher_code": BODY}
    await day.ask("POST", f"{GUIDE}/initiate_khalti_payment/", day.customer, initiation)
    await day.ask("GET", f"/pay/1?key={CLAIM}", {})
    day.refused.append(
        (await day.http.post(f"{day.service.url}/v1/bookings", content=f'{{"{BODY}":', headers=day.staff)).text
    )


async def _the_worker_looks(day: Day, url: str) -> None:
    """Everything is due, and is looked at; one row cannot be read, with a canary in it."""
    database = database_at(url)
    poison = (await day.open(await day.booking())).json()["id"]
    await database.change(f"UPDATE payments SET order_reference = '{BODY}' WHERE id = '{poison}'")  # noqa: S608
    due = "'2026-01-15T06:15:00.000000+00:00'" if url.startswith("sqlite") else "'2026-01-15T06:15:00+00:00'"
    await database.change(f"UPDATE payments SET next_check_at = {due} WHERE next_check_at IS NOT NULL")  # noqa: S608
    await database.change("UPDATE paces SET silences = 0, away_until = NULL")
    await database.close()
    wait_for(
        lambda: "cannot be read" in day.service.told() and "reconciled" in day.service.told(), 30, day.service.told
    )


async def dump_of(url: str) -> list[tuple[str, str, str]]:
    """Table, column and value of everything that the database holds."""
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as file:
            file.row_factory = sqlite3.Row
            tables = [row[0] for row in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            rows: dict[str, Sequence[Any]] = {
                table: [dict(row) for row in file.execute(f'SELECT * FROM "{table}"')]  # noqa: S608
                for table in tables
            }
        file.close()
    else:
        connection = await asyncpg.connect(url)
        found = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        rows = {row[0]: await connection.fetch(f'SELECT * FROM "{row[0]}"') for row in found}  # noqa: S608
        await connection.close()
    return [
        (table, column, value.decode("latin-1") if isinstance(value, bytes) else str(value))
        for table, found_there in rows.items()
        for row in found_there
        for column, value in dict(row).items()
    ]


def printed(day: Day, *arguments: str) -> str:
    """What a command prints, on both of its outputs."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    path = os.pathsep.join((str(ROOT / "src"), os.environ.get("PYTHONPATH", "")))
    environ = {**os.environ, **day.service.environ, "PYTHONPATH": path}
    ran = subprocess.run(
        command, env=environ, cwd=day.service.folder, capture_output=True, text=True, timeout=60, check=False
    )
    return ran.stdout + ran.stderr


@pytest.mark.fault("F31")
@pytest.mark.fault("F97")
@pytest.mark.fault("F93")
@pytest.mark.invariant("I20")
async def test_no_canary_sings_where_it_must_not(day: Day, fresh_database_url: str) -> None:
    payment = await what_happens_in_a_day(day, fresh_database_url)
    commands = [
        printed(day, "audit", "--ledger", f"{day.khalti.address}/_sim/payments"),
        printed(day, "reconcile", "--payment", payment, "--explain"),
        printed(day, "keys", "list"),
        printed(day, "check-settings"),
        printed(day, "gateways"),
    ]

    tokens = [each["Authorization"].removeprefix("Bearer ") for each in (day.customer, day.staff)]
    secrets = [KHALTI_KEY, JWT_SECRET, LINK_SECRET, DATABASE_PASSWORD, *tokens]
    transactions = [str(paid.transaction_id) for paid in day.khalti.simulator.payments() if paid.transaction_id]
    persons = [NAME, EMAIL, PHONE, MOBILE]
    log = day.service.log.read_text() + day.service.output.read_text()
    assert "reconciled" in log
    assert len(day.refused) >= 10
    for canary in (*secrets, *persons, CLAIM, BODY, KEY, *transactions):
        assert canary not in log, f"{canary} is in the log"
    for canary in (*secrets, *persons, CLAIM, KEY):
        assert canary not in "".join(day.refused), f"{canary} is in a refusal"
        assert canary not in "".join(day.told), f"{canary} is in a story"
        assert canary not in "".join(commands), f"{canary} is printed by a command"
    kept = await dump_of(fresh_database_url)
    assert {table for table, _, _ in kept} >= {"bookings", "payments", "events", "refunds", "answers", "observations"}
    for canary in (*secrets, *persons, CLAIM, KEY):
        places = {(table, column) for table, column, value in kept if canary in value}
        assert places <= ALLOWED.get(canary, frozenset()), f"{canary} is stored in {places}"
