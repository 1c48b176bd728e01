"""The one order that the tests of adapters ask gateways about, and where its customer comes back to."""

from typing import Final

from sewapay.application.ports import Order, Urls
from sewapay.domain.identifiers import BookingId, OrderReference, PaymentId
from sewapay.domain.money import Money

REFERENCE: Final = "7Q2M9X4KD8ZT1B6VHR3C"
URLS: Final = Urls(
    return_url="https://shop.example/return/77/",
    failure_url="https://shop.example/return/77/unfinished/",
    website_url="https://shop.example",
)


def an_order(paisa: int = 113000, *, title: str = "House cleaning", reference: str = REFERENCE) -> Order:
    """An order that was not opened yet."""
    return Order(
        payment_id=PaymentId("5f0c3f52-8a43-4a53-9d5f-0d4a7e5b1c11"),
        booking_id=BookingId(77),
        reference=OrderReference(reference),
        gateway_reference=None,
        amount=Money(paisa),
        title=title,
    )
