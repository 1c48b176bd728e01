"""Who may do what, typed by hand: every operation for every kind of caller, and for every scope of a key."""

from itertools import product
from typing import Final

import pytest

from sewapay.application.access import POLICY, Operation, Principal, Role, Scope
from sewapay.application.errors import NotAllowed
from sewapay.domain.identifiers import CustomerId
from tests.backend.unit.given import a_booking

# fmt: off
EXPECTED: Final = """
                    | customer | link | staff | service with
 register a booking |          |      | yes   | bookings
 cancel a booking   | yes      |      | yes   | bookings
 read a booking     | yes      | yes  | yes   | bookings payments read
 list bookings      | yes      |      | yes   | bookings payments read
 open a checkout    | yes      | yes  | yes   | payments
 verify a payment   | yes      | yes  | yes   | payments
 read a payment     | yes      | yes  | yes   | bookings payments read
 list payments      | yes      |      | yes   | bookings payments read
 read the gateways  | yes      | yes  | yes   | bookings payments refunds webhooks read
 refund a payment   |          |      | yes   | refunds
 read a refund      | yes      |      | yes   | bookings payments refunds read
 resolve a payment  |          |      | yes   |
 read the events    |          |      | yes   | bookings payments webhooks read
"""
# fmt: on

ROWS: Final = {
    Operation(row[0]): row[1:]
    for row in ([cell.strip() for cell in line.split("|")] for line in EXPECTED.strip("\n").splitlines()[1:])
}
CALLERS: Final = (Role.CUSTOMER, Role.LINK, Role.STAFF)


def may(principal: Principal, operation: Operation) -> bool:
    try:
        principal.require(operation)
    except NotAllowed:
        return False
    return True


def test_the_policy_decides_about_every_operation() -> None:
    assert set(Operation) == set(POLICY) == set(ROWS)


@pytest.mark.parametrize(("operation", "role"), list(product(Operation, CALLERS)))
def test_a_caller_may_do_what_the_policy_says(operation: Operation, role: Role) -> None:
    expected = ROWS[operation][CALLERS.index(role)] == "yes"

    assert expected == may(Principal(role=role, id="42"), operation)


@pytest.mark.parametrize(("operation", "scope"), list(product(Operation, Scope)))
def test_a_key_is_good_for_what_its_scopes_say(operation: Operation, scope: Scope) -> None:
    expected = scope.value in ROWS[operation][3].split()

    assert expected == may(Principal(role=Role.SERVICE, id="key", scopes=frozenset({scope})), operation)


@pytest.mark.parametrize("operation", Operation)
def test_a_key_without_scopes_is_good_for_nothing(operation: Operation) -> None:
    assert not may(Principal(role=Role.SERVICE, id="key"), operation)


@pytest.mark.parametrize("role", CALLERS)
def test_scopes_help_nobody_but_services(role: Role) -> None:
    scoped = Principal(role=role, id="42", scopes=frozenset(Scope))

    assert may(Principal(role=role, id="42"), Operation.REGISTER_BOOKING) == may(scoped, Operation.REGISTER_BOOKING)


@pytest.mark.parametrize(
    ("role", "id", "sees"),
    [
        (Role.CUSTOMER, "42", True),
        (Role.CUSTOMER, "43", False),
        (Role.CUSTOMER, "123", False),
        (Role.LINK, "123", True),
        (Role.LINK, "0123", False),
        (Role.LINK, "42", False),
        (Role.STAFF, "7", True),
        (Role.SERVICE, "0123456789abcdef", True),
    ],
)
def test_a_booking_exists_for_its_customer_its_link_and_those_who_see_everyones(
    role: Role, id: str, sees: bool
) -> None:
    booking = a_booking()  # number 123, of customer 42

    assert sees == Principal(role=role, id=id).may_see(booking)


def test_lists_are_limited_to_the_customers_own() -> None:
    assert CustomerId("42") == Principal(role=Role.CUSTOMER, id="42").only_customer
    assert Principal(role=Role.STAFF, id="7").only_customer is None


def test_a_refusal_names_the_scope_that_is_missing() -> None:
    with pytest.raises(NotAllowed, match="this key may not open a checkout: it needs the scope payments"):
        Principal(role=Role.SERVICE, id="key", scopes=frozenset({Scope.READ})).require(Operation.OPEN_CHECKOUT)


@pytest.mark.parametrize("role", [Role.CUSTOMER, Role.LINK, Role.SERVICE])
def test_a_refusal_does_not_send_anybody_for_a_key_where_no_key_is_good_enough(role: Role) -> None:
    with pytest.raises(NotAllowed, match=r"^only staff may resolve a payment: use a staff token$"):
        Principal(role=role, id="42", scopes=frozenset(Scope)).require(Operation.RESOLVE_PAYMENT)


@pytest.mark.parametrize("operation", Operation)
def test_asking_whether_one_may_agrees_with_being_refused(operation: Operation) -> None:
    callers = [Principal(role=role, id="42", scopes=frozenset({scope})) for role, scope in product(Role, Scope)]

    assert [caller.may(operation) for caller in callers] == [may(caller, operation) for caller in callers]


def test_events_name_the_caller_by_kind_and_id() -> None:
    assert Principal(role=Role.CUSTOMER, id="42").actor == "customer:42"
