"""How a clause of the gateways' contract is written: a coroutine with a sentence, and which gateways it is for."""

from collections.abc import Awaitable, Callable
from typing import Final

from attrs import frozen

from sewapay.application.ports import CheckoutKind, RefundKind
from sewapay.testing.stage import Call, Stage

__all__ = [
    "CHECKS",
    "DOCUMENTS_WORDS",
    "GIVES_MONEY_BACK",
    "GIVES_PARTS_BACK",
    "IS_A_FORM",
    "NAMES_WHAT_IS_SIGNED",
    "OPENS_BY_A_CALL",
    "OPENS_WITHOUT_A_CALL",
    "REFUNDS_OVER_HTTP",
    "SIGNS_RETURNS",
    "SPEAKS_HTTP",
    "Check",
    "Need",
    "check",
]

Clause = Callable[[Stage], Awaitable[None]]


@frozen
class Need:
    """What a gateway has to do for a check to be about it; `unless` is the reason to pass the check over."""

    unless: str
    is_met: Callable[[Stage], bool]


@frozen(kw_only=True)
class Check:
    """One clause of the contract. `guards` says it in a sentence; awaiting it with a stage raises when it is broken."""

    name: str
    guards: str
    needs: tuple[Need, ...]
    clause: Clause

    def passed_over(self, stage: Stage) -> str | None:
        """Why this check is not about this gateway; None when it is."""
        return next((need.unless for need in self.needs if not need.is_met(stage)), None)

    async def __call__(self, stage: Stage) -> None:
        """Put the gateway on this stage through the check."""
        await self.clause(stage)


CHECKS: Final[dict[str, Check]] = {}
"""Every check by its name, once the modules that hold them are imported: `sewapay.testing.kit` imports all."""


def check(*needs: Need) -> Callable[[Clause], Clause]:
    """Make it part of the contract of the gateways that do all of this."""

    def enrol(clause: Clause) -> Clause:
        name = getattr(clause, "__name__")  # noqa: B009 (a callable's type has no name)
        sentence = " ".join((clause.__doc__ or "").split("\n\n")[0].split())
        CHECKS[name] = Check(name=name, guards=sentence, needs=needs, clause=clause)
        return clause

    return enrol


OPENS_BY_A_CALL: Final = Need("it asks its company nothing when it opens a checkout", lambda s: Call.OPENING in s.calls)
OPENS_WITHOUT_A_CALL: Final = Need("its company is asked for each checkout", lambda s: Call.OPENING not in s.calls)
IS_A_FORM: Final = Need(
    "its checkout is a link and no form", lambda s: s.gateway().capabilities.checkout is CheckoutKind.POST_FORM
)
GIVES_MONEY_BACK: Final = Need("it gives no money back by a call", lambda s: s.gateway().refunds is not None)
GIVES_PARTS_BACK: Final = Need(
    "it gives no parts back by a call", lambda s: s.gateway().capabilities.refunds is RefundKind.PARTIAL
)
SPEAKS_HTTP: Final = Need("its company does not answer over HTTP", lambda s: s.speaks_http)
SIGNS_RETURNS: Final = Need("its returns are not signed", lambda s: s.gateway().capabilities.signed_return)
NAMES_WHAT_IS_SIGNED: Final = Need(
    "its returns do not say what is signed",
    lambda s: s.signed_returns is not None and s.signed_returns.names is not None,
)
DOCUMENTS_WORDS: Final = Need("its company has no words for a status", lambda s: bool(s.documented_words))
REFUNDS_OVER_HTTP: Final = (SPEAKS_HTTP, GIVES_MONEY_BACK)
