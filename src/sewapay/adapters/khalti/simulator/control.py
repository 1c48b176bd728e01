"""The stand-in's control routes under `/_sim/`: what tests and scripts use instead of a person at a payment page.

JSON in, JSON out; a mistake is answered with `{"error": "<a sentence>"}` and 400, 404, 405, 409 or 413. Khalti has none
of these routes, so nothing that is meant for Khalti can depend on them.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Annotated, Final, TypeVar, get_args

import msgspec

from sewapay.adapters.khalti.simulator.callback import callback_url
from sewapay.adapters.khalti.simulator.exchange import MOST_CONTROL_BYTES, NotJson, Reply, Request, json_reply, parsed
from sewapay.adapters.khalti.simulator.faults import AnyFault
from sewapay.adapters.khalti.simulator.ledger import (
    NotPossible,
    Quirks,
    Refused,
    SimulatedPayment,
    Simulator,
    UnknownPayment,
    nepal_time,
)

T = TypeVar("T")


class _One(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which payment something happens to."""

    pidx: str


class _Refund(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A refund in the merchant's own panel: `amount` in paisa, all that is left when it is not given."""

    pidx: str
    amount: Annotated[int, msgspec.Meta(ge=1)] | None = None


class _Advance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By how much the stand-in's time moves."""

    advance_seconds: float


def control(simulator: Simulator, request: Request) -> Reply:
    """Answer one request to `/_sim/...`."""
    actions = ACTIONS.get(request.path)
    if actions is None:
        return _error(404, f"There is no {request.path}; there are {', '.join(ACTIONS)}.")
    action = actions.get(request.method)
    if action is None:
        return _error(405, f"{request.path} takes {' or '.join(actions)}, not {request.method}.")
    if len(request.body) > MOST_CONTROL_BYTES:
        return too_large()
    try:
        return json_reply(200, action(simulator, request))
    except (NotJson, msgspec.ValidationError) as wrong:
        return _error(400, f"The body is not as it should be: {wrong}.")
    except UnknownPayment as unknown:
        return _error(404, str(unknown))
    except NotPossible as conflict:
        return _error(409, str(conflict))
    except Refused as refused:
        return _error(400, str(refused))


def too_large() -> Reply:
    """A body beyond what a control route reads."""
    return _error(413, f"The body may have {MOST_CONTROL_BYTES} bytes at most.")


def _pay(simulator: Simulator, request: Request) -> object:
    return _outcome(simulator, simulator.pay(_body(request, _One).pidx))


def _pend(simulator: Simulator, request: Request) -> object:
    return _outcome(simulator, simulator.pend(_body(request, _One).pidx))


def _cancel(simulator: Simulator, request: Request) -> object:
    return _outcome(simulator, simulator.cancel(_body(request, _One).pidx))


def _expire(simulator: Simulator, request: Request) -> object:
    return _outcome(simulator, simulator.expire(_body(request, _One).pidx))


def _refund(simulator: Simulator, request: Request) -> object:
    asked = _body(request, _Refund)
    return _outcome(simulator, simulator.refund(asked.pidx, asked.amount))


def _outcome(simulator: Simulator, payment: SimulatedPayment) -> object:
    """The new status, and where the payer's browser would be sent."""
    status = payment.status(simulator.now())
    return {"status": status.value, "return_url": callback_url(payment, status, simulator.quirks)}


def _ledger(simulator: Simulator, request: Request) -> object:
    """Every payment, the oldest first; `?pidx=` and `?purchase_order_id=` choose among them."""
    wanted = {name: request.query[name] for name in ("pidx", "purchase_order_id") if name in request.query}
    rows = [_row(simulator, payment) for payment in simulator.payments()]
    return {
        "now": nepal_time(simulator.now()),
        "initiates_seen": simulator.initiates_seen,
        "lookups_seen": simulator.lookups_seen,
        "refunds_seen": simulator.refunds_seen,
        "payments": [row for row in rows if all(row[name] == value for name, value in wanted.items())],
    }


def _row(simulator: Simulator, payment: SimulatedPayment) -> dict[str, object]:
    purchase = payment.purchase
    return {
        "pidx": payment.pidx,
        "purchase_order_id": purchase.purchase_order_id,
        "purchase_order_name": purchase.purchase_order_name,
        "amount": purchase.amount,
        "status": payment.status(simulator.now()).value,
        "transaction_id": payment.transaction_id,
        "refunded_amount": payment.refunded_amount,
        "refunds": [
            {"amount": refund.amount, "at": nepal_time(refund.at), "by": refund.by} for refund in payment.refunds
        ],
        "key_digest": payment.key_digest,
        "return_url": purchase.return_url,
        "website_url": purchase.website_url,
        "merchant_extras": dict(purchase.merchant_extras),
        "created_at": nepal_time(payment.created_at),
        "expires_at": nepal_time(payment.expires_at),
        "initiates": simulator.order_initiates(payment),
        "lookups": payment.lookups,
    }


def _arm(simulator: Simulator, request: Request) -> object:
    try:
        fault = msgspec.convert(parsed(request.body), AnyFault)
    except msgspec.ValidationError as wrong:
        raise msgspec.ValidationError(f"{wrong}. Kinds are {', '.join(KINDS)}") from wrong
    simulator.arm(fault)
    return _armed(simulator, request)


def _armed(simulator: Simulator, _request: Request) -> object:
    return {"faults": [msgspec.to_builtins(fault) for fault in simulator.armed()]}


def _advance(simulator: Simulator, request: Request) -> object:
    return {"now": nepal_time(simulator.advance(_body(request, _Advance).advance_seconds))}


def _time(simulator: Simulator, _request: Request) -> object:
    return {"now": nepal_time(simulator.now())}


def _change_quirks(simulator: Simulator, request: Request) -> object:
    changes = parsed(request.body)
    if not isinstance(changes, dict):
        raise NotJson("expected an object")
    simulator.quirks = msgspec.convert(msgspec.structs.asdict(simulator.quirks) | changes, Quirks)
    return simulator.quirks


def _quirks(simulator: Simulator, _request: Request) -> object:
    return simulator.quirks


def _reset(simulator: Simulator, _request: Request) -> object:
    simulator.reset()
    return {"now": nepal_time(simulator.now())}


def _body(request: Request, kind: type[T]) -> T:
    return msgspec.convert(parsed(request.body), kind)


def _error(status: int, sentence: str) -> Reply:
    return json_reply(status, {"error": sentence})


Action = Callable[[Simulator, Request], object]

ACTIONS: Final = MappingProxyType[str, dict[str, Action]](
    {
        "/_sim/pay": {"POST": _pay},
        "/_sim/pend": {"POST": _pend},
        "/_sim/cancel": {"POST": _cancel},
        "/_sim/expire": {"POST": _expire},
        "/_sim/refund": {"POST": _refund},
        "/_sim/payments": {"GET": _ledger},
        "/_sim/faults": {"POST": _arm, "GET": _armed},
        "/_sim/clock": {"POST": _advance, "GET": _time},
        "/_sim/quirks": {"POST": _change_quirks, "GET": _quirks},
        "/_sim/reset": {"POST": _reset},
    }
)

KINDS: Final = tuple(str(kind.__struct_config__.tag) for kind in get_args(AnyFault))
