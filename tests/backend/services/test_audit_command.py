"""`sewapay audit` and `sewapay reconcile` on a real file, beside Khalti's stand-in."""

import asyncio
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from attrs import define, field, frozen
from click.testing import CliRunner

from sewapay.adapters.khalti.simulator import Simulator, create_app
from sewapay.adapters.sql.migrations import migrate
from sewapay.application.access import Principal, Role, Scope
from sewapay.application.open_checkout import CheckoutRequest
from sewapay.application.refund_payment import RefundRequest
from sewapay.application.register_booking import NewBooking
from sewapay.application.verify_payment import Verification
from sewapay.domain.booking import Customer
from sewapay.domain.identifiers import CustomerId, GatewayName
from sewapay.domain.money import Money
from sewapay.domain.payment import Payment
from sewapay.entrypoints.cli import main
from sewapay.entrypoints.container import build_container
from tests.servers import run_in_thread

ROOT: Final = Path(__file__).resolve().parents[3]
PROGRAM: Final = (sys.executable, "-c", "from sewapay.entrypoints.cli import main; main()")
OURS: Final = ("SEWAPAY_", "KHALTI_", "FAKE_")
SHOP: Final = Principal(role=Role.SERVICE, id="0123456789abcdef", scopes=frozenset(Scope))
SITA: Final = Customer(id=CustomerId("42"))


@frozen
class Done:
    """What came of a command."""

    returncode: int
    stdout: str
    stderr: str


@define
class Small:
    """A small shop in a file, its gateway Khalti's stand-in, and the commands run beside it."""

    folder: Path
    simulator: Simulator
    khalti: str
    payments: dict[str, Payment] = field(factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        return {
            "SEWAPAY_ENV": "test",
            "SEWAPAY_DATABASE_URL": f"sqlite:///{self.folder}/sewapay.db",
            "KHALTI_SECRET_KEY": "k" * 32,
            "KHALTI_BASE_URL": f"{self.khalti}/api/v2",
        }

    @property
    def ledger(self) -> str:
        return f"{self.khalti}/_sim/payments"

    def run(self, *arguments: str, **variables: str) -> Done:
        """One command, with this shop's variables and none of the machine's."""
        nothing = {name: None for name in os.environ if name.startswith(OURS)}
        with contextlib.chdir(self.folder):
            ran = CliRunner().invoke(main, arguments, env={**nothing, **self.environ, **variables})
        if ran.exception is not None and not isinstance(ran.exception, SystemExit):
            raise ran.exception
        return Done(ran.exit_code, ran.stdout, ran.stderr)

    def run_alone(self, *arguments: str, **variables: str) -> Done:
        """The same in a process of its own."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        ran = subprocess.run(
            [*PROGRAM, *arguments],
            cwd=self.folder,
            env=inherited | {"PYTHONPATH": str(ROOT / "src")} | self.environ | variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Done(ran.returncode, ran.stdout, ran.stderr)

    def execute(self, statement: str, *values: object) -> None:
        """Plain SQL, whatever triggers would say."""
        with contextlib.closing(sqlite3.connect(self.folder / "sewapay.db")) as connection:
            for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                connection.execute(f"DROP TRIGGER {trigger}")
            connection.execute(statement, values)
            connection.commit()

    def id(self, name: str) -> str:
        return str(self.payments[name].id)

    async def fill(self) -> None:
        """Links that are open, used, canceled; money that came, came twice, and went back."""
        container = build_container(self.environ)
        store = container.store()
        await store.open()

        async def opened(name: str) -> Payment:
            new = NewBooking(by=SHOP, id=None, customer=SITA, title="Deep cleaning", amount=Money(113000))
            booking = await container.register_booking()(new)
            request = CheckoutRequest(by=SHOP, booking_id=booking.id, gateway=GatewayName("khalti"))
            self.payments[name] = (await container.open_checkout()(request)).payment
            return self.payments[name]

        async def looked_up(payment: Payment) -> None:
            verification = Verification(by=None, payment=payment.id, even_if_settled=True)
            await container.verify_payment()(verification)

        async def paid(name: str) -> Payment:
            payment = await opened(name)
            self.simulator.pay(str(payment.gateway_reference))
            await looked_up(payment)
            return payment

        async def refund(payment: Payment, amount: Money | None) -> None:
            request = RefundRequest(by=SHOP, payment_id=payment.id, amount=amount, reason="asked for")
            await container.refund_payment()(request)

        try:
            await opened("open")
            await paid("paid")
            for name, happens in (("canceled", self.simulator.cancel), ("expired", self.simulator.expire)):
                happens(str((await opened(name)).gateway_reference))
                await looked_up(self.payments[name])
            self.simulator.pend(str((await opened("pending")).gateway_reference))
            await looked_up(self.payments["pending"])
            await refund(await paid("refunded"), None)
            await refund(await paid("partly refunded"), Money(30000))
            in_parts = await paid("refunded in parts")
            await refund(in_parts, Money(30000))
            await refund(in_parts, None)
            in_the_panel = await paid("refunded in the panel")
            self.simulator.refund(str(in_the_panel.gateway_reference), None)
            await looked_up(in_the_panel)
        finally:
            await container.http_client().aclose()
            await store.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    simulator = Simulator(seed=20260115)
    with run_in_thread(create_app(simulator)) as address:
        small = Small(tmp_path, simulator, address)
        migrate(small.environ["SEWAPAY_DATABASE_URL"])
        asyncio.run(small.fill())
        yield small


def lines(done: Done) -> list[str]:
    return done.stdout.splitlines()


def test_an_audit_says_what_it_read_and_checked_and_that_all_is_in_order(small: Small) -> None:
    done = small.run("audit")

    assert (done.returncode, done.stderr) == (0, "")
    assert lines(done)[0].startswith("Read 9 bookings, 9 payments, ")
    assert lines(done)[1].startswith("Checked I2, I3, ")
    assert lines(done)[-1] == "All is in order."


def test_an_audit_beside_the_gateways_books_finds_nothing_where_both_agree(small: Small) -> None:
    done = small.run_alone("audit", "--ledger", small.ledger)

    assert (done.returncode, done.stderr) == (0, "")
    assert lines(done)[2] == "Compared with 9 payments of the statement (khalti, sandbox)."
    assert lines(done)[3:] == ["All is in order."]


def test_a_broken_promise_is_a_line_and_exit_code_1(small: Small) -> None:
    small.execute("UPDATE payments SET surplus = 1 WHERE id = ?", small.id("paid"))

    done = small.run("audit")

    assert done.returncode == 1
    assert f"I4 payment {small.id('paid')}: its money came, and it settles the booking and is surplus" in lines(done)
    assert lines(done)[-1].startswith("Not in order: ")


def test_a_difference_to_the_gateways_books_is_a_line_and_exit_code_1(small: Small) -> None:
    small.execute("UPDATE payments SET status = 'expired', next_check_at = NULL WHERE id = ?", small.id("open"))
    small.simulator.pay(str(small.payments["open"].gateway_reference))

    done = small.run("audit", "--ledger", small.ledger)

    assert done.returncode == 1
    wanted = f"Difference: paid there only, payment {small.id('open')}: here it is expired, there completed"
    assert [line for line in lines(done) if line.startswith(wanted)], done.stdout


def test_what_the_next_look_will_settle_is_told_and_is_in_order(small: Small) -> None:
    small.simulator.pay(str(small.payments["open"].gateway_reference))

    done = small.run("audit", "--ledger", small.ledger)

    assert done.returncode == 0
    wanted = f"On its way: paid there only, payment {small.id('open')}"
    assert [line for line in lines(done) if line.startswith(wanted)], done.stdout


def test_a_statement_may_be_a_file(small: Small, tmp_path: Path) -> None:
    shown = httpx.get(small.ledger, trust_env=False).json()
    shown["payments"] = [line for line in shown["payments"] if line["pidx"] != small.payments["paid"].gateway_reference]
    (tmp_path / "statement.json").write_text(json.dumps(shown))

    done = small.run("audit", "--ledger", "statement.json")

    assert done.returncode == 1
    assert any(line.startswith(f"Difference: missing there, payment {small.id('paid')}") for line in lines(done))


@pytest.mark.parametrize("ledger", ["missing.json", "http://127.0.0.1:1/nothing", "http://["])
def test_a_statement_that_cannot_be_read_is_a_mistake_in_the_command(small: Small, ledger: str) -> None:
    done = small.run("audit", "--ledger", ledger)

    assert (done.returncode, done.stdout) == (2, "")
    assert "--ledger" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("text", ["{", '{"payments": [{"pidx": "x"}]}', "[" * 100_000])
def test_a_file_that_is_no_statement_is_a_mistake_in_the_command(small: Small, tmp_path: Path, text: str) -> None:
    (tmp_path / "statement.json").write_text(text)

    done = small.run("audit", "--ledger", "statement.json")

    assert done.returncode == 2
    assert "statement" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_audit_of_a_database_that_is_not_there_says_so(tmp_path: Path) -> None:
    small = Small(tmp_path, Simulator(), "http://127.0.0.1:1")

    done = small.run("audit")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("sewapay: the database file cannot be opened")


def test_an_audit_changes_nothing(small: Small) -> None:
    def dump() -> list[str]:
        with contextlib.closing(sqlite3.connect(small.folder / "sewapay.db")) as connection:
            return list(connection.iterdump())

    before = dump()

    small.run("audit", "--ledger", small.ledger)

    assert dump() == before


def test_reconciling_settles_what_is_due(small: Small) -> None:
    small.simulator.pay(str(small.payments["open"].gateway_reference))
    small.execute("UPDATE payments SET next_check_at = created_at WHERE id = ?", small.id("open"))

    done = small.run_alone("reconcile")

    assert done.returncode == 0
    assert done.stdout.startswith("1 due payments taken: 1 asked about, 1 changed, 0 without an answer, ")
    assert small.run("audit", "--ledger", small.ledger).returncode == 0


def test_reconciling_while_a_gateway_is_away_says_that_what_is_due_waits(small: Small) -> None:
    small.execute(
        "INSERT OR REPLACE INTO paces (gateway, environment, spent_until, silences, away_until) VALUES (?, ?, ?, ?, ?)",
        *("khalti", "sandbox", "2026-01-01T00:00:00.000000+00:00", 5, "2099-01-01T06:00:00.000000+00:00"),
    )

    done = small.run_alone("reconcile")

    assert (done.returncode, lines(done)) == (
        0,
        [
            "0 due payments taken: 0 asked about, 0 changed, 0 without an answer, 0 left for later,"
            " 0 put aside by an error.",
            "What is due at khalti waits: until 2099-01-01 11:45:00 (06:00:00 UTC) it is left alone, for it does not"
            " answer, or refuses our key.",
        ],
    )


def test_reconciling_tells_of_payments_whose_gateway_is_not_enabled_any_more(small: Small) -> None:
    small.execute("UPDATE payments SET next_check_at = '2026-01-15T06:15:00.000000+00:00'")
    small.execute("UPDATE payments SET gateway = 'A hand was here' WHERE id = ?", small.id("pending"))

    done = small.run_alone("reconcile", SEWAPAY_GATEWAYS="fake")

    assert done.returncode == 0
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == [
        "nobody asks khalti (sandbox), which is not enabled here, about its undecided payments that are due (1): enable"
        " it again until they are decided, or decide each by hand as `sewapay reconcile --payment ID --explain` tells"
    ]


def test_reconciling_one_payment_asks_about_it_now(small: Small) -> None:
    small.simulator.pay(str(small.payments["open"].gateway_reference))

    done = small.run("reconcile", "--payment", small.id("open"))

    payment = small.payments["open"]
    assert (done.returncode, lines(done)) == (
        0,
        [f"Payment {payment.id} (Rs 1,130.00) is completed; booking {payment.booking_id} is confirmed."],
    )


def test_reconciling_one_payment_whose_gateway_is_away_says_how_it_stands_and_that(small: Small) -> None:
    done = small.run("reconcile", "--payment", small.id("open"), KHALTI_BASE_URL="http://127.0.0.1:1/api/v2")

    assert done.returncode == 1
    assert "is open, outcome unknown; booking" in done.stdout
    assert "sewapay: the gateway gave no usable answer: " in done.stderr


def test_a_payment_is_explained_after_a_look(small: Small) -> None:
    done = small.run("reconcile", "--payment", small.id("partly refunded"), "--explain")

    assert done.returncode == 0
    assert lines(done)[0] == f"Payment {small.id('partly refunded')}"
    assert "  The gateway was asked just now." in lines(done)
    assert any(line.startswith("  Rs 300.00 was given back.") for line in lines(done))


def test_a_payment_is_explained_from_what_is_stored_when_its_gateway_is_away(small: Small) -> None:
    done = small.run(
        "reconcile", "--payment", small.id("paid"), "--explain", KHALTI_BASE_URL="http://127.0.0.1:1/api/v2"
    )

    assert done.returncode == 0
    assert any("gave no usable answer" in line for line in lines(done))
    assert any(line.startswith("  It is paid: Rs 1,130.00 came at ") for line in lines(done))


def test_a_payment_of_a_gateway_that_is_not_enabled_any_more_is_explained_all_the_same(small: Small) -> None:
    done = small.run("reconcile", "--payment", small.id("paid"), "--explain", SEWAPAY_GATEWAYS="fake")

    assert done.returncode == 0
    assert any("gave no usable answer" in line for line in lines(done))


@pytest.mark.parametrize("arguments", [("--explain",), ("--payment", "123")])
def test_a_wrong_use_of_reconcile_is_exit_code_2(small: Small, arguments: tuple[str, ...]) -> None:
    done = small.run("reconcile", *arguments)

    assert done.returncode == 2
    assert "--payment" in done.stderr


def test_a_payment_that_is_not_there_is_one_sentence(small: Small) -> None:
    done = small.run("reconcile", "--payment", "00000000-0000-4000-8000-000000000000")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "sewapay: Payment not found or access denied\n"
