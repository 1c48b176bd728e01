"""`sewapay audit`: the promises, checked on the database that the settings name, and beside a gateway's statement."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import httpx
from attrs import field, frozen

from sewapay.adapters.sql.audit import Shelves, read_shelves
from sewapay.application.audit import (
    CHECKED,
    NEEDS_TRUTH,
    Books,
    Finding,
    GatewayTruth,
    UnreadableStatement,
    audit_bookings,
    not_ours,
    readable,
    repeated,
    truth_from_simulator,
)
from sewapay.application.statement import Difference, of_payments, of_statement, references_in
from sewapay.domain.settlement import Policy
from sewapay.entrypoints.container import Container

__all__ = ["Audited", "audit"]

SECONDS_FOR_A_STATEMENT: Final = 30.0
LONGEST_STATEMENT: Final = 256 * 1024 * 1024


@frozen(kw_only=True)
class Audited:
    """What was looked at, and what was found."""

    rows: Mapping[str, int]
    findings: tuple[Finding, ...] = ()
    differences: tuple[Difference, ...] = ()
    statement: GatewayTruth | None = field(default=None, repr=False)

    @property
    def is_in_order(self) -> bool:
        """Whether nobody has to do anything: what the next look will settle by itself does not count."""
        return not self.findings and all(difference.is_on_its_way for difference in self.differences)

    def lines(self) -> list[str]:
        """For a person: what was checked, each finding in a line, and the sum of it."""
        told = [f"Read {', '.join(f'{count} {what}' for what, count in self.rows.items())}."]
        if self.statement is None:
            checked, wanting = _names(CHECKED.keys() - NEEDS_TRUTH), _names(NEEDS_TRUTH)
            told.append(f"Checked {checked}; for {wanting} a gateway's statement is needed (--ledger).")
        else:
            where = f"{self.statement.gateway}, {self.statement.environment}"
            told.append(f"Checked {_names(CHECKED)}.")
            told.append(f"Compared with {len(self.statement.lines)} payments of the statement ({where}).")
        told += [str(finding) for finding in self.findings]
        serious = [difference for difference in self.differences if not difference.is_on_its_way]
        told += [f"Difference: {difference}" for difference in serious]
        told += [f"On its way: {difference}" for difference in self.differences if difference.is_on_its_way]
        if self.is_in_order:
            return [*told, "All is in order."]
        return [*told, f"Not in order: {len(self.findings)} broken promises, {len(serious)} differences."]


def _names(invariants: Iterable[str]) -> str:
    return ", ".join(sorted(invariants, key=lambda name: int(name.removeprefix("I"))))


def audit(container: Container, ledger: str | None) -> Audited:
    """Check the database. `ledger`: the address or file of a gateway's statement.

    What is found beside an address is looked at once more, both sides anew, and told if it is still there: payments
    go on while they are read. Raises `UnreadableStatement`, `UnusableSetting`, `StoreUnavailable`.
    """
    first = _once(container, ledger)
    if first.is_in_order or ledger is None or not _is_address(ledger):
        return first
    again = _once(container, ledger)
    return Audited(
        rows=again.rows,
        findings=tuple(finding for finding in again.findings if finding in first.findings),
        differences=tuple(difference for difference in again.differences if difference in first.differences),
        statement=again.statement,
    )


def _once(container: Container, ledger: str | None) -> Audited:
    settings, clock = container.settings(), container.clock()
    statement = None if ledger is None else _statement(container, ledger)
    honours_surplus = settings.policies.surplus is Policy.HONOUR
    gateways = container.gateways().items()
    single_entry = frozenset(str(name) for name, gateway in gateways if gateway.capabilities.single_entry)

    def look(shelves: Shelves) -> Audited:
        rows: Counter[str] = Counter()
        findings: list[Finding] = []
        differences: list[Difference] = []
        references: set[str] = set()
        for books in shelves.books():
            now = clock.now()
            rows.update(_counted(books))
            findings += audit_bookings(
                books,
                statement,
                now=now,
                is_quiet=False,
                honours_surplus=honours_surplus,
                single_entry=single_entry,
            )
            if statement is not None:
                differences += of_payments(readable(books), statement, now=now)
                references |= {name for name in references_in(books) if statement.has(name)}
        findings += repeated(shelves.twice())
        if statement is not None:
            findings += not_ours(statement, frozenset(references))
            differences += of_statement(statement, frozenset(references))
        return Audited(rows=dict(rows), findings=tuple(findings), differences=tuple(differences), statement=statement)

    return asyncio.run(read_shelves(settings.database_url, look))


def _counted(books: Books) -> dict[str, int]:
    return {
        "bookings": len(books.bookings),
        "payments": len(books.payments),
        "events": len(books.events),
        "answers of gateways": len(books.observations),
        "refunds": len(books.refunds),
        "ledger entries": len(books.entries),
        "kept answers": len(books.answers),
    }


def _statement(container: Container, ledger: str) -> GatewayTruth:
    environments = {str(name): gateway.environment.value for name, gateway in container.gateways().items()}
    text = _fetched(ledger) if _is_address(ledger) else _read(ledger)
    try:
        shown = json.loads(text)
    except (ValueError, RecursionError):
        raise UnreadableStatement("the statement is not JSON") from None
    return truth_from_simulator(shown, environments=environments)


def _is_address(ledger: str) -> bool:
    return ledger.startswith(("http://", "https://"))


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError):
        raise UnreadableStatement("the statement's file cannot be read") from None


def _fetched(address: str) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        with (
            httpx.Client(timeout=SECONDS_FOR_A_STATEMENT, trust_env=False) as client,
            client.stream("GET", address, headers={"Accept-Encoding": "identity"}) as answer,
        ):
            answer.raise_for_status()
            for part in answer.iter_raw():
                parts.append(part)
                size += len(part)
                if size > LONGEST_STATEMENT:
                    raise UnreadableStatement("the statement is too long")
    except (httpx.HTTPError, httpx.InvalidURL):
        raise UnreadableStatement("the statement cannot be fetched from that address") from None
    return b"".join(parts)
