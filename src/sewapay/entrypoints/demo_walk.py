"""One whole payment by HTTP, as a shop, its front end, a browser and a customer make it; each step is told.

Khalti's goes through the integration guide's addresses, every other gateway's through `/v1`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import click
import httpx
from attrs import field, frozen

from sewapay.domain.money import Money

__all__ = ["CUSTOMER", "Walk", "checked", "outcome", "register", "say"]

CUSTOMER: Final = "42"
BOOKING: Final = {
    "id": 123,
    "customer": {"id": CUSTOMER, "name": "Sita Sharma", "email": "sita@example.com", "phone": "9800000001"},
    "title": "Deep cleaning, two rooms",
    "amount": 113000,
}
SHOP: Final = "http://localhost:3000"


def say(text: str) -> None:
    """Tell the person at the terminal."""
    click.echo(text)


def checked(answer: httpx.Response, *wanted: int) -> dict[str, Any]:
    """What an answer holds. Raises `RuntimeError` for one that a payment should not meet."""
    if answer.status_code not in wanted:
        raise RuntimeError(f"{answer.request.url.path} answered {answer.status_code}: {answer.text[:300]}")
    body: dict[str, Any] = answer.json()
    return body


async def register(api: httpx.AsyncClient) -> dict[str, Any]:
    """The shop registers what is owed."""
    booking = checked(await api.post("/v1/bookings", json=BOOKING), 201)
    say(f"1. The shop registered booking {booking['id']}: {booking['title']}, {booking['amount_display']}.")
    return booking


async def outcome(api: httpx.AsyncClient, booking_id: int) -> tuple[str, bool]:
    """How a booking stands and what came for it, in a sentence; and whether it is confirmed."""
    booking = checked(await api.get(f"/v1/bookings/{booking_id}"), 200)
    payments = checked(await api.get("/v1/payments", params={"booking_id": booking_id}), 200)["items"]
    came = _came([payment["amount_paid"] for payment in payments if payment["amount_paid"] is not None])
    return f"Booking {booking_id} is {booking['status']}: {came}.", booking["status"] == "confirmed"


def _came(amounts: Sequence[int]) -> str:
    if not amounts:
        return "nothing came"
    often = "once" if len(amounts) == 1 else f"in {len(amounts)} payments"
    return f"{Money(sum(amounts))} came, {often}"


@frozen(kw_only=True)
class Walk:
    """A payment through one gateway.

    `label` is how people call the gateway, `stand_in` the address of its stand-in, which calls a payment `reference`.
    `api` is the merchant's own service, and `customer` the headers of a signed-in customer.
    """

    gateway: str
    label: str
    stand_in: str
    reference: str
    api: httpx.AsyncClient
    customer: Mapping[str, str] = field(repr=False)

    async def __call__(self) -> int:
        """Walk it to its end; the exit code."""
        booking = await register(self.api)
        async with httpx.AsyncClient(base_url=str(self.api.base_url), trust_env=False, timeout=20) as browser:
            if self.gateway == "khalti":
                await self._by_the_guide(browser, booking)
            else:
                await self._by_the_api(browser, booking)
        sentence, is_confirmed = await outcome(self.api, booking["id"])
        say(f"6. {sentence}")
        return 0 if is_confirmed else 1

    async def _by_the_guide(self, browser: httpx.AsyncClient, booking: Mapping[str, Any]) -> None:
        opened = checked(
            await browser.post(
                "/api/bookings/payments/initiate_khalti_payment/",
                headers=self.customer,
                json={
                    "booking_id": booking["id"],
                    "return_url": f"{SHOP}/payment/callback",
                    "website_url": SHOP,
                },
            ),
            200,
        )["data"]
        lives = f"{opened['expires_in'] // 60} minutes"
        say(f"2. The customer pressed Pay: Khalti gave pidx {opened['pidx']} and a link that lives {lives}.")
        await self._pays_and_comes_back(browser, opened["pidx"])
        verified = checked(
            await browser.post(
                "/api/bookings/payments/process_khalti_callback/",
                headers=self.customer,
                json={"pidx": opened["pidx"], "transaction_id": None, "booking_id": booking["id"]},
            ),
            200,
        )
        if not verified["success"]:
            raise RuntimeError(verified["error"])
        say(f"5. Verified: {verified['message']}; Khalti's transaction is {verified['khalti_transaction_id']}.")

    async def _by_the_api(self, browser: httpx.AsyncClient, booking: Mapping[str, Any]) -> None:
        opened = checked(
            await browser.post(
                "/v1/payments",
                headers={**self.customer, "Idempotency-Key": f"demo-{booking['id']}-{self.gateway}"},
                json={
                    "booking_id": booking["id"],
                    "gateway": self.gateway,
                    "return_url": f"{SHOP}/payment/done",
                },
            ),
            201,
        )
        name = opened["gateway_reference"] or opened["order_reference"]
        say(f"2. The customer pressed Pay: {await self._goes_there(browser, opened['next_step'])}, as {name}.")
        await self._pays_and_comes_back(browser, name)
        paid = checked(await browser.get(f"/v1/payments/{opened['id']}", headers=self.customer), 200)
        if paid["status"] != "completed":
            raise RuntimeError(f"the payment is {paid['status']}")
        say(f"5. Verified: the payment is {paid['status']}; {self.label}'s transaction is {paid['transaction_id']}.")

    async def _goes_there(self, browser: httpx.AsyncClient, step: Mapping[str, Any]) -> str:
        """Bring the browser to the gateway's page, and say how."""
        if step["kind"] == "post_form":
            page = await browser.post(step["url"], data=step["fields"])
            how = f"the browser posted a form of {len(step['fields'])} fields to {self.label}'s page"
        else:
            page = await browser.get(step["url"])
            how = f"the browser opened {self.label}'s page"
        if not page.is_success:
            raise RuntimeError(f"{self.label}'s page answered {page.status_code}")
        return how

    async def _pays_and_comes_back(self, browser: httpx.AsyncClient, name: str) -> None:
        paid = checked(await browser.post(f"{self.stand_in}/_sim/pay", json={self.reference: name}), 200)
        say(f"3. The customer paid at {self.label}'s page: {paid['status']}.")
        back = await browser.get(paid["return_url"])
        if back.status_code != 303:
            raise RuntimeError(f"the return answered {back.status_code}")
        onward = urlsplit(back.headers["location"]).netloc
        say(f"4. The browser came back; sewapay asked {self.label} and sent it on to {onward}.")
