"""Customers and staff of a shop that keep a service busy, and everything that it acknowledged to them.

Each request that changes something carries an Idempotency-Key and is made again, also at another process, until it is
answered or the round is over. What was not answered by then is asked again in the end, with the same key.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from attrs import define, field, frozen

from tests.backend.system.promises import Rows
from tests.backend.system.world import AS_SITA, AS_STAFF, SHOP, Database, Khalti, a_booking

__all__ = ["Asked", "Customers", "Told"]

PRICE: Final = 113000
REFUND_RANK: Final = {"submitted": 0, "unknown": 1, "confirmed": 2, "rejected": 2}
AGAIN: Final = frozenset({409, 429, 500, 502, 503, 504})
PAUSE_SECONDS: Final = 0.05


@frozen(kw_only=True)
class Asked:
    """A request that is made with a key, as often as it takes."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]


@frozen(kw_only=True)
class Told:
    """The first answer to one, to the byte."""

    asked: Asked
    status: int
    body: bytes


class _RoundOver(Exception):
    """No answer, and no time left in this round."""


@define
class Customers:
    """Everything that was acknowledged, and how it is asked for.

    `urls`: the processes that may be asked; some may be dead. `few`: so many customers come while something starts.
    """

    urls: Sequence[str]
    khalti: Khalti
    http: httpx.AsyncClient
    chance: random.Random
    answered: list[Told] = field(factory=list)
    unanswered: list[Asked] = field(factory=list)
    bookings: set[int] = field(factory=set)
    links: dict[str, int] = field(factory=dict)
    confirmed: set[int] = field(factory=set)
    refunds: dict[str, dict[str, Any]] = field(factory=dict)
    told: Counter[int] = field(factory=Counter)
    is_over: bool = True
    is_starting: bool = False
    few: int = 2
    _keys: int = 0

    async def round(self, customers: int, meanwhile: Callable[[], Awaitable[None]]) -> None:
        """Keep the service busy while something happens, then let everybody finish or give up."""
        self.is_over = self.is_starting = False
        load = [asyncio.create_task(self._come_and_go(number)) for number in range(customers)]
        try:
            await meanwhile()
        finally:
            self.is_over = True
            await asyncio.gather(*load)

    async def _come_and_go(self, number: int) -> None:
        while not self.is_over:
            if self.is_starting and number >= self.few:
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            try:
                await self.one()
            except _RoundOver:
                return

    async def one(self) -> None:
        """One customer: registered, pays, comes back or not, and perhaps gets money back."""
        booking = await self._post("/v1/bookings", a_booking("42", PRICE), AS_STAFF)
        opened = await self._post("/v1/payments", {**_opening(booking["id"])}, AS_SITA)
        if opened["status"] != "open":
            return
        await asyncio.to_thread(self.khalti.simulator.pay, opened["gateway_reference"])
        if self.chance.random() < 0.25:
            return  # the browser was closed
        await self._come_back(opened)
        if self.chance.random() < 0.3:
            await self.give_back(opened["id"], self.chance.choice([None, 30000]))

    async def give_back(self, payment_id: str, amount: int | None) -> None:
        """Staff give money back, all or a part."""
        body: dict[str, Any] = {"reason": "the customer asked", **({} if amount is None else {"amount": amount})}
        await self._post(f"/v1/payments/{payment_id}/refunds", body, AS_STAFF)

    async def ask_for_the_rest(self) -> list[str]:
        """Make every request once more that got no answer; what was refused even now."""
        rest, self.unanswered = self.unanswered, []
        refused = []
        for asked in rest:
            answer = await self.http.post(f"{self._any()}{asked.path}", json=asked.body, headers=asked.headers)
            if answer.is_success:
                self._note(asked, answer)
            else:
                self.unanswered.append(asked)
                refused.append(f"{asked.path}: {answer.status_code} {answer.text[:300]}")
        return refused

    async def untrue(self, database: Database, rows: Rows) -> list[str]:
        """Every acknowledgement that the stored rows do not bear out."""
        refunds = {row["id"]: row for row in await database.rows(_REFUNDS, 1)}
        kept = {row["gateway_reference"]: row["booking_id"] for row in rows.payments.values()}
        return [
            *(f"booking {number} is gone" for number in self.bookings if number not in rows.bookings),
            *(f"link {pidx} is gone" for pidx, number in self.links.items() if kept.get(pidx) != number),
            *(
                f"booking {number} was confirmed and is {rows.bookings[number]['status']}"
                for number in self.confirmed
                if rows.bookings[number]["status"] not in ("confirmed", "refunded")
            ),
            *(f"refund {id}: told {told}, kept {refunds.get(id)}" for id, told in self.refunds.items()
              if not _agrees(told, refunds.get(id))),
        ]  # fmt: skip

    async def changed_when_asked_again(self, most: int) -> list[str]:
        """The answers, of the latest `most`, that are not given again byte for byte."""
        different = []
        for told in self.answered[-most:]:
            answer = await self.http.post(f"{self._any()}{told.asked.path}", json=told.asked.body,
                                          headers=told.asked.headers)  # fmt: skip
            is_same = (answer.status_code, answer.content) == (told.status, told.body)
            if not is_same or answer.headers.get("idempotent-replayed") != "true":
                different.append(f"{told.asked.path}: {told.status} {told.body!r} became {answer.status_code}"
                                 f" {answer.content!r}")  # fmt: skip
        return different

    async def _post(self, path: str, body: dict[str, Any], who: dict[str, str] | Any) -> dict[str, Any]:
        self._keys += 1
        asked = Asked(path=path, body=body, headers={**who, "Idempotency-Key": f"key-{self._keys}"})
        try:
            answer = await self._until_answered(
                lambda url: self.http.post(f"{url}{path}", json=body, headers=asked.headers)
            )
        except _RoundOver:
            self.unanswered.append(asked)
            raise
        return self._note(asked, answer)

    async def _come_back(self, opened: dict[str, Any]) -> None:
        parts = urlsplit(f"/return/{opened['id']}/?pidx={opened['gateway_reference']}&status=Completed")
        await self._until_answered(lambda url: self.http.get(f"{url}{parts.path}?{parts.query}"))
        booking = await self._until_answered(
            lambda url: self.http.get(f"{url}/v1/bookings/{opened['booking_id']}", headers=AS_STAFF)
        )
        if booking.json()["status"] in ("confirmed", "refunded"):
            self.confirmed.add(opened["booking_id"])

    async def _until_answered(self, ask: Callable[[str], Awaitable[httpx.Response]]) -> httpx.Response:
        while True:
            try:
                answer = await ask(self._any())
            except httpx.TransportError:
                self.told[0] += 1
            else:
                self.told[answer.status_code] += 1
                if answer.status_code not in AGAIN:
                    assert answer.is_success or answer.is_redirect, f"{answer.request.url}: {answer.text}"
                    return answer
                assert answer.status_code != 500, answer.text
            if self.is_over:
                raise _RoundOver
            await asyncio.sleep(PAUSE_SECONDS)

    def _note(self, asked: Asked, answer: httpx.Response) -> dict[str, Any]:
        self.answered.append(Told(asked=asked, status=answer.status_code, body=answer.content))
        told: dict[str, Any] = answer.json()
        if asked.path == "/v1/bookings":
            self.bookings.add(told["id"])
        elif asked.path == "/v1/payments":
            self.links[told["gateway_reference"]] = told["booking_id"]
        else:
            self.refunds[told["id"]] = told
        return told

    def _any(self) -> str:
        return self.chance.choice(self.urls)


_REFUNDS: Final = "SELECT id, amount, status FROM refunds WHERE booking_id >= $1"


def _opening(booking: int) -> dict[str, Any]:
    return {"booking_id": booking, "gateway": "khalti", "return_url": f"{SHOP}/done"}


def _agrees(told: dict[str, Any], kept: dict[str, Any] | None) -> bool:
    """A refund keeps its amount, and what was decided about it stays decided."""
    if kept is None or kept["amount"] != told["amount"]:
        return False
    is_final = told["status"] in ("confirmed", "rejected")
    return kept["status"] == told["status"] if is_final else REFUND_RANK[kept["status"]] >= REFUND_RANK[told["status"]]
