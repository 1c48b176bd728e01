"""The parts of the documentation that are drawn from the code.

    python -m tests.docs.tables            says which pages are out of date
    python -m tests.docs.tables --write    writes them anew

A page holds each part between `<!-- drawn: NAME -->` and `<!-- end: NAME -->`.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from sewapay.application.access import POLICY, Operation
from sewapay.application.audit import CHECKED
from sewapay.domain.observation import Reported
from sewapay.domain.transitions import MONEY, SOFT, TRANSITIONS, UNDECIDED, Decision, PaymentStatus
from sewapay.testing.kit import CHECKS
from sewapay.testing.stores.contract import CLAUSES
from tests.backend.contracts import (
    test_esewa_contract_bites,
    test_form_contract_bites,
    test_gateway_contract_bites,
    test_store_contract_bites,
)

ROOT: Final = Path(__file__).resolve().parents[2]
HOW_TO_WRITE: Final = "python -m tests.docs.tables --write"

_GROUPS: Final = (
    ("undecided", "undecided", UNDECIDED),
    ("soft", "ended without money", SOFT),
    ("money", "money came", MONEY),
)
# Moves that are no answer to a look-up, so that they do not stand in the table; `payment.py`, `after_look.py`,
# `settlement.py` and `resolution.py` make them. The documentation's tests walk each of them.
_OTHER_MOVES: Final = (
    ("created", "open", "the gateway opened its page"),
    ("created", "failed", "nothing was sent, or our key was refused"),
    ("created", "under_review", "the gateway refused what we sent"),
    ("created", "expired", "nobody was shown its link, and none lives so long"),
    ("open", "pending", "the customer brought the gateway's signed word that it was paid"),
    ("undecided", "under_review", "pending for a day, never decided, or not known to the gateway any more"),
    ("completed", "under_review", "the booking was canceled before, or the transaction stands on another payment"),
    ("under_review", "completed", "a person honoured it"),
    ("under_review", "failed", "a person closed it, and no money was seen"),
)


def transition_diagram() -> str:
    """The moves of the table as a Mermaid flowchart; what stays where it is is left out."""
    lines = ["```mermaid", "flowchart LR"]
    for name, label, statuses in _GROUPS:
        lines.append(f'    subgraph {name}["{label}"]')
        lines += [f"        {status.value}" for status in PaymentStatus if status in statuses]
        lines.append("    end")
    lines.append("    under_review")
    moves = _moves()
    for source, target, why in _OTHER_MOVES:
        lines.append(f'    {source} -. "{why}" .-> {target}')
    lines += [f'    {source} -- "{", ".join(words)}" --> {target}' for (source, target), words in moves.items()]
    return "\n".join([*lines, "```"])


def _moves() -> dict[tuple[str, str], list[str]]:
    """From and to, with the reports that do it. Where all of a group do the same, the group stands for them."""
    single: dict[tuple[str, str], list[str]] = {}
    for (status, reported), decision in TRANSITIONS.items():
        to = PaymentStatus.UNDER_REVIEW if decision.review is not None else decision.to
        if to is not None and to is not status:
            single.setdefault((status.value, to.value), []).append(reported.value)
    for name, _, statuses in _GROUPS:
        inside = {status.value for status in statuses}
        for target in [status.value for status in PaymentStatus if status.value not in inside]:
            said = [single.get((source, target)) for source in inside]
            first = said[0]
            if first is not None and all(words == first for words in said):
                for source in inside:
                    del single[source, target]
                single[name, target] = first
    for name, _, statuses in _GROUPS:
        inside = {status.value for status in statuses}
        for source in sorted({source for source, _ in single} - inside):
            if all((source, target) in single for target in inside):
                words = [word for target in sorted(inside) for word in single.pop((source, target))]
                single[source, name] = words
    return single


def transition_table() -> str:
    """Every cell: a row for each status, a column for each report."""
    lines = [
        "| status \\ report | " + " | ".join(reported.value for reported in Reported) + " |",
        "|---" * (len(Reported) + 1) + "|",
    ]
    for status in PaymentStatus:
        cells = [_cell(status, TRANSITIONS[status, reported]) for reported in Reported]
        lines.append(f"| **{status.value}** | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(status: PaymentStatus, decision: Decision) -> str:
    if decision.review is not None:
        return f"review: {decision.review.value}"
    if decision.unsure:
        return "unknown" if decision.to in (None, status) else f"**{decision.to}**, unknown"
    if decision.contradicts:
        return "contradiction, asks" if decision.asks else "contradiction"
    return "stays" if decision.to in (None, status) else f"**{decision.to}**"


def policy_table() -> str:
    """Who may ask for what."""
    lines = ["| operation | customer | holder of a link | staff | service key |", "|---|---|---|---|---|"]
    for operation, rule in POLICY.items():
        scopes = " or ".join(f"`{scope}`" for scope in sorted(rule.scopes))
        everyone_alike = operation is Operation.READ_GATEWAYS
        customer = ("yes" if everyone_alike else "own") if rule.customer else "no"
        link = ("yes" if everyone_alike else "its booking") if rule.link else "no"
        lines.append(f"| {operation} | {customer} | {link} | {'yes' if rule.staff else 'no'} | {scopes or 'no'} |")
    return "\n".join(lines)


def audit_table() -> str:
    """What `sewapay audit` checks."""
    return "\n".join(["| | promise |", "|---|---|", *(f"| {name} | {promise} |" for name, promise in CHECKED.items())])


def checks_table() -> str:
    """The contract of the gateways: each check, which gateways it is about, and what it guards."""
    lines = ["| check | about | guards |", "|---|---|---|"]
    for name, check in CHECKS.items():
        passed_over = "; ".join(f"not if {need.unless}" for need in check.needs) or "all"
        lines.append(f"| `{name}` | {passed_over} | {check.guards} |")
    return "\n".join(lines)


def store_clauses() -> str:
    """The contract of the stores, in the words of its clauses."""
    lines = []
    for module in dict.fromkeys(clause.__module__ for clause in CLAUSES.values()):
        names = [name.replace("_", " ") for name, clause in CLAUSES.items() if clause.__module__ == module]
        lines.append(f"- **{module.rpartition('.')[2]}**: {'; '.join(names)}")
    return "\n".join(lines)


def what_is_caught() -> str:
    """How many broken gateways and stores the contracts are tried on."""
    gateways = {
        *test_gateway_contract_bites.CAUGHT_BY,
        *test_esewa_contract_bites.CAUGHT_BY,
        *(broken for broken, _ in test_form_contract_bites.CAUGHT_BY),
    }
    stores = {broken for broken, _ in test_store_contract_bites.CAUGHT_BY}
    return (
        f"{len(gateways)} gateways that are broken in one way each, and {len(stores)} such stores, are caught,"
        f" each by the check that is for it. Each of the {len(CHECKS)} checks of a gateway has something to catch"
        " (`tests/backend/contracts/test_*_bites.py`)."
    )


DRAWN: Final[Mapping[tuple[str, str], Callable[[], str]]] = MappingProxyType(
    {
        ("docs/money-safety.md", "transition diagram"): transition_diagram,
        ("docs/money-safety.md", "transition table"): transition_table,
        ("docs/http-api.md", "who may"): policy_table,
        ("docs/operate.md", "what an audit checks"): audit_table,
        ("docs/conformance-kit.md", "what is caught"): what_is_caught,
        ("docs/conformance-kit.md", "checks"): checks_table,
        ("docs/conformance-kit.md", "store clauses"): store_clauses,
    }
)


def drawn_in(text: str, name: str) -> str:
    """What stands in the page between the marks of this name. Raises `ValueError` when they are missing."""
    start, end = _marks(text, name)
    return text[start:end].strip("\n")


def redrawn(text: str, name: str, drawing: str) -> str:
    """The page with this part replaced."""
    start, end = _marks(text, name)
    return f"{text[:start]}\n{drawing}\n{text[end:]}"


def _marks(text: str, name: str) -> tuple[int, int]:
    opening, closing = f"<!-- drawn: {name} -->", f"<!-- end: {name} -->"
    if text.count(opening) != 1 or text.count(closing) != 1:
        raise ValueError(f"the page wants {opening} and {closing}, once each")
    return text.index(opening) + len(opening), text.index(closing)


def main(arguments: list[str] | None = None) -> int:
    """Compare, or write with `--write`. Exit code 1 when a page is out of date and was not written."""
    parser = argparse.ArgumentParser(prog="python -m tests.docs.tables", description=main.__doc__)
    parser.add_argument("--write", action="store_true", help="write the pages anew")
    asked = parser.parse_args(arguments)
    stale = False
    for (page, name), draw in DRAWN.items():
        text = (ROOT / page).read_text("utf-8")
        if drawn_in(text, name) == draw():
            continue
        if asked.write:
            (ROOT / page).write_text(redrawn(text, name, draw()), "utf-8")
            sys.stdout.write(f"{page}: {name} written\n")
        else:
            stale = True
            sys.stdout.write(f"{page}: {name} is out of date: {HOW_TO_WRITE}\n")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
