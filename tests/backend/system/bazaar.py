"""A shop that takes two gateways, as real processes before real stand-ins, and customers who use both."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
from attrs import define, field

from sewapay.adapters.esewa.simulator import Simulator
from tests.backend.system.by_hand import change
from tests.backend.system.serving import Service, wait_for
from tests.backend.system.world import AS_SITA, AS_STAFF, Khalti, a_booking, environ_for

__all__ = ["CODE", "ESEWA_KEY", "Bazaar", "Esewa"]

CODE: Final = "SEWABAZAAR"
ESEWA_KEY: Final = "canary9876543210fedcba9876543210"
FORM: Final = "/api/epay/main/v2/form"
STATUS: Final = "/api/epay/transaction/status/"


@define
class Esewa:
    """eSewa's stand-in. It knows one key, and any merchant that signs with it."""

    simulator: Simulator
    address: str

    @property
    def asked(self) -> int:
        """How many status checks came, about whatever."""
        return self.simulator.seen["status"]

    @property
    def environ(self) -> Mapping[str, str]:
        """The variables of a service before it."""
        return {
            "ESEWA_PRODUCT_CODE": CODE,
            "ESEWA_SECRET_KEY": ESEWA_KEY,
            "ESEWA_FORM_URL": f"{self.address}{FORM}",
            "ESEWA_STATUS_URL": f"{self.address}{STATUS}",
        }

    def lags(self, look_ups: int) -> None:
        """So many status checks about a payment still say what was true before."""
        told = httpx.post(f"{self.address}/_sim/quirks", json={"lag_lookups": look_ups}, trust_env=False)
        assert told.status_code == 200, told.text

    def happens(self, what: str, payment: Mapping[str, Any]) -> str:
        """The customer pays, cancels ...; where their browser is sent then."""
        told = httpx.post(
            f"{self.address}/_sim/{what}", json={"transaction_uuid": payment["order_reference"]}, trust_env=False
        )
        assert told.status_code == 200, told.text
        return str(told.json()["return_url"])


@define
class Bazaar:
    """The shop, its customers, and whoever runs it. Services and workers are started beside it, on the same database.

    `url` is where the service is that everybody talks to at present.
    """

    database_url: str
    khalti: Khalti
    esewa: Esewa
    folder: Path
    http: httpx.Client = field(repr=False)
    url: str = ""

    @property
    def log(self) -> Path:
        """Where those of its processes write that are told to by `SEWAPAY_LOG_FILE`."""
        return self.folder / "sewapay.log"

    def environ(self, **more: str) -> dict[str, str]:
        """The variables of its processes."""
        both = {"SEWAPAY_GATEWAYS": "khalti,esewa", **self.esewa.environ}
        return environ_for(self.database_url, self.khalti.address, **{**both, **more})

    def opens_at(self, service: Service) -> None:
        """From now on everybody talks to this one."""
        self.url = service.url

    def registers(self, amount: int = 113000) -> int:
        """A new booking's number."""
        told = self._told("POST", "/v1/bookings", a_booking("42", amount), AS_STAFF, 201)
        number: int = told["id"]
        return number

    def opened(self, gateway: str, amount: int = 113000) -> dict[str, Any]:
        """A payment of a new booking that its customer was shown; eSewa's form was posted, as a browser does."""
        body = {"booking_id": self.registers(amount), "gateway": gateway}
        payment = self._told("POST", "/v1/payments", body, AS_SITA, 201)
        step = payment["next_step"]
        if step["kind"] == "post_form":
            page = self.http.post(step["url"], data=step["fields"])
            assert page.status_code == 200, page.text
        return payment

    def pays(self, payment: Mapping[str, Any]) -> str:
        """The customer pays at the gateway; where their browser is sent then."""
        if payment["gateway"] == "khalti":
            return self.khalti.pay(payment["gateway_reference"])
        return self.esewa.happens("pay", payment)

    def comes_back(self, payment: Mapping[str, Any], data: str | None = None, *, to: str = "") -> httpx.Response:
        """A browser arrives at the payment's return address, with what eSewa's returns hold or without."""
        query = {} if data is None else {"data": data}
        return self.http.get(f"{self.url}/return/{payment['id']}/{to}", params=query)

    def read(self, payment: Mapping[str, Any]) -> dict[str, Any]:
        """The payment as the shop reads it. Reading an undecided one has it looked up."""
        return self._told("GET", f"/v1/payments/{payment['id']}", None, AS_STAFF, 200)

    def booking_of(self, payment: Mapping[str, Any]) -> str:
        """How its booking stands. Reading that asks nobody."""
        told = self._told("GET", f"/v1/bookings/{payment['booking_id']}", None, AS_STAFF, 200)
        return str(told["status"])

    def stored(self, payment: Mapping[str, Any]) -> dict[str, Any]:
        """The payment as its booking shows it. Reading that asks nobody."""
        told = self._told("GET", f"/v1/bookings/{payment['booking_id']}", None, AS_STAFF, 200)
        return dict(next(each for each in told["payments"] if each["id"] == payment["id"]))

    def settles(self, payment: Mapping[str, Any]) -> None:
        """Wait until its booking is confirmed, without asking for it."""
        wait_for(lambda: self.booking_of(payment) == "confirmed", 30)

    def differences(self) -> list[list[str]]:
        """What the log says of returns that claimed something else than the look-up."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines())
        return [line["differs"] for line in lines if line.get("event") == "return differs from the look-up"]

    async def makes_everything_due(self) -> None:
        """Each payment's next look was due a minute ago."""
        due = datetime.now(UTC) - timedelta(minutes=1)
        await change(self.database_url, "UPDATE payments SET next_check_at = $1", due)

    def asks(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> httpx.Response:
        """One request to the service."""
        return self.http.request(method, f"{self.url}{path}", json=body, headers=headers)

    def _told(self, method: str, path: str, body: object, headers: Mapping[str, str], status: int) -> dict[str, Any]:
        answer = self.asks(method, path, body, headers)
        assert answer.status_code == status, answer.text
        told: dict[str, Any] = answer.json()
        return told
