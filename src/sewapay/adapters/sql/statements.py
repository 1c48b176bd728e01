"""Every statement that is always the same, built with SQLAlchemy; `lists.py` builds those that differ."""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Insert,
    Integer,
    Table,
    Text,
    Update,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql

from sewapay.adapters.sql.session import Prepared
from sewapay.adapters.sql.tables import (
    UtcTime,
    answers,
    api_keys,
    bookings,
    events,
    feed,
    feed_mark,
    ledger_entries,
    observations,
    paces,
    payments,
    refunds,
)
from sewapay.application.storage import FIRST_HUGE_ID
from sewapay.domain.transitions import UNDECIDED

__all__ = [
    "ADD_BOOKING",
    "ADD_ENTRY",
    "ADD_EVENT",
    "ADD_EVIDENCE",
    "ADD_KEY",
    "ADD_PACE",
    "ADD_PAYMENT",
    "ADD_REFUND",
    "ANSWER",
    "BOOKING",
    "BOOKING_LOCKED",
    "BY_GATEWAY_REFERENCE",
    "BY_ORDER_REFERENCE",
    "CLAIM",
    "CLAIM_ONE",
    "ENTRIES",
    "EVENTS",
    "EVENTS_AFTER",
    "EVIDENCE",
    "FED_AFTER",
    "FEED",
    "FORGET_ANSWER",
    "FORGET_ANSWERS",
    "GREATEST_ID",
    "KEEP_ANSWER",
    "KEY",
    "KEYS",
    "LAST_EVENT",
    "LAST_FED",
    "MARK",
    "OF_BOOKING",
    "PACE",
    "PAYMENT",
    "PUT_ASIDE",
    "PUT_OFF",
    "PUT_OFF_MANY",
    "REFUND",
    "REFUNDS",
    "RELEASE",
    "SAVE_BOOKING",
    "SAVE_KEY",
    "SAVE_MARK",
    "SAVE_PACE",
    "SAVE_PAYMENT",
    "SAVE_REFUND",
    "TIME",
    "UNFINISHED",
    "WAIT_FOR_A_KEY",
    "WAIT_FOR_A_NUMBER",
    "WAIT_FOR_A_TRANSACTION",
    "WAIT_FOR_THE_FEED",
    "WITH_TRANSACTION",
    "WRITERS",
]


def _values(table: Table, *, besides: Iterable[str] = ()) -> dict[str, BindParameter[object]]:
    return {column.name: bindparam(column.name) for column in table.c if column.name not in besides}


def _insert(table: Table, *, besides: Iterable[str] = ()) -> Insert:
    """Nobody asks for what the database made up itself."""
    return insert(table).values(_values(table, besides=besides)).inline()


def _kept(table: Table) -> Insert:
    """Insert it, or put it in place of what has its key. SQLite took these words from PostgreSQL."""
    keys = list(table.primary_key.columns.keys())
    new = postgresql.insert(table).values(_values(table)).inline()
    rest = {column.name: new.excluded[column.name] for column in table.c if column.name not in keys}
    return new.on_conflict_do_update(index_elements=keys, set_=rest)


_ZERO: Final = literal_column("0", BigInteger)
_ONE: Final = literal_column("1", BigInteger)

TIME: Final = Prepared(select(func.clock_timestamp(type_=UtcTime).label("now")))

# -- bookings ----------------------------------------------------------------------------------------------------------

_FIXED_OF_BOOKING: Final = ("id", "amount", "registered_at")

# The booking is the lock of everything that hangs on it. SQLite has one writer at a time and leaves the words out.
_booking = select(bookings).where(bookings.c.id == bindparam("booking_id"))
BOOKING: Final = Prepared(_booking)
BOOKING_LOCKED: Final = Prepared(_booking.with_for_update())
GREATEST_ID: Final = Prepared(
    select(func.max(bookings.c.id).label("greatest")).where(bookings.c.id < literal_column(str(FIRST_HUGE_ID)))
)
WAIT_FOR_A_NUMBER: Final = Prepared(select(func.pg_advisory_xact_lock(literal_column("7959953386440094579"))))
ADD_BOOKING: Final = Prepared(_insert(bookings))
SAVE_BOOKING: Final = Prepared(
    update(bookings)
    .where(bookings.c.id == bindparam("booking_id"), bookings.c.version == bindparam("read_version"))
    .values(_values(bookings, besides=_FIXED_OF_BOOKING))
)

# -- payments ----------------------------------------------------------------------------------------------------------

_WHO_LOOKS: Final = ("leased_until", "lease")
_FIXED_OF_PAYMENT: Final = (
    *("id", "booking_id", "gateway", "environment"),
    *("order_reference", "amount", "created_at"),
)
_of_payment = tuple(column for column in payments.c if column.name not in _WHO_LOOKS)

PAYMENT: Final = Prepared(select(*_of_payment).where(payments.c.id == bindparam("payment_id")))
OF_BOOKING: Final = Prepared(
    select(*_of_payment)
    .where(payments.c.booking_id == bindparam("booking_id"))
    .order_by(payments.c.created_at, payments.c.id)
)
_there = (payments.c.gateway == bindparam("gateway"), payments.c.environment == bindparam("environment"))
BY_GATEWAY_REFERENCE: Final = Prepared(
    select(*_of_payment).where(*_there, payments.c.gateway_reference == bindparam("gateway_reference"))
)
BY_ORDER_REFERENCE: Final = Prepared(
    select(*_of_payment).where(*_there, payments.c.order_reference == bindparam("order_reference"))
)
# Two bookings that carry the same transaction of a gateway hold different locks: whoever asks second waits here.
WAIT_FOR_A_TRANSACTION: Final = Prepared(
    select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("transaction_id", type_=Text), _ZERO)))
)
WITH_TRANSACTION: Final = Prepared(
    select(payments.c.id).where(
        payments.c.transaction_id == bindparam("transaction_id"),
        payments.c.gateway == bindparam("gateway"),
        payments.c.environment == bindparam("environment"),
        payments.c.id != bindparam("besides"),
    )
)
ADD_PAYMENT: Final = Prepared(_insert(payments, besides=_WHO_LOOKS).values(leased_until=null(), lease=_ZERO))
SAVE_PAYMENT: Final = Prepared(
    update(payments)
    .where(payments.c.id == bindparam("payment_id"), payments.c.version == bindparam("read_version"))
    .values(_values(payments, besides=(*_FIXED_OF_PAYMENT, *_WHO_LOOKS)))
)
# The index of what is due has all but the last condition, which is asked of those rows only that are due.
UNFINISHED: Final = Prepared(
    select(payments.c.gateway, payments.c.environment, func.count().label("number"))
    .where(
        payments.c.next_check_at <= bindparam("due_at"),
        or_(
            payments.c.status.in_([literal_column(f"'{status.value}'", Text) for status in sorted(UNDECIDED)]),
            payments.c.outcome_unknown,
            payments.c.refund_due,
            payments.c.amount_reserved > _ZERO,
        ),
    )
    .group_by(payments.c.gateway, payments.c.environment)
)

# -- who looks at which payment right now ------------------------------------------------------------------------------

# A server has a clock that all machines share; an SQLite file belongs to one machine.
_SERVER_MS: Final = literal_column("CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)", BigInteger)
_OUR_MS: Final = bindparam("now_ms", type_=BigInteger)


def _claim(now_ms: ColumnElement[int], *wanted: ColumnElement[bool]) -> Update:
    """Take the wanted rows that nobody holds. Locked ones are passed over: whoever claims never waits for a payment."""
    is_free = or_(payments.c.leased_until.is_(None), payments.c.leased_until <= now_ms)
    due = (
        select(payments.c.id)
        .where(*wanted, is_free)
        .order_by(payments.c.next_check_at, payments.c.id)
        .limit(bindparam("limit", type_=Integer))
        .offset(_ZERO)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    title = literal_column("(SELECT title FROM bookings WHERE bookings.id = payments.booking_id)", Text)
    return (
        update(payments)
        .where(payments.c.id.in_(select(due.c.id)))
        .values(leased_until=now_ms + bindparam("lease_ms", type_=BigInteger), lease=payments.c.lease + _ONE)
        .returning(*_of_payment, payments.c.lease, title.label("title"))
    )


_DUE: Final = (
    payments.c.gateway == bindparam("gateway"),
    payments.c.environment == bindparam("environment"),
    payments.c.next_check_at <= bindparam("due_at"),
)
_THIS_ONE: Final = payments.c.id == bindparam("payment_id")
CLAIM: Final = Prepared(_claim(_SERVER_MS, *_DUE), on_sqlite=_claim(_OUR_MS, *_DUE))
CLAIM_ONE: Final = Prepared(_claim(_SERVER_MS, _THIS_ONE), on_sqlite=_claim(_OUR_MS, _THIS_ONE))
PUT_ASIDE: Final = Prepared(
    update(payments).where(_THIS_ONE).values(next_check_at=bindparam("next_check_at"), leased_until=null())
)

_still_held = update(payments).where(_THIS_ONE, payments.c.lease == bindparam("held"))
RELEASE: Final = Prepared(_still_held.values(leased_until=null()))

_PUT_OFF: Final = (payments.c.next_check_at, payments.c.looked_at, payments.c.silences)
_is_as_read = payments.c.version == bindparam("read_version")
PUT_OFF: Final = Prepared(
    _still_held.values(
        leased_until=null(),
        **{
            column.name: case((_is_as_read, bindparam(column.name, type_=column.type)), else_=column)
            for column in _PUT_OFF
        },
    )
)
# The same for many at once, which saves the way to the server and back for each.
PUT_OFF_MANY: Final = Prepared(
    text("""
        UPDATE payments SET
            leased_until = NULL,
            next_check_at = CASE WHEN version = as_read THEN given.next_check_at ELSE payments.next_check_at END,
            looked_at = CASE WHEN version = as_read THEN given.looked_at ELSE payments.looked_at END,
            silences = CASE WHEN version = as_read THEN given.silences ELSE payments.silences END
        FROM unnest(
            CAST(:payment_id AS text[]), CAST(:held AS bigint[]), CAST(:read_version AS bigint[]),
            CAST(:next_check_at AS timestamptz[]), CAST(:looked_at AS timestamptz[]), CAST(:silences AS bigint[])
        ) AS given (payment_id, held, as_read, next_check_at, looked_at, silences)
        WHERE payments.id = given.payment_id AND payments.lease = given.held
    """)
)

# -- refunds and the ledger --------------------------------------------------------------------------------------------

_FIXED_OF_REFUND: Final = (
    *("id", "payment_id", "booking_id", "amount", "is_all"),
    *("reason", "requested_by", "requested_at"),
)
REFUND: Final = Prepared(select(refunds).where(refunds.c.id == bindparam("refund_id")))
REFUNDS: Final = Prepared(
    select(refunds)
    .where(refunds.c.payment_id == bindparam("payment_id"))
    .order_by(refunds.c.requested_at, refunds.c.id)
)
ADD_REFUND: Final = Prepared(_insert(refunds))
SAVE_REFUND: Final = Prepared(
    update(refunds)
    .where(refunds.c.id == bindparam("refund_id"), refunds.c.version == bindparam("read_version"))
    .values(_values(refunds, besides=_FIXED_OF_REFUND))
)

ENTRIES: Final = Prepared(
    select(ledger_entries)
    .where(ledger_entries.c.payment_id == bindparam("payment_id"))
    .order_by(ledger_entries.c.payment_version, ledger_entries.c.posting, ledger_entries.c.place)
)
ADD_ENTRY: Final = Prepared(_insert(ledger_entries))

# -- events and evidence -----------------------------------------------------------------------------------------------

EVENTS: Final = Prepared(
    select(events).where(events.c.booking_id == bindparam("booking_id")).order_by(events.c.sequence)
)
_next_sequence = (
    select(func.coalesce(func.max(events.c.sequence), _ZERO) + _ONE)
    .where(events.c.booking_id == bindparam("booking_id"))
    .scalar_subquery()
)
ADD_EVENT: Final = Prepared(_insert(events, besides=["id", "sequence"]).values(sequence=_next_sequence))

EVIDENCE: Final = Prepared(
    select(observations).where(observations.c.payment_id == bindparam("payment_id")).order_by(observations.c.id)
)
ADD_EVIDENCE: Final = Prepared(_insert(observations, besides=["id"]))

_page = bindparam("limit", type_=Integer)
_last_event = select(func.coalesce(func.max(events.c.id), _ZERO)).scalar_subquery()
_last_fed = select(func.coalesce(func.max(feed.c.position), _ZERO)).scalar_subquery()
LAST_EVENT: Final = Prepared(select(_last_event.label("last")))
LAST_FED: Final = Prepared(select(_last_fed.label("last")))
EVENTS_AFTER: Final = Prepared(
    select(events).where(events.c.id > bindparam("after")).order_by(events.c.id).limit(_page).offset(_ZERO)
)
FED_AFTER: Final = Prepared(
    select(feed.c.position, *events.c)
    .join_from(feed, events, events.c.id == feed.c.event_id)
    .where(feed.c.position > bindparam("after"))
    .order_by(feed.c.position)
    .limit(_page)
    .offset(_ZERO)
)
WAIT_FOR_THE_FEED: Final = Prepared(select(func.pg_advisory_xact_lock(literal_column("8315183547222943076"))))
MARK: Final = Prepared(select(*feed_mark.c, _last_event.label("greatest")))
SAVE_MARK: Final = Prepared(update(feed_mark).values(_values(feed_mark, besides=["id"])))
# PostgreSQL takes a statement's snapshot first and looks at the locks then. Whoever has an event below the greatest in
# that snapshot, and is not in it, is found among those who hold the table: a lock is let go after the commit is seen.
WRITERS: Final = Prepared(
    text("""
        SELECT (SELECT coalesce(max(id), 0) FROM events), ARRAY(
            SELECT virtualtransaction FROM pg_locks
            WHERE relation = CAST('events' AS regclass) AND mode = 'RowExclusiveLock' AND granted
                AND pid <> pg_backend_pid()
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        )
    """).columns(literal_column("greatest", BigInteger), literal_column("writers", postgresql.ARRAY(Text)))
)
FEED: Final = Prepared(
    insert(feed)
    .from_select(
        ["position", "event_id"],
        select(_last_fed + func.row_number().over(order_by=events.c.id), events.c.id).where(
            events.c.id > bindparam("low"),
            events.c.id <= bindparam("up_to"),
            ~select(feed.c.event_id).where(feed.c.event_id == events.c.id).exists(),
        ),
    )
    .inline()
)

# -- paces and answers -------------------------------------------------------------------------------------------------

PACE: Final = Prepared(
    select(paces)
    .where(paces.c.gateway == bindparam("gateway"), paces.c.environment == bindparam("environment"))
    .with_for_update()
)
ADD_PACE: Final = Prepared(postgresql.insert(paces).values(_values(paces)).inline().on_conflict_do_nothing())
SAVE_PACE: Final = Prepared(_kept(paces))

_named = tuple(column == bindparam(column.name) for column in answers.primary_key.columns)
# Nobody can lock what is not there yet: whoever looks for the same key waits here.
WAIT_FOR_A_KEY: Final = Prepared(
    select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("name", type_=Text), _ONE)))
)
ANSWER: Final = Prepared(select(answers).where(*_named).with_for_update())
KEEP_ANSWER: Final = Prepared(_kept(answers))
FORGET_ANSWER: Final = Prepared(delete(answers).where(*_named))
_name = answers.primary_key.columns
_old = (
    select(*_name)
    .where(answers.c.begun_at < bindparam("begun_before"))
    .order_by(answers.c.begun_at)
    .limit(_page)
    .offset(_ZERO)
    .with_for_update(skip_locked=True)
)
# PostgreSQL would lock others if it looked twice, so it looks first; Python counts no rows of what begins with "WITH".
FORGET_ANSWERS: Final = Prepared(
    delete(answers).where(tuple_(*_name).in_(select(_old.cte("old")))),
    on_sqlite=delete(answers).where(tuple_(*_name).in_(_old)),
)

# -- API keys ----------------------------------------------------------------------------------------------------------

KEY: Final = Prepared(select(api_keys).where(api_keys.c.id == bindparam("key_id")))
KEYS: Final = Prepared(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id))
ADD_KEY: Final = Prepared(_insert(api_keys))
SAVE_KEY: Final = Prepared(
    update(api_keys).where(api_keys.c.id == bindparam("key_id")).values(_values(api_keys, besides=["id"]))
)
