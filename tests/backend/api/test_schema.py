"""The document at `/schema`: valid, complete, and true to what the service does."""

from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tests.servers import run_in_thread
from tests.shop import Shop

# Not checked: that whatever fits the document is accepted. It cannot say that 5000.0 is not an amount, that a cursor is
# one of ours, or which origins are allowed. And not in queries: that a list of one value is refused, which looks there
# like the value itself.
EXAMPLES_AN_OPERATION: Final = 30


async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/schema")
    assert answer.status_code == 200
    described: dict[str, Any] = answer.json()
    return described


async def test_it_is_openapi_3_1_without_anybody_elses_scripts(client: httpx.AsyncClient) -> None:
    answer = await client.get("/schema")

    assert answer.headers["Content-Type"].startswith("application/vnd.oai.openapi+json")
    assert answer.json()["openapi"].startswith("3.1")
    assert (await client.get("/schema/openapi.json")).json() == answer.json()


async def test_every_operation_says_who_may_what_it_takes_and_how_it_can_fail(client: httpx.AsyncClient) -> None:
    described = await document(client)

    for path, item in described["paths"].items():
        for method, operation in item.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["description"], where
            assert operation["tags"], where
            if not path.startswith("/health"):
                assert operation["security"] == [{"bearer": []}], where
                assert "401" in operation["responses"], where


async def test_a_body_that_refuses_unknown_fields_is_described_so(client: httpx.AsyncClient) -> None:
    schemas = (await document(client))["components"]["schemas"]

    closed = {name for name, schema in schemas.items() if schema.get("additionalProperties") is False}

    assert closed == {"NewBookingBody", "NewCustomer", "NewPaymentBody", "NewRefundBody", "ResolutionBody"}


async def test_what_creates_or_moves_money_takes_an_idempotency_key(client: httpx.AsyncClient) -> None:
    described = await document(client)

    taking = {
        f"{method} {path}": [named["schema"] for named in operation["parameters"] if named["in"] == "header"]
        for path, item in described["paths"].items()
        for method, operation in item.items()
        if any(named["name"] == "Idempotency-Key" for named in operation.get("parameters", []))
    }

    assert set(taking) == {
        "post /v1/bookings",
        "post /v1/bookings/{booking_id}/cancellation",
        "post /v1/payments",
        "post /v1/payments/{payment_id}/refunds",
        "post /v1/payments/{payment_id}/resolution",
        "post /api/bookings/payments/initiate_khalti_payment",
    }
    assert {(key["minLength"], key["maxLength"], key["pattern"]) for [key] in taking.values()} == {(1, 255, "^[!-~]+$")}


async def test_amounts_are_described_as_whole_paisa(client: httpx.AsyncClient) -> None:
    amount = (await document(client))["components"]["schemas"]["NewBookingBody"]["properties"]["amount"]

    assert amount["type"] == "integer"
    assert amount["exclusiveMinimum"] == 0


async def test_a_problem_is_described_as_one(client: httpx.AsyncClient) -> None:
    refused = (await document(client))["paths"]["/v1/payments"]["post"]["responses"]["409"]

    assert list(refused["content"]) == ["application/problem+json"]


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Shop, str]]:
    """A shop that answers over TCP while all operations are tried."""
    shop = Shop()
    with run_in_thread(shop.app) as url:
        yield shop, url


DESCRIBED: Final = schemathesis.openapi.from_dict(Shop().app.openapi_schema.to_schema())
OPERATIONS: Final = {found.ok().label: found.ok() for found in DESCRIBED.get_all_operations() if isinstance(found, Ok)}


TRIED: Final = [
    (label, mode)
    for label, operation in OPERATIONS.items()
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    if mode is GenerationMode.POSITIVE or operation.body or operation.query or operation.path_parameters
]


# What is wrong with these is answered by the HTTP server below us, in its own words.
OF_THE_CONNECTION = frozenset({"content-length", "transfer-encoding"})


@pytest.mark.parametrize(("label", "mode"), TRIED)
def test_the_service_does_what_the_document_says(label: str, mode: GenerationMode, served: tuple[Shop, str]) -> None:
    shop, url = served
    headers = shop.as_staff()
    excluded: list[Any] = [positive_data_acceptance, *([negative_data_rejection] if OPERATIONS[label].query else [])]

    @settings(max_examples=EXAMPLES_AN_OPERATION, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
    def holds(case: schemathesis.Case[Any]) -> None:
        for name in [name for name in case.headers or {} if name.lower() in OF_THE_CONNECTION]:
            del case.headers[name]
        case.call_and_validate(base_url=url, headers=headers, excluded_checks=excluded)

    holds()
