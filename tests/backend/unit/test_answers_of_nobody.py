"""What stands between us and a company answers too: a proxy, a framework, a page about maintenance, in JSON or not.

None of it says anything about a payment, whatever its words and its HTTP status are: the payment stays as it is.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sewapay.adapters.connectips import protocol as connectips
from sewapay.adapters.connectips.signing import Merchant, SigningKey
from sewapay.adapters.esewa import protocol as esewa
from sewapay.adapters.khalti import protocol as khalti
from sewapay.application.errors import KeyRefused, OutcomeUnknown
from sewapay.domain.observation import Observation
from sewapay.wire.answers import Answer
from sewapay.wire.settings import Secret
from tests.backend.orders import an_order

MERCHANT: Final = Merchant(
    id="550",
    app_id="MER-550-APP-1",
    app_name="Sewa Bazaar",
    password=Secret("Pass#of-the-app1"),
    key=SigningKey(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
)
READ: Final[Mapping[str, Callable[[Answer], Observation]]] = {
    "esewa": lambda answer: esewa.read_status(answer, "EPAYTEST"),
    "connectips": lambda answer: connectips.read_validation(answer, an_order(), MERCHANT),
    "khalti": khalti.read_lookup,
}
STATUSES: Final = (
    *(200, 201, 202, 203, 204, 206, 226, 301, 302, 303, 307, 308),
    *(400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 413, 415, 418, 421, 422, 425, 426, 429, 431, 451, 499),
    *(500, 501, 502, 503, 504, 505, 507, 511, 520, 521, 522, 524, 525, 530, 599),
)

WORDS: Final = (
    *("NOT_FOUND", "BAD_REQUEST", "FORBIDDEN", "METHOD_NOT_ALLOWED", "INTERNAL_SERVER_ERROR", "OK", "UNAUTHORIZED"),
    *("CANCELED", "CANCELLED", "Canceled", "cancelled", "User canceled", "UNKNOWN", "UNAVAILABLE", "DEADLINE_EXCEEDED"),
    *("error", "ERROR", "Error", "fail", "failed", "FAILED", "Failed", "failure", "rejected", "blocked", "denied"),
    *("success", "SUCCESS", "Success", "ok", "COMPLETE", "COMPLETED", "Completed", "complete", "completed", "done"),
    *("expired", "EXPIRED", "Expired", "pending", "PENDING", "Pending", "Initiated", "initiated", "AMBIGUOUS"),
    *("refunded", "Refunded", "FULL_REFUND", "PARTIAL_REFUND", "partially refunded", "UP", "DOWN", "OUT_OF_SERVICE"),
    *("maintenance", "Service unavailable", "redirect", "login", "404", "404 Not Found", "0", "1", "200", "true"),
)
BESIDE: Final[tuple[Mapping[str, object], ...]] = (
    {},
    {"message": "Access denied", "data": None},
    {"code": 5, "message": "no route", "details": []},
    {"statusDesc": "Service unavailable", "path": "/connectipswebws/api/creditor/validatetxn"},
    {"error": "Not Found", "path": "/api/epay/transaction/status/", "timestamp": "2026-11-26T07:00:00.000+00:00"},
    {"transaction_uuid": None, "referenceId": None, "pidx": None, "product_code": "EPAYTEST", "appId": "MER-550-APP-1"},
    {"transaction_uuid": "", "referenceId": ""},
)
NUMBERS: Final = ("404", "403", "400", "405", "500", "200", "0", "1", "-1", "404.0", "4.04e2", "12345678901234567890")


def in_json(*bodies: str) -> tuple[bytes, ...]:
    return tuple(body.encode() for body in bodies)


BODIES: Final[Mapping[str, tuple[bytes, ...]]] = {
    "a framework's error": in_json(
        *(
            '{"timestamp": "2026-11-26T07:00:00.000+00:00", "status": ' + number + ', "error": "Not Found", '
            '"path": "/api/epay/transaction/status/"}'
            for number in NUMBERS
        ),
        '{"type": "about:blank", "title": "Not Found", "status": 404, "detail": "No static resource."}',
        '{"status": 404, "statusDesc": 404, "error_message": null}',
        '{"status": "SUCCESS", "statusDesc": 200}',
        '{"status": {"code": 404}}',
        '{"status": ["NOT_FOUND"]}',
        '{"status": {"status": "COMPLETE"}}',
        *(f'{{"status": {value}}}' for value in ("null", "true", "false", '""', '" "', "[]", "{}")),
    ),
    "a word": tuple(json.dumps({"status": word, **beside}).encode() for word in WORDS for beside in BESIDE),
    "no status": in_json(
        "{}",
        '{"detail": "Service temporarily unavailable.", "status_code": 503}',
        '{"detail": "Method \\"GET\\" not allowed."}',
        '{"code": 0, "error_message": "Service is currently unavailable"}',
        '{"error": "login_required", "redirect": "https://sso.example/login"}',
        '{"Status": "COMPLETE"}',
        '{"message": "An invalid response was received from the upstream server"}',
        '{"success": true}',
        '{"success": false, "error": {"status": "NOT_FOUND"}}',
    ),
    "no object": in_json(
        *("", " ", "\r\n", "null", "true", "false", "0", "404", '""', '"COMPLETE"', '"SUCCESS"', '"NOT_FOUND"', "OK"),
        *("[]", "[{}]", '[{"status": "NOT_FOUND"}]', '["SUCCESS"]', '{"status": "NOT_FOUND"', "{status: NOT_FOUND}"),
        '{"status": "NOT_FOUND"}{"status": "NOT_FOUND"}',
    ),
    "a page": in_json(
        "<!doctype html><title>404 Not Found</title>",
        "<html><body><h1>Sign in</h1><form action=/login></form></body></html>",
        '<?xml version="1.0"?><status>COMPLETE</status>',
        "NOT_FOUND",
        "upstream connect error or disconnect/reset before headers",
    ),
}


@pytest.mark.fault("F41")
@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("gateway", READ)
def test_what_does_not_name_the_payment_decides_nothing_about_it(gateway: str, kind: str) -> None:
    decided = []
    for content in BODIES[kind]:
        for status in STATUSES:
            with suppress(OutcomeUnknown if status != 401 else KeyRefused):
                seen = READ[gateway](Answer(status=status, content_type="application/json", content=content))
                decided.append((status, content.decode(), seen.reported.value))

    assert decided == []


@pytest.mark.fault("F41")
@pytest.mark.parametrize("content_type", ["text/html", "text/plain", "application/problem+json", "application/xml", ""])
@pytest.mark.parametrize("gateway", READ)
def test_nor_does_what_does_not_call_itself_json(gateway: str, content_type: str) -> None:
    for content in (content for contents in BODIES.values() for content in contents):
        for status in (200, 404):
            with pytest.raises(OutcomeUnknown):
                READ[gateway](Answer(status=status, content_type=content_type, content=content))
