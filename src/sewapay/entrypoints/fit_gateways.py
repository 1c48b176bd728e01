"""Whether what a gateway's `build` returned can be worked with.

Asked at the start, so that nothing is found missing when somebody pays. What a gateway does on the wire is for the
conformance kit to show.
"""

import inspect
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from string import ascii_uppercase, digits
from types import MappingProxyType, NoneType
from typing import Any, Final

from sewapay.application.ports import Capabilities, CheckoutKind, RefundKind
from sewapay.domain.checkout import LONGEST_LIFE
from sewapay.domain.identifiers import Environment, GatewayName
from sewapay.domain.money import Money

__all__ = ["AWAITED", "CALLED", "KINDS", "PROPERTIES", "told", "unfit"]

PROPERTIES: Final = ("name", "environment", "capabilities", "refunds")
CALLED: Final[Mapping[str, int]] = MappingProxyType({"open_checkout": 3, "read_return": 1, "look_up": 1})
"""The calls of a `PaymentGateway`, and how many values each is handed."""

AWAITED: Final = frozenset({"open_checkout", "look_up", "refund"})
KINDS: Final[Mapping[str, tuple[type, ...]]] = MappingProxyType(
    {
        "label": (str,),
        "checkout": (CheckoutKind,),
        "signed_return": (bool,),
        "refunds": (RefundKind,),
        "least": (Money,),
        "greatest": (Money, NoneType),
        "reference_charset": (str,),
        "reference_length": (int,),
        "default_life": (timedelta,),
        "longest_life": (timedelta,),
        "page_origins": (tuple,),
        "single_entry": (bool,),
        "registered_return": (bool,),
        "panel": (str,),
        "shows_refunds": (bool,),
        "configured": (bool,),
    }
)
"""What each of the capabilities is made of."""

OUR_REFERENCES_LENGTH: Final = 20
_IN_OUR_REFERENCES: Final = ascii_uppercase + digits
_ORIGIN: Final = re.compile(
    r"https?://((\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?", re.ASCII
)

# Their texts are written by programmers and are about names and types. Other errors quote what they were given, which
# may be a secret.
_TOLD_IN_FULL: Final = (ImportError, SyntaxError, NotImplementedError, AttributeError, TypeError)


def told(error: BaseException) -> str:
    """What may be shown of an error in other people's code: its type, and its text where that is harmless."""
    try:
        text = " ".join(str(error).split()) if isinstance(error, _TOLD_IN_FULL) else ""
    except Exception:  # an error whose own text is a bug
        text = ""
    if text:
        return f"{type(error).__name__}, {text}"
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {'/'.join(Path(frames[-1].filename).parts[-2:])}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


def unfit(gateway: object, name: GatewayName, *, is_production: bool) -> str | None:
    """Why the service cannot work with this gateway, registered by `name`; None when it can."""
    return next(_faults(gateway, name, is_production=is_production), None)


def _faults(gateway: object, name: GatewayName, *, is_production: bool) -> Iterator[str]:
    wanted = (*PROPERTIES, *CALLED)
    read: dict[str, Any] = {}
    for member in wanted:
        try:
            read[member] = getattr(gateway, member)
        except KeyboardInterrupt:
            raise  # that is the operator
        except BaseException as error:  # a property runs other people's code
            if inspect.getattr_static(gateway, member, None) is None:
                continue
            yield f"its {member} cannot be read: {told(error)}"
            return
    if missing := [member for member in wanted if member not in read]:
        yield f"its build returned no PaymentGateway: it has no {', '.join(missing)}"
        return
    if read["name"] != name:
        yield f"it is registered as {name} and calls itself {str(read['name'])[:64]!r}"
    yield from _callable({member: read[member] for member in CALLED}, CALLED)
    if not isinstance(read["environment"], Environment):
        yield "its environment is no Environment"
    elif is_production and read["environment"] is not Environment.PRODUCTION:
        yield f"its environment is {read['environment']}, and production takes real money only"
    if not isinstance(read["capabilities"], Capabilities):
        yield "its capabilities are no Capabilities"
        return
    yield from _unable(read["capabilities"])
    yield from _refunding(read["refunds"], read["capabilities"].refunds)


def _callable(members: Mapping[str, Callable[..., object]], counts: Mapping[str, int]) -> Iterator[str]:
    for name, member in members.items():
        if not callable(member):
            yield f"its {name} is not a call"
        elif (name in AWAITED) is not inspect.iscoroutinefunction(member):
            yield f"its {name} has to be {'async' if name in AWAITED else 'a plain function'}"
        elif not _takes(member, counts[name]):
            yield f"its {name} does not take {counts[name]} values"


def _takes(call: Callable[..., object], count: int) -> bool:
    try:
        inspect.signature(call).bind(*range(count))
    except TypeError:
        return False
    return True


def _unable(can: Capabilities) -> Iterator[str]:
    for name, kinds in KINDS.items():
        value = getattr(can, name)
        if not isinstance(value, kinds) or (int in kinds and isinstance(value, bool)):
            yield f"its capabilities' {name} is no {kinds[0].__name__}"
            return
    for name, text in (("label", can.label), ("panel", can.panel)):
        if not text.strip() or not text.isprintable():
            yield f"its capabilities' {name} is no printable text"
    if can.greatest is not None and can.greatest < can.least:
        yield f"its capabilities' least amount, {can.least}, is more than the greatest, {can.greatest}"
    yield from _refusing_our_references(can)
    if not timedelta(0) < can.default_life <= can.longest_life:
        yield "its capabilities' default_life is above nothing and at most longest_life"
    if can.longest_life > LONGEST_LIFE:
        yield f"its capabilities' longest_life is more than {LONGEST_LIFE.days} days: no link is watched for longer"
    for origin in can.page_origins:
        if not isinstance(origin, str) or not _ORIGIN.fullmatch(origin):
            yield "its capabilities' page_origins hold origins such as https://pay.example, lower case, without a path"


def _refusing_our_references(can: Capabilities) -> Iterator[str]:
    try:
        shape = re.compile(can.reference_charset)
    except re.error:
        yield "its capabilities' reference_charset is no regular expression"
        return
    if refused := [character for character in _IN_OUR_REFERENCES if not shape.fullmatch(character)]:
        yield f"its capabilities' reference_charset takes no {refused[0]}, which our references hold"
    if can.reference_length < OUR_REFERENCES_LENGTH:
        yield f"its capabilities' reference_length is less than {OUR_REFERENCES_LENGTH}, the length of our references"


def _refunding(refunds: object, kind: RefundKind) -> Iterator[str]:
    if (refunds is None) is not (kind is RefundKind.NONE):
        has = "none" if refunds is None else "a call for them"
        yield f"its capabilities say refunds: {kind}, and it has {has}"
    elif refunds is not None:
        if not hasattr(refunds, "refund"):
            yield "its refunds have no refund"
            return
        yield from _callable({"refund": refunds.refund}, {"refund": 2})
