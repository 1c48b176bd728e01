"""A stand-in's control routes under `/_sim/`: what tests and scripts use instead of a person at a payment page.

JSON in, JSON out; a mistake is answered with `{"error": "<a sentence>"}` and 400, 404, 405, 409 or 413. No company has
any of these routes, so nothing that is meant for a company can depend on them. A payment is named by the company's own
word for it (`pidx`, `transaction_uuid`) or by `reference`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Annotated, Final, TypeVar

import msgspec

from sewapay.standins.armed import converted, with_reference
from sewapay.standins.clock import nepal_time
from sewapay.standins.company import AnyCompany
from sewapay.standins.exchange import MOST_CONTROL_BYTES, NotJson, Reply, Request, json_reply, parsed
from sewapay.standins.happenings import Left
from sewapay.standins.refusals import NotPossible, Refused, UnknownPayment

T = TypeVar("T")

Action = Callable[[Request], object]
"""Does what a request asks for; what it returns is the answer, as JSON."""

Actions = Mapping[str, Mapping[str, Action]]
"""Actions by path and method."""

NO_MORE: Final[Actions] = MappingProxyType({})


class _One(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which payment something happens to."""

    reference: str


class _Refund(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A refund in the merchant's own panel: `amount` in paisa, all that is left when it is not given."""

    reference: str
    amount: Annotated[int, msgspec.Meta(ge=1)] | None = None


class _Advance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By how much the stand-in's time moves."""

    advance_seconds: float


def control(company: AnyCompany, request: Request, *, own: Actions = NO_MORE, too_large: bool = False) -> Reply:
    """Answer one request to `/_sim/...`; `own` are the actions that only this stand-in has, by whole path."""
    actions = {**_every(company), **own}.get(request.path)
    if actions is None:
        return _error(404, f"There is no {request.path}; there are {', '.join({**_every(company), **own})}.")
    action = actions.get(request.method)
    if action is None:
        return _error(405, f"{request.path} takes {' or '.join(actions)}, not {request.method}.")
    if too_large or len(request.body) > MOST_CONTROL_BYTES:
        return _error(413, f"The body may have {MOST_CONTROL_BYTES} bytes at most.")
    try:
        return json_reply(200, action(request))
    except NotJson as wrong:
        return _error(400, f"The body is not as it should be: {wrong}.")
    except UnknownPayment as unknown:
        return _error(404, str(unknown))
    except NotPossible as conflict:
        return _error(409, str(conflict))
    except Refused as refused:
        return _error(400, str(refused))


def happening(company: AnyCompany, what: Callable[[str], object]) -> Action:
    """An action that makes something happen to the payment that the body names, and tells how its payer left."""

    def action(request: Request) -> object:
        reference = _body(company, request, _One).reference
        what(reference)
        return _told(company.left(reference))

    return action


def entering(company: AnyCompany, post: Callable[[Mapping[str, str]], str]) -> Action:
    """An action that does what the payer's browser does with a shop's form: the body has the fields, as texts.

    `post` brings the form to the company and tells the reference of the payment. Raises Refused when it is not taken.
    """

    def action(request: Request) -> object:
        fields = {name: value for name, value in fields_of(request).items() if isinstance(value, str)}
        company.seen["form"] += 1
        return _told(company.left(post(fields)))

    return action


def fields_of(request: Request) -> dict[str, object]:
    """The object that a request's body holds. Raises NotJson."""
    content = parsed(request.body)
    if not isinstance(content, dict):
        raise NotJson("expected an object")
    return content


def _every(company: AnyCompany) -> Actions:
    """What every stand-in takes."""
    return {
        "/_sim/pay": {"POST": partial(_pay, company)},
        "/_sim/pend": {"POST": happening(company, company.pend)},
        "/_sim/cancel": {"POST": happening(company, company.cancel)},
        "/_sim/expire": {"POST": happening(company, company.expire)},
        "/_sim/refund": {"POST": partial(_refund, company)},
        "/_sim/faults": {
            "POST": partial(_arm, company),
            "GET": partial(_armed, company),
            "DELETE": partial(_disarm, company),
        },
        "/_sim/clock": {"POST": partial(_advance, company), "GET": partial(_time, company)},
        "/_sim/quirks": {"POST": partial(_change_quirks, company), "GET": partial(_quirks, company)},
        "/_sim/seen": {"GET": partial(_seen, company)},
        "/_sim/reset": {"POST": partial(_reset, company)},
    }


def _pay(company: AnyCompany, request: Request) -> object:
    return _told(company.pays(_body(company, request, _One).reference))


def _refund(company: AnyCompany, request: Request) -> object:
    asked = _body(company, request, _Refund)
    company.refund(asked.reference, asked.amount)
    return _told(company.left(asked.reference))


def _told(left: Left) -> object:
    """The new status, where the payer's browser would be sent, and the same once for each time that it would be."""
    return {"status": left.status, "return_url": left.return_url, "return_urls": [left.return_url] * left.times}


def _arm(company: AnyCompany, request: Request) -> object:
    company.arm_all(parsed(request.body))
    return company.armed_shown()


def _armed(company: AnyCompany, _request: Request) -> object:
    return company.armed_shown()


def _disarm(company: AnyCompany, _request: Request) -> object:
    company.disarm()
    return company.armed_shown()


def _advance(company: AnyCompany, request: Request) -> object:
    company.advance(converted(parsed(request.body), _Advance).advance_seconds)
    return _time(company, request)


def _time(company: AnyCompany, _request: Request) -> object:
    now = company.now()
    return {"now": nepal_time(now), "stated": nepal_time(company.stated(now))}


def _change_quirks(company: AnyCompany, request: Request) -> object:
    changes = fields_of(request)
    company.quirks = converted(msgspec.structs.asdict(company.quirks) | changes, type(company.quirks))
    return company.quirks


def _quirks(company: AnyCompany, _request: Request) -> object:
    return company.quirks


def _seen(company: AnyCompany, _request: Request) -> object:
    """How many requests came on each of the company's routes."""
    return {route: company.seen[route] for route in sorted(company.shape.routes)}


def _reset(company: AnyCompany, _request: Request) -> object:
    company.reset()
    return {"now": nepal_time(company.now())}


def _body(company: AnyCompany, request: Request, kind: type[T]) -> T:
    return converted(with_reference(fields_of(request), company.shape.reference), kind)


def _error(status: int, sentence: str) -> Reply:
    return json_reply(status, {"error": sentence})
