"""What the shop sends and expects: bookings with their customers' tokens, whole requests, a look at every answer."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec
from attrs import define

from bench.plan import Operation
from bench.processes import JWT_SECRET
from sewapay.adapters.sql.store import build_store
from sewapay.adapters.web.auth import issue_token
from sewapay.application.storage import Tx
from sewapay.domain.booking import Booking, Customer
from sewapay.domain.identifiers import BookingId, CustomerId
from sewapay.domain.money import Money

__all__ = ["Sale", "check", "register", "request"]

TOGETHER: Final = 500
AMOUNT_PAISA: Final = 113_000
_GUIDE: Final = "/api/bookings/payments"


@define
class Sale:
    """One booking on its way: first registered, then opened (it has a pidx), then settled (it has a payment id)."""

    booking_id: int
    token: str
    amount: int
    pidx: str = ""
    payment_id: str = ""
    settled_answer: bytes = b""


async def register(database_url: str, first: int, many: int) -> list[Sale]:
    """Register bookings straight in the database. Each has a customer of its own, so each token is new to the service.

    Amounts differ a little, so that an answer about another payment would be noticed.
    """
    store = build_store(database_url)
    await store.open()
    try:
        numbers = range(first, first + many)
        for start in range(0, many, TOGETHER):
            some = numbers[start : start + TOGETHER]
            await store.transact(lambda tx, some=some: _add(tx, some))  # type: ignore[misc]  # mypy: a default in a lambda
    finally:
        await store.close()
    return [_sale(number) for number in numbers]


def _add(tx: Tx, numbers: range) -> None:
    for number in numbers:
        booking = Booking.register(
            id=BookingId(number),
            customer=Customer(id=CustomerId(str(number)), name="Sita Sharma", email="sita@example.com"),
            title="Deep cleaning, two rooms",
            amount=Money(_amount(number)),
            actor="bench",
            at=datetime.now(UTC),
        )
        tx.bookings.add(booking)


def _sale(number: int) -> Sale:
    return Sale(number, issue_token(JWT_SECRET.encode(), subject=str(number), role="customer"), _amount(number))


def _amount(number: int) -> int:
    return AMOUNT_PAISA + number % 97 * 100


def request(operation: Operation, sale: Sale) -> bytes:
    """The whole HTTP request."""
    if operation is Operation.READ:
        return _written("GET", f"/v1/payments/{sale.payment_id}", sale.token, b"")
    if operation is Operation.INITIATE:
        shop = "http://localhost:3000"
        body: dict[str, object] = {
            "booking_id": sale.booking_id, "return_url": f"{shop}/payment/callback", "website_url": shop,
        }  # fmt: skip
        path = "initiate_khalti_payment"
    else:
        body = {
            "pidx": sale.pidx,
            "transaction_id": f"T{sale.pidx}",
            "booking_id": sale.booking_id,
            "purchase_order_id": f"booking_{sale.booking_id}_1700000000",
        }
        path = "process_khalti_callback"
    return _written("POST", f"{_GUIDE}/{path}/", sale.token, msgspec.json.encode(body))


def _written(method: str, path: str, token: str, body: bytes) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nAuthorization: Bearer {token}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode("ascii") + body


def check(operation: Operation, sale: Sale, status: int, body: bytes) -> str | None:
    """What is wrong with an answer, or None; a right one is taken down in the sale."""
    if status != 200:
        return f"{operation}: HTTP {status}: {body[:200]!r}"
    try:
        fields = msgspec.json.decode(body)
        wrong = _CHECKS[operation](sale, fields, body)
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        wrong = f"{type(error).__name__}: {error}"
    return f"{operation}: {wrong} in {body[:200]!r}" if wrong else None


def _opened(sale: Sale, fields: Any, _body: bytes) -> str | None:
    pidx, url = fields["data"]["pidx"], fields["data"]["payment_url"]
    if fields["success"] is not True or not pidx or not url.endswith(pidx):
        return "no link"
    sale.pidx = pidx
    return None


def _settled(sale: Sale, fields: Any, body: bytes) -> str | None:
    if fields["success"] is not True or fields["booking_status"] != "confirmed":
        return "not settled"
    if fields["khalti_transaction_id"] != f"T{sale.pidx}":
        return "another payment's transaction"
    sale.payment_id = fields["payment_id"]
    sale.settled_answer = body
    return None


def _same_again(sale: Sale, _fields: Any, body: bytes) -> str | None:
    return None if body == sale.settled_answer else "not the answer of the first time"


def _shown(sale: Sale, fields: Any, _body: bytes) -> str | None:
    expected = (sale.payment_id, sale.booking_id, "completed", sale.amount, sale.amount, f"T{sale.pidx}")
    names = ("id", "booking_id", "status", "amount", "amount_paid", "transaction_id")
    return None if tuple(fields[name] for name in names) == expected else "not this payment as it should be"


_CHECKS: Final[Mapping[Operation, Callable[[Sale, Any, bytes], str | None]]] = MappingProxyType(
    {
        Operation.INITIATE: _opened,
        Operation.CALLBACK: _settled,
        Operation.REPEAT: _same_again,
        Operation.READ: _shown,
    }
)
