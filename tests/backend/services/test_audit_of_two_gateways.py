"""`sewapay audit` in a shop with two gateways, beside each one's stand-in: one names payments itself, one does not."""

import asyncio
import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from attrs import define, field
from click.testing import CliRunner, Result

from sewapay.adapters.esewa import simulator as esewa
from sewapay.adapters.khalti import simulator as khalti
from sewapay.adapters.sql.migrations import migrate
from sewapay.application.access import Principal, Role, Scope
from sewapay.application.auditing.truth import truth_from_simulator
from sewapay.application.open_checkout import CheckoutRequest
from sewapay.application.register_booking import NewBooking
from sewapay.application.verify_payment import Verification
from sewapay.domain.booking import Customer
from sewapay.domain.checkout import PostForm
from sewapay.domain.identifiers import CustomerId, GatewayName
from sewapay.domain.money import Money
from sewapay.domain.payment import Payment
from sewapay.entrypoints.cli import main
from sewapay.entrypoints.container import build_container
from tests.servers import run_in_thread

OURS: Final = ("SEWAPAY_", "KHALTI_", "ESEWA_", "FAKE_")
SHOP: Final = Principal(role=Role.SERVICE, id="0123456789abcdef", scopes=frozenset(Scope))
SITA: Final = Customer(id=CustomerId("42"))


@define
class Two:
    """A shop in a file whose customers pay at Khalti's and at eSewa's stand-in."""

    folder: Path
    khalti: khalti.Simulator
    esewa: esewa.Simulator
    khalti_address: str
    esewa_address: str
    payments: dict[str, Payment] = field(factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        return {
            "SEWAPAY_ENV": "test",
            "SEWAPAY_GATEWAYS": "khalti,esewa",
            "SEWAPAY_DATABASE_URL": f"sqlite:///{self.folder}/sewapay.db",
            "KHALTI_SECRET_KEY": "k" * 32,
            "KHALTI_BASE_URL": f"{self.khalti_address}/api/v2",
            "ESEWA_PRODUCT_CODE": "EPAYTEST",
            "ESEWA_SECRET_KEY": "8gBm/:&EnhH.1/q",
            "ESEWA_FORM_URL": f"{self.esewa_address}/api/epay/main/v2/form",
            "ESEWA_STATUS_URL": f"{self.esewa_address}/api/epay/transaction/status/",
        }

    def audit(self, address: str) -> Result:
        return self.run("audit", "--ledger", f"{address}/_sim/payments")

    def run(self, *arguments: str, **variables: str) -> Result:
        nothing = {name: None for name in os.environ if name.startswith(OURS)}
        with contextlib.chdir(self.folder):
            return CliRunner().invoke(main, arguments, env={**nothing, **self.environ, **variables})

    def execute(self, statement: str, *values: object) -> None:
        """Plain SQL, whatever triggers would say."""
        with contextlib.closing(sqlite3.connect(self.folder / "sewapay.db")) as connection:
            for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                connection.execute(f"DROP TRIGGER {trigger}")
            connection.execute(statement, values)
            connection.commit()

    async def fill(self) -> None:
        """A payment at Khalti; forms at eSewa that were never entered, left, paid, canceled, in doubt, refunded."""
        container = build_container(self.environ)
        store = container.store()
        await store.open()

        async def opened(name: str, gateway: str) -> Payment:
            new = NewBooking(by=SHOP, id=None, customer=SITA, title="Deep cleaning", amount=Money(113000))
            booking = await container.register_booking()(new)
            request = CheckoutRequest(by=SHOP, booking_id=booking.id, gateway=GatewayName(gateway))
            self.payments[name] = payment = (await container.open_checkout()(request)).payment
            return payment

        async def looked_up(payment: Payment) -> None:
            await container.verify_payment()(Verification(by=None, payment=payment.id, even_if_settled=True))

        async def entered(name: str) -> str:
            payment = await opened(name, "esewa")
            assert isinstance(payment.next_step, PostForm)
            self.esewa.post(payment.next_step.fields)
            return str(payment.order_reference)

        try:
            at_khalti = await opened("at khalti", "khalti")
            self.khalti.pay(str(at_khalti.gateway_reference))
            await opened("never entered", "esewa")
            for name, happens in (
                ("entered", None),
                ("logged in", self.esewa.log_in),
                ("left", self.esewa.expire),
                ("paid", self.esewa.pay),
                ("pending", self.esewa.pend),
                ("canceled", self.esewa.cancel),
                ("in doubt", self.esewa.leave_ambiguous),
            ):
                reference = await entered(name)
                if happens is not None:
                    happens(reference)
            reference = await entered("refunded")
            self.esewa.pay(reference)
            await looked_up(self.payments["refunded"])
            self.esewa.refund(reference)
            for payment in self.payments.values():
                await looked_up(payment)
        finally:
            await container.http_client().aclose()
            await store.close()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    at_khalti, at_esewa = khalti.Simulator(seed=20260115), esewa.Simulator(seed=20260115)
    with (
        run_in_thread(khalti.create_app(at_khalti)) as khalti_address,
        run_in_thread(esewa.create_app(at_esewa)) as esewa_address,
    ):
        two = Two(tmp_path, at_khalti, at_esewa, khalti_address, esewa_address)
        migrate(two.environ["SEWAPAY_DATABASE_URL"])
        asyncio.run(two.fill())
        yield two


def test_an_audit_beside_each_gateways_books_finds_nothing_where_both_agree(two: Two) -> None:
    at_khalti, at_esewa = two.audit(two.khalti_address), two.audit(two.esewa_address)

    assert (at_khalti.exit_code, at_esewa.exit_code) == (0, 0), at_khalti.output + at_esewa.output
    assert at_khalti.stdout.splitlines()[2:] == [
        "Compared with 1 payments of the statement (khalti, sandbox).",
        "All is in order.",
    ]
    assert at_esewa.stdout.splitlines()[2:] == [
        "Compared with 8 payments of the statement (esewa, sandbox).",
        "All is in order.",
    ]


def test_money_that_came_late_to_a_form_that_expired_here_is_told(two: Two) -> None:
    payment = two.payments["left"]
    two.execute("UPDATE payments SET status = 'expired', next_check_at = NULL WHERE id = ?", str(payment.id))
    two.esewa.pay(str(payment.order_reference))

    done = two.audit(two.esewa_address)

    assert done.exit_code == 1
    wanted = f"Difference: paid there only, payment {payment.id}: here it is expired, there completed"
    assert [line for line in done.stdout.splitlines() if line.startswith(wanted)], done.stdout


def test_money_that_came_to_a_form_is_on_its_way_while_it_is_watched(two: Two) -> None:
    two.esewa.pay(str(two.payments["entered"].order_reference))

    done = two.audit(two.esewa_address)

    assert done.exit_code == 0
    assert f"On its way: paid there only, payment {two.payments['entered'].id}" in done.stdout


def test_a_payment_that_is_missing_in_esewas_books_is_told_and_khaltis_are_left_alone(two: Two) -> None:
    shown = httpx.get(f"{two.esewa_address}/_sim/payments", trust_env=False).json()
    (two.folder / "statement.json").write_text(json.dumps(shown | {"payments": []}))

    done = two.run("audit", "--ledger", "statement.json")

    missing = [line for line in done.stdout.splitlines() if line.startswith("Difference: ")]
    assert done.exit_code == 1
    assert [line.split(":")[1] for line in missing] == [
        f" missing there, payment {two.payments[name].id}" for name in ("paid", "refunded")
    ]


def test_a_statement_of_a_gateway_that_is_not_enabled_is_refused(two: Two) -> None:
    done = two.run("audit", "--ledger", f"{two.esewa_address}/_sim/payments", SEWAPAY_GATEWAYS="khalti")

    assert done.exit_code == 2
    assert "the statement is of a gateway that is not enabled here" in done.stderr


def test_a_form_in_doubt_is_explained_with_the_portal_and_our_reference(two: Two) -> None:
    payment = two.payments["in doubt"]

    done = two.run("reconcile", "--payment", str(payment.id), "--explain")

    assert done.exit_code == 0, done.output
    assert f"  The gateway knows it by our order reference, {payment.order_reference}." in done.stdout.splitlines()
    assert f"  Write to the gateway, and name {payment.order_reference}, the amount and the time." in done.stdout


def test_where_money_of_a_form_is_given_back_is_explained(two: Two) -> None:
    done = two.run("reconcile", "--payment", str(two.payments["paid"].id), "--explain")

    wanted = "Give it back in eSewa's merchant portal (https://merchant.esewa.com.np); the next look notices it."
    assert wanted in done.stdout
    assert "/refunds" not in done.stdout


def test_esewas_stand_in_tells_its_books_in_neutral_words(two: Two) -> None:
    shown = httpx.get(f"{two.esewa_address}/_sim/payments", trust_env=False).json()

    told = {row["reference"]: (row["order_reference"], row["reported"], row["refunds"]) for row in shown["payments"]}
    words = {name: told[str(two.payments[name].order_reference)][1] for name in two.payments if name in ESEWA}
    assert shown["gateway"] == "esewa"
    assert words == ESEWA
    refunded = str(two.payments["refunded"].order_reference)
    assert told[refunded][0] == refunded
    assert [(refund["amount"], refund["by"]) for refund in told[refunded][2]] == [(113000, "panel")]


ESEWA: Final = {
    "entered": "absent",
    "logged in": "pending",
    "left": "absent",
    "paid": "completed",
    "pending": "pending",
    "canceled": "canceled",
    "in doubt": "ambiguous",
    "refunded": "refunded",
}


def test_khaltis_stand_in_says_the_same_in_its_own_words_and_in_neutral_ones(two: Two) -> None:
    for happens in (two.khalti.pend, two.khalti.cancel, two.khalti.expire, two.khalti.pay, lambda _: None):
        purchase = two.khalti.find(str(two.payments["at khalti"].gateway_reference)).purchase
        happens(two.khalti.open(purchase, secret_key="k" * 32).pidx)
    for amount in (30000, None):
        paid = two.khalti.pay(two.khalti.open(purchase, secret_key="k" * 32).pidx)
        two.khalti.refund(paid.pidx, amount)
    shown = httpx.get(f"{two.khalti_address}/_sim/payments", trust_env=False).json()
    neutral = ("gateway", "reference", "order_reference", "reported")
    own = {"payments": [{k: v for k, v in row.items() if k not in neutral} for row in shown["payments"]]}

    assert [row["reported"] for row in shown["payments"]] == [
        "completed",
        "pending",
        "canceled",
        "expired",
        "completed",
        "initiated",
        "partially_refunded",
        "refunded",
    ]
    assert truth_from_simulator(own) == truth_from_simulator(shown)
