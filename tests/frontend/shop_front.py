"""The merchant's own pages, on a port of their own: where customers come back to, and a front end as in the guide."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from attrs import define, field

Message = MutableMapping[str, Any]

# What SewaBazaar's front end does: it opens the payment from a script, and on coming back counts `Completed` only.
_PAGE = """<!doctype html>
<html lang="en">
<head><title>Shop</title><link rel="icon" href="data:,"></head>
<body>
<h1 id="said">Your cart</h1>
<button id="buy">Buy</button>
<script>
const told = TOLD;
const said = document.getElementById("said");

async function call(path, body) {
  const headers = {"Content-Type": "application/json", "Authorization": `Bearer ${told.token}`};
  const answer = await fetch(`${told.service}/api/bookings/payments/${path}/`,
    {method: "POST", headers, body: JSON.stringify({booking_id: told.booking_id, ...body})});
  return answer.json();
}

document.getElementById("buy").addEventListener("click", async () => {
  const origin = window.location.origin;
  const opened = await call("initiate_khalti_payment", {return_url: `${origin}/payment/callback`, website_url: origin});
  window.location.href = opened.data.payment_url;
});

async function comeBack() {
  const brought = new URLSearchParams(window.location.search);
  if (!brought.get("pidx") || brought.get("status") !== "Completed") {
    said.textContent = "Payment Failed";
    return;
  }
  const answered = await call("process_khalti_callback", {
    pidx: brought.get("pidx"),
    transaction_id: brought.get("transaction_id"),
    purchase_order_id: brought.get("purchase_order_id"),
  });
  said.textContent = answered.success ? answered.message : `Payment Failed: ${answered.error}`;
}

if (window.location.pathname === "/payment/callback") {
  comeBack();
}
</script>
</body>
</html>
"""


@define
class ShopFront:
    """A bare ASGI application: the same page at every path, with what a signed-in customer's page would know."""

    told: dict[str, Any] = field(factory=dict)
    served: int = 0

    async def __call__(self, scope: Message, _receive: object, send: Callable[[Message], Awaitable[None]]) -> None:
        """Serve the page."""
        assert scope["type"] == "http"
        self.served += 1
        body = _PAGE.replace("TOLD", json.dumps(self.told)).encode()
        headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
